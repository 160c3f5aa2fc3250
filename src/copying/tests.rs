mod held;

use super::*;
use crate::{
    delayed::{
        PostgresDelayed,
        fixture::{self as delayed_fixture, Content as DelayedContent, batch, limits},
        on_a_small_disk,
    },
    engine::delayed::DelayedStore as _,
    postgres::{Door, DoorOptions, fixture::Tables},
    store::{
        PostgresOptions, PostgresStore, SEAL, Store as _, child_folder,
        fixture::{self, Content, commit, instant},
    },
};
use std::{fs, time::Duration};

const CACHE: u64 = 1 << 20;
/// Writes to the store of delayed events: some settle, some are parked, all limits are reached.
const WRITES: u64 = 42;

/// A clock's folder, with everything in it.
fn filled(path: &Path) -> (Content, DelayedContent) {
    fixture::fill(path);
    delayed_fixture::fill(&path.join(DELAYED), WRITES);
    in_folder(path)
}

fn in_folder(path: &Path) -> (Content, DelayedContent) {
    (fixture::everything(path).unwrap(), delayed_fixture::everything(&path.join(DELAYED), WRITES).unwrap())
}

fn opened(door: &Door) -> (PostgresStore, PostgresDelayed) {
    let store = PostgresStore::open(door, &PostgresOptions::default()).unwrap();
    (store, PostgresDelayed::open(door, limits()).unwrap())
}

fn in_postgres(door: &Door) -> (Content, DelayedContent) {
    let (mut store, mut delayed) = opened(door);
    let snapshot = store.load().unwrap();
    let (record, changes) = (store.read(0, usize::MAX).unwrap(), store.changes(0, usize::MAX).unwrap());
    let content = Content { snapshot, record, changes };
    (content, delayed_fixture::content(&mut delayed, WRITES).unwrap())
}

fn copied(from: &CopyPlace, to: &CopyPlace) -> Result<Copied, CopyError> {
    copy(from, to, ("khronos", CACHE), |_| ())
}

#[test]
fn what_is_copied_to_a_postgres_and_back_into_a_folder_is_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let tables = Tables::new();
    let kept = filled(&here);
    let (from, on) = (CopyPlace::Folder(here.clone()), CopyPlace::Postgres(tables.door("khronos")));
    let first = copied(&from, &on).unwrap();
    assert_eq!(in_postgres(&tables.door("khronos")), kept);
    assert_eq!(in_folder(&here), kept, "the source is as it was");

    let back = copied(&on, &CopyPlace::Folder(there.clone())).unwrap();
    assert_eq!(in_folder(&there), kept);
    assert_eq!((&back.marks, &back.sums), (&first.marks, &first.sums));
    let count = |what: &str| first.sums.get(what).map_or(0, |sum| sum.count);
    assert_eq!(count("record"), 6_000);
    assert_eq!(count("definitions"), 300);
    for what in
        ["delayed events", "parked delayed events", "settled names", "changes", "owners of delayed events"]
    {
        assert!(count(what) > 0, "{what}: {:?}", first.sums);
    }
}

#[test]
fn what_was_copied_is_written_on_from_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let tables = Tables::new();
    filled(&here);
    let on = CopyPlace::Postgres(tables.door("khronos"));
    copied(&CopyPlace::Folder(here.clone()), &on).unwrap();
    copied(&on, &CopyPlace::Folder(there.clone())).unwrap();

    let next = commit(60, fixture::rows(6_000, 3));
    let mut last = Vec::new();
    for path in [&here, &there] {
        let mut store = fixture::open(path).unwrap();
        last.push(store.save(0, &next).unwrap());
        let mut delayed = delayed_fixture::open(&path.join(DELAYED)).unwrap();
        for write in WRITES + 1..WRITES + 9 {
            delayed.write(0, &batch(write)).unwrap();
        }
    }
    let (mut store, mut delayed) = opened(&tables.door("khronos"));
    last.push(store.save(0, &next).unwrap());
    assert_eq!(last, [6_003; 3], "the record goes on");
    for write in WRITES + 1..WRITES + 9 {
        delayed.write(0, &batch(write)).unwrap();
    }
    drop((store, delayed));
    let wanted = in_folder(&here);
    assert_eq!(in_folder(&there), wanted);
    assert_eq!(in_postgres(&tables.door("khronos")), wanted);
}

