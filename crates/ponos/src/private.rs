//! Folders and files that belong to one user alone, whatever the umask: folders 0700, files 0600.
//!
//! A user who may open a file may hold a lock on it, and a user who may write into a folder may put links there. So a
//! folder is made private before anything in it is opened, and refused if that can't be done.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why a folder can't be made private. `Display` says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExposedError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Other users own it, or may write to it.
    #[error("{path} {what}; {remedy}", path = path.display())]
    Exposed {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        remedy: String,
    },
}

/// Makes a folder that is private to this user (0700). An existing folder of this user is made private if others may only
/// read it; if others may write, it is refused, because its content may be theirs.
///
/// # Errors
/// [`ExposedError`].
pub fn folder(path: &Path) -> Result<(), ExposedError> {
    #[cfg(unix)]
    return unix::folder(path);
    #[cfg(not(unix))]
    Ok(fs::create_dir_all(path)?)
}

/// Makes the files and folders in a private folder private if `own` holds for their names, with everything below them.
///
/// # Errors
/// [`ExposedError`], also for a symbolic link, because it would lead out of the folder.
pub fn content(folder: &Path, own: impl Fn(&str) -> bool) -> Result<(), ExposedError> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&own) {
            #[cfg(unix)]
            unix::entry(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes a new file that is private to this user (0600). It replaces what has that name; a symbolic link is not followed.
///
/// # Errors
/// Those of the file system.
pub fn new_file(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::File::options();
    // fails where somebody has made it again meanwhile, be it a link
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
mod unix {
    use super::ExposedError;
    use std::{
        fs::{self, DirBuilder, Metadata, Permissions},
        io,
        os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        path::Path,
    };

    pub(super) fn folder(path: &Path) -> Result<(), ExposedError> {
        let is_new = match fs::metadata(path) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(path)?;
                true
            }
            Err(error) => return Err(error.into()),
        };
        let found = fs::metadata(path)?;
        if !found.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        of_this_user(path, &found)?;
        if found.mode() & 0o022 != 0 && !is_new {
            return Err(exposed(
                path,
                format!("may be written by other users (mode {:04o})", found.mode() & 0o7777),
                "check that it holds nothing of theirs, then chmod 700 it; or choose another folder, such as one inside it",
            ));
        }
        set(path, &found, 0o700)
    }

    /// A file, or a folder with all that is in it.
    pub(super) fn entry(path: &Path) -> Result<(), ExposedError> {
        let found = match fs::symlink_metadata(path) {
            // what is open removes what it has rewritten at any time
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if found.is_symlink() {
            return Err(exposed(
                path,
                "is a symbolic link, where a file of its own is expected".into(),
                "remove it, or move the whole folder to where it points",
            ));
        }
        of_this_user(path, &found)?;
        if !found.is_dir() {
            return set(path, &found, 0o600);
        }
        set(path, &found, 0o700)?;
        for inner in fs::read_dir(path)? {
            entry(&inner?.path())?;
        }
        Ok(())
    }

    fn of_this_user(path: &Path, found: &Metadata) -> Result<(), ExposedError> {
        let own = rustix::process::geteuid().as_raw();
        if found.uid() == own {
            return Ok(());
        }
        let remedy = format!(
            "run as that user, give it and its contents to this one (chown -R {own}), or choose another folder"
        );
        Err(exposed(path, format!("belongs to the user {}, and this one is {own}", found.uid()), &remedy))
    }

    fn set(path: &Path, found: &Metadata, mode: u32) -> Result<(), ExposedError> {
        if found.mode() & 0o7777 == mode {
            return Ok(());
        }
        match fs::set_permissions(path, Permissions::from_mode(mode)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => Ok(done?),
        }
    }

    fn exposed(path: &Path, what: String, remedy: &str) -> ExposedError {
        ExposedError::Exposed { path: path.to_owned(), what, remedy: remedy.to_owned() }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn with_mode(mode: u32) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
        place
    }

    #[test]
    fn a_folder_that_others_may_read_is_closed_to_them() {
        for open in [0o755, 0o711, 0o750, 0o700, 0o500] {
            let place = with_mode(open);
            folder(place.path()).unwrap();
            assert_eq!(mode(place.path()), 0o700, "{open:o}");
        }
        let place = tempfile::tempdir().unwrap();
        let made = place.path().join("a/b");
        folder(&made).unwrap();
        assert_eq!((mode(&made), mode(&place.path().join("a"))), (0o700, 0o700));
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_the_remedy_and_stays_as_it_is() {
        for open in [0o777, 0o1777, 0o775, 0o702] {
            let place = with_mode(open);
            let refused = folder(place.path()).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("(mode {open:04o})")) && refused.contains("chmod 700"),
                "{refused}"
            );
            assert_eq!(mode(place.path()), open);
        }
    }

    #[test]
    fn what_is_in_it_is_closed_too_but_only_what_is_known() {
        let place = with_mode(0o700);
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("blobs")).unwrap();
        for name in ["db", "blobs/1", "other"] {
            fs::write(path(name), "x").unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o664)).unwrap();
        }
        content(place.path(), |name| name != "other").unwrap();
        assert_eq!(
            ["blobs", "db", "blobs/1", "other"].map(|name| mode(&path(name))),
            [0o700, 0o600, 0o600, 0o664]
        );
    }

    #[test]
    fn a_link_is_refused_and_not_followed() {
        let (place, outside) = (with_mode(0o700), with_mode(0o755));
        let target = outside.path().join("target");
        fs::write(&target, "whole").unwrap();
        let before = mode(&target);
        symlink(&target, place.path().join("db")).unwrap();
        let refused = content(place.path(), |_| true).unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
        assert_eq!((mode(&target), fs::read_to_string(&target).unwrap()), (before, "whole".to_owned()));
    }

    #[test]
    fn a_new_file_takes_the_place_of_a_link() {
        let place = with_mode(0o700);
        let (target, path) = (place.path().join("target"), place.path().join("new"));
        for exists in [true, false] {
            if exists {
                fs::write(&target, "whole").unwrap();
            }
            symlink(&target, &path).unwrap();
            drop(new_file(&path).unwrap());
            assert_eq!(fs::read_to_string(&target).ok().as_deref(), exists.then_some("whole"));
            assert_eq!(mode(&path), 0o600);
            fs::remove_file(&path).unwrap();
            let _ = fs::remove_file(&target);
        }
    }
}
