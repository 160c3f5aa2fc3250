//! Which files of a folder are read.

use ponos::files::{FileReader, ReadError};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder's files with one of these endings, by name; hidden ones (editors' copies) are left out.
pub(super) fn files(
    reader: &mut FileReader,
    folder: &Path,
    endings: &'static [&'static str],
    most: usize,
) -> Result<Vec<PathBuf>, ReadError> {
    let place = folder.to_owned();
    Ok(reader.within_patience(folder, move || listed(&place, endings, most))??)
}

fn listed(folder: &Path, endings: &[&str], most: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !is_named_as_ours(&path, endings) || path.is_dir() {
            continue;
        }
        if files.len() == most {
            return Err(io::Error::other(format!(
                "it has more than {most} files (.{})",
                endings.join(", .")
            )));
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

/// Whether a file of this name is read: it has one of these endings, and is not hidden.
pub(super) fn is_named_as_ours(path: &Path, endings: &[&str]) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|ending| endings.iter().any(|ours| ending == *ours))
}
