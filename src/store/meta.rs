//! What the store says about itself: written with every write into the tree, and again into the seal.

use crate::store::made_up;
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The newest form in which entries are written; a newer one is refused.
pub(super) const FORM: u32 = FORM_OF_CREATIONS;
/// Blocks of rows may end with kinds. Written as soon as there is a row that is no occurrence, so that older versions of
/// khronos, which would take its block for damaged, say that a newer one wrote it; until then they can read the store.
pub(super) const FORM_OF_KINDS: u32 = 2;
/// Revisions may say that a command put them, and how often the clock had been set back. Written with the first that does.
pub(super) const FORM_OF_ORIGINS: u32 = 3;
/// Parked entries may say how often they were refused, and when they are sent again; definitions may have `resends`.
/// Written with the first that does.
pub(super) const FORM_OF_RETRIES: u32 = 4;
/// Rules of zones lie in the store, and revisions refer to them. Written with the first that does.
pub(super) const FORM_OF_ZONES: u32 = 5;
/// Pauses lie in the store. Written with the first one: an older version would send what is to rest.
pub(super) const FORM_OF_PAUSES: u32 = 6;
/// What is done at run time lies in the store: definitions and rows say which schedules were created so, messages that were
/// answered, a log of changes, pauses by name, what commands triggered, operations, calendars. Written with the first of them: an older
/// version would give ids anew, and send what is to rest.
pub(super) const FORM_OF_CREATIONS: u32 = 7;
/// Of the target of a copy that has not ended, and of nothing else. A version that does not know it takes it for a newer one's, and
/// does not start on it either.
pub(crate) const UNFINISHED: u32 = u32::MAX;
/// Of a copy of a clock that went on, until somebody has accepted it: likewise.
pub(super) const HELD: u32 = UNFINISHED - 1;
/// Of a store in creation.
const FIRST_FORM: u32 = 1;

/// What the store says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// At most [`FORM`], or one of those that say no version: [`UNFINISHED`], [`HELD`]. First in every form.
    pub(super) form: u32,
    /// Made up when the store was created.
    pub(super) store: u64,
    /// The clock's name.
    pub(super) clock: String,
    /// Writes so far; 0 in the seal of a store in creation.
    pub(super) generation: u64,
    /// The process that made the last write.
    pub(super) writer: u64,
    /// The highest fencing term.
    pub(super) term: u64,
    /// W.
    pub(super) settled: Option<Timestamp>,
    /// H.
    pub(super) handed: Option<Timestamp>,
    /// Rows for confirmed events were given up to here.
    pub(super) complete: Option<Timestamp>,
    /// The number of the oldest row that is kept.
    pub(super) first_sequence: u64,
    /// The number of the newest row.
    pub(super) last_sequence: u64,
    /// Entries of the tree, this one apart.
    pub(super) entries: u64,
    /// The sum of their [`fingerprint`]s.
    pub(super) digest: u64,
    /// R. Not there in older stores: then it is H. Behind all others, so that these can be read; see `encoding::read_meta`.
    #[serde(default)]
    pub(super) reached: Option<Timestamp>,
    /// How often the clock was set back. Not there in older stores, as all that follows.
    #[serde(default)]
    pub(super) set_backs: u32,
    /// The highest creation number that was given.
    #[serde(default)]
    pub(super) created: u64,
    /// The number of the newest change in the log that was trimmed; and of the newest of all.
    #[serde(default)]
    pub(super) trimmed_changes: u64,
    #[serde(default)]
    pub(super) last_change: u64,
    /// What it holds is of this instant, where it is [`HELD`].
    #[serde(default)]
    pub(super) made_at: Option<Timestamp>,
}

impl Meta {
    /// A store in creation.
    pub(super) fn new(clock: &str) -> Self {
        Self {
            form: FIRST_FORM,
            store: made_up(),
            clock: clock.to_owned(),
            generation: 0,
            writer: 0,
            term: 0,
            settled: None,
            handed: None,
            complete: None,
            first_sequence: 1,
            last_sequence: 0,
            entries: 0,
            digest: 0,
            reached: None,
            set_backs: 0,
            created: 0,
            trimmed_changes: 0,
            last_change: 0,
            made_at: None,
        }
    }

    /// Whether it is a copy that nobody has accepted yet.
    pub(super) fn is_held(&self) -> bool {
        self.form == HELD
    }

    /// Counts an entry in.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.digest = self.digest.wrapping_add(fingerprint(key, value));
    }

    /// Counts an entry out.
    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(fingerprint(key, value));
    }
}

/// Whether this version reads what is of this form.
pub(super) fn is_understood(form: u32) -> bool {
    form <= FORM || form == HELD
}

/// This process, among all that ever wrote to a store.
pub(super) fn writer() -> u64 {
    static WRITER: OnceLock<u64> = OnceLock::new();
    *WRITER.get_or_init(made_up)
}

/// FNV-1a of key, its length and value, stirred, so that sums of several differ when any of them does.
pub(crate) fn fingerprint(key: &[u8], value: &[u8]) -> u64 {
    let length = (key.len() as u64).to_le_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in length.iter().chain(key).chain(value) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::encoding::{meta_value, read_meta, value};

    #[test]
    fn an_older_store_without_r_is_read() {
        let meta = Meta { handed: Some(Timestamp::from_millis(7)), ..Meta::new("khronos") };
        let mut bytes = value(&meta).unwrap_or_default();
        assert_eq!(read_meta(&bytes).ok(), Some(meta.clone()));
        for _ in 0..4 {
            assert_eq!(bytes.pop(), Some(0), "no creation, no change, nothing that holds it");
            assert_eq!(read_meta(&bytes).ok(), Some(meta.clone()));
        }
        assert_eq!(bytes.pop(), Some(0), "no set-back");
        assert_eq!(meta_value(&meta).ok(), Some(bytes.clone()));
        assert_eq!(read_meta(&bytes).ok(), Some(meta.clone()));
        assert_eq!(bytes.pop(), Some(0), "an R that is not there");
        assert_eq!(read_meta(&bytes).ok(), Some(meta.clone()));
        bytes.pop();
        assert!(read_meta(&bytes).is_err());
        let json = serde_json::to_string(&meta).unwrap_or_default().replace(",\"reached\":null", "");
        let json = json.replace(",\"set_backs\":0", "");
        let json =
            json.replace(",\"created\":0,\"trimmed_changes\":0,\"last_change\":0,\"made_at\":null", "");
        assert!(!json.contains("reached") && !json.contains("set_backs") && !json.contains("change"));
        assert_eq!(serde_json::from_str::<Meta>(&json).ok(), Some(meta));
        for set_backs in [0, 1, 300] {
            let with = Meta { reached: Some(Timestamp::from_millis(9)), set_backs, ..Meta::new("khronos") };
            assert_eq!(meta_value(&with).ok().and_then(|bytes| read_meta(&bytes).ok()), Some(with.clone()));
            for (created, trimmed_changes, last_change) in [(1, 0, 0), (300, 0, 1), (0, 1, 2)] {
                let with = Meta { created, trimmed_changes, last_change, ..with.clone() };
                let held = Meta { form: HELD, made_at: Some(Timestamp::from_millis(5)), ..with.clone() };
                for with in [with, held] {
                    assert_eq!(meta_value(&with).ok().and_then(|bytes| read_meta(&bytes).ok()), Some(with));
                }
            }
        }
    }
}
