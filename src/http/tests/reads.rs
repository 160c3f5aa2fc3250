//! What is read of a clock: its schedules, its history, its audit.

mod why;

use super::*;
use crate::engine::audit::Report;

#[tokio::test]
async fn schedules_are_listed_and_a_misspelt_one_is_answered_with_the_nearest() {
    let clock = Clock::start().await;
    let all: Value = clock.client.get("/schedules").await.unwrap();
    assert_eq!(all["schedules"][0]["name"], "one-minute");
    assert_eq!(all["schedules"][0]["returned"], 2);
    assert_eq!(all["schedules"][0]["definition"]["every"], "1 minute");
    let one: ScheduleView = clock.client.get("/schedules/two-minutes").await.unwrap();
    assert_eq!((one.next_due_at, one.event.as_deref()), (Some(at(11)), Some("time.two-minutes.passed")));
    let (status, detail) = refused(clock.client.get("/schedules/one-minutee").await).await;
    assert_eq!(status, 404);
    assert!(detail.contains("did you mean 'one-minute'?"), "{detail}");
}

#[tokio::test]
async fn history_is_paged_in_both_directions_and_filtered() {
    let clock = Clock::start().await;
    for minute in 1..=1200 {
        clock.record(confirmed(if minute % 2 == 0 { "two-minutes" } else { "one-minute" }, minute));
    }
    for (way, newest_first) in [("before=99999", true), ("after=0", false)] {
        let (mut seen, mut query) = (Vec::new(), format!("/history?schedule=two-minutes&limit=250&{way}"));
        loop {
            let page: History = clock.client.get(&query).await.unwrap();
            seen.extend(page.rows.iter().map(|row| row.sequence));
            let Some(next) = page.next else { break };
            let key = if newest_first { "before" } else { "after" };
            query = format!("/history?schedule=two-minutes&limit=250&{key}={next}");
        }
        let mut expected: Vec<u64> = (1..=600).map(|k| k * 2).collect();
        if newest_first {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
    let newest: History = clock.client.get("/history?limit=1").await.unwrap();
    assert_eq!((newest.rows[0].sequence, newest.rows[0].lateness_ms), (1200, Some(3)));
    for (query, reason) in [
        ("outcome=confirmd", "did you mean 'confirmed'?"),
        ("limit=0", "1 to 1000"),
        ("after=1&before=2", "not both"),
        ("after=x", "after: 'x' is not a position in the record"),
        ("since=3", "since"),
    ] {
        let (status, detail) = refused(clock.client.get(&format!("/history?{query}")).await).await;
        assert_eq!(status, 400, "{query}");
        assert!(detail.contains(reason), "{detail}");
    }
}

#[tokio::test]
async fn an_audit_waits_for_rows_that_are_still_being_written() {
    let clock = Clock::start().await;
    (1..=3).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    [2, 4].into_iter().for_each(|minute| clock.record(confirmed("two-minutes", minute)));
    // What the loop knows to be settled is not written before it is asked to.
    *clock.unwritten.lock().unwrap() = Ok(vec![confirmed("one-minute", 4)]);
    let report: Report = clock.client.get("/audit").await.unwrap();
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.totals.expected, report.totals.confirmed), (6, 6));
    for (query, reason) in [
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "must be before"),
        ("from=2099-01-01T00:00:00Z", "is in the future"),
        ("to=1969-12-31T00:00:00Z", "before the clock's first schedule"),
    ] {
        let (status, detail) = refused(clock.client.get(&format!("/audit?{query}")).await).await;
        assert_eq!(status, 400, "{query}: {detail}");
        assert!(detail.contains(reason), "{detail}");
    }
}

#[tokio::test]
async fn an_audit_of_rows_that_can_not_be_written_says_so() {
    let clock = Clock::start().await;
    *clock.unwritten.lock().unwrap() = Err("the disk is full".into());
    let (status, detail) = refused(clock.client.get("/audit").await).await;
    assert_eq!((status, detail.as_str()), (503, "the record can't be completed: the disk is full"));
}

#[tokio::test]
async fn an_audit_of_a_time_of_which_nothing_is_known_is_refused() {
    // What the loop's pages speak of is settled up to minute 4.
    let of = |name, minute| Revision { effective_from: at(minute), ..revision(name, "1 minute") };
    let clock = Clock::of(vec![of("late", 9), of("new", 3), of("old", 0)], Limits::patient()).await;
    (1..=4).for_each(|minute| clock.record(confirmed("old", minute)));
    clock.record(confirmed("new", 4));
    for (query, reason) in [
        (format!("schedule=new&to={}", at(2)), "is before the schedule 'new', which took effect at"),
        ("schedule=late".into(), "the schedule 'late' took effect at 1970-01-01T00:09:00.000Z"),
        (format!("from={}", at(5)), "is not before 1970-01-01T00:04:00.000Z, up to which all is settled"),
        (format!("schedule=old&from={}", at(4)), "is not before 1970-01-01T00:04:00.000Z"),
    ] {
        let (status, detail) = refused(clock.client.get(&format!("/audit?{query}")).await).await;
        assert_eq!(status, 400, "{query}: {detail}");
        assert!(detail.contains(reason), "{query}: {detail}");
    }
    for query in [format!("to={}", at(2)), format!("schedule=old&to={}", at(2)), "schedule=new".into()] {
        let report: Report = clock.client.get(&format!("/audit?{query}")).await.unwrap();
        assert!(report.agrees() && report.from < report.to, "{query}: {report:?}");
    }
}

#[tokio::test]
async fn a_name_of_which_rows_are_kept_is_audited_though_no_definition_is() {
    let clock = Clock::start().await;
    let delayed = Row { kind: EventKind::Delayed, ..confirmed("gone", 1) };
    clock.record(delayed);
    let report: Report = clock.client.get("/audit?schedule=gone").await.unwrap();
    assert_eq!((report.rows, report.schedules.len()), (1, 0));
    let (status, detail) = refused(clock.client.get("/audit?schedule=one-minut").await).await;
    assert_eq!(status, 404);
    assert!(detail.contains("did you mean 'one-minute'?"), "{detail}");
}

#[tokio::test]
async fn for_an_audit_of_one_schedule_the_loop_is_asked_for_its_revisions_alone() {
    let (clock, mut asked, client) = Clock::unanswered().await;
    let audit = tokio::spawn(async move { client.get::<Report>("/audit?schedule=b").await });
    match asked.recv().await {
        Some(Command::Kept(Some((name, 0)), reply)) if *name == *"b" => {
            let revisions = vec![revision("b", "1 minute"), revision("c", "1 minute")];
            reply.send(KeptPage { settled: at(4), revisions, ..KeptPage::default() }).unwrap();
        }
        other => panic!("{other:?}"),
    }
    match asked.recv().await {
        Some(Command::Parked(None, reply)) => reply.send(vec![]).unwrap(),
        other => panic!("{other:?}"),
    }
    match asked.recv().await {
        Some(Command::Write(reply)) => reply.send(Ok(())).unwrap(),
        other => panic!("{other:?}"),
    }
    let report = audit.await.unwrap().unwrap();
    assert_eq!(report.totals.expected, 4, "{report:?}");
    drop(clock);
}