#[test]
fn of_a_postgres_the_terms_of_its_leaders_do_not_come_along_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let tables = Tables::new();
    let (mut store, mut delayed) = opened(&tables.door("khronos"));
    store.save(1 << 40, &commit(1, vec![])).unwrap();
    delayed.write(1 << 40, &batch(1)).unwrap();
    drop((store, delayed));
    copied(&CopyPlace::Postgres(tables.door("khronos")), &CopyPlace::Folder(folder.path().into())).unwrap();
    fixture::open(folder.path()).unwrap().save(0, &commit(2, vec![])).unwrap();
    delayed_fixture::open(&folder.path().join(DELAYED)).unwrap().write(0, &batch(2)).unwrap();
}

#[test]
fn nothing_is_copied_to_where_something_is() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    filled(&here);
    let from = CopyPlace::Folder(here.clone());
    fs::create_dir(&there).unwrap();
    fs::write(there.join("letter"), "").unwrap();
    for to in [&here, &there] {
        let refused = copied(&from, &CopyPlace::Folder(to.clone())).unwrap_err();
        assert!(matches!(refused, CopyError::NotEmpty(_)), "{refused}");
    }
    assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
    // What comes after the first look is seen under the lock, and is not touched either.
    let (progress, _) = from.open("khronos", CACHE).unwrap();
    let late = CopyPlace::Folder(there.clone()).progress(progress.meta(), CACHE);
    assert!(matches!(late, Err(CopyError::NotEmpty(_))));
    assert!(!there.join(SEAL).exists() && fs::read(there.join("letter")).unwrap().is_empty());
    drop(progress);

    let tables = Tables::new();
    // It wrote nothing but that it was there.
    drop(opened(&tables.door("khronos")));
    let refused = copied(&from, &CopyPlace::Postgres(tables.door("khronos"))).unwrap_err();
    assert!(matches!(refused, CopyError::NotEmpty(_)), "{refused}");
    drop(opened(&tables.door("khronos")));
}

#[test]
fn nothing_is_copied_while_a_clock_runs_or_where_none_was_and_nothing_is_made_then() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let to = CopyPlace::Folder(there.clone());
    let refused = copied(&CopyPlace::Folder(here.clone()), &to).unwrap_err();
    assert!(matches!(refused, CopyError::NoStore(_)), "{refused}");
    let nowhere = Tables::new();
    let refused = copied(&CopyPlace::Postgres(nowhere.door("khronos")), &to).unwrap_err();
    assert!(matches!(refused, CopyError::NoStore(_)), "{refused}");
    assert!(!here.exists() && !there.exists());

    filled(&here);
    let tables = Tables::new();
    let runs = fixture::open(&here).unwrap();
    let refused = copied(&CopyPlace::Folder(here.clone()), &to).unwrap_err();
    assert!(matches!(refused, CopyError::Store(StoreError::Locked { .. })), "{refused}");
    drop(runs);
    let runs = delayed_fixture::open(&here.join(DELAYED)).unwrap();
    let refused = copied(&CopyPlace::Folder(here.clone()), &to).unwrap_err();
    assert!(matches!(refused, CopyError::Store(StoreError::Locked { .. })), "{refused}");
    drop(runs);

    let leader = tables.of_another_process();
    // Its lease holds for the whole of the test, whoever waits for it.
    let ttl = Duration::from_secs(600);
    let leads = opened(&leader.door_with("khronos", DoorOptions { ttl, ..leader.options() }));
    let led = tables.door_with("khronos", DoorOptions { ttl, ..tables.options() });
    let led = CopyPlace::Postgres(led);
    for (from, to) in [(&led, &to), (&CopyPlace::Folder(here.clone()), &led)] {
        let refused = copied(from, to).unwrap_err();
        assert!(matches!(refused, CopyError::Store(StoreError::Led { .. })), "{refused}");
    }
    drop(leads);
    assert!(!there.exists());
}

