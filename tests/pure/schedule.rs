//! What a definition must be to become a schedule, and what its faults say.

use khronos::schedule::{
    CatchUpDefinition, Definition, DstDefinition, Fault, FaultCode, Past, Policy, ResendPolicy,
    ResendsDefinition, Schedule, Timing, Unrouted, parse_instant,
};
use ponos::event::Timestamp;

fn every(every: &str) -> Definition {
    Definition { name: "case".into(), every: Some(every.into()), ..Definition::default() }
}

fn cron(cron: &str) -> Definition {
    let (event, cron) = (Some("test.case.passed".into()), Some(cron.into()));
    Definition { name: "case".into(), event, cron, ..Definition::default() }
}

fn at(at: &str, zone: Option<&str>) -> Definition {
    let event = Some("test.case.passed".into());
    Definition {
        name: "case".into(),
        event,
        at: Some(at.into()),
        time_zone: zone.map(Into::into),
        ..Definition::default()
    }
}

fn dst(gap: Option<&str>, fold: Option<&str>) -> Option<DstDefinition> {
    Some(DstDefinition { gap: gap.map(Into::into), fold: fold.map(Into::into) })
}

fn fault(definition: Definition) -> Fault {
    let mut faults = Schedule::build(&definition).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn a_name_is_derived_from_every_and_any_spelling_of_it_agrees() {
    assert_eq!(Schedule::build(&every("4h")).unwrap().event.as_str(), "time.four-hours.passed");
    assert_eq!(Schedule::build(&every("60m")).unwrap().event.as_str(), "time.sixty-minutes.passed");
    for (duration, event) in [
        ("4h", "time.four-hours.passed"),
        ("240 minutes", "time.four-hours.passed"),
        ("60m", "time.one-hour.passed"),
        ("1 year", "time.twelve-months.passed"),
        ("PT30M", "time.30-minutes.passed"),
        ("1h", "office.bell.rang"),
        ("1 day", "time.business-day.passed"),
    ] {
        let definition = Definition { event: Some(event.into()), ..every(duration) };
        assert_eq!(Schedule::build(&definition).unwrap().event.as_str(), event);
    }
}

#[test]
fn a_name_that_contradicts_every_is_refused_with_the_right_one() {
    for (duration, event, help) in [
        ("4h", "time.five-hours.passed", "time.four-hours.passed"),
        ("24h", "time.one-day.passed", "time.twenty-four-hours.passed"),
        ("1 day", "time.twenty-four-hours.passed", "time.one-day.passed"),
        ("40 days", "time.fourty-days.passed", "time.forty-days.passed"),
        ("1 month", "time.thirty-days.passed", "time.one-month.passed"),
    ] {
        let fault = fault(Definition { event: Some(event.into()), ..every(duration) });
        assert_eq!((fault.key, fault.help), ("event", Some(format!("write '{help}'"))));
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let definition = Definition {
        name: "My Job".into(),
        event: Some("Time.x".into()),
        cron: Some("0 25 * * *".into()),
        time_zone: Some("Europe/Pariss".into()),
        from: Some("2026-13-01T00:00Z".into()),
        catch_up: Some(CatchUpDefinition {
            policy: Some("lates".into()),
            grace: Some("soon".into()),
            within: Some("1 month".into()),
            most: Some(0),
        }),
        unrouted: Some("drop".into()),
        resends: Some(ResendsDefinition { most: Some(101), within: Some("2 days".into()) }),
        past: Some("send".into()),
        expires: Some("0s".into()),
        phase: Some("5m".into()),
        data: Some(serde_json::Value::String("x".repeat(70_000))),
        ..Definition::default()
    };
    let faults = Schedule::build(&definition).unwrap_err();
    let mut keys: Vec<_> = faults.iter().map(|fault| fault.key).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "catch_up.grace",
            "catch_up.most",
            "catch_up.policy",
            "catch_up.within",
            "cron",
            "data",
            "event",
            "expires",
            "from",
            "name",
            "past",
            "phase",
            "resends.most",
            "resends.within",
            "time_zone",
            "unrouted"
        ]
    );
}

#[test]
fn faults_of_cron_point_at_the_field_and_help_where_they_can() {
    for (expression, at, help) in [
        ("0 25 * * *", Some(2..4), None),
        ("0 9 * * MON-SUN", Some(8..15), Some("write '1-7'")),
        ("0 9 * * FRI-MON", Some(8..15), Some("write '5-6,0-1'")),
        ("0 22-3 * * *", Some(2..6), Some("write '22-23,0-3'")),
        ("0 9 * JANUARY *", Some(6..13), Some("write 'JAN'")),
        ("0 9 * * L", Some(8..9), Some("write '5L' for the last Friday, '6' for Saturday")),
        ("0 9 * *", None, Some("as in '0 9 * * 1-5'")),
        ("@dayly", None, Some("did you mean '@daily'?")),
        ("0 9 * * 1,,3", Some(10..10), None),
        (
            "0 ? * * *",
            Some(2..3),
            Some("'?' must stand alone, in day-of-month or day-of-week; '*' means any value"),
        ),
        ("0 0 31 2 *", Some(4..10), Some("no year has such a date in these months")),
    ] {
        let fault = fault(cron(expression));
        assert_eq!((fault.key, fault.at, fault.help.as_deref()), ("cron", at, help), "{expression}");
    }
    assert!(fault(cron(&"* ".repeat(100_000))).what.contains("1024"));
}

