//! All keys, and what kind of value each has.

/// What is written in the file for a key. From a variable or a flag everything is text, and is read accordingly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    /// A list of texts; in a variable separated by commas.
    List,
}

/// Every key that may be configured, with its sections.
pub(super) const KEYS: &[(&str, Kind)] = &[
    ("clock.name", Kind::Text),
    ("clock.settle", Kind::Text),
    ("clock.max_forward", Kind::Text),
    ("clock.max_backward", Kind::Text),
    ("clock.on_backward", Kind::Text),
    ("schedules.folder", Kind::Text),
    ("calendars.folder", Kind::Text),
    ("limits.shortest_interval", Kind::Text),
    ("limits.rate", Kind::Integer),
    ("limits.schedules", Kind::Integer),
    ("broker.url", Kind::Text),
    ("broker.url_file", Kind::Text),
    ("broker.exchange", Kind::Text),
    ("broker.fanout", Kind::Boolean),
    ("broker.window", Kind::Integer),
    ("broker.channels", Kind::Integer),
    ("broker.connect_timeout", Kind::Text),
    ("broker.heartbeat", Kind::Text),
    ("broker.confirm_timeout", Kind::Text),
    ("broker.tls.ca_file", Kind::Text),
    ("broker.tls.cert_file", Kind::Text),
    ("broker.tls.key_file", Kind::Text),
    ("publish.in_flight", Kind::Integer),
    ("publish.resends", Kind::Integer),
    ("publish.resend_over", Kind::Text),
    ("store.path", Kind::Text),
    ("store.cache", Kind::Text),
    ("record.max_rows", Kind::Integer),
    ("record.max_age", Kind::Text),
    ("http.enabled", Kind::Boolean),
    ("http.listen", Kind::Text),
    ("http.hosts", Kind::List),
    ("log.level", Kind::Text),
    ("log.format", Kind::Text),
    ("shutdown.grace", Kind::Text),
];

/// The key of that path, and its kind.
pub(super) fn key(path: &str) -> Option<(&'static str, Kind)> {
    KEYS.iter().find(|(key, _)| *key == path).copied()
}

/// Whether the values of keys of this name may be shown: those of unknown keys may be secrets, as the broker's URL is one.
pub(super) fn may_be_shown(name: &str) -> bool {
    name != "url" && KEYS.iter().any(|(key, _)| key.rsplit('.').next() == Some(name))
}

/// The variable by which a key is overridden: `broker.tls.ca_file` → `KHRONOS_BROKER_TLS_CA_FILE`.
pub(super) fn variable(path: &str) -> String {
    format!("KHRONOS_{}", path.to_uppercase().replace('.', "_"))
}

/// Whether this path is a section, such as `broker` or `broker.tls`.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|(key, _)| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// What may stand directly in this section (`""` for the top): its keys and its sections.
pub(super) fn within(section: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|(key, _)| {
            let rest = if section.is_empty() { key } else { key.strip_prefix(section)?.strip_prefix('.')? };
            rest.split('.').next()
        })
        .collect();
    names.dedup();
    names
}