#[test]
fn the_state_of_a_clock_of_another_name_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    filled(&here);
    let to = CopyPlace::Folder(folder.path().join("there"));
    let refused = copy(&CopyPlace::Folder(here), &to, ("other", CACHE), |_| ()).unwrap_err();
    assert!(matches!(refused, CopyError::Store(StoreError::OtherClock { .. })), "{refused}");
}

/// As an interruption leaves it: of each store some is there, and `finished`: all of the delayed events.
fn interrupted(from: &CopyPlace, to: &CopyPlace, finished: bool) {
    let (mut progress, delayed) = from.open("khronos", CACHE).unwrap();
    let mut target = to.progress(progress.meta(), CACHE).unwrap();
    let mut delayed = delayed.unwrap();
    let mut delayed_to = to.delayed(delayed.meta()).unwrap();
    target.add(progress.next().unwrap()).unwrap();
    delayed_to.add(delayed.next().unwrap()).unwrap();
    if finished {
        each(&mut *delayed, |entries| delayed_to.add(entries)).unwrap();
        delayed_to.finish().unwrap();
    }
}

#[test]
fn no_clock_starts_on_what_an_interrupted_copy_left_and_nothing_is_copied_there_either() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    filled(&here);
    let from = CopyPlace::Folder(here);
    let is_unfinished = |error: &StoreError| matches!(error, StoreError::Unfinished { .. });
    for finished in [false, true] {
        let there = folder.path().join(format!("there-{finished}"));
        let to = CopyPlace::Folder(there.clone());
        interrupted(&from, &to, finished);
        for _ in 0..2 {
            let refused = fixture::open(&there).unwrap_err();
            assert!(is_unfinished(&refused), "{refused}");
            assert!(refused.to_string().contains("delete the folder"), "{refused}");
        }
        let delayed = delayed_fixture::open(&there.join(DELAYED));
        assert_eq!(delayed.is_ok(), finished, "{delayed:?}");
        assert!(finished || is_unfinished(&delayed.unwrap_err()));
        let refused = copied(&from, &to).unwrap_err();
        assert!(matches!(&refused, CopyError::Store(error) if is_unfinished(error)), "{refused}");
        let refused = copied(&to, &CopyPlace::Folder(folder.path().join("further"))).unwrap_err();
        assert!(matches!(&refused, CopyError::Store(error) if is_unfinished(error)), "{refused}");

        let tables = Tables::new();
        let to = CopyPlace::Postgres(tables.door("khronos"));
        interrupted(&from, &to, finished);
        let refused = PostgresStore::open(&tables.door("khronos"), &PostgresOptions::default()).unwrap_err();
        assert!(is_unfinished(&refused), "{refused}");
        let delayed = PostgresDelayed::open(&tables.door("khronos"), limits());
        assert_eq!(delayed.is_ok(), finished, "{delayed:?}");
        assert!(finished || is_unfinished(&delayed.unwrap_err()));
        let refused = copied(&from, &to).unwrap_err();
        assert!(matches!(&refused, CopyError::Store(error) if is_unfinished(error)), "{refused}");
    }
}

#[test]
fn a_clock_that_begins_on_the_source_meanwhile_ends_the_copy() {
    let from = Tables::new();
    let mut store = opened(&from.door("khronos")).0;
    store.save(0, &commit(1, fixture::rows(0, 10))).unwrap();
    drop(store);
    let place = CopyPlace::Postgres(from.door("khronos"));
    let (mut progress, _) = place.open("khronos", CACHE).unwrap();
    let other = from.of_another_process();
    // It has waited until the lease had run out.
    let hasty = other.door_with("khronos", DoorOptions { ttl: Duration::ZERO, ..other.options() });
    let mut leads = PostgresStore::open(&hasty, &PostgresOptions::default()).unwrap();
    leads.save(0, &commit(2, vec![])).unwrap();
    let ended = each(&mut *progress, |_| Ok(())).unwrap_err();
    assert!(matches!(ended, StoreError::Fenced { .. }), "{ended}");
}

