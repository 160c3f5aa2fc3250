//! What the clocks of one name share and their tables do not have. Whoever follows passes on what is asked of it, with the token of who
//! asks, to the address that the tables show for the leader: so that address is sealed, and who can merely write to the tables can't
//! have the tokens sent to himself.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

/// Bytes of the shortest one.
pub(super) const LEAST_BYTES: usize = 16;

/// A secret of several clocks. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(Arc<[u8]>);

impl ClusterSecret {
    /// `None`: it is too short to be one.
    pub(crate) fn new(text: &str) -> Option<Self> {
        (text.len() >= LEAST_BYTES).then(|| Self(Sha256::digest(text).to_vec().into()))
    }

    /// The seal of a member's address, of this clock: 64 hexadecimal digits.
    pub(crate) fn seal(&self, clock: &str, member: &str, address: &str) -> String {
        let mut seal = String::new();
        for byte in self.keyed(clock, member, address).finalize().into_bytes() {
            // Into a string it always goes.
            let _ = write!(seal, "{byte:02x}");
        }
        seal
    }

    /// Whether it is that. Takes as long whichever digit is wrong.
    pub(crate) fn sealed(&self, clock: &str, member: &str, address: &str, seal: &str) -> bool {
        let digits = |at: usize| seal.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let bytes: Option<Vec<u8>> = (0..seal.len()).step_by(2).map(digits).collect();
        bytes.is_some_and(|bytes| self.keyed(clock, member, address).verify_slice(&bytes).is_ok())
    }

    fn keyed(&self, clock: &str, member: &str, address: &str) -> Hmac<Sha256> {
        let mut key = [0; 64];
        key.iter_mut().zip(&*self.0).for_each(|(key, byte)| *key = *byte);
        let mut keyed = Hmac::<Sha256>::new(&key.into());
        for part in ["khronos leader", clock, member, address] {
            keyed.update(&(part.len() as u64).to_be_bytes());
            keyed.update(part.as_bytes());
        }
        keyed
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_sealed_by_who_has_the_secret_for_one_clock_and_member_alone() {
        let secret = ClusterSecret::new("sesame, open the cave").unwrap();
        let seal = secret.seal("khronos", "one", "https://clock-1:7650");
        assert!(secret.sealed("khronos", "one", "https://clock-1:7650", &seal) && seal.len() == 64);
        for (clock, member, address) in [
            ("kairos", "one", "https://clock-1:7650"),
            ("khronos", "two", "https://clock-1:7650"),
            ("khronos", "one", "https://evil:7650"),
            ("khronoso", "ne", "https://clock-1:7650"),
        ] {
            assert!(!secret.sealed(clock, member, address, &seal), "{clock} {member} {address}");
        }
        let other = ClusterSecret::new("sesame, open the door").unwrap();
        assert!(!other.sealed("khronos", "one", "https://clock-1:7650", &seal));
        for wrong in ["", "00", "xyz", &seal[..62], &seal.replace('a', "é")] {
            assert!(!secret.sealed("khronos", "one", "https://clock-1:7650", wrong), "{wrong}");
        }
        assert_eq!(format!("{secret:?}"), "ClusterSecret");
        assert_eq!(ClusterSecret::new("fifteen bytes.."), None);
    }
}
