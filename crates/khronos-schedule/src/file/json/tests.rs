use super::*;
use crate::{
    diagnostic::Text,
    file::{self, field_fault::MOST},
};

fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

fn read(text: &str) -> Result<JsonEntry, FieldFaults> {
    from_json(text.as_bytes(), &Calendars::default(), now())
}

/// The faults, each as `pointer code: detail; suggestion`.
fn faults(text: &str) -> Vec<String> {
    let line = |fault: &FieldFault| {
        let code = serde_json::to_value(fault.code).unwrap();
        let help = fault.suggestion.as_ref().map_or(String::new(), |help| format!("; {help}"));
        format!("{} {}: {}{help}", fault.pointer, code.as_str().unwrap(), fault.detail)
    };
    read(text).unwrap_err().list.iter().map(line).collect()
}

#[test]
fn every_fault_is_found_at_its_pointer() {
    let text = r#"{
        "nmae": "a", "zones": {}, "event": "a.b.c", "every": 90, "paused": "yes", "limit": -1, "until": null,
        "catch_up": { "polcy": "all", "most": "5", "grace": "5 parsecs" },
        "timings": [7, { "cron": "0 25 * * *" }], "only": [7, "nope"],
        "exclude": "holidays", "time_zone": "Europe/Pari",
        "data": { "a/b~c": [1, 1e999], "x": 1, "x": 2 }
    }"#;
    assert_eq!(
        faults(text),
        [
            "/nmae unknown-key: unknown key 'nmae' in a schedule; did you mean 'name'?",
            "/every wrong-type: every must be a text, not a number; write a number with its unit: \"90s\"",
            "/paused wrong-type: paused must be true or false, not a text; remove the quotes",
            "/limit out-of-range: limit must be a whole number from 1 to 4294967295",
            "/until wrong-type: until must be a text, not null; leave the key out",
            "/catch_up/polcy unknown-key: unknown key 'polcy' in 'catch_up'; did you mean 'policy'?",
            "/catch_up/most wrong-type: catch_up.most must be a whole number from 1 to 4294967295, not a text; remove the quotes",
            "/timings/0 wrong-type: timings.0 must be an object, not a number; its keys are every, cron, at, time_zone, phase, anchor, dst",
            "/only/0 wrong-type: only.0 must be a text, not a number; put it in quotes: \"7\"",
            "/exclude wrong-type: exclude must be a list of texts, not a text; put it in brackets: [\"holidays\"]",
            "/data/x duplicate-key: 'x' is given twice; leave one of them out",
            "/data/a~1b~0c/1 inexact-number: the number 1e999 would be kept as another one; write it as a text",
            "/name missing-key: this schedule has no name: it must be unique and is the key of the schedule's history",
            // And what single values say, though others can't be read.
            "/only/1 unknown-calendar: only.1: there is no calendar 'nope'; put nope.toml or nope.ics into the folder of calendars",
            "/time_zone unknown-time-zone: time_zone: 'Europe/Pari' is not a time zone; IANA names such as Europe/Paris or UTC are allowed; did you mean 'Europe/Paris'?",
            "/timings/1/cron out-of-range: timings.1.cron: 25 is out of range in the hour field: 0-23",
            "/catch_up/grace invalid-value: catch_up.grace: 'parsecs' is not a unit; ms, s, m, h, day, week, month and year are allowed; as in '90s', '4h', '1h 30m', '1 day', '2 weeks', '1 month', or 'PT1H'",
        ]
    );
}

#[test]
fn a_text_that_is_no_schedule_is_refused_as_a_whole() {
    let deep = format!("{{\"name\":\"a\",\"every\":\"1h\",\"data\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let deepest = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for (text, pointer, code) in [
        ("", "", FaultCode::Syntax),
        ("{\"name\": \"a\"", "", FaultCode::Syntax),
        ("{\"name\": \"a\",}", "", FaultCode::Syntax),
        ("{\"name\": NaN}", "", FaultCode::Syntax),
        ("{} {}", "", FaultCode::Syntax),
        ("\u{feff}{}", "", FaultCode::Syntax),
        ("{\"name\": \"\\ud800\"}", "/name", FaultCode::Syntax),
        ("{\"\\ud800\": 1}", "", FaultCode::Syntax),
        ("[]", "", FaultCode::WrongType),
        ("\"x\"", "", FaultCode::WrongType),
        (&deepest, "", FaultCode::WrongType),
        (
            &format!("{{\"data\":{}}}", &deepest[185_000..215_000]),
            &format!("/data{}", "/0".repeat(63)),
            FaultCode::TooDeep,
        ),
        (&deep, &format!("/data{}", "/0".repeat(63)), FaultCode::TooDeep),
        (&" ".repeat(LONGEST_JSON + 1), "", FaultCode::TooLarge),
        ("{\"name\":\"a\",\"name\":\"a\",\"every\":\"1h\"}", "/name", FaultCode::DuplicateKey),
        ("{\"name\":\"a\",\"every\":\"1h\",\"data\":null}", "/data", FaultCode::WrongType),
    ] {
        let found = read(text).unwrap_err();
        let first = &found.list[0];
        assert_eq!((first.pointer.as_str(), first.code), (pointer, code), "{text:.80} {first:?}");
        assert_eq!(found.is_malformed(), code != FaultCode::WrongType, "{text:.80} {found}");
    }
    assert!(from_json(b"{\"name\": \"\xff\"}", &Calendars::default(), now()).unwrap_err().is_malformed());
}