#[test]
fn what_differs_is_said_by_its_kind() {
    let sum = |count, digest| store::copying::Sum { count, digest };
    let here = Sums::from([("record", sum(3, 7)), ("spans", sum(1, 1))]);
    assert_eq!(difference(&here, &here.clone()), None);
    let there = Sums::from([("record", sum(3, 8)), ("spans", sum(1, 1))]);
    assert!(difference(&here, &there).unwrap().starts_with("record: 3 with"));
    assert!(difference(&here, &Sums::new()).is_some() && difference(&Sums::new(), &here).is_some());
    let marks = |at: i64| [Mark::new("W", instant(at).to_string())];
    assert_eq!(other_mark(&marks(1), &marks(1)), None);
    assert!(other_mark(&marks(1), &marks(2)).unwrap().starts_with("W: "));
}

#[test]
fn a_store_of_more_than_one_portion_is_copied_portion_by_portion() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    filled(&here);
    let (mut source, _) = CopyPlace::Folder(here).open("khronos", CACHE).unwrap();
    let mut portions = 0;
    each(&mut *source, |entries| {
        assert!(entries.len() < 2 * store::copying::ENTRIES);
        portions += 1;
        Ok(())
    })
    .unwrap();
    assert!(portions >= 6, "{portions}");
}

#[test]
fn no_copy_is_begun_on_a_disk_without_room_for_it() {
    let folder = tempfile::tempdir().unwrap();
    on_a_small_disk("copying::tests::child_copies_onto_a_small_disk", folder.path());
}

#[test]
fn child_copies_onto_a_small_disk() {
    let Some(small) = child_folder() else { return };
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    let kept = filled(&here);
    let there = small.join("there");
    let failed = copied(&CopyPlace::Folder(here.clone()), &CopyPlace::Folder(there.clone())).unwrap_err();
    assert!(failed.to_string().contains("make room"), "{failed}");
    assert!(!there.exists(), "nothing is begun where there is no room for it");
    assert_eq!(in_folder(&here), kept);
    println!("all there");
}

#[cfg(unix)]
#[test]
fn delayed_events_that_can_not_be_read_are_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    fixture::fill(&here);
    let copied_to =
        |name: &str| copied(&CopyPlace::Folder(here.clone()), &CopyPlace::Folder(folder.path().join(name)));
    copied_to("none").unwrap();
    // It leads to itself.
    std::os::unix::fs::symlink(DELAYED, here.join(DELAYED)).unwrap();
    let refused = copied_to("unread").unwrap_err();
    assert!(matches!(refused, CopyError::Store(StoreError::Io { .. })), "{refused}");
    // To a disk that is not mounted.
    fs::remove_file(here.join(DELAYED)).unwrap();
    std::os::unix::fs::symlink(folder.path().join("mounted"), here.join(DELAYED)).unwrap();
    let refused = copied_to("unread").unwrap_err();
    assert!(matches!(refused, CopyError::Store(_)), "{refused}");
    assert!(!folder.path().join("unread").exists());
}

#[test]
fn a_copy_that_fails_while_its_first_store_is_made_names_what_it_left_and_nothing_of_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    filled(&here);
    let to = CopyPlace::Folder(there.clone());
    let failed = || CopyError::Store(store::failure("no room"));
    assert!(matches!(to.broken_if_begun(failed()), CopyError::Store(_)));
    interrupted(&CopyPlace::Folder(here), &to, false);
    let named = to.broken_if_begun(failed());
    assert!(matches!(named, CopyError::Broken { .. }) && named.to_string().contains("remove it"), "{named}");
    let locked = to.broken_if_begun(CopyError::Store(StoreError::Locked { path: there }));
    assert!(matches!(locked, CopyError::Store(_)), "{locked}");
}
