//! The mark of a copy that was made of a running clock: a file in its folder. Whoever starts on it does not know what the original has
//! sent since, so nothing is sent before a person has said what becomes of that.
//!
//! Invariant: the mark is there before anything else of the copy is, and goes once what was decided is durable.

use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::Path,
};

const NAME: &str = "held";
/// Bytes of it.
const MOST: u64 = 4096;

/// What the mark says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// The clock that was copied.
    pub(crate) clock: String,
    /// When.
    pub(crate) made_at: Timestamp,
}

/// Marks a folder, durably.
pub(crate) fn mark(folder: &Path, held: &Held) -> io::Result<()> {
    let mut file = ponos::private::new_file(&folder.join(NAME))?;
    file.write_all(&serde_json::to_vec(held)?)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

/// The mark of a folder, if it has one; one that can't be understood is one all the same.
pub(crate) fn read(folder: &Path) -> io::Result<Option<Option<Held>>> {
    let file = folder.join(NAME);
    match fs::symlink_metadata(&file) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let text = ponos::files::read_text(&file, MOST).ok();
    Ok(Some(text.and_then(|text| serde_json::from_str(&text).ok())))
}

/// Takes the mark away, durably.
pub(crate) fn unmark(folder: &Path) -> io::Result<()> {
    fs::remove_file(folder.join(NAME))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_as_long_as_it_is_marked_whatever_the_mark_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(read(path).unwrap(), None);
        assert_eq!(read(&path.join("nowhere")).unwrap(), None);
        let held = Held { clock: "khronos".into(), made_at: Timestamp::from_millis(7) };
        mark(path, &held).unwrap();
        assert_eq!(read(path).unwrap(), Some(Some(held)));
        fs::write(path.join(NAME), "?").unwrap();
        assert_eq!(read(path).unwrap(), Some(None));
        unmark(path).unwrap();
        assert_eq!(read(path).unwrap(), None);
        fs::create_dir(path.join(NAME)).unwrap();
        assert_eq!(read(path).unwrap(), Some(None));
    }
}
