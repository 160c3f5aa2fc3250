//! What is refused: each with its property, its place and what to do.

use super::{event, faults};

#[test]
fn what_is_not_understood_is_refused_at_its_place_and_with_what_to_do() {
    for (lines, expected, remedy) in [
        (
            "DTSTART;VALUE=DATE:20260229",
            "c.ics:5:20: DTSTART: '20260229' is not an iCalendar date or time",
            "as 20261225",
        ),
        ("DTSTART:2026-12-25", "c.ics:5:9: DTSTART: '2026-12-25' is not", "as 20261225"),
        ("DTSTART:20261225T250000", "c.ics:5:9: DTSTART: '20261225T250000' is not", "20261225T090000"),
        ("DTSTART:20261225Z", "c.ics:5:9: DTSTART: '20261225Z' is not", "20261225T080000Z"),
        ("DTSTART:", "c.ics:5:9: DTSTART: '' is not", "20261225"),
        ("RRULE:FREQ=DAILY", "c.ics:3:7: this event has no DTSTART", "DTSTART;VALUE=DATE:20261225"),
        ("DTSTART:20260101\r\nDTSTART:20260102", "c.ics:6:1: DTSTART is given twice", "keep the one"),
        (
            "DTSTART:20260102\r\nDTEND:20260101",
            "c.ics:6:7: DTEND: the event ends before it starts",
            "leave it out",
        ),
        (
            "DTSTART;TZID=America/New_York:20260102T090000\r\nDTEND:20260102T130000Z",
            "c.ics:6:7: DTEND: the event ends before",
            "after DTSTART",
        ),
        (
            "DTSTART:20260102\r\nDURATION:P1D\r\nDTEND:20260103",
            "c.ics:6:1: DTEND and DURATION are both given",
            "keep",
        ),
        (
            "DTSTART:20260102\r\nDURATION:-P1D",
            "c.ics:6:10: DURATION: '-P1D' is not the length of an event",
            "P1D, PT2H30M",
        ),
        ("DTSTART:20260102\r\nDURATION:5 days", "c.ics:6:10: DURATION: '5 days' is not the length", "P1D"),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=FORTNIGHTLY",
            "c.ics:6:7: RRULE: FREQ: 'FORTNIGHTLY' is not understood",
            "allowed are YEARLY",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYMONTH=1;BYDAY=6XX",
            "c.ics:6:29: RRULE: BYDAY: '6XX' is not understood",
            "MO to SU",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYMONHT=1",
            "c.ics:6:19: RRULE: 'BYMONHT' in a recurrence rule",
            "did you mean 'BYMONTH'?",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYEASTER=0",
            "c.ics:6:19: RRULE: 'BYEASTER' in a recurrence rule",
            "RDATE",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;BYMONTH=13",
            "c.ics:6:19: RRULE: BYMONTH: '13' is not",
            "from 1 to 12",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;INTERVAL=0",
            "c.ics:6:19: RRULE: INTERVAL: '0' is not",
            "from 1 on",
        ),
        (
            "DTSTART:20260102\r\nRRULE:INTERVAL=2",
            "c.ics:6:7: RRULE: the recurrence rule has no FREQ",
            "FREQ=YEARLY",
        ),
        (
            "DTSTART:20260102\r\nRRULE:YM1 12 #0",
            "c.ics:6:7: RRULE: 'YM1 12 #0' is not a rule of iCalendar 2.0",
            "export",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;RSCALE=HEBREW",
            "c.ics:6:19: RRULE: RSCALE=HEBREW is not supported",
            "RDATE",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;FREQ=DAILY",
            "c.ics:6:19: RRULE: FREQ is given twice",
            "leave one",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=WEEKLY;BYMONTHDAY=1",
            "c.ics:6:7: RRULE: BYMONTHDAY is not allowed with FREQ=WEEKLY",
            "MONTHLY",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=WEEKLY;BYDAY=2MO",
            "c.ics:6:7: RRULE: a number before a day of the week",
            "leave the number",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=MONTHLY;BYWEEKNO=2",
            "c.ics:6:7: RRULE: BYWEEKNO is allowed only",
            "YEARLY",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=MONTHLY;BYYEARDAY=2",
            "c.ics:6:7: RRULE: BYYEARDAY is allowed only",
            "YEARLY",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=MONTHLY;BYSETPOS=2",
            "c.ics:6:7: RRULE: BYSETPOS selects from another",
            "add one",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;COUNT=1;UNTIL=2027",
            "c.ics:6:7: RRULE: COUNT and UNTIL are both given",
            "keep the one",
        ),
        (
            "DTSTART:20260102\r\nRRULE:FREQ=YEARLY;UNTIL=tomorrow",
            "c.ics:6:25: RRULE: 'tomorrow' is not an iCalendar date",
            "20261225",
        ),
        ("DTSTART:20260102\r\nRECURRENCE-ID:soon", "c.ics:6:15: RECURRENCE-ID: 'soon' is not", "20261225"),
        ("DTSTART:20260102\r\nEXDATE:20260103,then", "c.ics:6:17: EXDATE: 'then' is not", "20261225"),
        (
            "DTSTART:20260102\r\nRDATE;VALUE=PERIOD:20260101T000000/1D",
            "c.ics:6:36: RDATE: '1D' is not",
            "20261225",
        ),
        (
            "DTSTART:20260102\r\nRRUEL:FREQ=DAILY",
            "c.ics:6:1: 'RRUEL' is not a property of iCalendar",
            "did you mean 'RRULE'",
        ),
        (
            "DTSTART:20260102\r\nEX-DATE:20260103",
            "c.ics:6:1: 'EX-DATE' is not a property",
            "did you mean 'EXDATE'",
        ),
        (
            "DTSTART:20260102\r\nno colon here",
            "c.ics:6:1: this is not a line of iCalendar",
            "begins with a space",
        ),
        ("DTSTART;20260102", "c.ics:5:1: this is not a line of iCalendar", "NAME:VALUE"),
        ("BEGIN:VALARM\r\nEND:VEVENT", "c.ics:6:1: END:VEVENT found where END:VALARM is expected", "cut off"),
        (
            "BEGIN:VEVENT\r\nEND:VEVENT",
            "c.ics:5:1: BEGIN:VEVENT within an event that has no END:VEVENT",
            "END:VEVENT",
        ),
    ] {
        let found = faults(&event(lines));
        assert!(found[0].starts_with(expected) && found[0].contains(remedy), "{lines}: {found:#?}");
        assert!(found.iter().all(|fault| fault.contains("; ")), "{found:?}");
    }
}

