//! The tokens that a server knows, and how a request shows one.

use crate::token::{RANDOM_BYTES, Token, TokenDigest, TokenId};
use std::{collections::HashMap, sync::LazyLock};

/// Compared with where an id is not known, so that this takes as long as where it is.
static NOBODYS: LazyLock<TokenDigest> = LazyLock::new(|| Token::from_random([0; RANDOM_BYTES]).digest());

/// Tokens by their ids and digests, each with what its holder is.
#[derive(Debug)]
pub struct KnownTokens<T>(HashMap<TokenId, (TokenDigest, T)>);

impl<T> Default for KnownTokens<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> FromIterator<(TokenId, TokenDigest, T)> for KnownTokens<T> {
    fn from_iter<I: IntoIterator<Item = (TokenId, TokenDigest, T)>>(tokens: I) -> Self {
        Self(tokens.into_iter().map(|(id, digest, holder)| (id, (digest, holder))).collect())
    }
}

impl<T> KnownTokens<T> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The holder of a token. Each try of the form of one costs one digest and one comparison, whether its id is known or not.
    ///
    /// # Errors
    /// It is not known: its id, if it has the form of one.
    pub fn holder(&self, token: &str) -> Result<&T, Option<TokenId>> {
        let token: Token = token.parse().map_err(|_| None)?;
        let (id, digest) = (token.id(), token.digest());
        let known = self.0.get(&id);
        let is_right = known.map_or(&*NOBODYS, |(known, _)| known) == &digest;
        known.filter(|_| is_right).map(|(_, holder)| holder).ok_or(Some(id))
    }
}

/// The token of `Bearer TOKEN`, the value of a header `Authorization`.
pub fn bearer(credentials: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(credentials).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_holder_s_and_one_that_only_begins_like_it_is_nobody_s() {
        let [one, other] = [1, 2].map(|byte| Token::from_random([byte; RANDOM_BYTES]));
        let known: KnownTokens<&str> = [(one.id(), one.digest(), "billing")].into_iter().collect();
        assert_eq!(known.holder(one.reveal()), Ok(&"billing"));
        assert_eq!(known.holder(other.reveal()), Err(Some(other.id())));
        let mixed = format!("{}{}", &one.reveal()[..12], &other.reveal()[12..]);
        assert_eq!(known.holder(&mixed), Err(Some(one.id())));
        assert_eq!(known.holder("hunter2"), Err(None));
        assert!(KnownTokens::<()>::default().holder(one.reveal()).is_err());
        // the one that unknown ids are compared with
        assert!(known.holder(Token::from_random([0; RANDOM_BYTES]).reveal()).is_err());
    }

    #[test]
    fn a_token_is_shown_as_bearer_in_any_letters() {
        for shown in ["Bearer abc", "bearer  abc", "BEARER abc "] {
            assert_eq!(bearer(shown.as_bytes()), Some("abc"), "{shown}");
        }
        for other in ["", "abc", "Basic abc", "Bearerabc"] {
            assert_eq!(bearer(other.as_bytes()), None, "{other}");
        }
        assert_eq!(bearer(b"Bearer \xff"), None);
    }
}
