//! A request of many items → its items, each as it is written: a JSON array, or an item in each line. What follows the first one too
//! many is not read.

use super::{EVENTS_AT_ONCE, WantedEvent};
use crate::{engine::Expect, ops::OpsError};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

/// Changes that are asked for at once, as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedEvents {
    /// These, one by one.
    Each(Vec<WantedEvent>),
    /// Items to be put: a JSON array.
    List(Vec<u8>),
    /// The same, one in each line that is not empty.
    Lines(Vec<u8>),
}

impl WantedEvents {
    /// One by one.
    ///
    /// # Errors
    /// [`OpsError::Invalid`]: it is no list, or none is in it, or too many are.
    pub(super) fn split(self) -> Result<Vec<WantedEvent>, OpsError> {
        let put = |json: &[u8]| WantedEvent::Put { name: None, json: json.to_vec(), expect: Expect::Any };
        let all: Vec<WantedEvent> = match self {
            Self::Each(all) => all,
            Self::List(text) => {
                let items = items(&text)
                    .map_err(|error| OpsError::Invalid(format!("the body is no list of events: {error}")))?;
                items.into_iter().map(|item| put(item.get().as_bytes())).collect()
            }
            Self::Lines(text) => {
                let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
                lines.filter(|line| !line.is_empty()).take(EVENTS_AT_ONCE + 1).map(put).collect()
            }
        };
        match all.len() {
            1..=EVENTS_AT_ONCE => Ok(all),
            0 => {
                Err(OpsError::Invalid(format!("it has no events; 1 to {EVENTS_AT_ONCE} are allowed at once")))
            }
            _ => Err(OpsError::Invalid(format!("it has more than {EVENTS_AT_ONCE} events"))),
        }
    }
}

/// The items of a list, each as it is written.
///
/// # Errors
/// It is no list, or one of more than [`EVENTS_AT_ONCE`].
pub(crate) fn items(list: &[u8]) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_slice(list).map(|Items(items)| items)
}

/// As many as may be put at once.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Few;
        impl<'de> Visitor<'de> for Few {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == EVENTS_AT_ONCE {
                        return Err(A::Error::custom(format_args!("more than {EVENTS_AT_ONCE} events")));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Few)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(wanted: WantedEvents) -> Result<Vec<String>, String> {
        let text = |one| match one {
            WantedEvent::Put { name: None, json, expect: Expect::Any } => String::from_utf8(json).unwrap(),
            other => panic!("{other:?}"),
        };
        wanted.split().map(|all| all.into_iter().map(text).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_and_lines_have_the_same_items_byte_for_byte() {
        let list = br#" [ {"a": 1.0} , "x", [] ] "#.to_vec();
        let lines = b"\n {\"a\": 1.0}\r\n\"x\"\n\n[]".to_vec();
        let expected = vec![r#"{"a": 1.0}"#.to_owned(), "\"x\"".to_owned(), "[]".to_owned()];
        assert_eq!(split(WantedEvents::List(list)), Ok(expected.clone()));
        assert_eq!(split(WantedEvents::Lines(lines)), Ok(expected));
    }

    #[test]
    fn what_is_no_list_or_one_of_too_many_is_refused_where_that_shows() {
        let many = format!("[{}]]]", vec!["1"; EVENTS_AT_ONCE + 1].join(","));
        for (text, said) in [
            ("{}", "no list of events"),
            ("[", "no list of events"),
            ("[] []", "no list of events"),
            ("[]", "it has no events"),
            (&many, "more than 10000 events"),
        ] {
            let refused = split(WantedEvents::List(text.into())).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        let lines = "1\n".repeat(EVENTS_AT_ONCE + 1);
        assert!(split(WantedEvents::Lines(lines.into())).unwrap_err().contains("more than"));
        assert!(split(WantedEvents::Lines(b" \n\n".to_vec())).unwrap_err().contains("no events"));
        assert_eq!(
            split(WantedEvents::Lines("1\n".repeat(EVENTS_AT_ONCE).into())).unwrap().len(),
            EVENTS_AT_ONCE
        );
    }
}
