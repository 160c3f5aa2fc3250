use crate::{calendar, diagnostic::Text, months::day_number};

/// A calendar of one event with these lines.
fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
        .replace("\r\n\r\n", "\r\n")
}

/// The days of the text between two years, as `2026-12-25`.
fn days(text: &str, years: std::ops::Range<i32>) -> Vec<String> {
    let days = calendar::parse(&Text::new("c.ics", text), true).unwrap();
    let dates = years.flat_map(|y| (1..=12).flat_map(move |m| (1..=31).map(move |d| (y, m, d))));
    dates
        .filter(|&(y, m, d)| day_number(y, m, d).is_some_and(|day| days.contains(day)))
        .map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"))
        .collect()
}

fn faults(text: &str) -> Vec<String> {
    let faults = calendar::parse(&Text::new("c.ics", text), true).unwrap_err();
    faults.list().iter().map(ToString::to_string).collect()
}

#[test]
fn an_event_covers_the_local_dates_from_its_start_to_before_its_end() {
    for (lines, expected) in [
        ("DTSTART;VALUE=DATE:20261225", vec!["2026-12-25"]),
        ("DTSTART:20261225", vec!["2026-12-25"]),
        (
            "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227",
            vec!["2026-12-24", "2026-12-25", "2026-12-26"],
        ),
        ("DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261225", vec!["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261231\r\nDURATION:P2D", vec!["2026-12-31"]),
        // A timed one that ends at midnight does not touch the next day; one that ends a second later does.
        (
            "DTSTART;TZID=Europe/Paris:20261224T200000\r\nDTEND;TZID=Europe/Paris:20261225T000000",
            vec!["2026-12-24"],
        ),
        ("DTSTART:20261224T200000\r\nDTEND:20261225T000001", vec!["2026-12-24", "2026-12-25"]),
        ("DTSTART:20261224T230000\r\nDURATION:PT2H", vec!["2026-12-24", "2026-12-25"]),
        ("DTSTART:20261224T230000", vec!["2026-12-24"]),
        ("DTSTART;VALUE=DATE:20261225\r\nSTATUS:CANCELLED", vec![]),
        (
            "DTSTART;VALUE=DATE:20261225\r\nSTATUS:CONFIRMED\r\nTRANSP:TRANSPARENT\r\nX-A;B=\"c:d\":e",
            vec!["2026-12-25"],
        ),
        (
            "DTSTART;VALUE=DATE:20261225\r\nRDATE;VALUE=DATE:20260101,20260106",
            vec!["2026-01-01", "2026-01-06", "2026-12-25"],
        ),
    ] {
        assert_eq!(days(&event(lines), 2026..2027), expected, "{lines}");
    }
}

#[test]
fn times_in_utc_are_read_in_the_zone_of_the_calendar() {
    let text = event("DTSTART:20261224T233000Z").replace("VERSION:2.0", "X-WR-TIMEZONE:Europe/Paris");
    assert_eq!(days(&text, 2026..2027), ["2026-12-25"]);
    let unzoned = faults(&event("DTSTART:20261224T233000Z"));
    assert!(unzoned[0].starts_with("c.ics:5:9: DTSTART: '20261224T233000Z' is a time in UTC"), "{unzoned:?}");
}

#[test]
fn rules_give_the_days_that_the_calendar_on_the_wall_shows() {
    for (start, rule, expected) in [
        ("19701225", "FREQ=YEARLY", vec!["2026-12-25", "2027-12-25"]),
        // A clock's years begin in 1970; a calendar's may begin earlier.
        ("16011225", "FREQ=YEARLY;COUNT=426", vec!["2026-12-25"]),
        ("20251225", "FREQ=YEARLY;COUNT=2", vec!["2026-12-25"]),
        ("20251225", "FREQ=YEARLY;UNTIL=20261225", vec!["2026-12-25"]),
        ("20251225", "FREQ=YEARLY;UNTIL=20261224T235959Z", vec![]),
        ("20251225", "FREQ=YEARLY;INTERVAL=2", vec!["2027-12-25"]),
        ("20240229", "FREQ=YEARLY", vec![]),
        // Thanksgiving, Memorial Day, and US elections.
        ("20251127", "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", vec!["2026-11-26", "2027-11-25"]),
        ("20250526", "FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO", vec!["2026-05-25", "2027-05-31"]),
        (
            "20241105",
            "FREQ=YEARLY;INTERVAL=2;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            vec!["2026-11-03"],
        ),
        ("20260102", "FREQ=YEARLY;BYDAY=1FR", vec!["2026-01-02", "2027-01-01"]),
        ("20260131", "FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", vec!["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("20260131", "FREQ=MONTHLY;COUNT=3", vec!["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("20260109", "FREQ=MONTHLY;BYDAY=2FR;COUNT=2", vec!["2026-01-09", "2026-02-13"]),
        (
            "20260105",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;COUNT=4",
            vec!["2026-01-05", "2026-01-11", "2026-01-19", "2026-01-25"],
        ),
        (
            "20260105",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU;COUNT=3",
            vec!["2026-01-05", "2026-01-18", "2026-01-19"],
        ),
        ("20260101", "FREQ=DAILY;INTERVAL=10;COUNT=3", vec!["2026-01-01", "2026-01-11", "2026-01-21"]),
    ] {
        let text = event(&format!("DTSTART;VALUE=DATE:{start}\r\nRRULE:{rule}"));
        assert_eq!(days(&text, 2026..2028), expected, "{start} {rule}");
    }
    let text = event("DTSTART;VALUE=DATE:20250101\r\nRRULE:FREQ=YEARLY\r\nEXDATE;VALUE=DATE:20260101");
    assert_eq!(days(&text, 2025..2028), ["2025-01-01", "2027-01-01"]);
}

#[test]
fn what_is_not_understood_is_refused_at_its_place() {
    for (lines, expected) in [
        ("DTSTART;VALUE=DATE:20260229", "c.ics:5:20: DTSTART: '20260229' is not an iCalendar date or time"),
        ("SUMMARY:x", "c.ics:3:7: this event has no DTSTART"),
        ("DTSTART:20260101\r\nDTSTART:20260102", "c.ics:6:1: DTSTART is given twice"),
        ("DTSTART:20260102\r\nDTEND:20260101", "c.ics:3:7: the event ends before it starts"),
        (
            "DTSTART:20260102\r\nDTEND:20260103T000000",
            "c.ics:3:7: DTSTART is a date and DTEND or RDATE has a time, or the other way round",
        ),
        (
            "DTSTART:20260102\r\nDURATION:PT5H",
            "c.ics:3:7: DURATION has a unit that does not fit DTSTART: days, or hours for a time",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYSETPOS=1",
            "c.ics:6:19: RRULE: 'BYSETPOS' in a recurrence rule is not understood",
        ),
        ("DTSTART:20260102\r\nRRULE:FREQ=HOURLY", "c.ics:6:7: RRULE: FREQ: 'HOURLY' is not understood"),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=6XX",
            "c.ics:6:29: RRULE: BYDAY: '6XX' is not understood",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYMONTH=2",
            "c.ics:3:7: DTSTART is not one of the days of its own RRULE",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;COUNT=1;UNTIL=2027",
            "c.ics:6:7: RRULE: COUNT and UNTIL are both given",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;UNTIL=tomorrow",
            "c.ics:6:25: 'tomorrow' is not an iCalendar date or time",
        ),
        (
            "DTSTART:20260102\r\nRECURRENCE-ID:20260102",
            "c.ics:6:1: 'RECURRENCE-ID' is not understood in an event, and might change its days",
        ),
        (
            "DTSTART:20260102\r\nRDATE;VALUE=PERIOD:20260101T000000/P1D",
            "c.ics:6:20: RDATE: '20260101T000000/P1D' is not an iCalendar date or time",
        ),
        ("DTSTART:20260102\r\nBEGIN:VODD\r\nEND:VODD", "c.ics:6:7: 'VODD' is not understood in an event"),
        (
            "DTSTART:20260102\r\nno colon here",
            "c.ics:6:1: this is not a line of iCalendar; each line is NAME:VALUE",
        ),
        ("DTSTART;20260102", "c.ics:5:1: this is not a line of iCalendar"),
        ("BEGIN:VALARM\r\nEND:VEVENT", "c.ics:6:1: END:VEVENT found where END:VALARM is expected"),
    ] {
        let found = faults(&event(lines));
        assert!(found[0].starts_with(expected), "{lines}: {found:#?}");
    }
    let todo = "BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VTODO\nMETHOD:CANCEL\nEND:VCALENDAR\n";
    assert_eq!(
        faults(todo),
        [
            "c.ics:2:7: 'VTODO' is not supported: only events (VEVENT) define days; remove it from this calendar",
            "c.ics:4:1: 'METHOD:CANCEL' is not understood in a calendar",
        ]
    );
    assert!(faults("")[0].starts_with("c.ics:1:1: "));
    assert!(
        faults("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\nEND:VCALENDAR\n")[0]
            .starts_with("c.ics:4:1: END:VCALENDAR found")
    );
    // Deep nesting is refused, not a stack overflow.
    assert!(faults(&"BEGIN:A\n".repeat(100_000))[0].contains("deeper"));
}

#[test]
fn folded_lines_are_joined_and_their_faults_are_found_where_they_stand() {
    let text = event("SUMMARY:a very\r\n  long one\r\nDTSTART;VALUE=\r\n DATE:2026\r\n 1225");
    assert_eq!(days(&text, 2026..2027), ["2026-12-25"]);
    let odd = event("SUMMARY:a very\r\n  long one\r\nDTSTART:20261225\r\nRRULE:FREQ=YEARLY;\r\n BYEASTER=1");
    assert!(faults(&odd)[0].starts_with("c.ics:9:2: RRULE: 'BYEASTER'"), "{:?}", faults(&odd));
    let unix = event("DTSTART:20261225").replace("\r\n", "\n");
    assert_eq!(days(&format!("\u{feff}{unix}"), 2026..2027), ["2026-12-25"]);
}

#[test]
fn a_large_calendar_is_read_in_no_time_and_a_huge_one_is_refused() {
    let one = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nSUMMARY:a day off\r\nEND:VEVENT\r\n";
    let text = format!("BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n", one.repeat(20_000));
    assert_eq!(days(&text, 2026..2027), ["2026-12-25"]);
    let daily = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:16010101\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n";
    let text = format!("BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n", daily.repeat(30));
    assert!(faults(&text)[0].contains("more days than any calendar has"));
}
