//! Calendars that are put, changed and deleted at run time.

use super::{commands::ask, *};
use crate::{
    Author, ChangeEntry, ChangeKind, ChangeRequest, Expect, Message, ReadCalendars, Refusal, ScheduleChange,
    Verdict, WantedCalendar,
    calendars::{MOST, MOST_BYTES},
};
use khronos_schedule::{CalendarForm, CalendarStore, CalendarText, Calendars, ZoneData};

mod days_left;

const NEW_YEAR: &str = "dates = [\"2027-01-01\"]";
/// The days that come next.
const SOON: &str = "dates = [\"2026-03-01/2026-03-04\"]";

fn put(name: &str, text: &str) -> ScheduleChange {
    expecting(name, Some(text), Expect::Any)
}

fn delete(name: &str) -> ScheduleChange {
    expecting(name, None, Expect::Any)
}

fn expecting(name: &str, text: Option<&str>, expect: Expect) -> ScheduleChange {
    let wanted = text.map(|text| {
        let text = CalendarText { form: CalendarForm::Toml, text: text.into() };
        let (calendar, _) = text.read(name, &ZoneData::bundled()).unwrap();
        Box::new(WantedCalendar { text, calendar })
    });
    ScheduleChange::Calendar { name: name.into(), wanted, expect }
}

fn read(seen: &mut Seen, files: Calendars) {
    seen.step(Input::Calendars(ReadCalendars { files, anew: Vec::new() }));
    seen.step(Input::Load(Vec::new()));
}

/// Whose files have the calendar `frozen`.
fn seen(piece: usize) -> Seen {
    let mut seen = Seen::of(piece);
    let mut files = Calendars::new(CalendarStore::default());
    files.insert("frozen", None);
    read(&mut seen, files);
    seen
}

/// One that names a calendar, read with those that there are.
fn daily(seen: &Seen, name: &str, calendar: &str) -> ScheduleChange {
    let mut definition = Definition { exclude: Some(vec![calendar.into()]), ..every(name, "1 day") };
    let named = seen.engine.calendars.named.as_ref().unwrap();
    named.pin(&mut definition).unwrap();
    let definition = Packed::build_with(&definition, named.store()).unwrap();
    ScheduleChange::Put { definition, expect: Expect::Any }
}

fn ann() -> Author {
    Author::owner("ann", "a test")
}

fn bob() -> Author {
    Author::owner("bob", "a test")
}

fn refused(verdicts: &[Verdict]) -> &Refusal {
    match verdicts {
        [Verdict::Refused(refusal)] => refusal,
        other => panic!("{other:?}"),
    }
}

fn next(seen: &Seen, name: &str) -> (u32, String) {
    let running = seen.engine.running(name).unwrap();
    (running.revision.number, running.next.unwrap().to_string())
}

#[test]
fn a_calendar_that_changes_changes_what_uses_it_in_the_same_write() {
    let mut seen = seen(100);
    let created = ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    let since = Timestamp::from_millis(START);
    assert_eq!(created, [Verdict::Created { creation: 1, revision: 1, since }]);
    let daily = daily(&seen, "a", "off");
    ask(&mut seen, bob(), vec![daily]);
    assert_eq!(next(&seen, "a"), (1, "2026-03-02T00:00:00.000Z".into()));
    let saves = seen.saves;
    let changed = ask(&mut seen, ann(), vec![put("off", SOON)]);
    assert_eq!(changed, [Verdict::Changed { creation: 1, revision: 2, since }]);
    assert_eq!((next(&seen, "a"), seen.saves), ((2, "2026-03-05T00:00:00.000Z".into()), saves + 1));
    let unchanged = ask(&mut seen, ann(), vec![put("off", SOON)]);
    assert_eq!(unchanged, [Verdict::Unchanged { creation: 1, revision: 2 }]);
    seen.restart();
    assert_eq!(next(&seen, "a"), (2, "2026-03-05T00:00:00.000Z".into()));
    assert_eq!(seen.engine.created_calendar("off").unwrap().revision, 2);
    let kinds: Vec<_> = seen.changes.iter().map(|one| (one.what, &*one.name, &*one.by)).collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::CalendarCreated, "off", "ann"),
            (ChangeKind::Created, "a", "bob"),
            (ChangeKind::CalendarChanged, "off", "ann"),
            (ChangeKind::ReadAnew, "a", crate::THE_CLOCK),
        ]
    );
    let entry = ChangeEntry::from(&seen.changes[2]);
    let (before, after) = (entry.before.unwrap(), entry.after.unwrap());
    assert_eq!((before.revision, after.revision), (1, 2));
    assert_eq!(after.definition, format!("{{\"form\":\"toml\",\"bytes\":{}}}", SOON.len()));
    assert!(before.payload != after.payload && after.payload.is_some());
}

