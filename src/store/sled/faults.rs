//! What was measured to go wrong with sled, on a real disk: each is refused with the remedy, or survived.

use super::{
    files::DATABASE,
    fixture::{
        assert_damaged, child, child_folder, commit, content, copy, everything, fill, instant, open, rows,
        scale,
    },
    seal,
};
use crate::store::{Store, StoreError};
use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(120);

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    (folder, path)
}

fn cut(path: &Path, percent: u64) {
    let file = File::options().write(true).open(path.join(DATABASE)).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length * percent / 100).unwrap();
}

#[test]
fn a_database_that_was_cut_is_refused() {
    let (folder, path) = scratch();
    let before = fill(&path);
    for percent in [99, 90, 75, 50, 25, 10, 1, 0] {
        let victim = folder.path().join(percent.to_string());
        copy(&path, &victim);
        cut(&victim, percent);
        // At its very end there may be a segment that sled has given up.
        if percent < 99 || open(&victim).is_err() {
            assert_damaged(&victim, "");
        } else {
            assert_eq!(everything(&victim).unwrap(), before);
        }
        assert!(victim.join(seal::NAME).exists() && victim.join(DATABASE).exists());
    }
}

#[test]
fn a_missing_database_is_refused_and_not_created_again() {
    let (_folder, path) = scratch();
    fill(&path);
    fs::remove_file(path.join(DATABASE)).unwrap();
    assert_damaged(&path, "its database is missing");
    assert!(!path.join(DATABASE).exists());
}

#[test]
fn a_database_without_its_snapshots_is_refused_or_intact() {
    let (_folder, path) = scratch();
    let before = fill(&path);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    match everything(&path) {
        Ok(after) => assert_eq!(after, before),
        Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{error}"),
    }
}

#[test]
fn an_unfinished_snapshot_of_sled_is_no_damage() {
    let (_folder, path) = scratch();
    let before = fill(&path);
    fs::write(path.join("snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    assert_eq!(everything(&path).unwrap(), before);
}

#[test]
fn a_missing_seal_is_refused() {
    let (_folder, path) = scratch();
    fill(&path);
    fs::remove_file(path.join(seal::NAME)).unwrap();
    assert_damaged(&path, "its seal is missing");
    assert!(!path.join(seal::NAME).exists());
}

#[test]
fn a_seal_that_was_cut_or_changed_is_refused() {
    let (_folder, path) = scratch();
    fill(&path);
    let whole = fs::read(path.join(seal::NAME)).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(path.join(seal::NAME), &whole[..length]).unwrap();
        assert_damaged(&path, "seal can't be trusted");
    }
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 1;
        fs::write(path.join(seal::NAME), changed).unwrap();
        let refused = open(&path).err().unwrap();
        assert!(matches!(refused, StoreError::Damaged { .. }), "byte {position}: {refused}");
    }
}

#[test]
fn the_seal_of_another_store_is_refused() {
    let (folder, path) = scratch();
    fill(&path);
    let other = folder.path().join("other");
    fill(&other);
    fs::copy(other.join(seal::NAME), path.join(seal::NAME)).unwrap();
    assert_damaged(&path, "belongs to another database");
}

#[test]
fn an_older_database_under_a_newer_seal_is_refused() {
    let (folder, path) = scratch();
    fill(&path);
    let older = folder.path().join("older");
    copy(&path, &older);
    open(&path).unwrap().save(0, &commit(61, vec![])).unwrap();
    fs::copy(path.join(seal::NAME), older.join(seal::NAME)).unwrap();
    assert_damaged(&older, "the database lost some, or is an old one");
}

#[test]
fn an_older_seal_is_one_write_behind_or_refused() {
    let (folder, path) = scratch();
    fill(&path);
    let old_seal = fs::read(path.join(seal::NAME)).unwrap();
    let mut store = open(&path).unwrap();
    store.save(0, &commit(61, rows(6000, 1))).unwrap();
    store.append(0, &[], instant(61)).unwrap();
    let before = content(&mut store).unwrap();
    drop(store);
    let ahead = folder.path().join("ahead");
    copy(&path, &ahead);
    fs::write(ahead.join(seal::NAME), &old_seal).unwrap();
    assert_damaged(&ahead, "2 writes ahead of its seal");
    assert_eq!(everything(&path).unwrap(), before);
}

