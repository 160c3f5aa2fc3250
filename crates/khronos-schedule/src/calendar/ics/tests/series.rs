//! Versions of one event, and its occurrences that are cancelled or moved.

use super::{days, remarks};

/// A calendar of these events.
fn events(events: &[&str]) -> String {
    let each = |event: &&str| format!("BEGIN:VEVENT\n{event}\nEND:VEVENT\n");
    format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", events.iter().map(each).collect::<String>())
}

/// Mondays in January 2026: 5, 12, 19, 26.
const MONDAYS: &str =
    "UID:1\nDTSTAMP:20260101T000000Z\nDTSTART;VALUE=DATE:20260105\nRRULE:FREQ=WEEKLY;COUNT=4";
/// The same at nine in the morning.
const AT_NINE: &str = "UID:1\nDTSTART:20260105T090000\nDTEND:20260105T100000\nRRULE:FREQ=WEEKLY;COUNT=4";

#[test]
fn an_occurrence_that_is_cancelled_or_moved_is_not_on_its_day() {
    for (series, change, expected) in [
        (
            MONDAYS,
            "RECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260112\nSTATUS:CANCELLED",
            "05 19 26",
        ),
        // One that is cancelled needs no more than its moment.
        (MONDAYS, "RECURRENCE-ID:20260112\nSTATUS:cancelled\nDTSTART:\nRRULE:odd", "05 19 26"),
        (MONDAYS, "RECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113", "05 13 19 26"),
        (
            MONDAYS,
            "RECURRENCE-ID;VALUE=DATE:20260112\nDTSTART;VALUE=DATE:20260113\nDTEND;VALUE=DATE:20260115",
            "05 13 14 19 26",
        ),
        // Whole days that become a time, and a moment of another kind than the series.
        (MONDAYS, "RECURRENCE-ID:20260112T000000\nDTSTART:20260114T090000", "05 14 19 26"),
        (MONDAYS, "RECURRENCE-ID:20260112T000000Z\nSUMMARY:only another title", "05 12 19 26"),
        (
            AT_NINE,
            "RECURRENCE-ID:20260112T090000\nDTSTART:20260112T220000\nDTEND:20260113T010000",
            "05 12 13 19 26",
        ),
        (AT_NINE, "RECURRENCE-ID;VALUE=DATE:20260112\nSTATUS:CANCELLED", "05 19 26"),
        // What is no occurrence is one more day.
        (MONDAYS, "RECURRENCE-ID:20260114\nDTSTART:20260115", "05 12 15 19 26"),
        // This one and all that follow.
        (MONDAYS, "RECURRENCE-ID;RANGE=THISANDFUTURE:20260119\nSTATUS:CANCELLED", "05 12"),
        (
            MONDAYS,
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20260119\nDTSTART:20260120\nDURATION:P2D",
            "05 12 20 21 27 28",
        ),
        (
            AT_NINE,
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20260112T090000\nDTSTART:20260113T200000",
            "05 13 20 27",
        ),
        (
            MONDAYS,
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20260119\nDTSTART:20260121\nRRULE:FREQ=DAILY;COUNT=2",
            "05 12 21 22",
        ),
    ] {
        let change = format!("UID:1\nDTSTAMP:20260101T000000Z\nSEQUENCE:1\n{change}");
        let right: Vec<_> = expected.split(' ').map(|day| format!("2026-01-{day}")).collect();
        // In either order.
        assert_eq!(days(&events(&[series, &change]), 2026..2027), right, "{change}");
        assert_eq!(days(&events(&[&change, series]), 2026..2027), right, "{change}");
        // The series of another event is another matter.
        let other = change.replace("UID:1", "UID:2");
        assert!(days(&events(&[series, &other]), 2026..2027).len() >= 4, "{change}");
    }
    // One occurrence is one, also with the rules of its series copied to it; and goes where a later version leaves it out.
    let copied = "UID:1\nSEQUENCE:1\nRECURRENCE-ID:20260112\nDTSTART:20260113\nRRULE:FREQ=WEEKLY;COUNT=4";
    let right = ["2026-01-05", "2026-01-13", "2026-01-19", "2026-01-26"];
    assert_eq!(days(&events(&[MONDAYS, copied]), 2026..2027), right);
    let later = format!("{MONDAYS}\nSEQUENCE:2\nEXDATE;VALUE=DATE:20260112");
    assert_eq!(days(&events(&[&later, copied]), 2026..2027), ["2026-01-05", "2026-01-19", "2026-01-26"]);
    // A day left out by the series itself, and moved all the same.
    let both = [&format!("{MONDAYS}\nEXDATE:20260112"), "UID:1\nRECURRENCE-ID:20260112\nDTSTART:20260113"];
    assert_eq!(days(&events(&both), 2026..2027), ["2026-01-05", "2026-01-13", "2026-01-19", "2026-01-26"]);
    // One moved within what follows another, and one without its series.
    let all = [
        MONDAYS,
        "UID:1\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260112\nDTSTART:20260113",
        "UID:1\nRECURRENCE-ID:20260119\nDTSTART:20260122",
    ];
    assert_eq!(days(&events(&all), 2026..2027), ["2026-01-05", "2026-01-13", "2026-01-22", "2026-01-27"]);
    assert_eq!(days(&events(&all[2..]), 2026..2027), ["2026-01-22"]);
}

