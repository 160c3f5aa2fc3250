//! Calendars that leave no day of what names them, and have days again.

use super::*;

const DAY: i64 = 24 * 60 * MINUTE;
const SECOND_OF_MARCH: &str = "dates = [\"2026-03-02\"]";
const TENTH_OF_MARCH: &str = "dates = [\"2026-03-10\"]";
const NO_DAY: &str = "dates = []";
const PAST: &str = "dates = [\"2026-02-01\"]";

/// One that is due on the days of a calendar alone, and as its definition says otherwise.
fn only(seen: &Seen, name: &str, definition: Definition) -> ScheduleChange {
    let mut definition = Definition { name: name.into(), only: Some(vec!["on".into()]), ..definition };
    let named = seen.engine.calendars.named.as_ref().unwrap();
    named.pin(&mut definition).unwrap();
    let definition = Packed::build_with(&definition, named.store()).unwrap();
    ScheduleChange::Put { definition, expect: Expect::Any }
}

/// With a calendar that has the second of March, and schedules by it.
fn with_users(names: &[&str]) -> Seen {
    let mut seen = seen(100);
    ask(&mut seen, ann(), vec![put("on", SECOND_OF_MARCH)]);
    for name in names {
        let change = only(&seen, name, every(name, "1 day"));
        ask(&mut seen, bob(), vec![change]);
    }
    seen.step(Input::Link(true));
    seen
}

fn is_due(seen: &Seen, name: &str) -> Option<String> {
    seen.engine.running(name).unwrap().next.map(|next| next.to_string())
}

#[test]
fn one_by_which_nothing_would_be_due_any_more_is_refused_and_changes_nothing() {
    for text in [NO_DAY, PAST] {
        let mut seen = with_users(&["a", "b"]);
        let saves = seen.saves;
        let refused_by = Refusal::LeavesNothingDue { some: vec!["a".into(), "b".into()] };
        assert_eq!(refused(&ask(&mut seen, ann(), vec![put("on", text)])), &refused_by);
        assert_eq!(&*seen.engine.created_calendar("on").unwrap().text.text, SECOND_OF_MARCH);
        assert_eq!(next(&seen, "a"), (1, "2026-03-02T00:00:00.000Z".into()));
        assert_eq!(seen.saves, saves);
        // Once nothing is due of them anyway, it may be.
        seen.pass(2 * DAY, DAY);
        let changed = ask(&mut seen, ann(), vec![put("on", text)]);
        assert!(matches!(changed[..], [Verdict::Changed { .. }]), "{changed:?}");
    }
}

#[test]
fn days_that_are_all_left_out_are_refused_as_well() {
    let mut seen = seen(100);
    ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    let until = Some("2026-03-20T00:00:00Z".to_owned());
    let mut definition = Definition { exclude: Some(vec!["off".into()]), until, ..every("a", "1 day") };
    let named = seen.engine.calendars.named.as_ref().unwrap();
    named.pin(&mut definition).unwrap();
    let definition = Packed::build_with(&definition, named.store()).unwrap();
    ask(&mut seen, bob(), vec![ScheduleChange::Put { definition, expect: Expect::Any }]);
    let all = put("off", "dates = [\"2026-03-01/2026-03-31\"]");
    let expected = Refusal::LeavesNothingDue { some: vec!["a".into()] };
    assert_eq!(refused(&ask(&mut seen, ann(), vec![all])), &expected);
}

/// As where more schedules use it than are looked at before it is accepted.
#[test]
fn nothing_is_sent_on_a_day_that_the_calendar_has_no_more_and_what_has_days_again_goes_on() {
    for text in [NO_DAY, PAST] {
        let limited = Definition { limit: Some(7), ..every("z", "1 day") };
        let mut seen = with_users(&["a", "b", "c", "d"]);
        let change = only(&seen, "z", limited);
        ask(&mut seen, bob(), vec![change]);
        // The first, as many as are looked at, are due all the same.
        for name in ["a", "b", "c", "d"] {
            let daily = daily(&seen, name, "on");
            ask(&mut seen, bob(), vec![daily]);
        }
        let changed = ask(&mut seen, ann(), vec![put("on", text)]);
        assert!(matches!(changed[..], [Verdict::Changed { .. }]), "{changed:?}");
        let told = Notice::OutOfDays { schedule: "z".into(), others: 0 };
        assert!(seen.notices.contains(&told), "{:?}", seen.notices);
        let status = seen.engine.running("z").unwrap();
        assert!(status.next.is_none() && !status.finished, "{status:?}");
        seen.restart();
        read(&mut seen, Calendars::default());
        seen.step(Input::Link(true));
        seen.pass(4 * DAY, DAY / 2);
        assert_eq!((seen.sent.get("z"), is_due(&seen, "z")), (None, None));
        assert!(seen.sent["a"] >= 3);
        ask(&mut seen, ann(), vec![put("on", TENTH_OF_MARCH)]);
        assert_eq!(is_due(&seen, "z"), Some("2026-03-10T00:00:00.000Z".into()));
        seen.pass(8 * DAY, DAY / 2);
        assert_eq!(seen.sent.get("z"), Some(&1));
    }
}

