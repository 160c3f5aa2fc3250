//! Changes that are refused for now: what was answered stays true, whatever becomes of the connection; and who is refused what, so that
//! others have their share.

use super::*;
use crate::commands::{
    door::PREFETCH,
    outbox,
    turns::{PATIENCE, SHARE, WAITING},
    unconfirmed,
};

fn put(name: &str) -> Message {
    let definition = json!({ "name": name, "event": "billing.invoice.due", "cron": "0 9 * * *" });
    command("schedule.put", json!({ "definition": definition }))
}

fn look_at(name: &str) -> Message {
    command("schedule.get", json!({ "name": name }))
}

impl Open {
    /// Ready and unsettled messages in the queue of commands.
    fn queue(&self) -> (usize, usize) {
        let status = self.broker.queue_status("khronos.commands").unwrap();
        (status.ready, status.unacked)
    }

    /// Waits until as many are ready and unsettled.
    async fn until_queue_is(&self, ready: usize, unacked: usize) {
        let is_so = || async { (self.queue() == (ready, unacked)).then_some(()) };
        testkit::wait_until("the queue to be so", LIMIT, is_so).await;
    }

    /// Statuses of so many answers.
    async fn statuses(&mut self, count: usize) -> Vec<u16> {
        let mut statuses = Vec::new();
        for _ in 0..count {
            statuses.push(read(&self.answer().await).0);
        }
        statuses
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_for_now_is_settled_before_it_is_answered() {
    let mut open = Open::start().await;
    open.send(put("full")).await;
    // Nobody can be told before the broker takes answers again; the command is gone from its queue all the same.
    open.broker.hold_confirms(true);
    let (status, problem) = read(&open.answer().await);
    assert_eq!((status, open.queue()), (503, (0, 0)), "{problem}");
    open.broker.hold_confirms(false);
    // What is done is answered first.
    open.broker.hold_confirms(true);
    open.send(put("invoices")).await;
    assert_eq!(read(&open.answer().await).0, 201);
    assert_eq!(open.queue(), (0, 1));
    open.broker.hold_confirms(false);
    open.until_settled().await;
    assert!(open.counted().contains(r#"type="schedule.put",result="failed"} 1"#), "{}", open.counted());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_and_comes_again_is_answered_when_it_came_again() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    for name in ["held-full", "held"] {
        open.send(put(name)).await;
    }
    open.until_queue_is(0, 2).await;
    open.broker.disconnect_all();
    crate::ops::schedules::get(open.clock.clone(), "release").await.unwrap_err();
    let mut statuses = open.statuses(3).await;
    statuses.sort_unstable();
    // What was done is answered twice; of what was refused on a connection that was lost nobody hears.
    assert_eq!(statuses, [201, 201, 503]);
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    open.until_settled().await;
    assert!(open.counted().contains("khronos_command_replies_dropped_total 1"), "{}", open.counted());
}

#[tokio::test(start_paused = true)]
async fn sixteen_changes_about_one_schedule_wait_and_those_behind_are_told_to_come_again() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    for _ in 0..WAITING + 4 {
        open.send(put("held")).await;
    }
    assert_eq!(open.statuses(3).await, [429; 3]);
    open.send(look_at("release")).await;
    let mut statuses = open.statuses(WAITING + 2).await;
    statuses.sort_unstable();
    assert_eq!(
        (statuses[..WAITING + 1].iter().all(|status| *status == 201), statuses[WAITING + 1]),
        (true, 404)
    );
    open.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn one_owners_commands_leave_places_to_others() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    for number in 0..60 {
        open.send(put(&format!("held-{number}"))).await;
    }
    let mut other = look_at("release");
    other.properties.user_id = Some("reports-service".into());
    open.send(other).await;
    let mut statuses = open.statuses(61).await;
    statuses.sort_unstable();
    let of = |status: u16| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((of(201), of(404), of(429)), (SHARE, 1, 60 - SHARE), "{statuses:?}");
    open.until_settled().await;
}

/// The answers of one go where nobody confirms them, and are more than he has places for.
async fn another_is_answered_behind(open: &mut Open, message: impl Fn() -> Message) -> Duration {
    open.broker.hold_confirms(true);
    let begun = tokio::time::Instant::now();
    for _ in 0..PREFETCH {
        open.send(message()).await;
    }
    let mut other = look_at("two");
    other.properties.user_id = Some("reports-service".into());
    other.properties.correlation_id = Some("other".into());
    open.send(other).await;
    while open.answer().await.message.properties.correlation_id.as_deref() != Some("other") {}
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_confirms_take_no_more_than_their_owners_share() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    let took = another_is_answered_behind(&mut open, || look_at("two")).await;
    assert!(took <= PATIENCE + unconfirmed::BRIEFLY, "{took:?}");
    open.broker.hold_confirms(false);
    open.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_that_nobody_confirms_take_no_more_than_their_owners_share() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    let took = another_is_answered_behind(&mut open, || command("schedule.gett", json!({}))).await;
    assert!(took <= 2 * unconfirmed::BRIEFLY, "{took:?}");
    open.broker.hold_confirms(false);
    open.until_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_users_who_are_not_known_is_passed_over_and_nobody_waits_for_it() {
    let mut open = Open::start().await;
    for number in 0..50 {
        let mut stranger = look_at("two");
        stranger.properties.user_id = (number % 2 == 0).then(|| "stranger".into());
        open.send(stranger).await;
    }
    open.send(look_at("two")).await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) {
        statuses.extend(open.statuses(1).await);
    }
    open.until_settled().await;
    assert!((6..=12).contains(&statuses.len()), "{statuses:?}");
    assert!(open.counted().contains(r#"type="schedule.get",result="limited"} 40"#), "{}", open.counted());
    assert!(open.letters().len() <= 6, "a flood fills no dead letters");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_has_ended_leaves_commands_where_they_are() {
    let mut open = Open::start().await;
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    for message in [look_at("the-end"), put("invoices"), look_at("two")] {
        open.send(message).await;
    }
    open.until_queue_is(0, 3).await;
    open.trigger.advance();
    timeout(LIMIT, &mut open.door).await.expect("the door closes").unwrap();
    open.until_queue_is(3, 0).await;
    assert_eq!(open.broker.queue_depth("answers").unwrap(), 0);
    let counted = open.counted();
    let has_failed = |line: &str| line.contains(r#"result="failed""#) && !line.ends_with(" 0");
    assert!(!counted.lines().any(has_failed), "{counted}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_confirms_no_answers_holds_no_place_for_ever_and_that_is_shown() {
    let mut open = Open::start().await;
    open.broker.hold_confirms(true);
    for message in [put("invoices"), look_at("two")] {
        open.send(message).await;
    }
    open.until_queue_is(0, 1).await;
    let is_told = |shown: &Option<String>| {
        shown.as_ref().is_some_and(|shown| shown.contains("did not confirm the last one within 10 s"))
    };
    open.warning.wait_for(is_told).await.unwrap();
    timeout(3 * outbox::LONGEST, open.until_settled()).await.expect("the places are free");
    assert_eq!(open.statuses(2).await, [201, 200]);
    assert!(open.counted().contains("khronos_command_replies_dropped_total 2"), "{}", open.counted());
    open.broker.hold_confirms(false);
    assert_eq!(open.ask("schedule.get", json!({ "name": "two" })).await.0, 200);
    open.until_settled().await;
    assert!(open.warning.borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn many_definitions_in_one_message_are_answered_one_by_one() {
    let mut open = Open::start().await;
    let definition =
        |name: &str, cron: &str| json!({ "name": name, "event": "billing.invoice.due", "cron": cron });
    let definitions = json!([
        definition("invoices", "0 9 * * *"),
        definition("one-minute", "0 9 * * *"),
        definition("wrong", "0 0 30 2 *"),
    ]);
    let (status, batch) =
        open.ask("schedules.put", json!({ "definitions": definitions, "atomic": false })).await;
    assert_eq!((status, &batch["done"], &batch["refused"]), (200, &json!(1), &json!(2)), "{batch}");
    let results = batch["results"].as_array().unwrap();
    assert_eq!(
        (&results[0]["name"], &results[0]["outcome"]),
        (&json!("invoices"), &json!("created")),
        "{batch}"
    );
    assert_eq!(results[1]["problem"]["code"], "file-owned", "{batch}");
    assert_eq!(results[2]["problem"]["errors"][0]["pointer"], "/cron", "{batch}");
    for (body, status, code) in [
        (json!({ "definitions": [] }), 400, "invalid-request"),
        (json!({ "definitions": vec![json!({}); 1_001] }), 400, "malformed"),
        (json!({ "definitions": {} }), 422, "invalid"),
        (json!({ "atomic": true }), 422, "invalid"),
    ] {
        let (answered, problem) = open.ask("schedules.put", body).await;
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    open.until_settled().await;
}