/// Splitmix64: seeded, so that a failure can be run again.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// In a process of its own each: a flipped byte must not end it either (an allocation of absurd size would).
#[test]
fn flipped_bytes_are_refused_or_harmless() {
    let (folder, path) = scratch();
    let before = fill(&path);
    let files: Vec<PathBuf> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.is_file() && file.metadata().unwrap().len() > 0)
        .collect();
    let control = folder.path().join("control");
    copy(&path, &control);
    assert_eq!(everything(&control).unwrap(), before, "a copy without a flipped byte is intact");
    let mut seed = 1;
    let (mut refused, mut intact) = (0, 0);
    for round in 0..60 * scale() {
        let victim = folder.path().join("victim");
        copy(&path, &victim);
        // The database two times of three.
        let file = if !random(&mut seed).is_multiple_of(3) {
            victim.join(DATABASE)
        } else {
            let file = &files[random(&mut seed) as usize % files.len()];
            victim.join(file.file_name().unwrap())
        };
        let handle = File::options().read(true).write(true).open(&file).unwrap();
        let length = handle.metadata().unwrap().len();
        for _ in 0..=random(&mut seed) % 3 {
            let position = random(&mut seed) % length;
            let mut byte = [0];
            handle.read_exact_at(&mut byte, position).unwrap();
            byte[0] ^= 1 << (random(&mut seed) % 8);
            handle.write_all_at(&byte, position).unwrap();
        }
        let ran = child("store::sled::faults::child_reads_everything", &victim)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(
            ran.status.success(),
            "round {round}, {file:?}: {said}\n{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        if said.contains("REFUSED the store") {
            refused += 1;
        } else {
            assert!(said.contains("INTACT"), "round {round}: {said}");
            assert_eq!(everything(&victim).unwrap(), before, "round {round}, {file:?}");
            intact += 1;
        }
        fs::remove_dir_all(&victim).unwrap();
    }
    println!("{refused} refused, {intact} intact");
    assert!(refused > 0);
}

#[test]
fn child_reads_everything() {
    let Some(folder) = child_folder() else { return };
    match everything(&folder) {
        Ok(_) => println!("INTACT"),
        Err(error @ StoreError::Damaged { .. }) => println!("REFUSED {error}"),
        Err(error) => panic!("neither intact nor damaged: {error}"),
    }
}

#[test]
fn a_second_process_is_refused_and_the_first_goes_on() {
    let (_folder, path) = scratch();
    let mut store = open(&path).unwrap();
    store.save(0, &commit(1, vec![])).unwrap();
    let second = open(&path).err().unwrap();
    assert!(matches!(second, StoreError::Locked { .. }), "{second}");
    let ran = child("store::sled::faults::child_is_refused_the_lock", &path).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains("in use by another process"), "{ran:?}");
    store.save(0, &commit(2, vec![])).unwrap();
    drop(store);
    assert_eq!(everything(&path).unwrap().snapshot.settled, Some(instant(2)));
}

#[test]
fn a_database_that_is_about_to_be_released_is_waited_for() {
    let (_folder, path) = scratch();
    drop(open(&path).unwrap());
    let held = File::options().write(true).open(path.join(DATABASE)).unwrap();
    testkit::block_until("the database to be free", LIMIT, || held.try_lock().ok());
    let refused = open(&path).err().unwrap();
    assert!(refused.to_string().contains("the database was not released yet"), "{refused}");
    let opening = std::thread::spawn({
        let path = path.clone();
        move || open(&path).map(drop)
    });
    let ours = File::options().write(true).open(path.join("lock")).unwrap();
    testkit::block_until("the store to be opened", LIMIT, || match ours.try_lock() {
        Ok(()) => {
            ours.unlock().unwrap();
            None
        }
        Err(_) => Some(()),
    });
    drop(held);
    opening.join().unwrap().unwrap();
}

#[test]
fn child_is_refused_the_lock() {
    let Some(folder) = child_folder() else { return };
    println!("{}", open(&folder).err().unwrap());
}

#[test]
fn a_place_that_is_no_folder_is_refused_with_the_remedy() {
    let (_folder, path) = scratch();
    File::create(&path).unwrap().write_all(b"a file").unwrap();
    let refused = open(&path).err().unwrap();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    assert!(refused.to_string().contains("--store"), "{refused}");
}

/// The tests may run as root, who may write anywhere: what refuses root, too, is a folder of the kernel's.
#[test]
fn an_unwritable_place_is_refused_with_the_remedy() {
    let refused = open(Path::new("/proc/khronos-store")).err().unwrap();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    let denied =
        super::guard::io_error(Path::new("/x"), "opening it", &std::io::ErrorKind::PermissionDenied.into());
    assert!(denied.to_string().contains("--store"), "{denied}");
}
