//! Other users of the machine: they can't read the store, hold its lock, or lead its writes elsewhere.

use super::{
    files::DATABASE,
    fixture::{commit, everything, fill, instant, open, revision, rows},
    seal,
};
use crate::{
    engine::Commit,
    store::{Store, StoreError},
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Everything below a folder, itself included.
fn all_private(path: &Path) {
    let found = fs::symlink_metadata(path).unwrap();
    let wanted = if found.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(mode(path), wanted, "{}: {:o}", path.display(), mode(path));
    if found.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| all_private(&entry.unwrap().path()));
    }
}

#[test]
fn a_store_that_others_could_read_is_closed_to_them_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let content = fill(&path);
    all_private(&path);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        allow(&entry.path(), if entry.file_type().unwrap().is_dir() { 0o755 } else { 0o644 });
    }
    allow(&path, 0o755);
    let store = open(&path).unwrap();
    all_private(&path);
    drop(store);
    assert_eq!(everything(&path).unwrap(), content);
    all_private(&path);
}

#[test]
fn a_folder_that_others_may_write_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    for writable in [0o777, 0o770, 0o1777] {
        allow(folder.path(), writable);
        let refused = open(folder.path()).err().unwrap();
        assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("may be written by other users") && said.contains("chmod 700"), "{said}");
    }
    allow(folder.path(), 0o700);
    open(folder.path()).unwrap();
}

#[test]
fn a_planted_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let target = folder.path().join("target");
    fs::write(&target, "whole").unwrap();
    let mut store = open(&path).unwrap();
    symlink(&target, path.join("seal.new")).unwrap();
    store.save(0, &Commit { revisions: vec![revision(1)], ..commit(1, rows(0, 1)) }).unwrap();
    drop(store);
    assert!(fs::symlink_metadata(path.join(seal::NAME)).unwrap().is_file());
    assert_eq!(everything(&path).unwrap().snapshot.settled, Some(instant(1)));
    for name in [DATABASE, seal::NAME, "lock", "conf"] {
        let (own, aside) = (path.join(name), folder.path().join(name));
        fs::rename(&own, &aside).unwrap();
        symlink(&target, &own).unwrap();
        let refused = open(&path).err().unwrap().to_string();
        assert!(refused.contains("symbolic link"), "{name}: {refused}");
        fs::rename(&aside, &own).unwrap();
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
    everything(&path).unwrap();
}