#[test]
fn one_that_is_used_can_not_go_and_one_that_is_not_can() {
    let mut seen = seen(100);
    ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        let daily = daily(&seen, name, "off");
        ask(&mut seen, ann(), vec![daily]);
    }
    let in_use = Refusal::InUse { first: ["a", "b", "c", "d", "e"].map(Into::into).into(), count: 7 };
    assert_eq!(refused(&ask(&mut seen, ann(), vec![delete("off")])), &in_use);
    seen.restart();
    assert_eq!(refused(&ask(&mut seen, ann(), vec![delete("off")])), &in_use);
    // As another one, which does not name it any more.
    let other =
        ScheduleChange::Put { definition: Packed::build(&every("a", "1 day")).unwrap(), expect: Expect::Any };
    ask(&mut seen, ann(), vec![other]);
    for name in ["b", "c", "d", "e", "f", "g"] {
        seen.step(Input::delete(2, name));
    }
    let gone = ask(&mut seen, ann(), vec![delete("off")]);
    assert!(matches!(gone[..], [Verdict::Deleted { creation: 1, revision: 1, .. }]), "{gone:?}");
    assert_eq!(ask(&mut seen, ann(), vec![delete("off")]), [Verdict::GoneAlready]);
    seen.restart();
    assert!(seen.engine.created_calendar("off").is_none());
    read(&mut seen, Calendars::default());
    let again = ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    assert!(matches!(again[..], [Verdict::Created { creation: 9, revision: 1, .. }]), "{again:?}");
}

#[test]
fn a_schedule_that_names_a_calendar_which_went_since_it_was_read_is_refused() {
    let mut seen = seen(100);
    ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    let daily = daily(&seen, "a", "off");
    ask(&mut seen, ann(), vec![delete("off")]);
    let expected = Refusal::NoSuchCalendar { name: "off".into() };
    assert_eq!(refused(&ask(&mut seen, ann(), vec![daily])), &expected);
}

#[test]
fn a_calendar_is_its_owners_and_a_revision_may_be_expected() {
    let mut seen = seen(100);
    ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    let not_his = Refusal::NotOwner { owner: "ann".into() };
    assert_eq!(refused(&ask(&mut seen, bob(), vec![put("off", SOON)])), &not_his);
    assert_eq!(refused(&ask(&mut seen, bob(), vec![delete("off")])), &not_his);
    let stale = |revision| Refusal::Stale { revision };
    let revision = |creation, number| Expect::Revision { creation, number };
    for (name, text, expect, expected) in [
        ("off", Some(SOON), Expect::Absent, Refusal::Exists { revision: 1 }),
        ("off", Some(SOON), revision(1, 2), stale(Some(1))),
        ("off", None, revision(2, 1), stale(Some(1))),
        ("other", Some(SOON), revision(1, 1), stale(None)),
        ("other", Some(SOON), Expect::Present, stale(None)),
        ("other", None, Expect::Present, stale(None)),
    ] {
        let change = expecting(name, text, expect);
        assert_eq!(refused(&ask(&mut seen, ann(), vec![change])), &expected);
    }
    let admin = Author::admin("ops", "a test");
    let changed = ask(&mut seen, admin, vec![expecting("off", Some(SOON), revision(1, 1))]);
    assert!(matches!(changed[..], [Verdict::Changed { creation: 1, revision: 2, .. }]), "{changed:?}");
    assert_eq!(seen.engine.created_calendar("off").unwrap().created.owner, "ann");
    let gone = ask(&mut seen, ann(), vec![expecting("off", None, Expect::Present)]);
    assert!(matches!(gone[..], [Verdict::Deleted { revision: 2, .. }]), "{gone:?}");
}

