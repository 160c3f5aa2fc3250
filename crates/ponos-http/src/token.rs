//! The form of a token, `kh_<id8>_<43 base64url>`, and its digest. Pure: randomness is an argument.
//!
//! A clock keeps the id and the digest of a token, never the token. Its secret is 256 random bits, so that SHA-256 is
//! enough: nobody can try them all, as he could try the words of a password (ADR 0020).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;

/// How a token begins.
pub const PREFIX: &str = "kh_";
/// Characters of the id.
const ID: usize = 8;
/// Characters of the secret: 32 bytes.
const SECRET: usize = 43;
/// Bytes that make a token.
pub const RANDOM_BYTES: usize = ID / 2 + 32;

/// A token. `Debug` shows its id alone; only [`Token::reveal`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The public part of a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

/// The SHA-256 of a token; compared in constant time.
#[derive(Debug, Clone, Copy)]
pub struct TokenDigest([u8; 32]);

/// A text is not a token, or not a part of one; it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidToken(&'static str);

impl Token {
    /// The token of these random bytes.
    pub fn from_random(random: [u8; RANDOM_BYTES]) -> Self {
        let (id, secret) = random.split_at(ID / 2);
        Self(format!("{PREFIX}{}_{}", hex(id), URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Its public part.
    pub fn id(&self) -> TokenId {
        TokenId(self.0.get(PREFIX.len()..PREFIX.len() + ID).unwrap_or_default().to_owned())
    }

    /// Its digest.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The token itself, for the one place that it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let wrong =
            InvalidToken("a token is kh_, 8 hexadecimal digits, _ and 43 characters; this is not one");
        let (id, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| Some((rest.get(..ID)?, rest.get(ID..)?.strip_prefix('_')?)))
            .ok_or(wrong)?;
        let is_secret = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if id.parse::<TokenId>().is_err() || secret.len() != SECRET || !secret.bytes().all(is_secret) {
            return Err(wrong);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_***", self.id())
    }
}

impl FromStr for TokenId {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != ID || !text.bytes().all(is_digit) {
            return Err(InvalidToken("the id of a token is 8 hexadecimal digits; this is not one"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl FromStr for TokenDigest {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let wrong = InvalidToken("a SHA-256 is 64 hexadecimal digits; this is not one");
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut digest = [0; 32];
        if pairs.len() != digest.len() || !rest.is_empty() {
            return Err(wrong);
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or(wrong)?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> Token {
        Token::from_random([byte; RANDOM_BYTES])
    }

    #[test]
    fn a_token_is_made_of_random_bytes_and_read_again() {
        let mut random = [0; RANDOM_BYTES];
        for (byte, value) in random.iter_mut().zip(0x1f..) {
            *byte = value;
        }
        let token = Token::from_random(random);
        assert_eq!(token.reveal(), "kh_1f202122_IyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9AQUI");
        assert_eq!(token.reveal().parse::<Token>().unwrap(), token);
        assert_eq!(token.id().to_string(), "1f202122");
        assert_eq!(token.digest().to_string().parse::<TokenDigest>().unwrap(), token.digest());
        assert_ne!(token.digest(), self::token(1).digest());
        // As `printf %s TOKEN | sha256sum` has it.
        assert_eq!(
            self::token(0).digest().to_string(),
            "f8e14f3db409cdaa46ad1ec13b4ea54a3e7c5a998d478f3a28e09938c44c3296"
        );
    }

    #[test]
    fn what_is_not_a_token_is_refused_and_not_repeated() {
        let good = token(0xff).reveal().to_owned();
        for wrong in [
            "",
            "kh_",
            "hunter2",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}x"),
            &format!(" {good}"),
            &good.replace("kh_f", "kh_F"),
            &good.replace("kh_f", "kh_g"),
            &good.replacen('_', "-", 2),
            &format!("{}é", &good[..good.len() - 2]),
            "kh_ffffffé_hunter2hunter2hunter2hunter2hunter2hunter2hu",
        ] {
            let refused = wrong.parse::<Token>().unwrap_err().to_string();
            assert!(wrong.is_empty() || wrong == "kh_" || !refused.contains(wrong), "{wrong}");
        }
        for wrong in ["", "ab", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert!(wrong.parse::<TokenDigest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_not_shown_by_accident() {
        let shown = format!("{:?}", token(7));
        assert_eq!(shown, "kh_07070707_***");
    }
}
