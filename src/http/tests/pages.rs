//! Schedules in pages.

use super::*;
use crate::{
    engine::{Refused, Span},
    schedule::{Created, DoorKind},
};

fn of(name: &str, event: &str, paused: Option<bool>) -> Revision {
    let every = Some("1 minute".into());
    let event = Some(event.into());
    let definition = Definition { name: name.into(), event, every, paused, ..Definition::default() };
    Era::first(1, at(0)).of(Packed::kept(&definition))
}

/// The same with these labels, created at run time by this owner.
fn labelled(name: &str, labels: &[(&str, &str)], owner: Option<&str>) -> Revision {
    let plain = of(name, "a.b.c", None).definition.definition();
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let created = owner.map(|owner| Created { number: 1, owner: owner.to_owned(), door: DoorKind::Http });
    let definition = Definition { labels: Some(labels), created, ..plain };
    Era::first(1, at(0)).of(Packed::kept(&definition))
}

/// The names of all pages, and how many each had.
async fn all(clock: &Clock, query: &str) -> (Vec<String>, Vec<usize>) {
    let (mut names, mut sizes, mut page) = (Vec::new(), Vec::new(), String::new());
    loop {
        let (status, _, body) = got(&clock.client, &format!("/v1/schedules?{query}{page}")).await;
        assert_eq!((status, body["clock"].as_str()), (200, Some("khronos")), "{body}");
        let list = body["schedules"].as_array().unwrap();
        sizes.push(list.len());
        names.extend(list.iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        match &body["next"] {
            Value::Null => return (names, sizes),
            next => page = format!("&page={}", next.as_str().unwrap()),
        }
    }
}

#[tokio::test]
async fn schedules_are_given_in_pages_each_once() {
    let name = |number: usize| format!("many-{number:04}");
    let clock =
        Clock::of((0..1_100).map(|number| revision(&name(number), "1 minute")).collect(), Limits::patient())
            .await;
    let (names, sizes) = all(&clock, "limit=300").await;
    assert_eq!(names, (0..1_100).map(name).collect::<Vec<_>>());
    assert_eq!(sizes, [300, 300, 300, 200]);
    assert_eq!(all(&clock, "").await.1, [[100; 11]].concat());
    // Where a page ends with the list, there is no further one.
    assert_eq!(all(&clock, "limit=1000&prefix=many-000").await.1, [10]);
    assert_eq!(all(&clock, "limit=10&prefix=many-000").await.1, [10]);
}

#[tokio::test]
async fn schedules_are_filtered_by_prefix_and_domain() {
    let revisions = vec![
        of("a", "billing.all.due", None),
        of("a.b", "billing.invoice.due", Some(true)),
        of("a.c", "billings.all.due", None),
        of("aa", "x.billing.due", None),
        of("b", "billing.invoice.sent", None),
    ];
    let clock = Clock::of(revisions, Limits::patient()).await;
    for (query, names) in [
        ("prefix=a", vec!["a", "a.b", "a.c", "aa"]),
        ("prefix=a.", vec!["a.b", "a.c"]),
        ("prefix=b", vec!["b"]),
        ("prefix=c", vec![]),
        ("domain=billing", vec!["a", "a.b", "b"]),
        ("domain=billing.invoice", vec!["a.b", "b"]),
        ("domain=billing.all.due", vec!["a"]),
        ("domain=billing.*", vec!["a", "a.b", "b"]),
        ("domain=billing.%23", vec!["a", "a.b", "b"]),
        ("domain=*.invoice", vec!["a.b", "b"]),
        ("domain=bill", vec![]),
        ("state=paused", vec!["a.b"]),
        ("state=active&prefix=a&domain=billing", vec!["a"]),
    ] {
        assert_eq!(all(&clock, query).await.0, names, "{query}");
        assert_eq!(all(&clock, &format!("{query}&limit=1")).await.0, names, "{query}, one by one");
    }
    for (query, parameter, code) in [
        ("limit=0", "limit", "out-of-range"),
        ("limit=1001", "limit", "out-of-range"),
        ("limit=x", "limit", "invalid-value"),
        ("state=pausd", "state", "unknown-word"),
        ("domain=", "domain", "invalid-value"),
        ("domain=Billing", "domain", "invalid-value"),
        ("domain=a..b", "domain", "invalid-value"),
        ("domain=%C3%A9", "domain", "invalid-value"),
        ("domain=bill*", "domain", "invalid-value"),
        ("prefix=A", "prefix", "invalid-value"),
        ("page=x", "page", "invalid-value"),
        ("stat=paused", "stat", "unknown-key"),
    ] {
        let (status, _, problem) = got(&clock.client, &format!("/v1/schedules?{query}")).await;
        let error = &problem["errors"][0];
        assert_eq!((status, problem["code"].as_str()), (400, Some("invalid-request")), "{query}");
        assert_eq!(
            (error["parameter"].as_str(), error["code"].as_str()),
            (Some(parameter), Some(code)),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn schedules_are_filtered_by_label_owner_and_origin() {
    let (billing, stage) = (("team", "billing"), ("stage", "prod: 2"));
    let revisions = vec![
        labelled("a", &[billing, stage], None),
        labelled("b", &[billing], Some("ann")),
        labelled("c", &[("team", "reports")], Some("bob")),
        labelled("d", &[], Some("ann")),
        of("e", "a.b.c", None),
    ];
    let clock = Clock::of(revisions, Limits::patient()).await;
    for (query, names) in [
        ("label=team:billing", vec!["a", "b"]),
        ("label=team", vec!["a", "b", "c"]),
        ("label=team%3Abilling%2Cstage%3Aprod%3A+2", vec!["a"]),
        ("label=stage,team:reports", vec![]),
        ("label=owner:ann", vec![]),
        ("owner=ann", vec!["b", "d"]),
        ("origin=file", vec!["a", "e"]),
        ("origin=client&label=team", vec!["b", "c"]),
        ("owner=ann&origin=file", vec![]),
        ("owner=ann&label=team:billing&origin=client&state=active", vec!["b"]),
    ] {
        assert_eq!(all(&clock, query).await.0, names, "{query}");
        assert_eq!(all(&clock, &format!("{query}&limit=1")).await.0, names, "{query}, one by one");
    }
    for (query, code) in [
        ("label=", "invalid-value"),
        ("label=Team", "invalid-value"),
        ("label=team:", "invalid-value"),
        ("label=team%3Dx", "invalid-value"),
        ("label=a&label=b", "duplicate-key"),
        ("label=a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "out-of-range"),
    ] {
        let (status, _, problem) = got(&clock.client, &format!("/v1/schedules?{query}")).await;
        let error = &problem["errors"][0];
        assert_eq!(
            (status, &error["parameter"], &error["code"]),
            (400, &"label".into(), &code.into()),
            "{query}"
        );
    }
    let (_, _, one) = got(&clock.client, "/v1/schedules/b").await;
    assert_eq!(one["definition"]["labels"], serde_json::json!({ "team": "billing" }));
    assert_eq!((&one["owner"], &one["place"]), (&"ann".into(), &Value::Null));
}

#[tokio::test]
async fn a_filter_that_few_pass_through_ends_a_page_early_and_misses_none() {
    let name = |number: usize| format!("many-{number:05}");
    let event = |number: usize| if number % 9_000 == 8_999 { "rare.thing.due" } else { "usual.thing.due" };
    let revisions = (0..20_500).map(|number| of(&name(number), event(number), None)).collect();
    let clock = Clock::of(revisions, Limits::patient()).await;
    let (names, sizes) = all(&clock, "domain=rare").await;
    assert_eq!(names, [name(8_999), name(17_999)]);
    // Each answer asks the loop for ten thousand and one at most.
    assert_eq!(sizes, [1, 1, 0]);
    assert_eq!(all(&clock, "label=team:billing").await, (vec![], vec![0, 0, 0]));
}

#[test]
fn a_state_is_the_gravest_that_holds() {
    let status = |paused, finished: bool, outstanding: bool, refused: bool| {
        let span = Span { revision: 1, after: at(1), through: at(2), handed: at(1), coalesced: None };
        let refused =
            refused.then(|| Refused { event: "a.b.c".into(), reason: "full".into(), since: at(1), times: 1 });
        let revision = of("a", "a.b.c", Some(paused));
        let outstanding = if outstanding { vec![span] } else { vec![] };
        let (next, in_flight, sent) = (Some(at(1)).filter(|_| !finished), None, sent(0, 0));
        let status =
            ScheduleStatus { revision, next, in_flight, outstanding, sent, refused, paused: None, finished };
        ScheduleView::new(&status, None).state
    };
    assert_eq!(status(false, false, false, false), "active");
    assert_eq!(status(true, false, false, false), "paused");
    assert_eq!(status(true, true, false, false), "finished");
    assert_eq!(status(true, false, true, false), "catching-up");
    assert_eq!(status(true, false, true, true), "refused");
}
