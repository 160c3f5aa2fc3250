use crate::{Zone, calendar, diagnostic::Text, months::day_number};
use std::ops::Range;

mod refused;
mod rules;
mod series;
mod zones;

/// A calendar of one event with these lines.
fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
        .replace("\r\n\r\n", "\r\n")
}

/// The days of the text between two years, as `2026-12-25`, on the wall of a zone.
fn days_in(zone: &str, text: &str, years: Range<i32>) -> Vec<String> {
    let (calendar, _) =
        calendar::parse(&Text::new("c.ics", text), true).unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    let days = calendar.days_in(&Zone::parse(zone).unwrap());
    let dates = years.flat_map(|y| (1..=12).flat_map(move |m| (1..=31).map(move |d| (y, m, d))));
    dates
        .filter(|&(y, m, d)| day_number(y, m, d).is_some_and(|day| days.contains(day)))
        .map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"))
        .collect()
}

fn days(text: &str, years: Range<i32>) -> Vec<String> {
    days_in("UTC", text, years)
}

fn faults(text: &str) -> Vec<String> {
    let faults = calendar::parse(&Text::new("c.ics", text), true).unwrap_err();
    faults.list().iter().map(ToString::to_string).collect()
}

/// What is warned of.
fn remarks(text: &str) -> String {
    calendar::parse(&Text::new("c.ics", text), true).unwrap().1.to_string()
}