#[test]
fn a_name_of_the_files_can_not_be_created_and_one_that_was_is_not_taken_by_them() {
    let mut seen = seen(100);
    assert_eq!(refused(&ask(&mut seen, ann(), vec![put("frozen", SOON)])), &Refusal::FileOwned);
    assert_eq!(refused(&ask(&mut seen, ann(), vec![delete("frozen")])), &Refusal::FileOwned);
    ask(&mut seen, ann(), vec![put("off", SOON)]);
    let by_day = daily(&seen, "a", "off");
    ask(&mut seen, ann(), vec![by_day]);
    let mut files = Calendars::new(CalendarStore::default());
    let text = CalendarText { form: CalendarForm::Toml, text: NEW_YEAR.into() };
    files.insert("off", Some(text.read("off", &ZoneData::bundled()).unwrap().0));
    read(&mut seen, files);
    let taken = Notice::CalendarTaken { calendar: "off".into(), owner: "ann".into(), others: 0 };
    assert!(seen.notices.contains(&taken), "{:?}", seen.notices);
    assert_eq!(next(&seen, "a"), (1, "2026-03-05T00:00:00.000Z".into()));
    // Once it is gone, that of the files is there.
    seen.step(Input::delete(2, "a"));
    ask(&mut seen, ann(), vec![delete("off")]);
    assert!(seen.notices.contains(&Notice::CalendarFree { calendar: "off".into() }));
    let by_day = daily(&seen, "b", "off");
    ask(&mut seen, ann(), vec![by_day]);
    assert_eq!(next(&seen, "b"), (1, "2026-03-02T00:00:00.000Z".into()));
    assert_eq!(refused(&ask(&mut seen, ann(), vec![put("off", SOON)])), &Refusal::FileOwned);
}

#[test]
fn nothing_is_created_before_the_files_were_read_which_may_have_its_name() {
    let mut seen = Seen::of(100);
    seen.engine = Seen::without_files(100, false);
    assert_eq!(ask(&mut seen, ann(), vec![put("off", SOON)]), []);
    assert_eq!(seen.unread, [1]);
    assert_eq!(ask(&mut seen, ann(), vec![delete("off")]), [Verdict::GoneAlready]);
}

#[test]
fn nobody_has_more_of_them_or_more_bytes_than_he_leaves_to_all_others() {
    let mut seen = seen(100);
    let names: Vec<String> = (0..MOST).map(|number| format!("c{number}")).collect();
    let verdicts: Vec<_> =
        names.iter().flat_map(|name| ask(&mut seen, ann(), vec![put(name, NEW_YEAR)])).collect();
    let created = |verdicts: &[Verdict]| verdicts.iter().filter(|one| one.is_change()).count();
    assert_eq!(created(&verdicts), MOST / 2);
    let full = Verdict::Refused(Refusal::TooManyCalendars { most: MOST });
    assert_eq!(verdicts.last(), Some(&full));
    assert_eq!(created(&ask(&mut seen, bob(), vec![put("d", NEW_YEAR)])), 1, "there is room for others");
    let long = format!("{NEW_YEAR} # {}", "x".repeat(MOST_BYTES / 2));
    let too_long = Refusal::TooManyCalendarBytes { most: MOST_BYTES };
    assert_eq!(refused(&ask(&mut seen, ann(), vec![put("c0", &long)])), &too_long);
    // As long as it would be if it took as much room as it takes time to be read.
    let rule = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20260101\r\nRRULE:FREQ=DAILY;COUNT=999\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let text = CalendarText { form: CalendarForm::Ics, text: rule.into() };
    let (calendar, _) = text.read("c0", &ZoneData::bundled()).unwrap();
    assert!(calendar.periods() == 0 && rule.len() < MOST_BYTES / 4);
    let wanted = Some(Box::new(WantedCalendar { text, calendar }));
    let many_steps = ScheduleChange::Calendar { name: "c0".into(), wanted, expect: Expect::Any };
    assert_eq!(refused(&ask(&mut seen, ann(), vec![many_steps])), &too_long);
    // What takes no more than before is taken.
    assert_eq!(created(&ask(&mut seen, ann(), vec![put("c0", "yearly = [\"05-01\"]")])), 1);
    assert_eq!(created(&ask(&mut seen, ann(), vec![delete("c1"), delete("c2")])), 2);
    assert_eq!(created(&ask(&mut seen, ann(), vec![put("e", NEW_YEAR)])), 1);
}

