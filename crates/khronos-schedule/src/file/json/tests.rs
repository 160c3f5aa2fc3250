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
        "timings": [{ "cron": "0 25 * * *" }, 7],
        "exclude": "holidays", "time_zone": "Europe/Pari",
        "data": { "a/b~c": [1, 1e999], "x": 1, "x": 2 }
    }"#;
    assert_eq!(
        faults(text),
        [
            "/nmae unknown-key: unknown key 'nmae' in a schedule; did you mean 'name'?",
            "/zones unknown-key: unknown key 'zones' in a schedule; leave it out: the clock itself notes which days and rules a schedule has",
            "/every wrong-type: every must be a text, not a number; write a number with its unit: \"90s\"",
            "/paused wrong-type: paused must be true or false, not a text; remove the quotes",
            "/limit out-of-range: limit must be a whole number from 0 to 4294967295",
            "/until wrong-type: until must be a text, not null; leave the key out",
            "/catch_up/polcy unknown-key: unknown key 'polcy' in 'catch_up'; did you mean 'policy'?",
            "/catch_up/most wrong-type: catch_up.most must be a whole number, not a text; remove the quotes",
            "/timings/1 wrong-type: timings.1 must be an object, not a number; its keys are every, cron, at, time_zone, phase, anchor, dst",
            "/exclude wrong-type: exclude must be a list of texts, not a text; put it in brackets: [\"holidays\"]",
            "/data/x duplicate-key: 'x' is given twice; leave one of them out",
            "/data/a~1b~0c/1 inexact-number: the number 1e999 would be kept as another one; write it as a text",
            "/name missing-key: this schedule has no name: it must be unique and is the key of the schedule's history",
            // And what single values say, though others can't be read.
            "/time_zone unknown-time-zone: time_zone: 'Europe/Pari' is not a time zone; IANA names such as Europe/Paris or UTC are allowed; did you mean 'Europe/Paris'?",
            "/timings/0/cron out-of-range: timings.0.cron: 25 is out of range in the hour field: 0-23",
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
        (&format!("{{\"data\":{deepest}}}"), &format!("/data{}", "/0".repeat(64)), FaultCode::TooDeep),
        (&deep, &format!("/data{}", "/0".repeat(64)), FaultCode::TooDeep),
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
}