#[test]
fn an_event_covers_the_local_dates_from_its_start_to_before_its_end() {
    for (lines, expected) in [
        ("DTSTART;VALUE=DATE:20261225", vec!["2026-12-25"]),
        ("DTSTART:20261225", vec!["2026-12-25"]),
        ("dtstart;value=date:20261225", vec!["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261225T000000", vec!["2026-12-25"]),
        (
            "DTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20261227",
            vec!["2026-12-24", "2026-12-25", "2026-12-26"],
        ),
        ("DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261225", vec!["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261231\r\nDURATION:P2D", vec!["2026-12-31"]),
        // A part of a day is that day.
        ("DTSTART;VALUE=DATE:20261225\r\nDURATION:PT5H", vec!["2026-12-25"]),
        ("DTSTART;VALUE=DATE:20261225\r\nDURATION:P1DT12H", vec!["2026-12-25", "2026-12-26"]),
        ("DTSTART;VALUE=DATE:20261225\r\nDURATION:PT0S", vec!["2026-12-25"]),
        (
            "DTSTART:20261221T090000\r\nDURATION:P1W",
            (21..=28).map(|day| &*format!("2026-12-{day}").leak()).collect(),
        ),
        // The end of another kind than the start.
        ("DTSTART;VALUE=DATE:20261225\r\nDTEND:20261226T000000", vec!["2026-12-25"]),
        ("DTSTART:20261225T200000\r\nDTEND;VALUE=DATE:20261226", vec!["2026-12-25"]),
        // One that ends at midnight does not touch the next day; one that ends a second later does.
        ("DTSTART:20261224T200000\r\nDTEND:20261225T000000", vec!["2026-12-24"]),
        ("DTSTART:20261224T200000\r\nDTEND:20261225T000001", vec!["2026-12-24", "2026-12-25"]),
        ("DTSTART:20261224T200000\r\nDTEND:20261224T240000", vec!["2026-12-24"]),
        ("DTSTART:20261224T2300\r\nDURATION:PT2H", vec!["2026-12-24", "2026-12-25"]),
        ("DTSTART:20261224T230000", vec!["2026-12-24"]),
        ("DTSTART:20261224T235960", vec!["2026-12-24"]),
        ("DTSTART;VALUE=DATE:20261225\r\nSTATUS:CANCELLED", vec![]),
        // Whose words say nothing about days.
        (
            "DTSTART;VALUE=DATE:20261225\r\nSTATUS:CONFIRMED\r\nTRANSP:TRANSPARENT\r\nX-A;B=\"c:d\":e",
            vec!["2026-12-25"],
        ),
        (
            "DTSTART;VALUE=DATE:20261225\r\nCONFERENCE;VALUE=URI:https://example.org\r\nREQUEST-STATUS:2.0;Success\r\n\
             STYLED-DESCRIPTION;VALUE=TEXT:<p>\r\nLINK;REL=x:y\r\nBUSYTYPE:BUSY\r\nNO-SUCH-PROPERTY:1",
            vec!["2026-12-25"],
        ),
        (
            "DTSTART;VALUE=DATE:20261225\r\nBEGIN:VALARM\r\nTRIGGER:-PT15M\r\nDURATION:PT5H\r\nEND:VALARM\r\n\
             BEGIN:PARTICIPANT\r\nBEGIN:VLOCATION\r\nUID:2\r\nEND:VLOCATION\r\nEND:PARTICIPANT",
            vec!["2026-12-25"],
        ),
        // A text that was cut into lines, as some programs write it.
        (
            "DTSTART;VALUE=DATE:20261225\r\nDESCRIPTION:one\r\ntwo\r\n\r\nthree, four\r\nSUMMARY:five",
            vec!["2026-12-25"],
        ),
        // Slips in what is not about days, and what some libraries write where there is nothing.
        ("DTSTART;VALUE=DATE:20261225\r\nX-APPLE-RADIUS=49.9\r\nSUMMARY=a day off", vec!["2026-12-25"]),
        (
            "DTSTART;VALUE=DATE:20261225\r\nDTSTART;VALUE=DATE:20261225\r\nDURATION:PT0S\r\nDTEND:20261226",
            vec!["2026-12-25"],
        ),
        ("DTSTART:20261224\r\nRRULE:FREQ=DAILY;UNTIL=20261225;COUNT=-1", vec!["2026-12-24", "2026-12-25"]),
        // From long ago to the end of time.
        ("DTSTART;VALUE=DATE:00010101\r\nDTEND;VALUE=DATE:20260102", vec!["2026-01-01"]),
        ("DTSTART;VALUE=DATE:20261231\r\nDTEND;VALUE=DATE:99991231", vec!["2026-12-31"]),
        ("DTSTART;VALUE=DATE:99980101", vec![]),
    ] {
        assert_eq!(days(&event(lines), 2026..2027), expected, "{lines}");
    }
}

#[test]
fn rules_give_the_days_that_the_calendar_on_the_wall_shows() {
    for (start, rule, expected) in [
        ("19701225", "FREQ=YEARLY", vec!["2026-12-25", "2027-12-25"]),
        // A clock's years begin in 1970; a calendar's may begin earlier.
        ("16011225", "FREQ=YEARLY;COUNT=426", vec!["2026-12-25"]),
        ("20251225", "FREQ=YEARLY;UNTIL=20261225", vec!["2026-12-25"]),
        ("20251225", "FREQ=YEARLY;UNTIL=20261224T235959Z", vec![]),
        ("20240229", "FREQ=YEARLY", vec![]),
        // Thanksgiving, Memorial Day, and US elections.
        ("20251127", "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", vec!["2026-11-26", "2027-11-25"]),
        ("20250526", "FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO", vec!["2026-05-25", "2027-05-31"]),
        (
            "20241105",
            "FREQ=YEARLY;INTERVAL=2;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            vec!["2026-11-03"],
        ),
    ] {
        let text = event(&format!("DTSTART;VALUE=DATE:{start}\r\nRRULE:{rule}"));
        assert_eq!(days(&text, 2026..2028), expected, "{start} {rule}");
    }
    // Each occurrence has the event's length.
    let text =
        event("DTSTART;VALUE=DATE:20260102\r\nDTEND;VALUE=DATE:20260105\r\nRRULE:FREQ=MONTHLY;COUNT=2");
    let right = ["2026-01-02", "2026-01-03", "2026-01-04", "2026-02-02", "2026-02-03", "2026-02-04"];
    assert_eq!(days(&text, 2026..2027), right);
}

#[test]
fn folded_lines_are_joined_and_their_faults_are_found_where_they_stand() {
    let text = event("SUMMARY:a very\r\n  long one\r\nDTSTART;VALUE=\r\n DATE:2026\r\n 1225");
    assert_eq!(days(&text, 2026..2027), ["2026-12-25"]);
    let odd = event("SUMMARY:a very\r\n  long one\r\nDTSTART:20261225\r\nRRULE:FREQ=YEARLY;\r\n BYEASTER=1");
    assert!(faults(&odd)[0].starts_with("c.ics:9:2: RRULE: 'BYEASTER'"), "{:?}", faults(&odd));
    let unix = event("DTSTART:20261225").replace("\r\n", "\n");
    assert_eq!(days(&format!("\u{feff}{unix}"), 2026..2027), ["2026-12-25"]);
    assert_eq!(days(&format!("{unix}\u{feff}{unix}\n\nX-CACHED:today\n"), 2026..2027), ["2026-12-25"]);
    let empty = event("SUMMARY\r\n :x\r\nDTSTART:2026\r\n 1225").replace("\r\n", "\n\n");
    assert_eq!(days(&empty, 2026..2027), ["2026-12-25"]);
    let mac = calendar::ics::decoded(unix.replace('\n', "\r").into_bytes());
    assert_eq!(days(&mac, 2026..2027), ["2026-12-25"]);
    let odd = calendar::ics::decoded(event("DTSTART:soon").replace("\r\n", "\r").into_bytes());
    assert!(faults(&odd)[0].starts_with("c.ics:5:9: DTSTART"), "{:?}", faults(&odd));
}

#[test]
fn several_calendars_and_what_stands_beside_events_are_read_as_one() {
    let one = event("DTSTART;VALUE=DATE:20260105");
    let other = event("DTSTART;VALUE=DATE:20260107").replace("UID:1", "UID:2");
    assert_eq!(days(&format!("{one}{other}"), 2026..2027), ["2026-01-05", "2026-01-07"]);
    let beside = "BEGIN:VTODO\r\nDTSTART:20260301\r\nRRULE:what\r\nEND:VTODO\r\nBEGIN:VJOURNAL\r\nDTSTART:20260401\r\nEND:VJOURNAL\r\n\
                  BEGIN:VFREEBUSY\r\nFREEBUSY:20260501T000000Z/PT1H\r\nEND:VFREEBUSY\r\nBEGIN:X-ANY\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\n\
                  END:X-ANY\r\nTIMEZONE-ID:Europe/London\r\nX-WR-TIMEZONE:Nowhere\r\nMETHOD:PUBLISH\r\nEND:VCALENDAR";
    assert_eq!(days(&one.replace("END:VCALENDAR", beside), 2026..2027), ["2026-01-05"]);
    // Without a calendar around it, and without names and versions.
    assert_eq!(days("begin:vevent\ndtstart:20260105\nend:vevent\n", 2026..2027), ["2026-01-05"]);
    // Nothing in it: that is said.
    for empty in
        ["BEGIN:VCALENDAR\nEND:VCALENDAR\n", "BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR\n"]
    {
        assert_eq!(days(empty, 2026..2027), [""; 0]);
        assert!(remarks(empty).starts_with("c.ics:1:1: this calendar has no events"), "{}", remarks(empty));
    }
}

#[test]
fn a_large_calendar_is_read_in_no_time_and_a_huge_one_is_refused() {
    let one = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nSUMMARY:a day off\r\nEND:VEVENT\r\n";
    let text = format!("BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n", one.repeat(20_000));
    assert_eq!(days(&text, 2026..2027), ["2026-12-25"]);
    let attached =
        format!("DTSTART:20261225\r\nATTACH;ENCODING=BASE64;VALUE=BINARY:{}", "QUJD\r\n ".repeat(100_000));
    assert_eq!(days(&event(&attached), 2026..2027), ["2026-12-25"]);
    let daily = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:16010101\r\nRRULE:FREQ=DAILY\r\nEND:VEVENT\r\n";
    let text = format!("BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n", daily.repeat(50));
    assert!(faults(&text)[0].contains("more days than any calendar has"), "{:?}", faults(&text));
}