#[test]
fn choices_about_dst_are_refused_where_nothing_is_to_choose() {
    let choice = dst(Some("shift"), None);
    assert_eq!(fault(Definition { dst: choice.clone(), ..cron("*/5 * * * *") }).key, "dst");
    assert_eq!(fault(Definition { dst: choice.clone(), ..every("1h") }).key, "dst");
    assert_eq!(fault(Definition { dst: choice.clone(), ..at("2026-12-01T09:00Z", None) }).key, "dst");
    assert_eq!(
        fault(Definition { dst: dst(Some("skipp"), None), ..every("1 day") }).help.unwrap(),
        "did you mean 'skip'?"
    );
    assert_eq!(
        fault(Definition { dst: dst(None, Some("both")), ..at("2026-12-01T09:00", Some("UTC")) }).key,
        "dst.fold"
    );
    let gap = Definition { dst: dst(Some("skip"), None), ..at("2026-03-29T02:30", Some("Europe/Paris")) };
    assert_eq!(fault(gap).key, "at");
    for accepted in [every("1 day"), cron("0 9 * * *"), at("2026-12-01T09:00", Some("Europe/Paris"))] {
        Schedule::build(&Definition { dst: choice.clone(), ..accepted }).unwrap();
    }
}

#[test]
fn instants_need_a_time_and_a_zone_and_are_no_finer_than_milliseconds() {
    for (text, zone) in [
        ("2026-12-01", None),
        ("2026-12-01T09:00", None),
        ("2026-12-01T09:00:00.0001Z", None),
        ("2026-02-29T09:00Z", None),
        ("2026-12-01T24:00Z", None),
        ("2026-12-01T09:00:60Z", None),
        ("2100-01-01T00:00Z", None),
        ("2011-12-30T09:00", Some("Pacific/Apia")),
        ("tomorrow", None),
    ] {
        assert_eq!(fault(at(text, zone)).key, "at", "{text}");
    }
    assert_eq!(
        parse_instant("2026-12-01T09:00", Some("Europe/Paris"), "from", None).unwrap().to_string(),
        "2026-12-01T08:00:00.000Z"
    );
    assert_eq!(
        parse_instant("2026-12-01 09:00:00.5+01:00", None, "from", None).unwrap().to_string(),
        "2026-12-01T08:00:00.500Z"
    );
    assert_eq!(parse_instant("2026-12-01T09:00", None, "from", None).unwrap_err().key, "from");
}

#[test]
fn an_instant_that_is_taken_can_be_read_again_as_it_is_shown() {
    let read = |text: &str, zone| parse_instant(text, zone, "from", None);
    for text in [
        "2100-12-31T23:59:59.999Z",
        "2101-01-01T00:00:00.000Z",
        "2100-12-31T23:43:59-23:59",
        "1969-01-01T00:00+00:01",
    ] {
        match read(text, None) {
            Ok(at) => assert_eq!(read(&at.to_string(), None), Ok(at), "{text}"),
            Err(fault) => assert!(fault.what.contains("between 1970 and 2099"), "{text}: {}", fault.what),
        }
    }
    assert!(read("2100-12-31T23:59:59.999Z", None).is_ok() && read("1969-01-01T00:00Z", None).is_ok());
    for text in ["2100-12-31T23:00-01:00", "1969-01-01T00:00+00:01"] {
        assert_eq!(read(text, None).unwrap_err().code, FaultCode::OutOfRange, "{text}");
    }
    assert!(read("2100-12-31T23:00", Some("America/New_York")).is_err());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (definition, key) in [
        (every("99ms"), "every"),
        (every("1 day 2h"), "every"),
        (every("1 month 1 day"), "every"),
        (every("101 years"), "every"),
        (Definition { every: None, event: Some("a.b.c".into()), ..every("") }, "every"),
        (Definition { cron: Some("@daily".into()), ..every("1h") }, "cron"),
        (Definition { event: None, ..cron("@daily") }, "event"),
        (Definition { anchor: Some("2026-01-01T00:00Z".into()), ..cron("@daily") }, "anchor"),
        (Definition { phase: Some("1h".into()), ..every("1h") }, "phase"),
        (Definition { phase: Some("31 days".into()), ..every("1 month") }, "phase"),
        (Definition { phase: Some("7 days".into()), ..every("1 week") }, "phase"),
        (
            Definition {
                from: Some("2026-01-02T00:00Z".into()),
                until: Some("2026-01-01T00:00Z".into()),
                ..every("1h")
            },
            "until",
        ),
        (
            Definition {
                from: Some("2026-01-01T00:01Z".into()),
                until: Some("2026-01-01T00:59Z".into()),
                ..every("1h")
            },
            "every",
        ),
        (Definition { until: Some("2026-01-01T00:00Z".into()), ..at("2026-01-01T00:00Z", None) }, "at"),
        (Definition { name: "".into(), ..every("1h") }, "name"),
        (Definition { name: "-a".into(), ..every("1h") }, "name"),
        (Definition { name: "a".repeat(129), ..every("1h") }, "name"),
    ] {
        let faults = Schedule::build(&definition).unwrap_err();
        assert!(faults.iter().any(|fault| fault.key == key), "{definition:?} {faults:?}");
    }
}

