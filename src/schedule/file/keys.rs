//! The keys of a `[[schedule]]`, and what kind of value each has. A test holds them to [`Definition`](super::Definition).

use super::value;
use crate::schedule::diagnostic::Text;
use toml::{Spanned, de::DeValue};

/// A key and its kind.
pub(super) type Key = (&'static str, Kind);

/// What may stand behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Texts,
    Boolean,
    Count,
    Table(&'static [Key]),
    /// A list of tables.
    Tables(&'static [Key]),
    Payload,
}

const DST: Kind = Kind::Table(&[("gap", Kind::Text), ("fold", Kind::Text)]);

/// All keys.
pub(super) const KEYS: &[Key] = &[
    ("name", Kind::Text),
    ("event", Kind::Text),
    ("every", Kind::Text),
    ("cron", Kind::Text),
    ("at", Kind::Text),
    (
        "timings",
        Kind::Tables(&[
            ("every", Kind::Text),
            ("cron", Kind::Text),
            ("at", Kind::Text),
            ("time_zone", Kind::Text),
            ("phase", Kind::Text),
            ("anchor", Kind::Text),
            ("dst", DST),
        ]),
    ),
    ("time_zone", Kind::Text),
    ("phase", Kind::Text),
    ("anchor", Kind::Text),
    ("from", Kind::Text),
    ("until", Kind::Text),
    ("limit", Kind::Count),
    ("jitter", Kind::Text),
    ("exclude", Kind::Texts),
    ("only", Kind::Texts),
    ("move", Kind::Text),
    ("dst", DST),
    (
        "catch_up",
        Kind::Table(&[
            ("policy", Kind::Text),
            ("grace", Kind::Text),
            ("within", Kind::Text),
            ("most", Kind::Count),
        ]),
    ),
    ("past", Kind::Text),
    ("unrouted", Kind::Text),
    ("paused", Kind::Boolean),
    ("expires", Kind::Text),
    ("data", Kind::Payload),
];

impl Kind {
    /// In words.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Texts => "a list of texts in quotes",
            Self::Boolean => "true or false",
            Self::Count => "a whole number",
            Self::Table(_) => "a table such as { key = \"value\" }",
            Self::Tables(_) => "a list of tables such as [{ key = \"value\" }]",
            Self::Payload => "anything",
        }
    }

    /// What to write instead of a value of the wrong type.
    pub(super) fn remedy(
        self,
        text: &Text<'_>,
        value: &Spanned<DeValue<'_>>,
        found: &DeValue<'_>,
    ) -> Option<String> {
        let written = text.as_str().get(value.span())?;
        match (self, found) {
            (Self::Text, DeValue::Datetime(_)) => Some(format!("put it in quotes: \"{written}\"")),
            (Self::Text, DeValue::Integer(_)) => {
                Some(format!("write a number with its unit in quotes: \"{written}s\""))
            }
            (Self::Texts, DeValue::String(_)) => Some(format!("put it in brackets: [{written}]")),
            (Self::Boolean, DeValue::String(_)) => Some("leave the quotes away".to_owned()),
            (Self::Count, DeValue::String(text)) if text.parse::<u32>().is_ok() => {
                Some(format!("leave the quotes away: {text}"))
            }
            (Self::Tables(keys), _) => {
                let (key, _) = keys.first()?;
                Some(format!("its keys are {}, as in [{{ {key} = \"...\" }}]", value::joined(keys)))
            }
            (Self::Table(keys), _) => {
                let (key, _) = keys.first()?;
                Some(format!("its keys are {}, as in {{ {key} = \"...\" }}", value::joined(keys)))
            }
            _ => None,
        }
    }
}
