//! When schedules are due next.

use super::*;

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
            r#"null "2027-03-28T02:30:00" "+02:00" "Europe/Paris""#,
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
