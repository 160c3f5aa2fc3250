//! Copies of a store that goes on, and what becomes of them.

use super::*;
use crate::{
    config::MetricsConfig,
    copying::accept::skip_delayed,
    delayed::{DelayedHandle, DelayedTuning, open_redb},
    engine::{Outcome, SkipReason},
    store::{
        SEAL, SledOptions, SledStore, StoreHandle, Tuning, copy as copy_files, copying::APART, open_sled,
    },
    telemetry::Counts,
};
use ponos::event::Timestamp;

/// When the copy is made.
fn made_at() -> Timestamp {
    instant(100)
}

/// The stores of a clock that runs.
async fn running(path: &Path) -> (StoreHandle, DelayedHandle) {
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let options = SledOptions::default();
    let opened = open_sled(path.into(), "khronos".into(), options, Tuning::default(), counts).await;
    let (folder, options) = (path.join(DELAYED), delayed_fixture::options());
    let delayed = open_redb(folder, "khronos".into(), options, DelayedTuning::default()).await;
    (opened.unwrap().0, delayed.unwrap().0)
}

/// A copy of a clock that goes on, and what the original held then.
async fn backed_up(folder: &Path) -> (PathBuf, (Content, DelayedContent)) {
    let (here, there) = (folder.join("here"), folder.join("there"));
    let kept = filled(&here);
    let (store, delayed) = running(&here).await;
    let found = look_up(&store, Some(&delayed), made_at()).await.unwrap().unwrap();
    // What comes later is not in it.
    store.save(1, commit(60, fixture::rows(6_000, 3))).unwrap();
    delayed.write(1, batch(WRITES + 1)).unwrap();
    store.flush().await.unwrap();
    let into = there.clone();
    let making = std::thread::spawn(move || backup(&found, &into, |_| ()));
    making.join().unwrap().unwrap();
    delayed.close().await.unwrap();
    store.close().await.unwrap();
    (there, kept)
}

/// A copy of a clock that has stopped, made as if it ran.
async fn copy_of(here: &Path, there: &Path, made_at: Timestamp) {
    let (store, delayed) = running(here).await;
    let found = look_up(&store, Some(&delayed), made_at).await.unwrap().unwrap();
    let into = there.to_owned();
    std::thread::spawn(move || backup(&found, &into, |_| ())).join().unwrap().unwrap();
    delayed.close().await.unwrap();
    store.close().await.unwrap();
}

fn options() -> HoldingOptions {
    let progress = SledOptions { cache: CACHE, ..SledOptions::default() };
    HoldingOptions { progress, delayed: delayed_fixture::options() }
}

fn opened_held(folder: &Path) -> Result<Option<Holding>, StoreError> {
    Holding::open(folder, "khronos", options())
}

fn holding(folder: &Path) -> Holding {
    opened_held(folder).unwrap().expect("it is held")
}

/// None of the numbers that the original may give is the copy's.
fn is_apart(created: u64, kept: u64) {
    let more = created - kept;
    assert!(more >= APART && more.is_multiple_of(APART), "{created} after {kept}");
}

#[tokio::test]
async fn a_backup_has_all_that_was_there_and_is_held_until_it_is_accepted_as_another_store() {
    let folder = tempfile::tempdir().unwrap();
    let (there, kept) = backed_up(folder.path()).await;
    assert!(holding(&there).why().contains(&made_at().to_string()));
    let held = copied(&CopyPlace::Folder(there.clone()), &CopyPlace::Folder(folder.path().join("further")));
    assert!(matches!(held, Err(CopyError::Store(StoreError::Held { .. }))), "{held:?}");
    let refused = fixture::open(&there).unwrap_err();
    assert!(matches!(refused, StoreError::Held { .. }), "{refused}");
    // Whoever only reads may.
    let options = SledOptions { held: true, ..SledOptions::default() };
    assert_eq!(
        SledStore::open(&there, "khronos", &options).unwrap().load().unwrap().settled,
        kept.0.snapshot.settled
    );

    let accepted = holding(&there).accept(Acceptance::SendAgain, instant(10_000)).unwrap();
    assert_eq!((accepted.made_at, accepted.skipped_delayed), (made_at(), 0));
    assert!(opened_held(&there).unwrap().is_none());
    let (mut progress, mut delayed) = in_folder(&there);
    assert_ne!(
        progress.record.record, kept.0.record.record,
        "whoever has a position in the other one sees it"
    );
    is_apart(progress.snapshot.created, kept.0.snapshot.created);
    is_apart(delayed.snapshot.created, kept.1.snapshot.created);
    (progress.record.record, progress.changes.record) = (kept.0.record.record, kept.0.changes.record);
    progress.snapshot.created = kept.0.snapshot.created;
    delayed.snapshot.created = kept.1.snapshot.created;
    assert_eq!((progress, delayed), kept);
}

