//! Other users of the machine: they can't read the store, hold its lock, or lead its writes elsewhere.

use super::{
    files::DATABASE,
    fixture::{everything, fill, open},
    seal,
};
use crate::store::StoreError;
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

fn all_private(path: &Path) {
    assert_eq!(mode(path), 0o700);
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_store_that_others_could_read_is_closed_to_them_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let before = fill(&path, 4);
    all_private(&path);
    for entry in fs::read_dir(&path).unwrap() {
        allow(&entry.unwrap().path(), 0o644);
    }
    allow(&path, 0o755);
    assert_eq!(everything(&path, 4).unwrap(), before);
    all_private(&path);
}

#[test]
fn a_folder_that_others_may_write_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    fill(&path, 4);
    allow(&path, 0o777);
    let refused = open(&path).err().unwrap();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    assert!(refused.to_string().contains("chmod 700"), "{refused}");
}

#[test]
fn a_planted_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let target = folder.path().join("target");
    fs::write(&target, "whole").unwrap();
    fill(&path, 4);
    for name in [DATABASE, seal::NAME, "lock"] {
        let (own, aside) = (path.join(name), folder.path().join(name));
        fs::rename(&own, &aside).unwrap();
        symlink(&target, &own).unwrap();
        let refused = open(&path).err().unwrap().to_string();
        assert!(refused.contains("symbolic link"), "{name}: {refused}");
        fs::rename(&aside, &own).unwrap();
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
    everything(&path, 4).unwrap();
}
