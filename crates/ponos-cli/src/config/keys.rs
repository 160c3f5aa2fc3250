//! The keys of `ponos.toml`, and what kind of value each has.

use super::{
    gateway::{BATCH_MOST, BODY_MOST, WINDOW_MOST},
    source::{BYTES_MOST, MESSAGE_MOST, PREFETCH_MOST},
};
use ponos_toml::toml_tree::{Key, Kind};

/// The fields of a policy, after the keys of the table that they stand in.
macro_rules! with_policy {
    ($($own:expr),*) => {
        &[
            $($own,)*
            ("attempts", Kind::Count { least: 1, most: u32::MAX }),
            ("backoff", Kind::Table(BACKOFF)),
            ("timeout", Kind::Duration),
            ("max_wait", Kind::Duration),
            ("concurrency", Kind::Count { least: 1, most: u32::MAX }),
            ("prefetch", Kind::Count { least: 1, most: 65_535 }),
            ("rate", Kind::Text),
            ("exclusive", Kind::Boolean),
            ("fleet", Kind::Boolean),
            ("max_age", Kind::Duration),
            ("latest_only", Kind::Boolean),
            ("expect_by_next", Kind::Duration),
            ("within", Kind::Duration),
        ]
    };
}

const BACKOFF: &[Key] = &[
    ("first", Kind::Duration),
    ("factor", Kind::Payload),
    ("longest", Kind::Duration),
    ("jitter", Kind::Payload),
];

/// The keys of `[policy]`.
pub(super) const POLICY: &[Key] = with_policy!();
/// The keys of a table of `[[policies]]`.
const NAMED_POLICY: &[Key] = with_policy!(("name", Kind::Text));
/// The keys of a table of `[[queues]]`.
const QUEUE: &[Key] = with_policy!(
    ("on", Kind::Texts),
    ("task", Kind::Text),
    ("label", Kind::Text),
    ("policy", Kind::Text),
    ("contract", Kind::Text)
);

const BROKER: &[Key] = &[
    ("url", Kind::Text),
    ("url_file", Kind::Text),
    ("consumer_timeout", Kind::Duration),
    ("passive", Kind::Boolean),
];
const TLS: &[Key] = &[("cert_file", Kind::Text), ("key_file", Kind::Text)];
/// The keys of a table of `[[gateway.tokens]]`.
const TOKEN: &[Key] = &[
    ("id", Kind::Text),
    ("sha256", Kind::Text),
    ("owner", Kind::Text),
    ("role", Kind::Text),
    ("domains", Kind::Texts),
    ("plain", Kind::Text),
    ("rate", Kind::Count { least: 1, most: 1_000_000 }),
];
/// The keys of a table of `[[gateway.paths]]`.
const PATH: &[Key] = &[("path", Kind::Text), ("event", Kind::Text)];
/// The keys of a table of `[[gateway.webhooks]]`.
const WEBHOOK: &[Key] = &[
    ("name", Kind::Text),
    ("scheme", Kind::Text),
    ("keys", Kind::Texts),
    ("event", Kind::Text),
    ("events", Kind::TextsByKey),
];
const GATEWAY: &[Key] = &[
    ("listen", Kind::Text),
    ("unroutable", Kind::Text),
    ("body", Kind::Count { least: 1, most: BODY_MOST }),
    ("batch", Kind::Count { least: 1, most: BATCH_MOST }),
    ("window", Kind::Count { least: 1, most: WINDOW_MOST }),
    ("confirm", Kind::Duration),
    ("rate", Kind::Count { least: 1, most: 1_000_000 }),
    ("origins", Kind::Texts),
    ("tls", Kind::Section(TLS)),
    ("tokens", Kind::Tables(TOKEN)),
    ("paths", Kind::Tables(PATH)),
    ("webhooks", Kind::Tables(WEBHOOK)),
];
/// The keys of a table of `[[source.sqs.queues]]`.
const SQS_QUEUE: &[Key] = &[
    ("url", Kind::Text),
    ("name", Kind::Text),
    ("event", Kind::Text),
    ("events", Kind::TextsByKey),
    ("domains", Kind::Texts),
    ("wait", Kind::Duration),
    ("visibility", Kind::Duration),
    ("prefetch", Kind::Count { least: 1, most: PREFETCH_MOST }),
];
const SQS: &[Key] = &[
    ("region", Kind::Text),
    ("endpoint", Kind::Text),
    ("access_key_id_file", Kind::Text),
    ("secret_access_key_file", Kind::Text),
    ("session_token_file", Kind::Text),
    ("unroutable", Kind::Text),
    ("body", Kind::Count { least: 1, most: MESSAGE_MOST }),
    ("bytes", Kind::Count { least: MESSAGE_MOST, most: BYTES_MOST }),
    ("confirm", Kind::Duration),
    ("queues", Kind::Tables(SQS_QUEUE)),
];
const SOURCE: &[Key] = &[("sqs", Kind::Section(SQS))];
const CONTRACTS: &[Key] = &[("folder", Kind::Text)];
const PUBLISH: &[Key] = &[("events", Kind::Texts), ("tasks", Kind::Texts)];

/// All keys.
pub(super) const KEYS: &[Key] = &[
    ("service", Kind::Text),
    ("inbox", Kind::Text),
    ("reports", Kind::Boolean),
    ("broker", Kind::Section(BROKER)),
    ("contracts", Kind::Section(CONTRACTS)),
    ("policy", Kind::Section(POLICY)),
    ("policies", Kind::Tables(NAMED_POLICY)),
    ("queues", Kind::Tables(QUEUE)),
    ("publish", Kind::Section(PUBLISH)),
    ("gateway", Kind::Section(GATEWAY)),
    ("source", Kind::Section(SOURCE)),
];

/// Whether the values of keys of this name may be shown: URLs may hold passwords, tokens and keys may stand where what is derived
/// from them, or where they are, should, and anything under an unknown key.
pub(super) fn may_be_shown(name: &str) -> bool {
    fn is_named(keys: &[Key], name: &str) -> bool {
        keys.iter().any(|(key, kind)| {
            *key == name
                || match kind {
                    Kind::Table(inner) | Kind::Section(inner) | Kind::Tables(inner) => is_named(inner, name),
                    _ => false,
                }
        })
    }
    const SECRET: [&str; 10] = [
        "url",
        "endpoint",
        "inbox",
        "id",
        "sha256",
        "owner",
        "keys",
        "access_key_id_file",
        "secret_access_key_file",
        "session_token_file",
    ];
    !SECRET.contains(&name) && is_named(KEYS, name)
}
