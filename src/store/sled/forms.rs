//! Forms of the store: an older one is read, a newer one is refused by its name.

use super::{
    encoding::{self, Beside, Entry},
    fixture::{commit, everything, instant, open, revision, rows},
    meta::{FORM, FORM_OF_CREATIONS, FORM_OF_KINDS, FORM_OF_ORIGINS, FORM_OF_PAUSES, FORM_OF_RETRIES},
    seal,
};
use crate::{
    engine::{
        Answered, ChangeKind, Coalesced, Commit, LoggedChange, OnResume, Parked, Pause, PauseEnd, Pauses,
        Reached, Revision, Row, SkippedPause, Span, Verdict, Version,
    },
    schedule::{CalendarStore, Created, Definition, DoorKind, Packed, ResendsDefinition},
    store::{Store, StoreError},
};
use ponos::event::EventKind;
use std::{fs, path::Path};

fn trigger() -> EventKind {
    EventKind::Trigger("a".parse().unwrap())
}

#[test]
fn a_block_of_an_older_store_holds_occurrences_and_takes_no_byte_more_now() {
    // As written before rows had kinds: two rows, and a row that is skipped as missed.
    let block: &[u8] = &[
        3, 130, 144, 172, 243, 218, 102, 7, 111, 110, 101, 45, 100, 97, 121, 1, 130, 144, 172, 243, 218, 102,
        130, 144, 172, 243, 218, 102, 1, 0, 130, 144, 172, 243, 218, 102, 0, 0, 132, 144, 172, 243, 218, 102,
        7, 111, 110, 101, 45, 100, 97, 121, 1, 132, 144, 172, 243, 218, 102, 132, 144, 172, 243, 218, 102, 1,
        0, 132, 144, 172, 243, 218, 102, 0, 0, 134, 144, 172, 243, 218, 102, 7, 111, 110, 101, 45, 100, 97,
        121, 1, 134, 144, 172, 243, 218, 102, 134, 144, 172, 243, 218, 102, 1, 1, 1,
    ];
    let mut expected = rows(0, 3);
    expected[2].outcome = crate::engine::Outcome::Skipped(crate::engine::SkipReason::Missed);
    match encoding::entry(&encoding::rows_key(1), block, &CalendarStore::default()).unwrap() {
        Entry::Rows(1, found) => assert_eq!(found, expected),
        other => panic!("{other:?}"),
    }
    let encoded: Vec<u8> = expected.iter().flat_map(|row| encoding::value(row).unwrap()).collect();
    assert_eq!(encoding::rows_value(3, &encoded, &Beside::default()).unwrap(), block);
}

#[test]
fn a_kind_for_a_row_that_is_not_there_is_damage() {
    let encoded = encoding::value(&rows(0, 1)[0]).unwrap();
    let at = |place| Beside { kinds: vec![(place, trigger())], ..Beside::default() };
    let block = encoding::rows_value(1, &encoded, &at(1)).unwrap();
    assert!(encoding::read_rows(&block).unwrap_err().0.contains("row 1 of its block"));
    let mut long = encoding::rows_value(1, &encoded, &at(0)).unwrap();
    assert_eq!(encoding::read_rows(&long).unwrap()[0].kind, trigger());
    long.push(0);
    assert!(encoding::read_rows(&long).is_err());
}

#[test]
fn a_store_gets_the_form_of_kinds_with_the_first_row_that_is_no_occurrence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let form = || seal::read(&path).unwrap().unwrap().form;
    let mut store = open(&path).unwrap();
    store.save(0, &commit(1, rows(0, 70))).unwrap();
    assert_eq!(form(), 1, "older versions can read it");
    let asked = Row { kind: trigger(), ..rows(70, 1).remove(0) };
    store.save(0, &commit(2, vec![asked.clone()])).unwrap();
    assert_eq!(form(), FORM_OF_KINDS);
    drop(store);
    let content = everything(&path).unwrap();
    assert_eq!(content.record.rows[70].row, asked);
    assert_eq!(content.snapshot.settled, Some(instant(2)));
}

