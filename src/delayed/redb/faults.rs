//! What a disk may make of the files: each is refused with the remedy, or survived; nothing is read that was not written.

use super::{
    RedbDelayed, RedbOptions,
    files::DATABASE,
    fixture::{Content, assert_damaged, batch, content, everything, fill, open, options, read},
    pages::PAGE,
    seal,
};
use crate::{
    engine::delayed::DelayedStore,
    store::{StoreError, copy, scale},
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

const WRITES: u64 = 40;

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    (folder, path)
}

/// Flips a bit of a file.
fn flip(file: &Path, byte: u64, bit: u8) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut one = [0];
    file.read_exact_at(&mut one, byte).unwrap();
    one[0] ^= 1 << bit;
    file.write_all_at(&one, byte).unwrap();
}

/// A store with one flipped bit is refused as damaged, or all of it is as it was. Whether it was refused.
fn is_refused_or_intact(path: &Path, before: &Content, what: &str) -> bool {
    match everything(path, WRITES) {
        Ok(after) => assert!(after == *before, "{what}: something else is read"),
        Err(error) => {
            assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Newer { .. }), "{what}: {error}")
        }
    }
    everything(path, WRITES).is_err()
}

#[test]
fn a_flipped_bit_anywhere_is_refused_or_changes_nothing() {
    let (folder, path) = scratch();
    let before = fill(&path, WRITES);
    let whole = fs::read(path.join(DATABASE)).unwrap();
    let victim = folder.path().join("victim");
    copy(&path, &victim);
    let mut random = fastrand::Rng::with_seed(11);
    let mut refused = 0;
    let rounds = 250 * scale();
    for _ in 0..rounds {
        fs::write(victim.join(DATABASE), &whole).unwrap();
        fs::copy(path.join(seal::NAME), victim.join(seal::NAME)).unwrap();
        let (byte, bit) = (random.u64(0..whole.len() as u64), random.u8(0..8));
        flip(&victim.join(DATABASE), byte, bit);
        refused += usize::from(is_refused_or_intact(&victim, &before, &format!("byte {byte}, bit {bit}")));
    }
    // The rest was in pages that nothing refers to.
    assert!(refused > rounds / 4, "{refused} of {rounds}");
}

#[test]
fn a_flipped_bit_of_what_a_file_begins_with_is_refused_or_changes_nothing() {
    let (folder, path) = scratch();
    let before = fill(&path, WRITES);
    let whole = fs::read(path.join(DATABASE)).unwrap();
    let victim = folder.path().join("victim");
    copy(&path, &victim);
    // Ours, and then redb's own first page, behind the page of sums: its head and both places of a commit.
    let ours = 0..24;
    let redbs = 2 * PAGE..2 * PAGE + 384;
    for byte in ours.chain(redbs) {
        fs::write(victim.join(DATABASE), &whole).unwrap();
        fs::copy(path.join(seal::NAME), victim.join(seal::NAME)).unwrap();
        let bit = (byte % 8) as u8;
        flip(&victim.join(DATABASE), byte, bit);
        is_refused_or_intact(&victim, &before, &format!("byte {byte}, bit {bit}"));
    }
}

#[test]
fn a_page_that_is_damaged_while_the_store_is_open_is_told_of() {
    let (_folder, path) = scratch();
    fill(&path, WRITES);
    // What is in its cache is as it was.
    let options = RedbOptions { cache: 0, ..options() };
    let mut store = RedbDelayed::open(&path, "khronos", &options).unwrap();
    let length = fs::metadata(path.join(DATABASE)).unwrap().len();
    for page in 3..length / PAGE {
        flip(&path.join(DATABASE), page * PAGE + 100, 0);
    }
    let told = read(&*store.reader(), WRITES).unwrap_err();
    assert!(matches!(told, StoreError::Damaged { .. }), "{told}");
    assert!(told.to_string().contains("page at byte") && told.to_string().contains("backup"), "{told}");
    // Nothing more is written to it, whatever it is asked.
    assert!(store.write(0, &batch(WRITES + 1)).is_err());
    assert!(store.write(0, &batch(WRITES + 1)).is_err());
    drop(store);
    assert!(everything(&path, WRITES).is_err());
}