#[test]
fn what_is_due_only_on_the_days_of_a_calendar_that_ran_out_stays_and_goes_on_when_there_are_more() {
    let mut seen = with_users(&["a"]);
    let until = Some("2026-03-03T00:00:00Z".to_owned());
    let ends = only(&seen, "ends", Definition { until, ..every("ends", "1 day") });
    let often = only(&seen, "often", Definition { limit: Some(2), ..every("often", "1h") });
    ask(&mut seen, bob(), vec![ends, often]);
    seen.pass(2 * DAY - 60 * MINUTE, 60 * MINUTE);
    assert_eq!(
        seen.sent.iter().map(|(name, sent)| (&**name, *sent)).collect::<Vec<_>>(),
        [("a", 1), ("ends", 1), ("often", 2)]
    );
    let is_finished = |seen: &Seen, name: &str| seen.engine.running(name).map(|status| status.finished);
    let all = ["a", "ends", "often"];
    assert_eq!(all.map(|name| is_finished(&seen, name)), [Some(false), Some(true), Some(true)]);
    let told = Notice::OutOfDays { schedule: "a".into(), others: 0 };
    assert!(seen.notices.contains(&told), "{:?}", seen.notices);
    seen.pass(3 * DAY, 60 * MINUTE);
    assert_eq!(all.map(|name| is_finished(&seen, name)), [Some(false), None, None], "those have finished");
    seen.restart();
    read(&mut seen, Calendars::default());
    seen.step(Input::Link(true));
    seen.pass(2 * DAY, 60 * MINUTE);
    ask(&mut seen, ann(), vec![put("on", TENTH_OF_MARCH)]);
    assert_eq!(is_due(&seen, "a"), Some("2026-03-10T00:00:00.000Z".into()));
    seen.pass(4 * DAY, 60 * MINUTE);
    assert_eq!(seen.sent["a"], 2);
}

#[test]
fn what_is_due_once_on_a_day_that_is_none_any_more_is_not_sent() {
    let mut seen = with_users(&["a", "b", "c", "d"]);
    let at = Some("2026-03-02T09:00:00Z".to_owned());
    let once = only(&seen, "z", Definition { every: None, at, ..every("z", "1 day") });
    ask(&mut seen, bob(), vec![once]);
    let refused_by = Refusal::LeavesNothingDue { some: vec!["z".into()] };
    for name in ["a", "b", "c", "d"] {
        seen.step(Input::delete(9, name));
    }
    assert_eq!(refused(&ask(&mut seen, ann(), vec![put("on", TENTH_OF_MARCH)])), &refused_by);
    assert_eq!(is_due(&seen, "z"), Some("2026-03-02T09:00:00.000Z".into()));
}

/// Each in a zone of its own: so each costs as much as the calendar has periods.
#[test]
fn no_step_reads_the_days_of_many_zones() {
    let mut seen = seen(100);
    let mut text = String::from("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n");
    for day in 1..=2 {
        let event = "BEGIN:VEVENT\r\nUID:U\r\nDTSTART:2027010DT000000Z\r\nRRULE:FREQ=MINUTELY;INTERVAL=2;COUNT=10\r\nDURATION:PT1S\r\nEND:VEVENT\r\n";
        text.push_str(&event.replace("0D", &format!("0{day}")).replace("UID:U", &format!("UID:{day}")));
    }
    text.push_str("END:VCALENDAR\r\n");
    let text = CalendarText { form: CalendarForm::Ics, text: text.into() };
    let (calendar, _) = text.read("off", &ZoneData::bundled()).unwrap();
    assert_eq!(calendar.periods(), 20);
    ask(&mut seen, ann(), vec![put("off", NEW_YEAR)]);
    let zones = [
        "Europe/Paris",
        "Europe/Berlin",
        "Europe/Rome",
        "Europe/Madrid",
        "Europe/Vienna",
        "Europe/Oslo",
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "Asia/Tokyo",
        "Asia/Seoul",
        "Asia/Kolkata",
    ];
    for zone in zones {
        let name = zone.to_ascii_lowercase().replace(['/', '_'], "-");
        let time_zone = Some(zone.to_owned());
        let mut definition =
            Definition { exclude: Some(vec!["off".into()]), time_zone, ..every(&name, "1 day") };
        let named = seen.engine.calendars.named.as_ref().unwrap();
        named.pin(&mut definition).unwrap();
        let definition = Packed::build_with(&definition, named.store()).unwrap();
        ask(&mut seen, bob(), vec![ScheduleChange::Put { definition, expect: Expect::Any }]);
    }
    let wanted = Some(Box::new(WantedCalendar { text, calendar }));
    let change = ScheduleChange::Calendar { name: "off".into(), wanted, expect: Expect::Any };
    let request =
        ChangeRequest { command: 7, by: ann(), message: None, atomic: false, changes: vec![change] };
    let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: 0 };
    let effort = |seen: &Seen| seen.engine.calendars.named.as_ref().unwrap().effort();
    let mut inputs = vec![Input::Change(Box::new(request))];
    let mut steps = Vec::new();
    while let Some(input) = inputs.pop() {
        let before = effort(&seen);
        for action in seen.engine.step(reading, input) {
            if let Action::Save { ticket, .. } = action {
                inputs.push(Input::Saved(ticket));
            }
        }
        steps.push(effort(&seen) - before);
    }
    let most = crate::calendar_users::EFFORT + 1_020;
    // What is judged before it is accepted comes on top.
    assert!(steps.iter().all(|made| *made <= 2 * most) && steps.len() > 2, "{steps:?}");
    assert_eq!(seen.engine.calendars.anew.len(), 0);
    assert!(zones.iter().all(|zone| {
        let name = zone.to_ascii_lowercase().replace(['/', '_'], "-");
        seen.engine.running(&name).unwrap().revision.number == 2
    }));
}