#[test]
fn policies_have_their_defaults() {
    let schedule = Schedule::build(&every("1h")).unwrap();
    assert_eq!(schedule.catch_up.policy, Policy::Latest);
    assert_eq!(
        (schedule.catch_up.grace, schedule.catch_up.within, schedule.catch_up.most),
        (30_000, None, 1000)
    );
    assert_eq!((schedule.unrouted, schedule.past, schedule.paused), (Unrouted::Ignore, Past::Refuse, false));
    assert_eq!(schedule.resends, ResendPolicy::default());
    let schedule = Schedule::build(&Definition {
        catch_up: Some(CatchUpDefinition {
            policy: Some("all".into()),
            grace: Some("0s".into()),
            within: Some("7 days".into()),
            most: Some(5),
        }),
        unrouted: Some("park".into()),
        resends: Some(ResendsDefinition { most: Some(0), within: Some("1m".into()) }),
        paused: Some(true),
        expires: Some("10m".into()),
        data: Some(serde_json::json!({"days": 7})),
        ..every("1h")
    })
    .unwrap();
    assert_eq!(schedule.catch_up.policy, Policy::All);
    assert_eq!(
        (schedule.catch_up.grace, schedule.catch_up.within, schedule.catch_up.most),
        (0, Some(604_800_000), 5)
    );
    assert_eq!((schedule.unrouted, schedule.paused, schedule.expires), (Unrouted::Park, true, Some(600_000)));
    assert_eq!(schedule.resends, ResendPolicy { most: Some(0), within: Some(60_000) });
    assert!(!schedule.timing.is_one_shot());
}

#[test]
fn a_timing_is_small_and_can_be_built_on_its_own() {
    // None is held by the million: what is held is packed.
    assert!(size_of::<Timing>() <= 96, "{}", size_of::<Timing>());
    assert_eq!(Timing::from_cron("61 * * * *", None).unwrap_err().key, "cron");
    assert_eq!(Timing::from_every("1h", Some("Nowhere")).unwrap_err().key, "time_zone");
    let timing = Timing::from_every("1 day", Some("Europe/Paris")).unwrap();
    assert_eq!(timing.describe(), "every day at 00:00 Europe/Paris");
    assert_eq!(Timing::from_every("90m", None).unwrap().describe(), "every 90 minutes");
    assert!(timing.after(Timestamp::HORIZON).is_none());
    assert!(timing.after(Timestamp::from_millis(i64::MIN)).is_some());
    assert!(timing.before(Timestamp::from_millis(i64::MAX)).is_some());
    assert_eq!(timing.before(Timestamp::from_millis(i64::MIN)), None);
    assert_eq!(timing.count(Timestamp::from_millis(i64::MAX), Timestamp::from_millis(i64::MIN)), 0);
}

#[test]
fn every_reads_both_forms_from_a_tenth_of_a_second_to_years() {
    let timing = |text: &str| Timing::from_every(text, None).unwrap();
    for (friendly, iso) in [
        ("100ms", "PT0.1S"),
        ("1s 500ms", "PT1.5S"),
        ("90 seconds", "PT90S"),
        ("1h 30m", "PT1H30M"),
        ("36 hours", "PT36H"),
        ("10 days", "P10D"),
        ("2 weeks", "P2W"),
        ("3 months", "P3M"),
        ("1 year 6 months", "P1Y6M"),
        ("100 years", "P100Y"),
    ] {
        assert_eq!(timing(friendly), timing(iso), "{friendly}");
    }
    for beyond in ["99ms", "PT0.099S", "101 years", "P1201M"] {
        let fault = Timing::from_every(beyond, None).unwrap_err();
        assert!(fault.key == "every" && fault.what.contains("100 ms to 100 years"), "{fault:?}");
    }
}
