//! All keys, and what kind of value each has.

pub(super) use crate::schedule::toml_tree::{Key, Kind};

/// The list of tokens. Only the file has lists of tables: a variable holds none.
pub(super) const TOKENS: &str = "http.tokens";

/// The keys of a token.
pub(super) const TOKEN: &[Key] = &[
    ("http.tokens.id", Kind::Text),
    ("http.tokens.sha256", Kind::Text),
    ("http.tokens.owner", Kind::Text),
    ("http.tokens.role", Kind::Text),
    ("http.tokens.domains", Kind::Texts),
    ("http.tokens.tasks", Kind::Texts),
    ("http.tokens.schedules", Kind::Integer),
    ("http.tokens.delayed_events", Kind::Integer),
    ("http.tokens.puts_per_second", Kind::Integer),
    ("http.tokens.least_interval", Kind::Duration),
];

/// The list of the broker's users who may send commands.
pub(super) const USERS: &str = "commands.users";

/// The keys of a user.
pub(super) const USER: &[Key] = &[
    ("commands.users.user", Kind::Text),
    ("commands.users.owner", Kind::Text),
    ("commands.users.role", Kind::Text),
    ("commands.users.domains", Kind::Texts),
    ("commands.users.tasks", Kind::Texts),
    ("commands.users.schedules", Kind::Integer),
    ("commands.users.delayed_events", Kind::Integer),
    ("commands.users.puts_per_second", Kind::Integer),
    ("commands.users.least_interval", Kind::Duration),
];

/// The list of rate ceilings.
pub(super) const CEILINGS: &str = "publish.ceilings";

/// The keys of a ceiling.
pub(super) const CEILING: &[Key] =
    &[("publish.ceilings.domain", Kind::Text), ("publish.ceilings.rate", Kind::Integer)];

/// All lists of tables, with the keys of their tables.
pub(super) const LISTS: [Key; 3] =
    [(TOKENS, Kind::Tables(TOKEN)), (USERS, Kind::Tables(USER)), (CEILINGS, Kind::Tables(CEILING))];

/// Where something of a token may have been written by mistake: neither is shown.
const NEAR_A_TOKEN: [&str; 2] = ["id", "sha256"];

