//! The keys of a `[[schedule]]`, and what kind of value each has. A test holds them to [`Definition`](super::Definition).

use crate::toml_tree::{Key, Kind};

const DST: Kind = Kind::Table(&[("gap", Kind::Text), ("fold", Kind::Text)]);

/// All keys.
pub(super) const KEYS: &[Key] = &[
    ("name", Kind::Text),
    ("event", Kind::Text),
    ("every", Kind::Duration),
    ("cron", Kind::Text),
    ("at", Kind::Text),
    (
        "timings",
        Kind::Tables(&[
            ("every", Kind::Duration),
            ("cron", Kind::Text),
            ("at", Kind::Text),
            ("time_zone", Kind::Text),
            ("phase", Kind::Duration),
            ("anchor", Kind::Text),
            ("dst", DST),
        ]),
    ),
    ("time_zone", Kind::Text),
    ("phase", Kind::Duration),
    ("anchor", Kind::Text),
    ("from", Kind::Text),
    ("until", Kind::Text),
    ("limit", Kind::Count),
    ("jitter", Kind::Duration),
    ("exclude", Kind::Texts),
    ("only", Kind::Texts),
    ("move", Kind::Text),
    ("dst", DST),
    (
        "catch_up",
        Kind::Table(&[
            ("policy", Kind::Text),
            ("grace", Kind::Duration),
            ("within", Kind::Duration),
            ("most", Kind::Count),
        ]),
    ),
    ("past", Kind::Text),
    ("unrouted", Kind::Text),
    ("resends", Kind::Table(&[("most", Kind::Count), ("within", Kind::Duration)])),
    ("paused", Kind::Boolean),
    ("expires", Kind::Duration),
    ("data", Kind::Payload),
];