#[test]
fn instants_and_what_they_need_are_told_apart_by_code() {
    for (keys, pointer, code) in [
        (r#""event":"a.b.c","at":"2026-12-01T09:00:00.0001Z""#, "/at", FaultCode::TooFine),
        (r#""event":"a.b.c","at":"2026-12-01T09:00""#, "/at", FaultCode::NoTimeZone),
        (r#""event":"a.b.c","at":"tomorrow""#, "/at", FaultCode::InvalidValue),
        (r#""event":"a.b.c","cron":"0 0 30 2 *""#, "/cron", FaultCode::NeverFires),
        (
            r#""every":"1h","until":"1971-01-01T00:00:00Z","from":"1970-01-01T00:30:00Z","limit":0"#,
            "/limit",
            FaultCode::OutOfRange,
        ),
        (r#""event":"a.b.c""#, "/every", FaultCode::MissingKey),
        (r#""every":"1h","cron":"0 * * * *","event":"a.b.c""#, "/cron", FaultCode::Conflict),
        (r#""every":"1h","only":["work"]"#, "/only/0", FaultCode::UnknownCalendar),
        (r#""every":"1h","unrouted":"parc""#, "/unrouted", FaultCode::UnknownWord),
        (
            r#""every":"1h","until":"1970-01-01T00:30:00Z","from":"1970-01-01T00:10:00Z""#,
            "/every",
            FaultCode::NeverFires,
        ),
    ] {
        let found = read(&format!("{{\"name\":\"a\",{keys}}}")).unwrap_err();
        assert!(
            found.list.iter().any(|fault| (fault.pointer.as_str(), fault.code) == (pointer, code)),
            "{keys}: {found:?}"
        );
        assert!(!found.is_malformed());
    }
}

#[test]
fn a_schedule_as_json_is_the_same_as_in_a_file() {
    let toml = r#"
[[schedule]]
name = "office"
event = "office.day.opened"
timings = [{ cron = "0 9 * * MON-FRI", time_zone = "Europe/Paris", dst = { gap = "skip" } }, { every = "4h" }]
limit = 7
from = "2026-12-01T09:00:00Z"
catch_up = { policy = "all", most = 5 }
data = { z = 1, a = [true, "t", 2.5], n = { m = -7 } }
"#;
    let (entries, _) = file::parse(&Text::new("a.toml", toml), &Calendars::default());
    let json = serde_json::to_string(&entries[0].definition).unwrap();
    let entry = read(&json).unwrap();
    assert_eq!((&entry.definition, &entry.schedule), (&entries[0].definition, &entries[0].schedule));
    // What is seldom meant is said, and refuses nothing.
    let odd = read(r#"{"name":"hourly-sync","event":"a.b.c","cron":"* 5 * * *"}"#).unwrap();
    assert!(odd.remarks.iter().all(|one| one.code == FaultCode::SeldomMeant) && !odd.remarks.is_empty());
    let misspelt = read(r#"{"name":"a","event":"tmie.one-day.passed","cron":"0 0 * * *"}"#).unwrap().remarks;
    assert!(misspelt.iter().any(|one| one.pointer == "/event"), "{misspelt:?}");
}

#[test]
fn faults_have_a_bound_in_number_and_length() {
    let long = "x".repeat(10_000);
    let keys: Vec<String> = (0..1_000).map(|key| format!("\"{key}{long}\":1")).take(45).collect();
    let many: Vec<String> = (0..1_000).map(|key| format!("\"k{key}\":1")).collect();
    let found = read(&format!("{{{},{}}}", keys.join(","), many.join(","))).unwrap_err();
    assert_eq!((found.list.len(), found.more), (MOST, 45 + 1_000 + 1 - MOST));
    assert!(serde_json::to_string(&found.list).unwrap().len() < MOST * 5_000);
    assert!(found.to_string().ends_with("(and 1045 more)"), "{found}");
    // What is too long to be pointed at is named below what can be.
    let odd = format!("{}~/", "é".repeat(499));
    for (text, pointer) in [
        (format!("{{\"name\":\"a\",\"every\":\"1h\",\"{long}\":1}}"), String::new()),
        (
            format!("{{\"name\":\"a\",\"every\":\"1h\",\"data\":{{\"k\":{{\"{odd}\":[1e999]}}}}}}"),
            "/data/k".into(),
        ),
        (
            format!("{{\"name\":\"a\",\"every\":\"1h\",\"data\":{{\"{}\":[1e999]}}}}", &odd[40..]),
            format!("/data/{}~0~1/0", &odd[40..odd.len() - 2]),
        ),
    ] {
        let found = &read(&text).unwrap_err().list[0];
        assert_eq!(found.pointer, pointer);
        assert!(
            serde_json::from_str::<Value>(&text.replace("1e999", "1")).unwrap().pointer(&pointer).is_some()
        );
        assert_eq!(found.detail.contains("below the key"), !pointer.ends_with('0'), "{}", found.detail);
    }
}

#[test]
fn that_a_text_is_malformed_is_seen_however_much_else_is_wrong_with_it() {
    for unknown in [0, MOST - 1, MOST, 3 * MOST] {
        let keys: Vec<String> = (0..unknown).map(|key| format!("\"k{key}\":1,")).collect();
        let text = format!("{{{}\"name\":\"a\",\"catch_up\":{{\"most\":1,\"most\":2}}}}", keys.concat());
        let found = read(&text).unwrap_err();
        assert!(found.is_malformed(), "{unknown}");
        assert!(found.list.iter().any(|fault| fault.pointer == "/catch_up/most"), "{unknown}");
    }
}

#[test]
fn what_is_expected_is_what_would_be_taken() {
    let more = "a whole number from 1 to 4294967295";
    for (keys, code, expected) in [
        (r#""resends":{"most":200}"#, FaultCode::OutOfRange, "0 to 100"),
        (r#""resends":{"most":-1}"#, FaultCode::OutOfRange, "a whole number from 0 to 100"),
        (r#""resends":{"within":"25h"}"#, FaultCode::OutOfRange, "a day or less, as in \"10m\""),
        (r#""catch_up":{"most":0}"#, FaultCode::OutOfRange, "1 or more"),
        (r#""limit":-1"#, FaultCode::OutOfRange, more),
        (r#""limit":0"#, FaultCode::OutOfRange, "1 or more"),
        (r#""limit":1.5"#, FaultCode::WrongType, more),
        (r#""unrouted":"parc""#, FaultCode::UnknownWord, "one of \"ignore\", \"park\""),
        (r#""dst":{"gap":"both"}"#, FaultCode::UnknownWord, "one of \"after\", \"shift\", \"skip\""),
        (r#""time_zone":"Europe/Pari""#, FaultCode::UnknownTimeZone, "an IANA name, as in \"Europe/Paris\""),
    ] {
        let found = read(&format!("{{\"name\":\"a\",\"every\":\"1 day\",{keys}}}")).unwrap_err();
        let found: Vec<_> = found
            .list
            .iter()
            .map(|fault| (fault.code, fault.expected.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(found, [(code, expected)], "{keys}");
    }
}

/// The nearest key that is there: of one that is missing, where it belongs.
fn resolves(text: &str, pointer: &str) -> bool {
    let Ok(whole) = serde_json::from_str::<Value>(text) else { return pointer.is_empty() };
    let above = pointer.rsplit_once('/').map_or("", |(above, _)| above);
    whole.pointer(pointer).is_some() || whole.pointer(above).is_some_and(Value::is_object)
}

#[test]
fn items_that_are_wrong_move_no_other() {
    for (keys, pointers) in [
        (r#""timings":[7,{"cron":"0 25 * * *"}]"#, vec!["/timings/0", "/timings/1/cron"]),
        (r#""timings":[7]"#, vec!["/timings/0"]),
        (r#""timings":[{"cron":1},{"every":"x"}]"#, vec!["/timings/0/cron", "/timings/1/every"]),
        (r#""every":"1h","exclude":[7,"nope"]"#, vec!["/exclude/0", "/exclude/1"]),
        (r#""every":"1h","exclude":[7]"#, vec!["/exclude/0"]),
        (r#""every":"1h","only":[null,7,"a",""]"#, vec!["/only/0", "/only/1", "/only/2", "/only/3"]),
    ] {
        let text = format!("{{\"name\":\"a\",\"event\":\"a.b.c\",{keys}}}");
        let found = read(&text).unwrap_err();
        let found: Vec<_> = found.list.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(found, pointers, "{keys}");
        assert!(found.iter().all(|pointer| resolves(&text, pointer)), "{keys}");
    }
}

#[test]
fn what_the_clock_noted_in_a_definition_is_noted_anew() {
    let noted = r#""calendars":{"work":"0123"},"zones":{"Europe/Paris":"4567"},"created":{"number":7}"#;
    let read = |keys: &str| read(&format!("{{\"name\":\"a\",\"every\":\"1h\",{keys}\"paused\":true}}"));
    assert_eq!(read(&format!("{noted},")).unwrap(), read("").unwrap());
    assert_eq!(read("\"zones\":7,").unwrap_err().list[0].pointer, "/zones");
    assert!(read(&format!("{noted},{noted},")).unwrap_err().is_malformed());
}

#[test]
#[allow(clippy::disallowed_methods, reason = "that nothing runs away is measured")]
fn a_text_takes_no_longer_than_it_is_long() {
    let list = |item: &str| vec![item; 250_000 / (item.len() + 1)].join(",");
    let keys: Vec<String> = (0..20_000).map(|key| format!("\"{key}\":0")).collect();
    let long = "x".repeat(250_000);
    let timed = |text: &str| {
        let start = std::time::Instant::now();
        assert!(read(text).is_err());
        start.elapsed()
    };
    for data in [
        format!("{{\"{long}\":[{}]}}", list("0")),
        format!("{{\"{long}\":[{}]}}", list("1e999")),
        format!("{{\"{long}\":[{}]}}", list("{\"\":0,\"\":0}")),
        format!("{{\"{long}\":{{{}}}}}", keys.join(",")),
        format!("{}{}{}", "[".repeat(60), list("[]"), "]".repeat(60)),
    ] {
        let text = format!("{{\"name\":\"a\",\"every\":\"1h\",\"data\":{data}}}");
        assert!(text.len() < LONGEST_JSON);
        // Some 0.1 s; 30 GB would be copied where each value's way were written down. A slow machine is known by how long
        // it takes for a short way; and it may have had other things to do.
        let short = text.replace(&long, "x");
        let mut took = Vec::new();
        let mut is_soon = || {
            let this = timed(&text);
            took.push(this);
            this < std::time::Duration::from_secs(3) || this < 20 * timed(&short)
        };
        assert!((0..3).any(|_| is_soon()), "{text:.60}: {took:?}");
    }
}

#[test]
fn what_is_far_too_long_is_known_by_its_text() {
    let long = format!("[{}]", vec!["0"; 70_000].join(", "));
    let found = read(&format!("{{\"name\":\"a\",\"every\":\"1h\",\"data\":{long}}}")).unwrap_err();
    assert_eq!(found.list.len(), 1, "{found}");
    assert!(found.list[0].detail.contains("140001 bytes as JSON, or more"), "{found}");
    // Never more than it is.
    for text in [
        r#" { "a b" : [ 1.0, -2e5, 1E+300, true, null, "" ], "\u00e9\n\"\\" : { } } "#,
        "0.10000000000000000000000000000",
        r#""\ud83d\ude00\/ é""#,
        "[[], [ ], -0, \"1 2 , \"]",
    ] {
        let (raw, value): (&RawValue, Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(text).unwrap());
        let (least, real) = (least_bytes(raw), value.to_string().len());
        assert!(least <= real, "{text}: {least} of {real}");
    }
}

#[test]
fn what_is_said_of_a_schedule_is_refused_at_its_pointer() {
    let many: Vec<String> = (0..17).map(|n| format!("\"k{n}\":\"v\"")).collect();
    for (keys, pointer, code) in [
        (r#""description":"a\nb""#, "/description", FaultCode::InvalidValue),
        (r#""description":null"#, "/description", FaultCode::WrongType),
        (r#""labels":["x"]"#, "/labels", FaultCode::WrongType),
        (r#""labels":{"team":null}"#, "/labels/team", FaultCode::WrongType),
        (r#""labels":{"team":"a","team":"b"}"#, "/labels/team", FaultCode::DuplicateKey),
        (r#""labels":{"team":"a,b"}"#, "/labels/team", FaultCode::InvalidValue),
        (r#""labels":{"a/b":"x"}"#, "/labels", FaultCode::InvalidValue),
        (&format!("\"labels\":{{{}}}", many.join(",")), "/labels", FaultCode::OutOfRange),
    ] {
        let found = read(&format!("{{\"name\":\"a\",\"every\":\"1h\",{keys}}}")).unwrap_err();
        let found: Vec<_> = found.list.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
        assert_eq!(found, [(pointer, code)], "{keys}");
    }
    let read = read(r#"{"name":"a","every":"1h","description":"b","labels":{"team":"billing"}}"#).unwrap();
    assert_eq!(read.definition.labels.unwrap()["team"], "billing");
}