#[tokio::test]
async fn what_was_due_since_a_backup_is_recorded_as_skipped_where_that_is_decided() {
    let folder = tempfile::tempdir().unwrap();
    let (there, kept) = backed_up(folder.path()).await;
    let sends = |content: &DelayedContent| -> Vec<Timestamp> {
        content.events.iter().map(|event| event.head.key.send).collect()
    };
    let (before, all) = (kept.0.snapshot, sends(&kept.1));
    // By now half of them were due.
    let now = all[all.len() / 2];
    assert!(now > instant(10_000));
    // What was under way when the copy was made goes again.
    let under_way = before.handed.max(before.reached);
    let stays = |send: &Timestamp| *send > now || Some(*send) <= under_way;
    let later: Vec<_> = all.iter().copied().filter(stays).collect();
    let pending = (all.len() - later.len()) as u64;
    assert!(pending > 0 && !later.is_empty());

    let accepted = holding(&there).accept(Acceptance::Skip, now).unwrap();
    assert_eq!((accepted.skipped_delayed, accepted.is_paused), (pending, false));
    let (progress, delayed) = in_folder(&there);
    assert_eq!(sends(&delayed), later);
    let outcomes = delayed.rows.iter().map(|row| &row.row.outcome);
    assert!(outcomes.filter(|outcome| **outcome == Outcome::Skipped(SkipReason::Paused)).count() > 0);
    let skipped = progress.snapshot.pauses.skipped.last().unwrap();
    assert_eq!((Some(skipped.reached.ever), skipped.through), (before.handed, now));
    assert_eq!((progress.snapshot.settled, progress.snapshot.handed), (before.settled, before.handed));
}

#[tokio::test]
async fn a_backup_that_was_interrupted_can_not_be_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    filled(&here);
    let late = folder.path().join("late");
    interrupted(&CopyPlace::Folder(here), &CopyPlace::Folder(late.clone()), true);
    let refused = opened_held(&late).unwrap_err();
    assert!(matches!(refused, StoreError::Unfinished { .. }), "{refused}");
}

#[tokio::test]
async fn where_the_power_goes_before_the_seal_knows_of_it_a_copy_is_accepted_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (there, _) = backed_up(folder.path()).await;
    // What a store adds when it is read first is there.
    holding(&there).store.load().unwrap();
    let before = fs::read(there.join(SEAL)).unwrap();
    holding(&there).accept(Acceptance::SendAgain, instant(10_000)).unwrap();
    fs::write(there.join(SEAL), before).unwrap();
    assert!(opened_held(&there).unwrap().is_none());
    fixture::open(&there).unwrap();
}

#[tokio::test]
async fn an_older_version_takes_a_copy_that_is_held_for_that_of_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let (there, _) = backed_up(folder.path()).await;
    // Whatever else is lost of it: seal and database both say so.
    let seal = fs::read_to_string(there.join(SEAL)).unwrap();
    assert!(seal.starts_with(&format!("{{\"form\":{},", u32::MAX - 1)), "{seal}");
    // What it is opened as is what its database says.
    assert_eq!(holding(&there).store.held(), Some(made_at()));
}

/// The ids of both stores, and the numbers behind which they give those of creations.
fn identity(path: &Path) -> [(u64, u64); 2] {
    let mut store = fixture::open(path).unwrap();
    let mut delayed = delayed_fixture::open(&path.join(DELAYED)).unwrap();
    [(store.id(), store.load().unwrap().created), (delayed.id(), delayed.load().unwrap().created)]
}

