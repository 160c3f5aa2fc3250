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

/// What a text under the key of this name looks like.
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
        "move" => "\"next-business-day\" or \"previous-business-day\"",
        "policy" => "\"latest\", \"all\" or \"none\"",
        "gap" => "\"after\", \"shift\" or \"skip\"",
        "fold" => "\"first\", \"last\" or \"both\"",
        "past" => "\"send\" or \"refuse\"",
        "unrouted" => "\"ignore\" or \"park\"",
        "limit" => "1 or more",
        "most" => "a whole number above 0",
        "exclude" | "only" => "names of calendars",
        _ => return None,
    })
}
