//! The keys of a `[[schedule]]`, and what kind of value each has. A test holds them to [`Definition`](super::Definition).

use crate::toml_tree::{Key, Kind};

const ANY_NUMBER: Kind = Kind::Count { least: 1, most: u32::MAX };
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
    ("limit", ANY_NUMBER),
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
            ("most", ANY_NUMBER),
        ]),
    ),
    ("past", Kind::Text),
    ("unrouted", Kind::Text),
    ("resends", Kind::Table(&[("most", Kind::Count { least: 0, most: 100 }), ("within", Kind::Duration)])),
    ("paused", Kind::Boolean),
    ("expires", Kind::Duration),
    ("description", Kind::Text),
    ("labels", Kind::TextsByKey),
    ("data", Kind::Payload),
];

/// What a text under the key of this name looks like, that can't be understood. What words and bounds are allowed, whoever
/// holds a value to them says himself.
pub(super) fn form(key: &str) -> Option<&'static str> {
    Some(match key {
        "name" => "1 to 128 of a-z, 0-9 and inner '.', '_', '-'",
        "event" => "words of a-z, 0-9, '_' and '-', joined by dots, as in \"office.day.opened\"",
        "every" | "phase" | "jitter" | "expires" | "grace" | "within" => {
            "a duration, as in \"90s\", \"1 day\" or \"PT1H\""
        }
        "cron" => "a cron expression, as in \"0 9 * * MON-FRI\"",
        "at" | "anchor" | "from" | "until" => {
            "an instant of whole milliseconds, as in \"2026-12-01T09:00:00Z\", or a local time with time_zone"
        }
        "time_zone" => "an IANA name, as in \"Europe/Paris\"",
        _ => return None,
    })
}
