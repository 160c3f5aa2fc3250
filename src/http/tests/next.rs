//! When schedules are due next.

use super::*;
use crate::{clock_loop::NamedCalendars, config::LimitsConfig, schedule::Calendars};
use testkit::wait_until;
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Longer than anything takes that works, on a busy machine.
const LONG: Duration = Duration::from_secs(60);
const HOURLY: &str = r#"{"name":"a","every":"1h"}"#;

const JSON: &str = "application/json";

async fn preview(clock: &Clock, query: &str, body: &str) -> (u16, Value) {
    let (status, headers, answer) =
        asked(&clock.client, Method::POST, &format!("/v1/preview{query}"), (JSON, body)).await;
    let kind = headers["content-type"].to_str().unwrap();
    assert_eq!(kind, if status == 200 { JSON } else { "application/problem+json" });
    (status, answer)
}

#[tokio::test]
async fn a_definition_is_shown_with_its_next_occurrences_and_what_the_clocks_make_of_them() {
    let clock = Clock::start().await;
    let body = r#"{"name":"night","event":"office.night.ended","cron":"30 2 * * *","time_zone":"Europe/Paris","dst":{"gap":"skip"}}"#;
    let (status, answer) = preview(&clock, "?from=2027-03-27T00:00:00Z&count=2", body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["from"], "2027-03-27T00:00:00.000Z");
    let shown: Vec<_> = answer["occurrences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!("{} {} {} {}", one["due_at"], one["local_time"], one["utc_offset"], one["time_zone"])
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#""2027-03-27T01:30:00.000Z" "2027-03-27T02:30:00" "+01:00" "Europe/Paris""#,
            r#"null "2027-03-28T02:30:00" null "Europe/Paris""#,
            r#""2027-03-29T00:30:00.000Z" "2027-03-29T02:30:00" "+02:00" "Europe/Paris""#,
        ]
    );
    assert_eq!(answer["occurrences"][1]["why"][0]["clock"], "gap");
    // Nothing was changed by it.
    assert_eq!(got(&clock.client, "/v1/schedules/night").await.0, 404);
}

#[tokio::test]
async fn what_is_seldom_meant_is_remarked_and_a_limit_counts_from_now() {
    let clock = Clock::start().await;
    let body = r#"{"name":"hourly-sync","event":"a.b.c","cron":"* 5 * * *","limit":3}"#;
    let (status, answer) = preview(&clock, "?count=10", body).await;
    assert_eq!((status, answer["occurrences"].as_array().unwrap().len()), (200, 3), "{answer}");
    assert_eq!(answer["remarks"][0]["code"], "seldom-meant");
    assert_eq!(answer["remarks"][0]["pointer"], "/cron");
}

