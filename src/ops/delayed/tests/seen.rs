//! What is seen of delayed events.

use super::*;
use crate::{
    engine::Expect,
    ops::{MissingKind, OpsError},
};
use ponos::event::{EventKind, OccurrenceId, SpanContext};

#[tokio::test]
async fn an_event_is_shown_with_all_that_was_asked_for_and_as_it_came() {
    let (clock, machine) = clock().await;
    let more = r#""in":"10m","data":{"b":1.0,  "a":1},"headers":{"tenant":"x"},"correlation_id":"c","expires":"1h","unrouted":"park""#;
    put(&clock, &ann(), (None, item("a", more)), Expect::Any, None).await.unwrap();
    let view = get(&clock, "a").await.unwrap();
    assert_eq!((&*view.name, &*view.state, &*view.owner), ("a", "pending", "ann"));
    assert_eq!((view.due_at, view.send_at), (NOW.plus(600_000), Some(NOW.plus(600_000))));
    assert_eq!(view.data.as_ref().unwrap().get(), r#"{"b":1.0,  "a":1}"#);
    assert_eq!(view.headers.as_ref().unwrap().get(), r#"{"tenant":"x"}"#);
    assert_eq!((view.correlation_id.as_deref(), view.expires.as_deref()), (Some("c"), Some("3600000ms")));
    assert_eq!((view.unrouted.as_deref(), view.to, view.data_base64), (Some("park"), None, None));
    let due = NOW.plus(600_000);
    let id = OccurrenceId { clock: "khronos", schedule: "a@1", due, kind: &EventKind::Delayed }.id();
    assert_eq!(view.event_id, id.as_str());
    machine.settle("a");
    let view = get(&clock, "a").await.unwrap();
    assert_eq!((&*view.state, view.settled_at, view.send_at), ("settled", Some(NOW), None));
    assert!(view.data.is_none() && view.event_id == id.as_str());
    for name in ["b", "No Name", ""] {
        let missing = get(&clock, name).await.unwrap_err();
        let is_one =
            matches!(&missing, OpsError::NotFound(missing) if missing.kind == MissingKind::DelayedEvent);
        assert!(is_one, "{missing:?}");
    }
}

#[tokio::test]
async fn the_trace_in_which_it_was_asked_for_is_kept_and_makes_it_no_other_event() {
    let (clock, machine) = clock().await;
    let (one, other) =
        (SpanContext::new(7, 8, true), SpanContext { flags: 2, ..SpanContext::new(9, 1, false) });
    let more = r#""at":"2026-12-24T17:00:00Z","headers":{"tenant":"x"}"#;
    for (trace, created) in [(Some(one), true), (Some(other), false), (None, false)] {
        let put =
            put(&clock, &ann().in_trace(trace), (None, item("a", more)), Expect::Any, None).await.unwrap();
        assert_eq!(matches!(put.verdict, Verdict::Created { .. }), created, "{:?}", put.verdict);
        assert!(created || matches!(put.verdict, Verdict::Unchanged { .. }), "{:?}", put.verdict);
    }
    let view = get(&clock, "a").await.unwrap();
    assert_eq!(
        view.headers.as_ref().unwrap().get(),
        r#"{"tenant":"x"}"#,
        "it is none of the client's headers"
    );
    let kept = machine.content("a").headers;
    assert_eq!(crate::delayed::trace::taken_off(&kept), (r#"{"tenant":"x"}"#.to_owned(), Some(one)));
}

#[tokio::test]
async fn data_of_another_type_and_tasks_are_shown_as_they_were_given() {
    let (clock, _machine) = clock().await;
    let more = r#""in":"1m","data_base64":"AP8=","datacontenttype":"a/b","to":{"task":"docker.images"}"#;
    put(&clock, &ann(), (None, item("a", more)), Expect::Any, None).await.unwrap();
    put(&clock, &ann(), (None, item("b", IN)), Expect::Any, None).await.unwrap();
    let view = get(&clock, "a").await.unwrap();
    assert_eq!((view.data_base64.as_deref(), view.datacontenttype.as_deref()), (Some("AP8="), Some("a/b")));
    assert_eq!(view.to.map(|to| to.task).as_deref(), Some("docker.images"));
    assert!(view.data.is_none() && view.headers.is_none());
    let bare = get(&clock, "b").await.unwrap();
    assert!(bare.data.is_none() && bare.data_base64.is_none() && bare.unrouted.is_none());
}

#[tokio::test]
async fn a_list_has_what_is_wanted_page_by_page() {
    let (clock, _machine) = clock().await;
    let items = (0..25).map(|number| {
        let event = if number % 2 == 0 { "billing.a.due" } else { "reports.a.due" };
        format!(r#"{{"name":"n{number:02}","event":"{event}","in":"{}m"}}"#, number + 1).into_bytes()
    });
    change(&clock, &owner("ann", "#"), batch(items.collect())).await.unwrap();
    put(&clock, &owner("bob", "#"), (None, item("other", IN)), Expect::Any, None).await.unwrap();
    let names = async |wanted: DelayedQuery| {
        let (mut all, mut pages, mut page) = (Vec::new(), 0, None);
        loop {
            let list = list(&clock, DelayedQuery { page: page.take(), ..wanted.clone() }).await.unwrap();
            all.extend(list.events.into_iter().map(|event| event.name));
            pages += 1;
            page = list.next;
            if page.is_none() {
                return (all, pages);
            }
        }
    };
    let (all, pages) = names(DelayedQuery { limit: Some(7), ..DelayedQuery::default() }).await;
    assert!(all.len() == 26 && pages == 4 && all.is_sorted(), "{pages} {all:?}");
    let minute = |minutes: i64| Some(NOW.plus(minutes * 60_000));
    for (wanted, count) in [
        (DelayedQuery { prefix: Some("n1".into()), ..DelayedQuery::default() }, 10),
        (DelayedQuery { domain: Some("reports".into()), ..DelayedQuery::default() }, 12),
        (DelayedQuery { owner: Some("bob".into()), ..DelayedQuery::default() }, 1),
        (DelayedQuery { due_after: minute(20), ..DelayedQuery::default() }, 5),
        (DelayedQuery { due_before: minute(3), ..DelayedQuery::default() }, 2),
        (DelayedQuery { prefix: Some("x".into()), ..DelayedQuery::default() }, 0),
    ] {
        let (found, _) = names(wanted.clone()).await;
        assert_eq!(found.len(), count, "{wanted:?} {found:?}");
    }
    for (wanted, parameter) in [
        (DelayedQuery { limit: Some(0), ..DelayedQuery::default() }, "limit"),
        (DelayedQuery { limit: Some(1_001), ..DelayedQuery::default() }, "limit"),
        (DelayedQuery { domain: Some("A".into()), ..DelayedQuery::default() }, "domain"),
        (DelayedQuery { prefix: Some("A".into()), ..DelayedQuery::default() }, "prefix"),
        (DelayedQuery { page: Some("A".into()), ..DelayedQuery::default() }, "page"),
    ] {
        let refused = list(&clock, wanted).await.unwrap_err();
        assert!(matches!(&refused, OpsError::Parameter(fault) if fault.name == parameter), "{refused}");
    }
}
