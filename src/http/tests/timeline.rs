//! All schedules on one axis.

use super::*;
use crate::{
    engine::{SkipReason, Span},
    position::Position,
};
use serde_json::json;

/// The timeline of this query.
async fn timeline(clock: &Clock, query: &str) -> Value {
    let (status, _, answer) = got(&clock.client, &format!("/v1/timeline?{query}")).await;
    assert_eq!(status, 200, "{query}: {answer}");
    answer
}

fn names(timeline: &Value) -> Vec<&str> {
    timeline["schedules"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// How many there are of this in all columns.
fn sum(cells: &Value, what: &str) -> u64 {
    cells.as_array().unwrap().iter().filter_map(|cell| cell[what].as_u64()).sum()
}

const FIRST_MINUTES: &str = "from=1970-01-01T00:00:00Z&to=1970-01-01T00:20:00Z&columns=4";

#[tokio::test]
async fn the_past_is_counted_by_what_became_of_it() {
    let clock = Clock::start().await;
    (1..=10).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    let late = Outcome::Confirmed { sent_at: at(13), lateness: 60_000, returned: false };
    clock.record(Row { outcome: late, ..confirmed("two-minutes", 12) });
    let skipped = Outcome::Skipped(SkipReason::Missed);
    clock.record(Row { first: at(12), count: 3, outcome: skipped, ..confirmed("one-minute", 14) });
    clock.record(Row { outcome: Outcome::Parked("full".into()), ..confirmed("gone", 19) });
    clock.record(Row { count: 0, first: at(2), outcome: Outcome::DetailsLost, ..confirmed("*", 3) });
    clock.record(confirmed("one-minute", 20));
    let shown = timeline(&clock, FIRST_MINUTES).await;
    assert_eq!((&shown["columns"], &shown["column_ms"]), (&4.into(), &300_000.into()));
    assert_eq!(names(&shown), ["one-minute", "two-minutes"]);
    let (one, two) = (&shown["schedules"][0], &shown["schedules"][1]);
    let cells = json!([
        { "column": 0, "sent": 4 },
        { "column": 1, "sent": 5 },
        { "column": 2, "sent": 1, "skipped": { "missed": 3 }, "waiting": 1 },
        { "column": 3, "waiting": 5 },
    ]);
    // What is due since minute 11, and has no row, waits.
    assert_eq!(one["cells"], cells);
    let cells =
        json!([{ "column": 2, "late": 1, "latest_ms": 60_000, "waiting": 1 }, { "column": 3, "waiting": 2 }]);
    assert_eq!(two["cells"], cells);
    assert_eq!((&one["timing"], &one["time_zone"]), (&"every minute".into(), &"UTC".into()));
    // Also of what is no schedule any more.
    assert_eq!((sum(&shown["recorded"], "parked"), sum(&shown["recorded"], "sent")), (1, 10));
    let unknown = json!([{ "from": at(2), "through": at(3), "outcome": "details-lost" }]);
    assert_eq!(shown["unknown"], unknown);
    assert_eq!(shown["record"], json!({ "earlier": null, "since": null, "through": null }));
    let patient = timeline(&clock, &format!("{FIRST_MINUTES}&late=2m")).await;
    assert_eq!(patient["schedules"][1]["cells"][0], json!({ "column": 2, "sent": 1, "waiting": 1 }));
}

#[tokio::test]
async fn what_is_coming_is_counted_where_it_is_neither_paused_nor_past() {
    let paused = Definition { paused: Some(true), ..revision("paused", "1 minute").definition.definition() };
    let paused = Era::first(1, at(0)).of(Packed::kept(&paused));
    let all = vec![revision("one-minute", "1 minute"), paused, revision("two-minutes", "2 minutes")];
    let clock = Clock::of(all, Limits::patient()).await;
    let shown = timeline(&clock, "").await;
    assert_eq!((&shown["columns"], &shown["column_ms"]), (&120.into(), &60_000.into()));
    assert_eq!(names(&shown), ["one-minute", "paused", "two-minutes"]);
    let coming: Vec<u64> =
        shown["schedules"].as_array().unwrap().iter().map(|one| sum(&one["cells"], "coming")).collect();
    // What is due this very moment, and in an hour, is none of it.
    assert!(matches!(coming[..], [59 | 60, 0, 29 | 30]), "{coming:?}");
    let cells = &shown["schedules"][0]["cells"];
    let first = cells.as_array().unwrap().iter().find(|cell| cell["coming"].is_u64()).unwrap();
    assert!(matches!(first["column"].as_u64(), Some(60 | 61)), "nothing is coming before now: {first}");
    // Nothing of it was handed over since 1970. What is skipped by its definition does not wait.
    assert!(matches!(sum(cells, "waiting"), 60 | 61), "{cells}");
    assert_eq!(shown["schedules"][1]["cells"], json!([]));
    assert_eq!(shown["recorded"], json!([]));
}

#[tokio::test]
async fn what_is_due_and_waits_is_counted_by_its_revision_wherever_it_stands_and_once() {
    let (clock, mut asked, client) = Clock::unanswered().await;
    // It was confirmed since its span was read.
    clock.record(Row { revision: 2, ..confirmed("a", 6) });
    let query = format!("/v1/timeline?{FIRST_MINUTES}");
    let shown = tokio::spawn(async move { client.get::<Value>(&query).await });
    let span = |revision, after, through| Span { revision, after, through, handed: at(0), coalesced: None };
    let status = ScheduleStatus {
        revision: Revision { number: 2, ..revision("a", "2 minutes") },
        next: Some(at(16)),
        in_flight: Some(at(14)),
        outstanding: vec![span(1, at(1), at(4)), span(2, at(4), at(9))],
        sent: sent(0, 0),
        refused: None,
        paused: None,
        finished: false,
    };
    for page in [vec![status], vec![]] {
        match asked.recv().await {
            Some(Command::Schedules(_, reply)) => reply.send(page).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    match asked.recv().await {
        Some(Command::Revision(name, 1, reply)) if *name == *"a" => {
            reply.send(Some(revision("a", "1 minute"))).unwrap();
        }
        other => panic!("{other:?}"),
    }
    let shown = shown.await.unwrap().unwrap();
    let cells = json!([
        { "column": 0, "waiting": 3 },
        { "column": 1, "sent": 1, "waiting": 1 },
        { "column": 2, "waiting": 1 },
        { "column": 3, "waiting": 2 },
    ]);
    assert_eq!(
        (&shown["schedules"][0]["cells"], &shown["schedules"][0]["state"]),
        (&cells, &"catching-up".into())
    );
    drop(clock);
}

#[tokio::test]
async fn a_timeline_that_waits_keeps_no_preview_waiting() {
    let (_clock, mut asked, client) = Clock::unanswered().await;
    let waits = client.clone();
    let waiting = tokio::spawn(async move { waits.get::<Value>("/v1/timeline").await });
    let Some(Command::Schedules(_, _unanswered)) = asked.recv().await else {
        panic!("no schedules were asked for")
    };
    let next = tokio::spawn(async move { client.get::<Value>("/v1/schedules/a/next").await });
    assert!(asked.recv().await.is_some(), "it has its turn");
    waiting.abort();
    next.abort();
}

#[tokio::test]
async fn a_long_record_is_gone_through_from_answer_to_answer_and_what_is_coming_is_counted_once() {
    let clock = Clock::start().await;
    (1..=25_000).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    let span = format!("from={}&to={}&columns=10", at(0), at(60 * 24 * 30));
    let first = timeline(&clock, &span).await;
    assert_eq!(sum(&first["schedules"][0]["cells"], "sent"), 20_000);
    assert_eq!(first["record"]["since"], json!(at(5_001)));
    let earlier = first["record"]["earlier"].as_str().unwrap();
    let second = timeline(&clock, &format!("{span}&before={earlier}")).await;
    assert_eq!(sum(&second["schedules"][0]["cells"], "sent"), 5_000);
    assert_eq!(second["record"], json!({ "earlier": null, "since": null, "through": at(5_000) }));
    let (here, ahead) = (Position::new(RECORD, 1), "from=2090-01-01T00:00:00Z&to=2090-01-01T01:00:00Z");
    for (query, coming) in [(ahead.to_owned(), 60), (format!("{ahead}&before={here}"), 0)] {
        let shown = timeline(&clock, &query).await;
        assert_eq!(sum(&shown["schedules"][0]["cells"], "coming"), coming, "{query}");
    }
}

#[tokio::test]
async fn the_clocks_of_the_zone_that_is_asked_for_change_where_they_do() {
    let clock = Clock::start().await;
    let query = "from=2027-03-01T00:00:00Z&to=2027-05-01T00:00:00Z&time_zone=Europe/Paris";
    let change = json!([{ "at": "2027-03-28T01:00:00.000Z", "before": "+01:00", "after": "+02:00" }]);
    assert_eq!(timeline(&clock, query).await["clock_changes"], change);
    for other in ["", "&time_zone=UTC", "&time_zone=Asia/Tokyo"] {
        let query = query.replace("&time_zone=Europe/Paris", other);
        assert_eq!(timeline(&clock, &query).await["clock_changes"], json!([]), "{other}");
    }
}

#[tokio::test]
async fn schedules_come_in_pages_and_filtered_as_in_their_list() {
    let all = ["a-one", "a-two", "b-one"].map(|name| revision(name, "1 minute"));
    let clock = Clock::of(all.into(), Limits::patient()).await;
    let first = timeline(&clock, "limit=2").await;
    assert_eq!(names(&first), ["a-one", "a-two"]);
    let page = first["next"].as_str().unwrap();
    let second = timeline(&clock, &format!("limit=2&page={page}")).await;
    assert_eq!((names(&second), &second["next"]), (vec!["b-one"], &Value::Null));
    for (query, found) in [
        ("prefix=b", vec!["b-one"]),
        ("domain=time", vec!["a-one", "a-two", "b-one"]),
        ("domain=billing", vec![]),
        ("state=paused", vec![]),
        ("origin=client", vec![]),
        ("owner=ann", vec![]),
        ("label=team", vec![]),
    ] {
        assert_eq!(names(&timeline(&clock, query).await), found, "{query}");
    }
}

#[tokio::test]
async fn a_span_that_can_not_be_shown_is_refused() {
    let clock = Clock::start().await;
    let other = format!("{FIRST_MINUTES}&before={}", Position::new(RECORD + 1, 1));
    let alone = format!("to=2090-01-01T00:00:00Z&before={}", Position::new(RECORD, 1));
    for (query, parameter, code) in [
        ("columns=0", "columns", "out-of-range"),
        ("columns=401", "columns", "out-of-range"),
        ("limit=0", "limit", "out-of-range"),
        ("limit=101", "limit", "out-of-range"),
        ("from=2026-12-01T09:00:00Z&to=2026-12-01T09:00:00Z", "from", "conflict"),
        ("from=2026-12-01T09:00:00Z&to=2027-03-03T09:00:00.001Z", "to", "out-of-range"),
        ("from=2026-12-01T09:00", "from", "no-time-zone"),
        ("late=soon", "late", "invalid-value"),
        ("time_zone=Europe/Pari", "time_zone", "unknown-time-zone"),
        ("before=x", "before", "invalid-value"),
        (&other, "before", "invalid-value"),
        (&alone, "before", "conflict"),
        ("page=x", "page", "invalid-value"),
        ("state=pausd", "state", "unknown-word"),
        ("zone=UTC", "zone", "unknown-key"),
    ] {
        let (status, _, problem) = got(&clock.client, &format!("/v1/timeline?{query}")).await;
        let error = &problem["errors"][0];
        assert_eq!(status, 400, "{query}: {problem}");
        assert_eq!((&error["parameter"], &error["code"]), (&parameter.into(), &code.into()), "{query}");
    }
    timeline(&clock, "from=2026-12-01T09:00:00Z&to=2027-03-03T09:00:00Z").await;
}