#[tokio::test]
async fn a_definition_that_is_wrong_is_refused_with_all_its_faults() {
    let clock = Clock::start().await;
    let never = r#"{"name":"a","event":"a.b.c","cron":"0 0 30 2 *"}"#;
    let long = format!(r#"{{"name":"a","every":"1h","data":"{}"}}"#, "x".repeat(70_000));
    for (body, status, code, pointer, fault) in [
        ("{", 400, "malformed", "", "syntax"),
        ("", 400, "malformed", "", "syntax"),
        (r#"{"name":"a","name":"b","every":"1h"}"#, 400, "malformed", "/name", "duplicate-key"),
        (r#"{"name":"a","evry":"1h"}"#, 422, "invalid", "/evry", "unknown-key"),
        (r#"{"name":"a","every":90}"#, 422, "invalid", "/every", "wrong-type"),
        (r#"{"name":"a","every":"1h","only":["work"]}"#, 422, "invalid", "/only/0", "unknown-calendar"),
        (never, 422, "invalid", "/cron", "never-fires"),
        (&long, 422, "invalid", "/data", "out-of-range"),
    ] {
        let (answered, problem) = preview(&clock, "", body).await;
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{body:.60}: {problem}");
        let error = &problem["errors"][0];
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some(pointer), Some(fault)),
            "{problem}"
        );
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    let many = r#"{"nmae":"a","every":90,"paused":1}"#;
    assert_eq!(preview(&clock, "", many).await.1["errors"].as_array().unwrap().len(), 4);
    let (status, _, problem) = asked(&clock.client, Method::POST, "/v1/preview", ("text/plain", never)).await;
    assert_eq!((status, problem["code"].as_str()), (415, Some("unsupported-media-type")));
    let huge = format!("\"{}\"", "x".repeat(600 << 10));
    let (status, problem) = preview(&clock, "", &huge).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("too-large")));
}

#[tokio::test]
async fn a_schedule_that_runs_is_shown_with_its_next_occurrences() {
    let clock = Clock::start().await;
    let path = "/v1/schedules/one-minute/next?from=2026-12-01T09:00:00%2B01:00&count=2";
    let (status, _, answer) = got(&clock.client, path).await;
    assert_eq!(status, 200, "{answer}");
    let due: Vec<_> = answer["occurrences"].as_array().unwrap().iter().map(|one| &one["due_at"]).collect();
    assert_eq!(due, ["2026-12-01T08:01:00.000Z", "2026-12-01T08:02:00.000Z"]);
    assert_eq!(answer["occurrences"][0]["event"], "time.one-minute.passed");
    let (status, _, problem) = got(&clock.client, "/v1/schedules/one-minutee/next").await;
    assert_eq!((status, problem["missing"]["suggestion"].as_str()), (404, Some("one-minute")));
    for (query, parameter, code) in [
        ("count=0", "count", "out-of-range"),
        ("count=1001", "count", "out-of-range"),
        ("count=-1", "count", "invalid-value"),
        ("count=1&count=2", "count", "duplicate-key"),
        ("from=2026-12-01T09:00", "from", "no-time-zone"),
        ("from=2026-12-01T09:00:00.0001Z", "from", "too-fine"),
        ("until=x", "until", "unknown-key"),
    ] {
        for path in ["/v1/schedules/one-minute/next", "/v1/preview"] {
            let body = r#"{"name":"a","every":"1h"}"#;
            let method = if path == "/v1/preview" { Method::POST } else { Method::GET };
            let (status, _, problem) =
                asked(&clock.client, method, &format!("{path}?{query}"), (JSON, body)).await;
            let error = &problem["errors"][0];
            assert_eq!(status, 400, "{query}: {problem}");
            assert_eq!((error["parameter"].as_str(), error["code"].as_str()), (Some(parameter), Some(code)));
        }
    }
}

#[tokio::test]
async fn a_limit_that_takes_too_long_to_count_is_refused_at_once() {
    let clock = Clock::start().await;
    let timings = r#""timings":[{"cron":"0-58 * * * * *"},{"cron":"1-59 * * * * *"}]"#;
    for from in ["", r#","from":"1970-01-01T00:00:00Z""#] {
        let body = format!(r#"{{"name":"a","event":"a.b.c",{timings},"limit":4294967295{from}}}"#);
        let (status, problem) = preview(&clock, "", &body).await;
        let error = &problem["errors"][0];
        assert_eq!((status, error["pointer"].as_str()), (422, Some("/limit")), "{problem}");
        assert_eq!(error["code"], "out-of-range");
    }
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_nobody_from_reading() {
    let clock = Clock::with(Limits { large: 1, bodies: 2, answer: LONG, ..Limits::patient() }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(clock.address).await.unwrap();
        let head = "POST /v1/preview HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: 500000\r\n\r\n{{").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let large = format!("{HOURLY}{}", " ".repeat(70_000));
    let refused = || async { Some(preview(&clock, "", &large).await).filter(|(status, _)| *status == 503) };
    let (_, problem) = wait_until("both bodies to have begun", LONG, refused).await;
    assert!(problem["detail"].as_str().unwrap().contains("2 bodies"), "{problem}");
    for path in ["/v1/schedules", "/v1/history", "/v1/parked", "/v1/schedules/one-minute/next"] {
        clock.client.get::<Value>(path).await.unwrap();
    }
    assert_eq!(preview(&clock, "", HOURLY).await.0, 200, "who sends little waits for none of these");
    drop(slow);
    let taken = || async { (preview(&clock, "", &large).await.0 == 200).then_some(()) };
    wait_until("room for another body", LONG, taken).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_cut_off() {
    let clock = Clock::with(Limits { answer: Duration::from_millis(100), ..Limits::patient() }).await;
    let head = "POST /v1/preview HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let line = raw(&clock, &format!("{head}Connection: close\r\nContent-Length: 5\r\n\r\n{{")).await;
    assert!(line.contains("408"), "{line}");
}

#[test]
fn what_nobody_waits_for_any_more_does_not_pile_up() {
    let mut one_thread = tokio::runtime::Builder::new_current_thread();
    let one_thread = one_thread.enable_all().max_blocking_threads(1).build().unwrap();
    one_thread.block_on(async {
        let clock = Clock::with(Limits { answer: Duration::from_millis(50), ..Limits::patient() }).await;
        let (go_on, waits) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || waits.recv());
        for _ in 0..3 {
            assert_eq!(preview(&clock, "", HOURLY).await.0, 503, "the thread is taken");
        }
        // The first of them is still to be done, and the others have gone with whoever asked.
        assert_eq!(clock.state.previews.available_permits(), 0);
        drop(go_on);
        wait_until("the thread", LONG, || async {
            (preview(&clock, "", HOURLY).await.0 == 200).then_some(())
        })
        .await;
        assert_eq!(clock.state.previews.available_permits(), 1);
    });
}

#[tokio::test]
async fn a_definition_is_judged_as_if_it_were_taken_over_now() {
    let mut clock = Clock::start().await;
    let shortest_interval = Duration::from_secs(1);
    let limits = LimitsConfig { shortest_interval, rate: 100, schedules: 10 };
    clock.state.clock = clock.state.clock.clone().within(limits);
    clock.serve_again().await;
    for (keys, pointer, code) in [
        (r#""every":"100ms""#, "/every", "out-of-range"),
        (r#""timings":[{"every":"4s"},{"every":"4s","phase":"50ms"}]"#, "/timings", "out-of-range"),
        (r#""at":"2020-01-01T00:00:00Z""#, "/at", "never-fires"),
        (r#""every":"1h","until":"2020-01-01T00:00:00Z""#, "/until", "never-fires"),
    ] {
        let body = format!(r#"{{"name":"a","event":"a.b.c",{keys}}}"#);
        let (status, problem) = preview(&clock, "?from=2019-01-01T00:00:00Z", &body).await;
        let error = &problem["errors"][0];
        assert_eq!(
            (status, error["pointer"].as_str(), error["code"].as_str()),
            (422, Some(pointer), Some(code))
        );
    }
    let late = r#"{"name":"a","event":"a.b.c","at":"2020-01-01T00:00:00Z","past":"send"}"#;
    for (query, body, said) in [
        ("", late, "would be sent at once"),
        ("?from=2019-01-01T00:00:00Z", HOURLY, "would not be sent"),
        ("", r#"{"name":"one-minute","every":"1h"}"#, "has a schedule 'one-minute' already"),
    ] {
        let (status, answer) = preview(&clock, query, body).await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer["notes"][0].as_str().unwrap().contains(said), "{answer}");
    }
    assert_eq!(preview(&clock, "", HOURLY).await.1["notes"], serde_json::json!([]));
}

#[tokio::test]
async fn until_the_files_are_read_nothing_is_said_about_calendars() {
    let mut clock = Clock::start().await;
    let (read, named) = watch::channel(NamedCalendars::default());
    clock.state.clock = clock.state.clock.clone().naming(named);
    clock.serve_again().await;
    let body = r#"{"name":"a","every":"1h","only":["work"]}"#;
    let (status, problem) = preview(&clock, "", body).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("unavailable")), "{problem}");
    assert_eq!(preview(&clock, "", HOURLY).await.0, 200);
    read.send_replace(NamedCalendars { all: Some(Calendars::default()), created: Vec::new() });
    let (status, problem) = preview(&clock, "", body).await;
    assert_eq!((status, problem["errors"][0]["code"].as_str()), (422, Some("unknown-calendar")), "{problem}");
}

#[tokio::test]
async fn what_is_left_out_is_shown_in_the_zone_of_the_timing_that_names_it() {
    let clock = Clock::start().await;
    let nine = |zone: &str| format!(r#"{{"cron":"0 9 * * *","time_zone":"{zone}"}}"#);
    let timings = [nine("Asia/Tokyo"), nine("Europe/Paris")].join(",");
    let body = format!(
        r#"{{"name":"a","event":"a.b.c","timings":[{timings}],"move":"next-business-day","exclude":["never"]}}"#
    );
    let mut calendars = Calendars::default();
    let text = "weekdays = [\"SAT\", \"SUN\"]\n";
    let text = crate::diagnostic::Text::new("never.toml", text);
    let (never, _) = crate::schedule::calendar::parse(&text, false).unwrap();
    calendars.insert("never", Some(never));
    let (_named, seen) = watch::channel(NamedCalendars { all: Some(calendars), created: Vec::new() });
    let mut clock = clock;
    clock.state.clock = clock.state.clock.clone().naming(seen);
    clock.serve_again().await;
    let body = body.replace(r#""move":"next-business-day","#, "");
    let (status, answer) = preview(&clock, "?from=2026-12-04T23:00:00Z&count=1", &body).await;
    assert_eq!(status, 200, "{answer}");
    let left_out: Vec<_> =
        answer["occurrences"].as_array().unwrap().iter().filter(|one| one["due_at"].is_null()).collect();
    let shown: Vec<_> = left_out
        .iter()
        .map(|one| format!("{} {} {}", one["local_time"], one["utc_offset"], one["time_zone"]))
        .collect();
    let (tokyo, paris) = (r#""+09:00" "Asia/Tokyo""#, r#""+01:00" "Europe/Paris""#);
    let expected =
        ["05", "06"].map(|day| [tokyo, paris].map(|zone| format!(r#""2026-12-{day}T09:00:00" {zone}"#)));
    assert_eq!(shown, expected.concat());
}

#[tokio::test]
async fn a_definition_can_be_previewed_as_it_was_given_back() {
    let definition = Definition {
        name: "night".into(),
        event: Some("office.night.ended".into()),
        cron: Some("30 2 * * *".into()),
        time_zone: Some("Europe/Paris".into()),
        ..Definition::default()
    };
    let mut definition = definition;
    definition.pin_zones(&crate::schedule::ZoneData::default());
    let clock = Clock::of(vec![Era::first(7, at(0)).of(Packed::kept(&definition))], Limits::patient()).await;
    let (status, headers, view) = got(&clock.client, "/v1/schedules/night").await;
    assert_eq!(
        (status, headers["etag"].to_str().unwrap()),
        (200, format!("\"0.{}\"", view["revision"]).as_str())
    );
    assert!(view["definition"]["zones"].is_object(), "{view}");
    assert_eq!(preview(&clock, "", &view["definition"].to_string()).await.0, 200);
}