#[tokio::test]
async fn two_clocks_on_one_backup_are_two_stores() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = backed_up(folder.path()).await;
    let other = folder.path().join("other");
    copy_files(&one, &other);
    let original = identity(&folder.path().join("here"));
    for path in [&one, &other] {
        holding(path).accept(Acceptance::Skip, instant(10_000)).unwrap();
    }
    let all = [original, identity(&one), identity(&other)];
    for [first, second] in [[0, 1], [0, 2], [1, 2]] {
        for (here, there) in all[first].iter().zip(all[second]) {
            assert_ne!(here.0, there.0, "{all:?}");
        }
    }
    // These are told apart by chance, which is with them but for one time in 65,536: each store draws for itself.
    assert!(all[1].iter().zip(all[2]).any(|(here, there)| here.1 != there.1), "{all:?}");
}

#[tokio::test]
async fn a_copy_whose_delayed_events_alone_became_another_store_is_accepted_again() {
    let folder = tempfile::tempdir().unwrap();
    let (there, kept) = backed_up(folder.path()).await;
    let cut = folder.path().join("cut");
    copy_files(&there, &cut);
    // The power goes once the write is there, before the seal says so.
    let seal = fs::read(cut.join(DELAYED).join("seal")).unwrap();
    holding(&cut).delayed.unwrap().accept().unwrap();
    fs::write(cut.join(DELAYED).join("seal"), seal).unwrap();
    let refused = delayed_fixture::open(&cut.join(DELAYED)).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    // Whoever only reads may.
    let held = store::held_delayed_id(&cut).unwrap();
    let options = RedbOptions { held, ..delayed_fixture::options() };
    delayed::RedbDelayed::open(&cut.join(DELAYED), "khronos", &options).unwrap();
    holding(&cut).accept(Acceptance::SendAgain, instant(10_000)).unwrap();
    let (_, delayed) = in_folder(&cut);
    assert_eq!((delayed.events, delayed.rows), (kept.1.events, kept.1.rows));
}

#[tokio::test]
async fn a_backup_whose_source_is_taken_back_fails_and_is_named_as_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    filled(&here);
    let (store, delayed) = running(&here).await;
    let found = look_up(&store, Some(&delayed), made_at()).await.unwrap().unwrap();
    let into = there.clone();
    let making = std::thread::spawn(move || {
        let mut portions = 0;
        let told = |_: u64| {
            portions += 1;
            if portions == 3 {
                found.take_back();
            }
        };
        backup(&found, &into, told)
    });
    let failed = making.join().unwrap().unwrap_err();
    assert!(matches!(failed, CopyError::Broken { .. }), "{failed}");
    let said = failed.to_string();
    assert!(said.contains("given up") && said.contains("remove it"), "{said}");
    delayed.close().await.unwrap();
    store.close().await.unwrap();
    let refused = fixture::open(&there).unwrap_err();
    assert!(matches!(refused, StoreError::Unfinished { .. }), "{refused}");
    let refused = opened_held(&there).unwrap_err();
    assert!(matches!(refused, StoreError::Unfinished { .. }), "{refused}");
}

#[tokio::test]
async fn what_is_of_two_backups_is_not_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let [here, earlier, later] = ["here", "earlier", "later"].map(|name| folder.path().join(name));
    filled(&here);
    copy_of(&here, &earlier, instant(100)).await;
    delayed_fixture::open(&here.join(DELAYED)).unwrap().write(0, &batch(WRITES + 1)).unwrap();
    copy_of(&here, &later, instant(200)).await;
    for files in [&["delayed.redb"][..], &["seal"], &["delayed.redb", "seal"]] {
        let mixed = folder.path().join(files.join("-and-"));
        copy_files(&earlier, &mixed);
        for file in files {
            fs::copy(later.join(DELAYED).join(file), mixed.join(DELAYED).join(file)).unwrap();
        }
        let refused = opened_held(&mixed).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{files:?}: {refused}");
    }
    for whole in [&earlier, &later] {
        holding(whole).accept(Acceptance::SendAgain, instant(10_000)).unwrap();
    }
}