#[test]
fn what_is_no_calendar_is_refused_with_what_it_may_be() {
    for (text, expected, remedy) in [
        ("", "c.ics:1:1: this file holds no calendar", "BEGIN:VCALENDAR"),
        ("<!DOCTYPE html>\n<html>", "c.ics:1:1: this is not a line of iCalendar", "web page"),
        ("BEGIN:VCARD\nEND:VCARD\n", "c.ics:1:7: VCARD: this file holds contacts, not a calendar", "export"),
        ("VERSION:2.0\n", "c.ics:1:1: this file holds no calendar", "BEGIN:VCALENDAR"),
        ("DTSTART:20260101\n", "c.ics:1:1: this is outside of BEGIN:VCALENDAR", "BEGIN:VCALENDAR"),
        ("END:VCALENDAR\n", "c.ics:1:1: END:VCALENDAR without BEGIN", "remove"),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\n",
            "c.ics:2:7: BEGIN:VEVENT has no END:VEVENT",
            "cut off",
        ),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101\nEND:VCALENDAR\n",
            "c.ics:4:1: END:VCALENDAR found",
            "cut off",
        ),
        (
            "BEGIN:VCALENDAR\nMETHOD:COUNTER\nEND:VCALENDAR\n",
            "c.ics:2:8: METHOD:COUNTER is a message",
            "export",
        ),
    ] {
        let found = faults(text);
        assert!(found[0].starts_with(expected) && found[0].contains(remedy), "{text}: {found:?}");
    }
    // Deep nesting is refused, not a stack overflow; and what fills the memory is.
    assert!(faults(&"BEGIN:A\n".repeat(100_000))[0].contains("deeper"));
    let many = format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", "UID:\n".repeat(500_000));
    assert!(faults(&many)[0].contains("too many properties; split it into several"));
}