#[test]
fn a_page_in_the_place_of_another_is_refused() {
    let (_folder, path) = scratch();
    fill(&path, WRITES);
    let file = File::options().read(true).write(true).open(path.join(DATABASE)).unwrap();
    let length = file.metadata().unwrap().len();
    // Each with its sum: whole, but elsewhere.
    let (mut page, mut sum) = ([0; PAGE as usize], [0; 4]);
    file.read_exact_at(&mut page, length - PAGE).unwrap();
    let pages = length / PAGE - 2;
    file.read_exact_at(&mut sum, PAGE + (pages - 1) * 4).unwrap();
    for other in 1..pages - 1 {
        file.write_all_at(&page, (other + 2) * PAGE).unwrap();
        file.write_all_at(&sum, PAGE + other * 4).unwrap();
    }
    assert_damaged(&path, "is not as it was written");
}

#[test]
fn a_database_that_was_cut_is_refused() {
    let (folder, path) = scratch();
    fill(&path, WRITES);
    let length = fs::metadata(path.join(DATABASE)).unwrap().len();
    for percent in [90, 50, 10, 1, 0] {
        let victim = folder.path().join(percent.to_string());
        copy(&path, &victim);
        let file = File::options().write(true).open(victim.join(DATABASE)).unwrap();
        file.set_len(length * percent / 100).unwrap();
        assert_damaged(&victim, "");
        assert!(victim.join(seal::NAME).exists() && victim.join(DATABASE).exists());
    }
}

#[test]
fn a_missing_database_is_refused_and_not_created_again() {
    let (_folder, path) = scratch();
    fill(&path, 4);
    fs::remove_file(path.join(DATABASE)).unwrap();
    assert_damaged(&path, "its database is missing");
    assert!(!path.join(DATABASE).exists());
}

#[test]
fn a_missing_seal_is_refused() {
    let (_folder, path) = scratch();
    fill(&path, 4);
    fs::remove_file(path.join(seal::NAME)).unwrap();
    assert_damaged(&path, "its seal is missing");
    assert!(!path.join(seal::NAME).exists());
}

#[test]
fn a_seal_that_can_not_be_read_is_refused_and_one_of_two_is_enough() {
    let (_folder, path) = scratch();
    let before = fill(&path, 6);
    let whole = fs::read(path.join(seal::NAME)).unwrap();
    assert_eq!(whole.len(), 40);
    for byte in 0..whole.len() {
        let mut changed = whole.clone();
        changed[byte] ^= 1;
        fs::write(path.join(seal::NAME), changed).unwrap();
        assert_eq!(everything(&path, 6).unwrap(), before, "byte {byte}");
        fs::write(path.join(seal::NAME), &whole).unwrap();
    }
    let both: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
    for broken in [&both[..], &whole[..10], &[]] {
        fs::write(path.join(seal::NAME), broken).unwrap();
        assert_damaged(&path, "seal can't be trusted");
    }
}

#[test]
fn an_old_copy_of_the_database_is_refused() {
    let (folder, path) = scratch();
    fill(&path, 4);
    let old = folder.path().join("old");
    fs::copy(path.join(DATABASE), &old).unwrap();
    let mut store = open(&path).unwrap();
    for write in 5..10 {
        store.write(0, &batch(write)).unwrap();
    }
    drop(store);
    fs::copy(&old, path.join(DATABASE)).unwrap();
    assert_damaged(&path, "lost some, or is an old one");
}

#[test]
fn a_seal_of_another_store_is_refused() {
    let (folder, path) = scratch();
    fill(&path, 4);
    let other = folder.path().join("other");
    fill(&other, 4);
    fs::copy(other.join(seal::NAME), path.join(seal::NAME)).unwrap();
    assert_damaged(&path, "belongs to another database");
}

#[test]
fn a_seal_that_a_power_loss_took_back_is_no_damage() {
    let (folder, path) = scratch();
    fill(&path, 4);
    let old = folder.path().join("old");
    fs::copy(path.join(seal::NAME), &old).unwrap();
    let mut store = open(&path).unwrap();
    for write in 5..10 {
        store.write(0, &batch(write)).unwrap();
    }
    let before = content(&mut store, 9).unwrap();
    drop(store);
    fs::copy(&old, path.join(seal::NAME)).unwrap();
    assert_eq!(everything(&path, 9).unwrap(), before);
}

#[test]
fn a_store_that_is_open_is_refused_to_another_one() {
    let (_folder, path) = scratch();
    let store = open(&path).unwrap();
    let refused = open(&path).err().unwrap();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    let reader = store.reader();
    drop(store);
    let closed = reader.read(0, 1).unwrap_err();
    assert!(matches!(closed, StoreError::Io { .. }), "{closed}");
    open(&path).unwrap();
}