/// Every key that may be configured, section by section, with its path.
pub(super) const KEYS: &[Key] = &[
    (
        "clock",
        Kind::Section(&[
            ("clock.name", Kind::Text),
            ("clock.settle", Kind::Duration),
            ("clock.max_forward", Kind::Duration),
            ("clock.max_backward", Kind::Duration),
            ("clock.on_backward", Kind::Text),
            ("clock.max_error", Kind::Duration),
            ("clock.time_zones", Kind::Text),
        ]),
    ),
    (
        "schedules",
        Kind::Section(&[("schedules.folder", Kind::Text), ("schedules.keep_finished", Kind::Duration)]),
    ),
    ("calendars", Kind::Section(&[("calendars.folder", Kind::Text)])),
    (
        "limits",
        Kind::Section(&[
            ("limits.shortest_interval", Kind::Duration),
            ("limits.rate", Kind::Integer),
            ("limits.schedules", Kind::Integer),
        ]),
    ),
    (
        "broker",
        Kind::Section(&[
            ("broker.url", Kind::Text),
            ("broker.url_file", Kind::Text),
            ("broker.exchange", Kind::Text),
            ("broker.fanout", Kind::Boolean),
            ("broker.window", Kind::Integer),
            ("broker.channels", Kind::Integer),
            ("broker.connect_timeout", Kind::Duration),
            ("broker.heartbeat", Kind::Duration),
            ("broker.confirm_timeout", Kind::Duration),
            (
                "broker.tls",
                Kind::Section(&[
                    ("broker.tls.ca_file", Kind::Text),
                    ("broker.tls.cert_file", Kind::Text),
                    ("broker.tls.key_file", Kind::Text),
                ]),
            ),
        ]),
    ),
    (
        "publish",
        Kind::Section(&[
            ("publish.in_flight", Kind::Integer),
            ("publish.resends", Kind::Integer),
            ("publish.resend_over", Kind::Duration),
            ("publish.watermark", Kind::Duration),
            (CEILINGS, Kind::Tables(CEILING)),
        ]),
    ),
    (
        "store",
        Kind::Section(&[
            ("store.path", Kind::Text),
            ("store.url_file", Kind::Text),
            ("store.schema", Kind::Text),
            ("store.cache", Kind::Text),
        ]),
    ),
    (
        "cluster",
        Kind::Section(&[
            ("cluster.address", Kind::Text),
            ("cluster.ca_file", Kind::Text),
            ("cluster.secret_file", Kind::Text),
        ]),
    ),
    ("record", Kind::Section(&[("record.max_rows", Kind::Integer), ("record.max_age", Kind::Duration)])),
    (
        "changes",
        Kind::Section(&[("changes.max_entries", Kind::Integer), ("changes.max_age", Kind::Duration)]),
    ),
    (
        "delayed",
        Kind::Section(&[
            (
                "delayed.record",
                Kind::Section(&[
                    ("delayed.record.max_rows", Kind::Integer),
                    ("delayed.record.max_age", Kind::Duration),
                ]),
            ),
            (
                "delayed.changes",
                Kind::Section(&[
                    ("delayed.changes.max_entries", Kind::Integer),
                    ("delayed.changes.max_age", Kind::Duration),
                ]),
            ),
        ]),
    ),
    (
        "http",
        Kind::Section(&[
            ("http.enabled", Kind::Boolean),
            ("http.listen", Kind::Text),
            ("http.hosts", Kind::Texts),
            ("http.open", Kind::Boolean),
            ("http.open_reads", Kind::Boolean),
            ("http.behind_proxy", Kind::Boolean),
            (
                "http.tls",
                Kind::Section(&[("http.tls.cert_file", Kind::Text), ("http.tls.key_file", Kind::Text)]),
            ),
            (TOKENS, Kind::Tables(TOKEN)),
        ]),
    ),
    (
        "commands",
        Kind::Section(&[
            ("commands.enabled", Kind::Boolean),
            ("commands.exchange", Kind::Text),
            ("commands.queue", Kind::Text),
            ("commands.replies", Kind::Text),
            ("commands.rate", Kind::Integer),
            (USERS, Kind::Tables(USER)),
        ]),
    ),
    (
        "metrics",
        Kind::Section(&[("metrics.schedules", Kind::Integer), ("metrics.audit_every", Kind::Duration)]),
    ),
    (
        "traces",
        Kind::Section(&[
            ("traces.endpoint", Kind::Text),
            ("traces.ratio", Kind::Payload),
            ("traces.headers_file", Kind::Text),
            ("traces.ca_file", Kind::Text),
        ]),
    ),
    (
        "reports",
        Kind::Section(&[
            ("reports.enabled", Kind::Boolean),
            ("reports.most", Kind::Integer),
            ("reports.memory", Kind::Text),
            ("reports.keep", Kind::Duration),
        ]),
    ),
    ("log", Kind::Section(&[("log.level", Kind::Text), ("log.format", Kind::Text)])),
    ("shutdown", Kind::Section(&[("shutdown.grace", Kind::Duration)])),
];

/// Every key by itself, without the sections and lists of tables.
pub(super) fn all() -> Vec<Key> {
    fn leaves(keys: &[Key], all: &mut Vec<Key>) {
        for &(key, kind) in keys {
            match kind {
                Kind::Section(inner) => leaves(inner, all),
                Kind::Tables(_) => {}
                _ => all.push((key, kind)),
            }
        }
    }
    let mut all = Vec::new();
    leaves(KEYS, &mut all);
    all
}

/// The key of that path, and its kind.
pub(super) fn key(path: &str) -> Option<Key> {
    all().into_iter().find(|(key, _)| *key == path)
}

/// Whether the values of keys of this name may be shown: those of unknown keys may be secrets, as the broker's URL is one.
pub(super) fn may_be_shown(name: &str) -> bool {
    let is_named = |(key, _): &Key| key.rsplit('.').next() == Some(name);
    name != "url"
        && !NEAR_A_TOKEN.contains(&name)
        && all().iter().chain(TOKEN).chain(USER).chain(CEILING).any(is_named)
}

/// The variable by which a key is overridden: `broker.tls.ca_file` → `KHRONOS_BROKER_TLS_CA_FILE`.
pub(super) fn variable(path: &str) -> String {
    format!("KHRONOS_{}", path.to_uppercase().replace('.', "_"))
}