#[test]
fn a_store_gets_the_form_of_origins_with_the_first_revision_that_a_set_back_precedes() {
    let later = Revision { set_backs: 1, ..revision(1) };
    let cases = [
        (Commit { revisions: vec![later], ..commit(1, vec![]) }, FORM_OF_ORIGINS),
        (Commit { set_backs: 1, ..commit(1, vec![]) }, FORM_OF_ORIGINS),
        (Commit { revisions: vec![revision(1)], ..commit(1, vec![]) }, 1),
    ];
    for (commit, form) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        open(&path).unwrap().save(0, &commit).unwrap();
        assert_eq!(seal::read(&path).unwrap().unwrap().form, form, "{commit:?}");
        assert_eq!(everything(&path).unwrap().snapshot.revisions, commit.revisions);
    }
}

#[test]
fn a_store_gets_the_form_of_creations_with_the_first_of_what_is_created_and_changed_at_run_time() {
    let created = Created { number: 7, owner: "billing".into(), door: DoorKind::Http };
    let plain = revision(1);
    let definition = plain.definition.clone().created_as(Some(created));
    let put = Revision { definition: definition.clone(), ..plain };
    let row = Row { creation: 7, ..rows(0, 1).remove(0) };
    let verdicts = vec![Verdict::GoneAlready];
    let answered = Answered { digest: [9; 32], verdicts, at: instant(1), number: 1 };
    let message = (("billing".into(), "id \u{0} 1".into()), Some(answered));
    let change = LoggedChange {
        at: instant(1),
        by: "billing".into(),
        door: "a test".into(),
        what: ChangeKind::Created,
        name: "one-day".into(),
        others: vec![],
        creation: 7,
        before: None,
        after: Some(Version::of_schedule(1, &definition)),
        command: None,
        note: "".into(),
    };
    let cases = [
        Commit { revisions: vec![put], created: 7, ..commit(1, vec![]) },
        Commit { created: 7, ..commit(1, vec![]) },
        commit(1, vec![row]),
        Commit { messages: vec![message], ..commit(1, vec![]) },
        Commit { changes: vec![change], ..commit(1, vec![]) },
    ];
    for commit in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut store = open(&path).unwrap();
        store.save(0, &Commit { settled: commit.settled, ..Commit::default() }).unwrap();
        assert_eq!(seal::read(&path).unwrap().unwrap().form, 1);
        store.save(0, &commit).unwrap();
        assert_eq!(seal::read(&path).unwrap().unwrap().form, FORM_OF_CREATIONS, "{commit:?}");
        drop(store);
        let found = everything(&path).unwrap();
        assert_eq!(found.snapshot.revisions, commit.revisions);
        assert_eq!(found.snapshot.created, commit.created);
        assert_eq!(found.snapshot.messages.len(), commit.messages.len());
        assert_eq!(found.record.rows.first().map(|row| row.row.creation), commit.rows.first().map(|_| 7));
    }
}

