//! How each item of a batch ends.

use super::{COUNTED, QUEUE, RETRIED, Runs, count, counts, does, kit, policy, secs, stock};
use ponos::{
    inbox::Inbox,
    prelude::*,
    testing::Kit,
    worker::{DeadKind, Death, Observed},
};
use serde_json::json;

fn died(kit: &Kit) -> Vec<(String, String)> {
    kit.dead().into_iter().map(|letter| (letter.kind, letter.reason)).collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_is_bad_for_ever_costs_its_neighbours_one_more_attempt() {
    let runs = Runs::default();
    let mut kit = kit(policy(500), &runs).await;
    let mut items = counts(0..500);
    items[250] = does(250, "err");
    let ids = kit.publish_all(COUNTED, &items).await;
    kit.advance(RETRIED).await;
    let each = runs.of_each();
    assert_eq!(each[&250], 3, "all of its attempts");
    assert!(each.iter().all(|(item, ran)| *item == 250 || *ran == 2), "{each:?}");
    assert_eq!(runs.sizes()[0], 500);
    assert!(runs.sizes()[1..].iter().all(|size| *size == 1), "what failed in a batch is alone from then on");
    assert_eq!(died(&kit), [("attempts".into(), "no luck".into())]);
    assert!(ids.iter().enumerate().all(|(at, id)| at == 250 || kit.ended(id) == Some(Ended::Done)));
    let report = kit.stop().await;
    assert_eq!((report.handled, report.dead, report.retried), (499, 1, 500 + 1));
}

#[tokio::test(start_paused = true)]
async fn a_single_item_fails_or_dies_without_the_others() {
    let runs = Runs::default();
    let mut kit = kit(policy(5), &runs).await;
    let items = [count(0), does(1, "fail-once"), count(2), does(3, "dead"), does(4, "fail")];
    let ids = kit.publish_all(COUNTED, &items).await;
    kit.settled().await;
    assert_eq!(runs.items(), [vec![0, 1, 2, 3, 4]]);
    let ended: Vec<Option<Ended>> = ids.iter().map(|id| kit.ended(id)).collect();
    assert_eq!((&ended[0], &ended[2]), (&Some(Ended::Done), &Some(Ended::Done)));
    assert!(matches!(&ended[1], Some(Ended::Retried { attempt: 2, reason, .. }) if reason == "not yet"));
    let refused = Death { kind: DeadKind::Refused, reason: "it is not ours".into() };
    assert_eq!(ended[3], Some(Ended::Dead(refused)));
    let waiting = kit.broker().peek("retry.1s");
    assert!(waiting.iter().all(|one| one.message.headers.int("retry-alone") == Some(1)), "{waiting:?}");
    kit.advance(RETRIED).await;
    assert_eq!(runs.sizes(), [5, 1, 1, 1]);
    assert_eq!(kit.ended(&ids[1]), Some(Ended::Done));
    let mut dead = died(&kit);
    dead.sort();
    let letters = [("attempts", "it fails"), ("refused", "it is not ours")];
    assert_eq!(dead, letters.map(|(kind, why)| (kind.to_owned(), why.to_owned())));
    let letter = kit.dead().into_iter().find(|letter| letter.kind == "attempts").unwrap();
    assert!(letter.message.headers.get("retry-alone").is_none(), "put back, it may be in a batch again");
}

#[tokio::test(start_paused = true)]
async fn an_error_a_panic_a_timeout_and_a_wrong_index_concern_all_items() {
    for (what, words) in [
        ("err", "no luck"),
        ("panic", "panicked: worse"),
        ("sleep", "timed out: it ran for longer than 2 s"),
        ("wrong", "items.fail(3): the batch has 3 items, from 0 on"),
    ] {
        let runs = Runs::default();
        // a panic that is printed with its stack may take seconds of real time, which a short timeout takes for blocking
        let policy = if what == "sleep" { policy(3).timeout(secs(2)) } else { policy(3) };
        let mut kit = kit(policy, &runs).await;
        // what was said of a single one before does not count
        let ids = kit.publish_all(COUNTED, &[does(0, "dead"), does(1, what), count(2)]).await;
        kit.advance(secs(3)).await;
        for id in &ids {
            let first = kit.observed().into_iter().find_map(|observed| match observed {
                Observed::Ended { id: Some(ended_id), attempt: 1, ended, .. } if ended_id == *id => {
                    Some(ended)
                }
                _ => None,
            });
            assert!(
                matches!(&first, Some(Ended::Retried { attempt: 2, reason, .. }) if reason == words),
                "{what}: {first:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_delivery_is_found_before_and_it_ends_alone() {
    let runs = Runs::default();
    let mut kit = kit(policy(6), &runs).await;
    let event = |kit: &mut Kit, data: serde_json::Value| kit.event(COUNTED, &data);
    let unfit = event(&mut kit, json!({ "item": "many" }));
    let mut expired = event(&mut kit, json!({ "item": 3 }));
    expired.expiry_time = Some(kit.now().plus(-1));
    let mut broken = event(&mut kit, json!({ "item": 4 })).into_message();
    broken.headers.remove("cloudEvents_type");
    let mut large = event(&mut kit, json!({ "item": 5 })).into_message();
    large.body = b"{\"item\":".to_vec();
    let good = [event(&mut kit, json!({ "item": 1 })), event(&mut kit, json!({ "item": 2 }))];
    let (unfit_id, expired_id, ids) = (unfit.id.clone(), expired.id.clone(), good.clone().map(|one| one.id));
    let [one, two] = good.map(|event| event.into_message());
    let messages = vec![unfit.into_message(), one, expired.into_message(), broken, two, large];
    kit.publish_messages("events", messages).await;
    kit.settled().await;
    assert_eq!(runs.items(), [vec![1, 2]]);
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)));
    assert!(matches!(kit.ended(&expired_id), Some(Ended::Skipped(_))));
    assert!(matches!(kit.ended(&unfit_id), Some(Ended::Dead(Death { kind: DeadKind::Schema, .. }))));
    let mut kinds: Vec<String> = kit.dead().into_iter().map(|letter| letter.kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["malformed", "malformed", "schema"]);
    assert_eq!(kit.broker().queue_depth(QUEUE), Some(0));
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_that_of_each_item() {
    let runs = Runs::default();
    let mut kit = kit(policy(2), &runs).await;
    let ids = kit.publish_all(COUNTED, &[does(0, "skip"), count(1)]).await;
    kit.settled().await;
    let nothing = Some(Ended::Skipped("its handler found nothing to do".into()));
    assert!(ids.iter().all(|id| kit.ended(id) == nothing));
    // put off, they are together again: nothing failed
    let ids = kit.publish_all(COUNTED, &[does(2, "snooze"), does(3, "snooze")]).await;
    kit.settled().await;
    assert!(ids.iter().all(|id| matches!(kit.ended(id), Some(Ended::Snoozed { .. }))));
    kit.advance(2 * RETRIED).await;
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)), "{:?}", kit.observed());
    assert_eq!(runs.items(), [vec![0, 1], vec![2, 3], vec![2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn single_items_are_excepted_from_every_outcome() {
    let runs = Runs::default();
    let mut kit = kit(policy(3), &runs).await;
    let ids = kit.publish_all(COUNTED, &[does(0, "dead"), does(1, "fail-once"), does(2, "snooze")]).await;
    kit.settled().await;
    let ended: Vec<Option<Ended>> = ids.iter().map(|id| kit.ended(id)).collect();
    let refused = Death { kind: DeadKind::Refused, reason: "it is not ours".into() };
    assert_eq!(ended[0], Some(Ended::Dead(refused)));
    assert!(matches!(&ended[1], Some(Ended::Retried { attempt: 2, reason, .. }) if reason == "not yet"));
    assert!(matches!(&ended[2], Some(Ended::Snoozed { .. })), "{:?}", ended[2]);
}

#[tokio::test(start_paused = true)]
async fn of_one_id_that_is_there_twice_one_runs_if_there_is_an_inbox() {
    for (inbox, expected) in [(Inbox::none(), vec![1, 2, 1]), (Inbox::memory(100), vec![1, 2])] {
        let runs = Runs::default();
        let mut kit = Kit::start(stock(policy(3), &runs).inbox(inbox.clone())).await;
        let (one, two) = (kit.event(COUNTED, &count(1)), kit.event(COUNTED, &count(2)));
        let messages = [&one, &two, &one].map(|event| event.to_message());
        kit.publish_messages("events", messages.to_vec()).await;
        kit.settled().await;
        assert_eq!(runs.items(), [expected]);
        let known = if inbox.is_none() { 0 } else { 1 };
        let ends = kit
            .observed()
            .into_iter()
            .filter(|observed| matches!(observed, Observed::Ended { ended: Ended::HandledAlready, .. }));
        assert_eq!(ends.count(), known);
        assert_eq!(kit.stop().await.handled, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_first_of_one_id_fails_the_other_runs_and_then_the_first_is_known() {
    let runs = Runs::default();
    let mut kit = Kit::start(stock(policy(3), &runs).inbox(Inbox::memory(100))).await;
    let (one, two) = (kit.event(COUNTED, &does(1, "fail-once")), kit.event(COUNTED, &count(2)));
    let messages = [&one, &two, &one].map(|event| event.to_message());
    kit.publish_messages("events", messages.to_vec()).await;
    kit.advance(RETRIED).await;
    // both are at their first attempt, and then at their second: one of those is done
    assert_eq!(runs.items(), [vec![1, 2], vec![1], vec![1]]);
    let ends: Vec<Ended> = kit
        .observed()
        .into_iter()
        .filter_map(|observed| match observed {
            Observed::Ended { id: Some(id), ended, .. } if id == one.id => Some(ended),
            _ => None,
        })
        .collect();
    let count = |wanted: fn(&Ended) -> bool| ends.iter().filter(|ended| wanted(ended)).count();
    assert_eq!(count(|ended| matches!(ended, Ended::Retried { .. })), 2, "{ends:?}");
    assert_eq!(count(|ended| matches!(ended, Ended::Released(_))), 1, "{ends:?}");
    assert_eq!(count(|ended| *ended == Ended::Done), 1, "{ends:?}");
    assert_eq!(count(|ended| *ended == Ended::HandledAlready), 1, "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_inbox_knows_is_not_in_the_batch_and_what_failed_is_not_known() {
    let runs = Runs::default();
    let mut kit = Kit::start(stock(policy(3), &runs).inbox(Inbox::memory(100))).await;
    let events = [count(1), does(2, "fail-once"), count(3)].map(|data| kit.event(COUNTED, &data));
    let ids = events.clone().map(|event| event.id);
    let messages: Vec<_> = events.iter().map(|event| event.to_message()).collect();
    kit.publish_messages("events", messages.clone()).await;
    kit.advance(RETRIED).await;
    assert_eq!(runs.items(), [vec![1, 2, 3], vec![2]]);
    assert!(ids.iter().all(|id| kit.ended(id) == Some(Ended::Done)));
    let fourth = kit.event(COUNTED, &count(4)).into_message();
    kit.publish_messages("events", messages[1..].iter().cloned().chain([fourth]).collect()).await;
    kit.settled().await;
    assert_eq!(runs.items()[2..], [vec![4]]);
    assert!(ids[1..].iter().all(|id| kit.ended(id) == Some(Ended::HandledAlready)));
}