#[tokio::test]
async fn a_copy_is_trimmed_by_the_limits_of_the_clock_that_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (there, kept) = backed_up(folder.path()).await;
    let trimmed = folder.path().join("trimmed");
    copy_files(&there, &trimmed);
    holding(&there).accept(Acceptance::SendAgain, instant(10_000)).unwrap();
    assert_eq!(fixture::everything(&there).unwrap().record.rows, kept.0.record.rows);

    let HoldingOptions { mut progress, mut delayed } = options();
    (progress.limits.rows, delayed.limits.rows) = (1_000, 5);
    let held = Holding::open(&trimmed, "khronos", HoldingOptions { progress, delayed });
    let now = kept.1.events.last().unwrap().head.key.send;
    held.unwrap().unwrap().accept(Acceptance::Skip, now).unwrap();
    let (progress, delayed) = in_folder(&trimmed);
    assert!(progress.record.rows.len() < kept.0.record.rows.len());
    assert_eq!(delayed.rows.len(), 5);
}

#[tokio::test]
async fn where_it_was_begun_to_skip_what_was_due_it_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (there, kept) = backed_up(folder.path()).await;
    let now = kept.1.events.last().unwrap().head.key.send;
    let skipped = skip_delayed(holding(&there).delayed.as_mut().unwrap(), None, now).unwrap();
    assert!(skipped > 0);
    let refused = holding(&there).accept(Acceptance::SendAgain, now).unwrap_err();
    assert!(refused.to_string().contains("end it with --skip"), "{refused}");
    // Also where they became another store before the progress did.
    holding(&there).delayed.unwrap().accept().unwrap();
    let refused = holding(&there).accept(Acceptance::SendAgain, now).unwrap_err();
    assert!(refused.to_string().contains("end it with --skip"), "{refused}");
    holding(&there).accept(Acceptance::Skip, now).unwrap();
    assert!(opened_held(&there).unwrap().is_none());
    assert!(in_folder(&there).1.events.is_empty());
}

#[tokio::test]
async fn after_a_decision_that_failed_nothing_else_is_decided_before_the_stores_are_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (there, kept) = backed_up(folder.path()).await;
    // What a store adds when it is read first is there.
    holding(&there).store.load().unwrap();
    let now = kept.1.events.last().unwrap().head.key.send;
    let mut held = holding(&there);
    // No seal can be written: the write itself lasts.
    fs::create_dir_all(there.join("seal.new").join("in the way")).unwrap();
    for decision in [Acceptance::SendAgain, Acceptance::Skip] {
        let failed = held.accept(decision, now).unwrap_err().to_string();
        assert!(failed.contains("restart the clock, which shows which"), "{failed}");
    }
    drop(held);
    fs::remove_dir_all(there.join("seal.new")).unwrap();
    assert!(opened_held(&there).unwrap().is_none(), "it was accepted as was decided first");
    assert_eq!(in_folder(&there).1.events, kept.1.events);
}

#[tokio::test]
async fn a_backup_that_was_given_up_while_it_is_compared_is_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    filled(&here);
    let (store, delayed) = running(&here).await;
    let found = look_up(&store, Some(&delayed), made_at()).await.unwrap().unwrap();
    let into = there.clone();
    let making = std::thread::spawn(move || {
        // What was written last is read back: before all else, the progress, the delayed events.
        let (mut entries, mut has_grown, mut read_back) = (0, true, 0);
        let told = |there: u64| {
            read_back += u32::from(has_grown && there == entries);
            (has_grown, entries) = (there > entries, there);
            if read_back == 3 {
                found.take_back();
            }
        };
        backup(&found, &into, told)
    });
    let failed = making.join().unwrap().unwrap_err();
    assert!(failed.to_string().contains("given up"), "{failed}");
    delayed.close().await.unwrap();
    store.close().await.unwrap();
    let refused = opened_held(&there).unwrap_err();
    assert!(matches!(refused, StoreError::Unfinished { .. }), "{refused}");
}