#[test]
fn a_message_that_comes_again_undoes_nothing_newer() {
    let mut seen = seen(100);
    let message = |id: &str| Some(Message { id: id.into(), digest: [id.len() as u8; 32] });
    let mut send = |id: &str, change| {
        let changes = vec![change];
        let request = ChangeRequest { command: 7, by: ann(), message: message(id), atomic: false, changes };
        let before = seen.decided.len();
        seen.step(Input::Change(Box::new(request)));
        seen.decided.drain(before..).flat_map(|(_, verdicts)| verdicts).collect::<Vec<_>>()
    };
    let first = send("m", put("off", NEW_YEAR));
    send("mm", put("off", SOON));
    assert_eq!(send("m", put("off", NEW_YEAR)), first);
    assert_eq!(&*seen.engine.created_calendar("off").unwrap().text.text, SOON);
}

#[test]
fn of_many_that_use_it_a_piece_changes_in_one_write() {
    let mut seen = seen(2);
    ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    for number in 0..7 {
        let daily = daily(&seen, &format!("s{number}"), "off");
        ask(&mut seen, ann(), vec![daily]);
    }
    let saves = seen.saves;
    ask(&mut seen, ann(), vec![put("off", SOON)]);
    assert_eq!(next(&seen, "s0").0, 2);
    seen.pass(MINUTE, 1_000);
    assert!(
        (0..7).all(|number| next(&seen, &format!("s{number}")) == (2, "2026-03-05T00:00:00.000Z".into()))
    );
    assert!(seen.saves - saves >= 4, "{} writes", seen.saves - saves);
}

#[test]
fn newer_zone_data_moves_a_time_of_a_calendar_to_another_day() {
    let mut seen = seen(100);
    let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Test/Zone:20260301T233000\r\n\
                DTEND;TZID=Test/Zone:20260301T234000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let text = CalendarText { form: CalendarForm::Ics, text: text.into() };
    let releases = [0, 1].map(super::super::zones::data);
    let [calendar, newer] = releases.map(|data| text.read("off", &data).unwrap().0);
    assert_ne!(calendar, newer);
    let wanted = Some(Box::new(WantedCalendar { text, calendar }));
    ask(&mut seen, ann(), vec![ScheduleChange::Calendar { name: "off".into(), wanted, expect: Expect::Any }]);
    let there = seen.engine.created_calendar("off").unwrap().clone();
    let anew = crate::CreatedCalendar { calendar: Some(newer.clone()), ..(*there).clone() };
    let of_before = crate::CreatedCalendar { revision: 2, ..anew.clone() };
    let mut read = |anew: crate::CreatedCalendar| {
        let anew = vec![anew.into()];
        seen.step(Input::Calendars(ReadCalendars { files: Calendars::default(), anew }));
        seen.engine.created_calendar("off").unwrap().calendar.clone()
    };
    assert_eq!(read(of_before), there.calendar, "what was read of another revision is not taken");
    assert_eq!(read(anew), Some(newer));
}
