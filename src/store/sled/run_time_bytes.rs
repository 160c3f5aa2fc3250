//! What is done at run time, as it lies in the stores of this version: whatever changes in the code, those are read. Texts
//! of bytes are hexadecimal.

use super::{
    encoding::{self, Entry},
    fixture::{commit, everything, instant, open, revision, rows},
    meta::{FORM_OF_CREATIONS, FORM_OF_PAUSES},
    seal,
};
use crate::{
    engine::{
        Answered, ChangeEntry, ChangeKind, Commit, CreatedCalendar, Era, OnResume, Pause, Pauses, Reached,
        Refusal, Revision, Row, Verdict, VersionEntry,
    },
    schedule::{CalendarForm, CalendarStore, CalendarText, Created, Definition, DoorKind, Packed, ZoneData},
    store::{Store, conformance},
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn verdicts_and_refusals_are_read_as_they_were_first_written() {
    let (revision, owner, since, through) = (7, "ann".into(), instant(1), instant(2));
    let reached = Reached { lately: instant(1), ever: instant(1), set_backs: 0 };
    let pause = Pause { since, by: "ann".into(), note: "x".into(), until: None, reached };
    let all = [
        (Verdict::Created { creation: u64::MAX, revision, since }, "00ffffffffffffffffff01078290acf3da66"),
        (Verdict::Changed { creation: 300, revision, since }, "01ac02078290acf3da66"),
        (Verdict::Unchanged { creation: 1, revision }, "020107"),
        (Verdict::Deleted { creation: 1, revision, through }, "0301078490acf3da66"),
        (Verdict::GoneAlready, "04"),
        (Verdict::Refused(Refusal::FileOwned), "0500"),
        (Verdict::Refused(Refusal::NotOwner { owner }), "050103616e6e"),
        (Verdict::Refused(Refusal::OutsideDomains { event: "a.b.c".into() }), "050205612e622e63"),
        (Verdict::Refused(Refusal::ReservedEvent { event: "time.b.c".into() }), "05030874696d652e622e63"),
        (Verdict::Refused(Refusal::Exists { revision }), "050407"),
        (Verdict::Refused(Refusal::Stale { revision: Some(7) }), "05050107"),
        (Verdict::Refused(Refusal::Stale { revision: None }), "050500"),
        (Verdict::Refused(Refusal::MayHaveBeenSent { due: instant(9) }), "05069290acf3da66"),
        (Verdict::Refused(Refusal::NeverDue), "0507"),
        (Verdict::Refused(Refusal::Invalid { faults: "f".into() }), "05080166"),
        (Verdict::Refused(Refusal::Twice), "0509"),
        (Verdict::Refused(Refusal::Another), "050a"),
        (Verdict::Refused(Refusal::MessageIdUsed), "050b"),
        (Verdict::Refused(Refusal::TooMany { most: 300 }), "050cac02"),
        (Verdict::Refused(Refusal::NoSuchSchedule { name: "a".into() }), "050d0161"),
        (Verdict::Refused(Refusal::NotAsCounted { name: "a".into() }), "050e0161"),
        (Verdict::Refused(Refusal::AlreadySettled { due: instant(9) }), "050f9290acf3da66"),
        (
            Verdict::Refused(Refusal::InUse { first: vec!["a".into(), "b".into()], count: 300 }),
            "05100201610162ac02",
        ),
        (Verdict::Refused(Refusal::NoSuchCalendar { name: "a".into() }), "05110161"),
        (Verdict::Refused(Refusal::TooManyCalendars { most: 300 }), "0512ac02"),
        (Verdict::Refused(Refusal::TooManyCalendarBytes { most: 300 }), "0513ac02"),
        (Verdict::Refused(Refusal::TooManyInAll { most: 300 }), "0514ac02"),
        (Verdict::Refused(Refusal::TooOftenInAll { a_day: 300, most: 1 }), "0515ac0201"),
        (Verdict::Refused(Refusal::LeavesNothingDue { some: vec!["a".into()] }), "0516010161"),
        (Verdict::Refused(Refusal::TooManyDelayedEvents { most: 300 }), "0517ac02"),
        (
            Verdict::Paused { pause, was_paused: true },
            "068290acf3da6603616e6e0178008290acf3da668290acf3da660001",
        ),
        (Verdict::Resumed { pause: None, through, how: OnResume::Skip }, "07008490acf3da6601"),
        (Verdict::Triggered { due: instant(9), creation: 300 }, "089290acf3da66ac02"),
        (Verdict::Settled { due: instant(9), creation: 300, revision }, "099290acf3da66ac0207"),
    ];
    for (verdict, written) in all {
        assert_eq!(hex(&encoding::value(&verdict).unwrap()), written, "{verdict:?}");
        assert_eq!(encoding::read::<Verdict>(&bytes(written)).unwrap(), verdict);
    }
}

#[test]
fn messages_are_read_as_they_were_first_written() {
    let verdicts = vec![Verdict::GoneAlready, Verdict::Unchanged { creation: 1, revision: 7 }];
    let answered = Answered { digest: [9; 32], verdicts, at: instant(1), number: 300 };
    let written = format!("{}02040201078290acf3da66ac02", "09".repeat(32));
    assert_eq!(hex(&encoding::value(&answered).unwrap()), written);
    let message = ("billing".into(), "id é".into());
    let key = "6d000762696c6c696e67696420c3a9";
    assert_eq!(hex(&encoding::message_key(&message)), key);
    match encoding::entry(&bytes(key), &bytes(&written), &CalendarStore::default()).unwrap() {
        Entry::Message(found, kept) => assert_eq!((found, kept), (message, answered)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_are_read_as_they_were_first_written() {
    let kinds =
        ["00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "0a", "0b", "0c", "0d", "0e", "0f"];
    assert_eq!(kinds.len(), ChangeKind::ALL.len());
    for (what, kind) in ChangeKind::ALL.into_iter().zip(kinds) {
        let before = VersionEntry { revision: 1, definition: "{}".into(), payload: Some("p".into()) };
        let entry = ChangeEntry {
            at: instant(1),
            by: "ann".into(),
            door: "HTTP".into(),
            what,
            name: "a".into(),
            others: vec!["b".into()],
            creation: 3,
            before: Some(before),
            after: None,
            command: Some("m".into()),
            note: "n".into(),
        };
        let written = format!("8290acf3da6603616e6e0448545450{kind}0161010162030101027b7d0101700001016d016e");
        assert_eq!(hex(&encoding::value(&entry).unwrap()), written);
        assert_eq!(encoding::read::<ChangeEntry>(&bytes(&written)).unwrap(), entry);
        let key = encoding::change_key(300);
        assert_eq!(hex(&key), "6c000000000000012c");
        let read = encoding::entry(&key, &bytes(&written), &CalendarStore::default());
        assert!(matches!(read.unwrap(), Entry::Change(300)));
    }
}

#[test]
fn creations_are_read_as_they_were_first_written() {
    for (door, word) in DoorKind::ALL.into_iter().zip(["http", "message", "control-socket"]) {
        let definition = Definition {
            name: "a".into(),
            event: Some("a.b.c".into()),
            every: Some("1h".into()),
            created: Some(Created { number: 300, owner: "billing".into(), door }),
            ..Definition::default()
        };
        let created = format!(r#"{{"number":300,"owner":"billing","door":"{word}"}}"#);
        let json = format!(r#"{{"name":"a","event":"a.b.c","every":"1h","created":{created}}}"#);
        // Its length, itself, since when, from where, and that nothing was before and that it has not ended.
        let length = encoding::value(&json.len()).unwrap();
        let written = [&length, json.as_bytes(), &bytes("8090acf3da668090acf3da660000")].concat();
        let revision = Era::first(1, instant(0)).of(Packed::build(&definition).unwrap());
        assert_eq!(hex(&encoding::revision_value(&revision, &definition).unwrap()), hex(&written));
        let key = encoding::revision_key("a", 1);
        match encoding::entry(&key, &written, &CalendarStore::default()).unwrap() {
            Entry::Revision(found, _) => {
                assert_eq!(found, revision);
                assert_eq!(found.definition.created().map(|created| created.door), Some(door));
                assert_eq!(door.word(), word);
            }
            other => panic!("{other:?}"),
        }
    }
    // A row of it, at the only place of its block: no kind, one creation.
    let row = Row { creation: 300, ..rows(0, 1).remove(0) };
    let encoded = encoding::value(&row).unwrap();
    let block = format!("01{}00{}", hex(&encoded), "0100ac02");
    let mut beside = encoding::Beside::default();
    beside.note(0, &row);
    assert_eq!(hex(&encoding::rows_value(1, &encoded, &beside).unwrap()), block);
    assert_eq!(encoding::read_rows(&bytes(&block)).unwrap(), [row]);
}

#[test]
fn calendars_that_were_created_are_read_as_they_were_first_written() {
    for (form, text, understood, byte) in [
        (CalendarForm::Toml, "weekdays = [\"SUN\"]", true, "00"),
        (CalendarForm::Ics, "of a later version", false, "01"),
    ] {
        let text = CalendarText { form, text: text.into() };
        let calendar = text.read("off", &ZoneData::bundled()).ok().map(|(calendar, _)| calendar);
        assert_eq!(calendar.is_some(), understood);
        let created = Created { number: 300, owner: "bil".into(), door: DoorKind::Message };
        let (name, since) = ("off".into(), instant(1));
        let all = CreatedCalendar { name, created, revision: 7, since, text, calendar };
        // The number of its creation, the owner's name, the door; the revision; since when; its form; its text.
        let text = format!("{:02x}{}", all.text.text.len(), hex(all.text.text.as_bytes()));
        let written = format!("ac020362696c01078290acf3da66{byte}{text}");
        assert_eq!(hex(&encoding::created_calendar_value(&all).unwrap()), written);
        let key = encoding::created_calendar_key("off");
        assert_eq!(hex(&key), "6b6f6666");
        match encoding::entry(&key, &bytes(&written), &CalendarStore::default()).unwrap() {
            Entry::CreatedCalendar(found) => assert_eq!(*found, all),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_store_of_the_form_of_pauses_goes_on_in_that_of_creations_with_all_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let reached = Reached { lately: instant(1), ever: instant(1), set_backs: 0 };
    let pause = Pause { since: instant(1), by: "ann".into(), note: "x".into(), until: None, reached };
    let pauses = Pauses { paused: Some(pause), ..Pauses::default() };
    let before = Commit {
        pauses: Some(pauses.clone()),
        revisions: vec![revision(1), revision(2)],
        set_backs: 1,
        ..commit(1, rows(0, 70))
    };
    open(&path).unwrap().save(0, &before).unwrap();
    assert_eq!(seal::read(&path).unwrap().unwrap().form, FORM_OF_PAUSES);
    let created = Some(Created { number: 7, owner: "billing".into(), door: DoorKind::Http });
    let definition = revision(3).definition.created_as(created);
    let put = Revision { definition, ..revision(3) };
    let Commit { messages, changes, .. } = conformance::at_run_time(3);
    let row = Row { creation: 7, ..rows(70, 1).remove(0) };
    let later =
        Commit { revisions: vec![put.clone()], created: 7, messages, changes, ..commit(2, vec![row]) };
    open(&path).unwrap().save(0, &Commit { set_backs: 1, ..later }).unwrap();
    assert_eq!(seal::read(&path).unwrap().unwrap().form, FORM_OF_CREATIONS);
    let found = everything(&path).unwrap();
    assert_eq!(found.snapshot.revisions, [revision(1), revision(2), put]);
    assert_eq!((found.snapshot.pauses, found.snapshot.created), (pauses, 7));
    assert_eq!((found.snapshot.set_backs, found.snapshot.messages.len()), (1, 1));
    // The last row is the mark that no rows of confirmed events were given.
    assert_eq!((found.changes.changes.len(), found.record.rows.len()), (2, 72));
    assert_eq!(found.record.rows[70].row.creation, 7);
}
