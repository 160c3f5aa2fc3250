//! Names of events that the server makes, where an item says none. Pure but for random bytes.

use crate::{engine::Expect, ops::OpsError};
use std::sync::Arc;
use uuid::Uuid;

/// What names are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamesOf {
    /// Of random bytes: nobody asks for these names again.
    Random([u8; 16]),
    /// Of the caller and a key of his: the same key is the same event.
    Key {
        /// The caller.
        owner: Arc<str>,
        /// His key.
        key: Arc<str>,
    },
    /// Of the caller and the id of his message, which is answered as before where it comes again.
    Message {
        /// The caller.
        owner: Arc<str>,
        /// The id.
        id: Arc<str>,
    },
}

impl NamesOf {
    /// The namespace of names by key: UUIDv5 of the URL namespace and the text `urn:khronos:idempotency-key`. A name is the
    /// UUIDv5 in it of the text `owner ⏎ key`, where `⏎` is one line feed.
    pub const NAMESPACE: Uuid = Uuid::from_u128(0xfbc5_58d6_7396_57bb_9b13_fa59_d396_c1af);

    /// Of new random bytes.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: the system has none.
    pub fn random() -> Result<Self, OpsError> {
        let mut random = [0; 16];
        let none = |error| OpsError::Unavailable(format!("the system gives no random bytes: {error}"));
        getrandom::fill(&mut random).map_err(none)?;
        Ok(Self::Random(random))
    }

    /// The name of the item at this place of a request.
    pub(crate) fn name(&self, index: usize) -> String {
        let id = match self {
            Self::Random(random) => Uuid::new_v5(&Uuid::from_bytes(*random), &index.to_be_bytes()),
            Self::Key { owner, key } => Uuid::new_v5(&Self::NAMESPACE, format!("{owner}\n{key}").as_bytes()),
            Self::Message { owner, id } => {
                Uuid::new_v5(&Self::NAMESPACE, format!("{owner}\n{id}\n{index}").as_bytes())
            }
        };
        id.hyphenated().to_string()
    }

    /// Whether the caller knows the names, and may ask for them again.
    pub(super) fn are_known(&self) -> bool {
        !matches!(self, Self::Random(_))
    }

    /// What has to be there of a name that was made here: nothing, where the same key may come again.
    pub(super) fn expect(&self, said: Expect) -> Expect {
        if matches!(self, Self::Key { .. }) { Expect::Absent } else { said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::is_name;

    #[test]
    fn a_name_is_made_as_it_is_documented() {
        assert_eq!(Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:khronos:idempotency-key"), NamesOf::NAMESPACE);
        let key = NamesOf::Key { owner: "billing".into(), key: "order-7".into() };
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "urn:khronos:idempotency-key"),
        //                                           "billing\norder-7"))'
        assert_eq!(key.name(0), "c6c447d6-7f22-597f-bf96-ece0df7c707c");
        assert!(key.are_known() && is_name(&key.name(0)));
        assert_eq!(key.expect(Expect::Any), Expect::Absent);
    }

    #[test]
    fn names_differ_by_place_and_by_what_they_are_made_of() {
        let message = NamesOf::Message { owner: "billing".into(), id: "order-7".into() };
        let key = NamesOf::Key { owner: "billing".into(), key: "order-7".into() };
        let random = NamesOf::random().unwrap();
        let all = [message.name(0), message.name(1), key.name(0), random.name(0), random.name(1)];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        assert!(!random.are_known() && random.name(1) == random.name(1));
    }
}
