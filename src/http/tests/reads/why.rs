//! What became of an event, and who handles what: what the record knows, and what services report where the clock listens.

use super::super::{
    openapi::{check, described, validator},
    *,
};
use crate::reports::Observed;
use ponos::event::OccurrenceId;
use ponos_hearing::Heard;
use ponos_observer::Limits as Kept;

/// The clock, beside which something is heard.
async fn observing() -> Clock {
    let mut clock = Clock::start().await;
    let observed = Observed::played(Heard::new(Kept::default()));
    clock.state.clock = clock.state.clock.clone().observing(Some(observed));
    clock.serve_again().await;
    clock
}

#[tokio::test]
async fn of_an_event_it_is_told_what_the_record_has_by_its_due_time_and_by_its_id() {
    let clock = Clock::start().await;
    clock.record(confirmed("one-minute", 8));
    let kind = &EventKind::Occurrence;
    let id = OccurrenceId { clock: "khronos", schedule: "one-minute", due: at(8), kind }.id().to_string();
    for asked_for in [&*id, "one-minute%401970-01-01T00:08:00Z", "one-minute@1970-01-01T01:08:00%2B01:00"] {
        let (status, _, why) = got(&clock.client, &format!("/v1/why/{asked_for}")).await;
        assert_eq!(status, 200, "{why}");
        let known = &why["clock"];
        assert_eq!((&known["state"], &known["event_id"]), (&"sent".into(), &id.as_str().into()), "{why}");
        assert_eq!((&known["lateness_ms"], &known["revision"]), (&3.into(), &1.into()));
        assert!(
            why["observed"].is_null() && why["note"].as_str().unwrap().contains("reports.enabled"),
            "{why}"
        );
    }
    // What was confirmed a moment ago is written first.
    *clock.unwritten.lock().unwrap() = Ok(vec![confirmed("one-minute", 9)]);
    let (_, _, why) = got(&clock.client, "/v1/why/one-minute@1970-01-01T00:09:00Z").await;
    assert_eq!(why["clock"]["state"], "sent", "{why}");
    let (_, _, why) = got(&clock.client, "/v1/why/one-minute@1970-01-01T00:02:00Z").await;
    assert_eq!((&why["clock"]["state"], &why["clock"]["parked"]["id"]), (&"parked".into(), &7.into()));
    for (id, status, code) in [
        ("6f992030-8ff1-57e8-8522-1fc0093e28d6", 404, "not-found"),
        ("one-minutee@1970-01-01T00:08:00Z", 404, "not-found"),
        ("one-minute@soon", 400, "invalid-request"),
    ] {
        let (found, _, problem) = got(&clock.client, &format!("/v1/why/{id}")).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
}

#[tokio::test]
async fn who_handles_what_is_told_where_the_clock_listens_and_else_how_it_would() {
    let (status, _, problem) = got(&Clock::start().await.client, "/v1/coverage").await;
    assert_eq!((status, &problem["code"]), (404, &"not-observed".into()), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("set reports.enabled = true"), "{problem}");
    let clock = observing().await;
    let (status, _, coverage) = got(&clock.client, "/v1/coverage").await;
    assert_eq!((status, &coverage["listening"]), (200, &false.into()), "{coverage}");
    // Nothing is heard, which is no reason why events could not go out.
    let (status, _, ready) = got(&clock.client, "/readyz").await;
    let warning = ready["warnings"][0].as_str().unwrap();
    assert!(status == 200 && warning.contains("what services report is not heard"), "{ready}");
    let metrics = clock.client.text("/metrics").await.unwrap();
    let metrics = String::from_utf8_lossy(&metrics);
    for series in
        ["ponos_observer_connected 0", "ponos_observer_kept 0", "khronos_degraded{reason=\"reports\"} 1"]
    {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
}

#[tokio::test]
async fn both_are_of_the_form_that_is_described() {
    let clock = observing().await;
    clock.record(confirmed("one-minute", 8));
    let described = described(&clock.client).await;
    for (path, template) in [
        ("/v1/why/one-minute@1970-01-01T00:08:00Z", "/v1/why/{id}"),
        ("/v1/why/one-minute@1970-01-01T00:02:00Z", "/v1/why/{id}"),
        ("/v1/why/one-minute@1970-01-01T00:02:07Z", "/v1/why/{id}"),
        ("/v1/why/nobody", "/v1/why/{id}"),
        ("/v1/coverage", "/v1/coverage"),
    ] {
        let (status, headers, answer) = got(&clock.client, path).await;
        let response = &described["paths"][template]["get"]["responses"][status.to_string()];
        let schema = &response["content"][headers["content-type"].to_str().unwrap()]["schema"];
        assert!(!schema.is_null(), "{path} {status}: {response}");
        check(&validator(&described, schema), &answer, path);
    }
}