#[test]
fn of_several_versions_the_one_with_the_highest_sequence_counts() {
    let version = |day: u32, rest: &str| format!("UID:1\nDTSTART;VALUE=DATE:202601{day:02}\n{rest}");
    let counts = |versions: &[&str], right: &[&str]| {
        assert_eq!(days(&events(versions), 2026..2027), right, "{versions:?}");
        let turned: Vec<_> = versions.iter().rev().copied().collect();
        assert_eq!(days(&events(&turned), 2026..2027), right, "{turned:?}");
    };
    let (old, new) = (version(5, "SEQUENCE:0"), version(6, "SEQUENCE:1"));
    counts(&[&old, &new], &["2026-01-06"]);
    counts(&[&version(5, ""), &new, &version(7, "SEQUENCE:10\nSTATUS:CANCELLED")], &[]);
    // A change of an occurrence has versions as well, and goes with its series.
    let change = |day: u32, rest: &str| version(day, &format!("RECURRENCE-ID:20260112\n{rest}"));
    counts(
        &[MONDAYS, &change(13, "SEQUENCE:1"), &change(14, "SEQUENCE:2")],
        &["2026-01-05", "2026-01-14", "2026-01-19", "2026-01-26"],
    );
    counts(&[&format!("{MONDAYS}\nSEQUENCE:3\nSTATUS:CANCELLED"), &change(13, "SEQUENCE:1")], &[]);
    // Of one SEQUENCE, the one that was written last.
    let (old, new) = (version(5, "DTSTAMP:20260101T000000Z"), version(6, "DTSTAMP:20260102T000000Z"));
    counts(&[&old, &new], &["2026-01-06"]);
    assert!(remarks(&events(&[&old, &new])).starts_with("c.ics:2:7: UID: this event is left out"));
    // Where nothing says which is newer, both do; so do events without a UID.
    counts(&[&version(5, ""), &version(6, "")], &["2026-01-05", "2026-01-06"]);
    counts(&[&old, &old.replace("20260105", "20260107")], &["2026-01-05", "2026-01-07"]);
    counts(
        &["UID:\nDTSTART:20260105\nSEQUENCE:0", "DTSTART:20260106\nSEQUENCE:1"],
        &["2026-01-05", "2026-01-06"],
    );
    // A message that cancels, in the same file.
    let cancel = events(&[&version(5, "SEQUENCE:1")]).replace("BEGIN:VEVENT", "METHOD:CANCEL\nBEGIN:VEVENT");
    let both = format!("{}{cancel}", events(&[&version(5, ""), "UID:2\nDTSTART:20260107"]));
    assert_eq!(days(&both, 2026..2027), ["2026-01-07"]);
}

#[test]
fn many_changes_and_many_zones_are_no_search_without_end() {
    let change = |n: usize, rest: &str| {
        format!("UID:1\nRECURRENCE-ID{rest}:{:08}\nDTSTART:20260101", 20_260_101 + n % 28)
    };
    let mut all: Vec<String> = (0..20_000).map(|n| change(n, "")).collect();
    all.push(format!("{MONDAYS}\nSEQUENCE:1\nEXDATE:{}", "20260101,".repeat(20_000).trim_end_matches(',')));
    let texts: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
    let refused = super::faults(&events(&texts));
    assert!(
        refused[0].contains("RECURRENCE-ID: the occurrences of this event are changed too often"),
        "{refused:?}"
    );
    let zoned = |n: usize| format!("UID:{n}\nDTSTART;TZID=Zone {n}, Somewhere, Else:20260105T090000");
    let zones: String = (0..2_000).map(|n| format!("BEGIN:VTIMEZONE\nTZID:{n}\nEND:VTIMEZONE\n")).collect();
    let all: Vec<String> = (0..2_000).map(zoned).collect();
    let texts: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
    let text = events(&texts).replace("BEGIN:VCALENDAR\n", &format!("BEGIN:VCALENDAR\n{zones}"));
    assert_eq!(days(&text, 2026..2027), ["2026-01-05"]);
    assert_eq!(remarks(&text).lines().count(), 501);
}
