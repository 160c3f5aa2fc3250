//! The seal: a small file beside the database that says how many writes are durable in it. A damaged file may open as it was
//! some writes ago, or be an old copy; the seal notices. It is written after the database is synced, so the database is never
//! older; it is not synced itself, for one that is older than the database says nothing wrong: a power loss may take it back
//! some writes. The first that names a store is synced, for one of another store would: a copy becomes one when it is accepted.

use super::meta::Meta;
use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// The seal's file name.
pub(super) const NAME: &str = "seal";
/// Two of them, written in turn, so that one is whole when the other one is cut off.
const PLACES: u64 = 2;
/// Store, write and sum.
const LENGTH: usize = 20;

/// The seal's file.
#[derive(Debug)]
pub(super) struct Seal {
    file: File,
    /// The store that it was made durable for, once since it was opened: so a power loss never leaves that of a store in creation,
    /// or of another store.
    synced: Option<u64>,
}

/// What is wrong with a seal.
#[derive(Debug)]
pub(super) enum Broken {
    /// It can't be read.
    Io(io::Error),
    /// It is not what was written.
    Content,
}

/// What a seal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    /// Writes that are durable; 0: it is in creation.
    pub(super) generation: u64,
    /// The store's id.
    pub(super) store: u64,
}

/// Opens the seal in a folder, and reads it; `None` when there is none.
pub(super) fn open(folder: &Path) -> Result<Option<(Seal, Said)>, Broken> {
    let file = match File::options().read(true).write(true).open(folder.join(NAME)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Broken::Io)?,
    };
    let mut said = None;
    for place in 0..PLACES {
        let mut bytes = [0; LENGTH];
        match file.read_exact_at(&mut bytes, place * LENGTH as u64) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            read => {
                read.map_err(Broken::Io)?;
                said = said.max(decode(&bytes));
            }
        }
    }
    match said {
        Some(said) => Ok(Some((Seal { file, synced: None }, said))),
        None => Err(Broken::Content),
    }
}

/// The seal of a store in creation, durably.
pub(super) fn create(folder: &Path, meta: &Meta) -> io::Result<Seal> {
    let file = ponos::private::new_file(&folder.join(NAME))?;
    let mut seal = Seal { file, synced: None };
    seal.say(meta)?;
    File::open(folder)?.sync_all()?;
    // That of the first write is to last, too.
    seal.synced = None;
    Ok(seal)
}

impl Seal {
    /// Says that this is durable.
    pub(super) fn say(&mut self, meta: &Meta) -> io::Result<()> {
        let said = Said { generation: meta.generation, store: meta.store };
        self.file.write_all_at(&encode(said), meta.generation % PLACES * LENGTH as u64)?;
        if self.synced != Some(meta.store) {
            self.file.sync_data()?;
            self.synced = Some(meta.store);
        }
        Ok(())
    }
}

fn encode(said: Said) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&said.store.to_le_bytes());
    bytes[8..16].copy_from_slice(&said.generation.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> Option<Said> {
    let number = |from: usize| {
        bytes.get(from..from + 8).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes)
    };
    let said = Said { store: number(0)?, generation: number(8)? };
    (encode(said) == *bytes).then_some(said)
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seal_of_another_store_is_made_durable_and_those_after_it_need_not_be() {
        // It takes what is written, and can't be synced.
        let file = File::options().write(true).open("/dev/null").unwrap();
        let meta = Meta { generation: 7, ..Meta::new("khronos") };
        let mut seal = Seal { file, synced: Some(meta.store) };
        seal.say(&meta).unwrap();
        seal.say(&meta.accepted()).unwrap_err();
    }
}