/// No version that was released wrote such a revision.
#[test]
fn what_a_command_had_put_before_creations_had_numbers_is_nobodys_and_no_files() {
    let plain = revision(1);
    let value = encoding::revision_value(&plain, &plain.definition.definition()).unwrap();
    let behind = encoding::value(&(plain.counts_from, 0_u32, true)).unwrap();
    let key = encoding::revision_key(plain.name(), 1);
    match encoding::entry(&key, &[value, behind].concat(), &CalendarStore::default()).unwrap() {
        Entry::Revision(found, _) => {
            assert_eq!((found.definition.is_created(), found.definition.creation()), (true, 0));
            assert_eq!(found.definition.created(), Some(Created::default()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_gets_the_form_of_retries_with_the_first_entry_that_was_refused() {
    let parked = |refused, retry_at| Parked {
        schedule: "one-day".into(),
        revision: 1,
        stands_for: Coalesced { first: instant(1), last: instant(1), count: 1 },
        reason: "full".into(),
        at: instant(2),
        released: false,
        singly: true,
        refused,
        retry_at,
        kind: EventKind::Occurrence,
    };
    let cases = [
        (parked(0, None), 1),
        (parked(6, None), FORM_OF_RETRIES),
        (parked(0, Some(instant(3))), FORM_OF_RETRIES),
    ];
    for (parked, form) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let commit = Commit { parked: vec![(7, Some(parked.clone()))], ..commit(1, vec![]) };
        open(&path).unwrap().save(0, &commit).unwrap();
        assert_eq!(seal::read(&path).unwrap().unwrap().form, form, "{commit:?}");
        assert_eq!(everything(&path).unwrap().snapshot.parked, [(7, parked)]);
    }
}

#[test]
fn a_store_gets_the_form_of_retries_with_the_first_definition_that_has_resends() {
    // The key itself is what older versions do not know, whatever it says; also of what is not understood.
    let said = |most| Some(ResendsDefinition { most, within: None });
    let unknown = Some("shout".to_owned());
    for (resends, unrouted) in [(said(Some(2)), None), (said(None), None), (said(Some(2)), unknown)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let plain = revision(1);
        let definition = Definition { resends, unrouted, ..plain.definition.definition() };
        let mut store = open(&path).unwrap();
        let form = || seal::read(&path).unwrap().unwrap().form;
        store.save(0, &Commit { revisions: vec![plain.clone()], ..commit(1, vec![]) }).unwrap();
        assert_eq!(form(), 1);
        let edited = Revision { definition: Packed::kept(&definition), number: 2, ..plain };
        store.save(0, &Commit { revisions: vec![edited], ..commit(2, vec![]) }).unwrap();
        assert_eq!(form(), FORM_OF_RETRIES, "{definition:?}");
    }
}

#[test]
fn a_store_gets_the_form_of_pauses_with_the_first_pause_and_keeps_it() {
    let reached = Reached { lately: instant(1), ever: instant(1), set_backs: 0 };
    let pause = Pause { since: instant(1), by: "ann".into(), note: "x".into(), until: None, reached };
    let skipped = vec![SkippedPause { reached, through: instant(2), set_backs: 0 }];
    let cases = [
        (None, 1),
        (Some(Pauses::default()), 1),
        (Some(Pauses { paused: Some(pause), ..Pauses::default() }), FORM_OF_PAUSES),
        (Some(Pauses { skipped, ..Pauses::default() }), FORM_OF_PAUSES),
    ];
    for (pauses, form) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let read = || seal::read(&path).unwrap().unwrap();
        open(&path).unwrap().save(0, &Commit { pauses: pauses.clone(), ..commit(1, vec![]) }).unwrap();
        assert_eq!(read().form, form, "{pauses:?}");
        let found = everything(&path).unwrap().snapshot.pauses;
        assert_eq!(found, pauses.clone().unwrap_or_default());
        assert_eq!(read().entries, u64::from(found != Pauses::default()));
        let over = Commit { pauses: Some(Pauses::default()), ..commit(2, vec![]) };
        open(&path).unwrap().save(0, &over).unwrap();
        assert_eq!((read().form, read().entries), (form, 0), "nothing lies there any more");
        assert_eq!(everything(&path).unwrap().snapshot.pauses, Pauses::default());
    }
}

/// As it lies in the stores of this version: whatever changes in the code, those are read.
#[test]
fn pauses_are_read_as_they_were_first_written() {
    let reached = Reached { lately: instant(1), ever: instant(2), set_backs: 3 };
    let until = Some(PauseEnd { at: instant(9), on_resume: OnResume::Skip });
    let pause = Pause { since: instant(1), by: "ann".into(), note: "x".into(), until, reached };
    let skipped = vec![SkippedPause { reached, through: instant(4), set_backs: 3 }];
    let pauses = Pauses { paused: Some(pause), skipped, seen: Some(instant(5)), set_backs: vec![] };
    let bytes: &[u8] = &[
        1, 130, 144, 172, 243, 218, 102, 3, 97, 110, 110, 1, 120, 1, 146, 144, 172, 243, 218, 102, 1, 130,
        144, 172, 243, 218, 102, 132, 144, 172, 243, 218, 102, 3, 1, 130, 144, 172, 243, 218, 102, 132, 144,
        172, 243, 218, 102, 3, 136, 144, 172, 243, 218, 102, 1, 138, 144, 172, 243, 218, 102,
    ];
    assert_eq!(encoding::pauses_value(&pauses).unwrap(), bytes);
    match encoding::entry(&encoding::pauses_key(), bytes, &CalendarStore::default()).unwrap() {
        Entry::Pauses(None, found) => assert_eq!(found, pauses),
        other => panic!("{other:?}"),
    }
    match encoding::entry(b"Pone-day", bytes, &CalendarStore::default()).unwrap() {
        Entry::Pauses(Some(name), found) => assert_eq!((&*name, found), ("one-day", pauses)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_gets_the_form_of_run_time_with_the_first_pause_over_which_the_clock_was_set_back() {
    let reached = Reached { lately: instant(1), ever: instant(2), set_backs: 0 };
    let skipped = |set_backs| vec![SkippedPause { reached, through: instant(2), set_backs }];
    let cases = [
        (Pauses { skipped: skipped(1), ..Pauses::default() }, FORM_OF_CREATIONS),
        (
            Pauses { skipped: skipped(0), set_backs: vec![(1, instant(1))], ..Pauses::default() },
            FORM_OF_CREATIONS,
        ),
        (Pauses { skipped: skipped(0), ..Pauses::default() }, FORM_OF_PAUSES),
    ];
    for (pauses, form) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        open(&path).unwrap().save(0, &Commit { pauses: Some(pauses.clone()), ..commit(1, vec![]) }).unwrap();
        assert_eq!(seal::read(&path).unwrap().unwrap().form, form, "{pauses:?}");
        assert_eq!(everything(&path).unwrap().snapshot.pauses, pauses);
    }
}

#[test]
fn a_store_gets_the_form_of_run_time_with_the_first_pause_by_name_and_keeps_it() {
    let reached = Reached { lately: instant(1), ever: instant(1), set_backs: 0 };
    let pause = Pause { since: instant(1), by: "ann".into(), note: "x".into(), until: None, reached };
    let pauses = Pauses { paused: Some(pause), ..Pauses::default() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let read = || seal::read(&path).unwrap().unwrap();
    let save = |named: Option<&Pauses>| {
        let named_pauses = vec![("one-day".into(), named.cloned())];
        open(&path).unwrap().save(0, &Commit { named_pauses, ..commit(1, vec![]) }).unwrap();
        (read().form, read().entries, everything(&path).unwrap().snapshot.named_pauses.len())
    };
    assert_eq!(save(None), (1, 0, 0));
    assert_eq!(save(Some(&pauses)), (FORM_OF_CREATIONS, 1, 1));
    assert_eq!(save(None), (FORM_OF_CREATIONS, 0, 0), "nothing lies there any more");
}

#[test]
fn a_span_of_an_older_store_that_waits_behind_what_was_refused_is_read_and_ours_reads_as_one_that_does_not() {
    let span =
        Span { revision: 1, after: instant(1), through: instant(5), handed: instant(2), coalesced: None };
    let older = encoding::value(&(&span, 3_u8, instant(9))).unwrap();
    let key = encoding::span_key("one-day", 1);
    match encoding::entry(&key, &older, &CalendarStore::default()).unwrap() {
        Entry::Span(name, found) => assert_eq!((&*name, found), ("one-day", span.clone())),
        other => panic!("{other:?}"),
    }
    let ours = encoding::span_value(&span).unwrap();
    assert_eq!(ours, encoding::value(&(&span, 0_u8, ponos::event::Timestamp::EPOCH)).unwrap());
}

/// What a newer version may have left: the seal, the database or both in a form that is not known yet.
fn rewrite(path: &Path, seal: bool, database: bool) {
    let mut meta = seal::read(path).unwrap().unwrap();
    meta.form = FORM + 1;
    if seal {
        seal::write(path, &meta).unwrap();
    }
    if database {
        let db = ::sled::open(path).unwrap();
        // It goes on with what this version has never seen.
        let value = [encoding::value(&meta).unwrap(), vec![1, 2, 3]].concat();
        db.insert(encoding::META, value).unwrap();
        db.insert(b"~new", vec![7]).unwrap();
        db.flush().unwrap();
    }
}

#[test]
fn a_newer_form_is_refused_as_such_and_left_as_it_is() {
    for (seal, database) in [(true, true), (true, false), (false, true)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        open(&path).unwrap().save(0, &Commit { ..commit(1, rows(0, 5)) }).unwrap();
        rewrite(&path, seal, database);
        let sealed = fs::read(path.join(seal::NAME)).unwrap();
        for _ in 0..2 {
            let refused = open(&path).err().unwrap();
            assert!(matches!(refused, StoreError::Newer { form, .. } if form == FORM + 1), "{refused}");
            let said = refused.to_string();
            assert!(said.contains("a newer version of khronos") && said.contains("--store"), "{said}");
        }
        assert_eq!(fs::read(path.join(seal::NAME)).unwrap(), sealed);
    }
}

#[test]
fn a_seal_of_a_newer_form_is_told_whatever_else_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    open(&path).unwrap().save(0, &commit(1, rows(0, 5))).unwrap();
    let content = "{\"form\":9,\"other\":{}}";
    fs::write(path.join(seal::NAME), format!("{content}\n{}\n", seal::checksum(content))).unwrap();
    assert!(matches!(open(&path), Err(StoreError::Newer { form: 9, .. })));
}
