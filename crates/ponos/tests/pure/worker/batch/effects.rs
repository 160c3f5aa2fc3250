//! What a handler of batches publishes, and what is said of its items: reports, metrics, traces.

use super::{COUNTED, Count, QUEUE, RETRIED, Runs, count, counts, does, policy, stock};
use ponos::{
    event::{
        Event,
        reports::{REPORTS, Report, ReportedOutcome},
    },
    inbox::Inbox,
    metrics::Metrics,
    prelude::*,
    testing::Kit,
    topology::{Binding, Exchange, Queue, Topology},
    worker::Limits,
};
use serde_json::{Value, json};

const STORED: &str = "stock.item.stored";
const COUNT: &str = "stock.batch.stored";

/// Publishes by each item, and by the whole; fails what is to fail.
async fn storing(items: Batch<Count>, context: Context) -> HandlerResult {
    for (index, count) in items.iter().enumerate() {
        items.context(index).publish(STORED, &json!(count.item))?;
        if count.does == "fail" {
            items.fail(index, "no");
        }
    }
    context.publish(COUNT, &json!(items.len()))?;
    Ok(if items[0].does == "skip" { Skip } else { Done })
}

fn publishing(policy: Policy) -> Worker {
    let worker = Worker::new("stock").batch(COUNTED, storing.with(policy));
    worker.publishes::<Value>(STORED).publishes::<Value>(COUNT)
}

#[tokio::test(start_paused = true)]
async fn what_is_published_by_an_item_follows_from_its_event_unless_it_fails() {
    let mut kit = Kit::start(publishing(Policy { attempts: 1, ..policy(3) })).await;
    let ids = kit.publish_all(COUNTED, &[count(0), does(1, "fail"), count(2)]).await;
    kit.settled().await;
    assert_eq!(kit.published(STORED), [json!(0), json!(2)]);
    let causes: Vec<String> =
        kit.published_events(STORED).into_iter().filter_map(|event| event.causation_id).collect();
    assert_eq!(causes, [ids[0].to_string(), ids[2].to_string()]);
    assert_eq!(kit.published(COUNT), [json!(3)]);
    // of a run that found nothing to do, and of one of which all items failed, nothing is sent
    kit.publish_all(COUNTED, &[does(3, "skip"), count(4), count(5)]).await;
    kit.publish_all(COUNTED, &[does(6, "fail"), does(7, "fail"), does(8, "fail")]).await;
    kit.settled().await;
    assert_eq!((kit.published(STORED).len(), kit.published(COUNT).len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_what_is_published_are_the_same_for_the_same_items_in_whatever_order_and_company() {
    let mut ids: Vec<Vec<String>> = Vec::new();
    for order in [[0, 1], [1, 0]] {
        let mut kit = Kit::start(publishing(policy(2))).await;
        let events = [kit.event(COUNTED, &count(0)), kit.event(COUNTED, &count(1))];
        let messages = order.map(|at: usize| events[at].to_message());
        kit.publish_messages("events", messages.to_vec()).await;
        kit.settled().await;
        let mut seen: Vec<String> =
            kit.published_events(STORED).into_iter().map(|event| event.id.to_string()).collect();
        seen.sort();
        seen.extend(kit.published_events(COUNT).into_iter().map(|event| event.id.to_string()));
        ids.push(seen);
        if order == [0, 1] {
            // and alone: what each published is known by its id, what is said of two is not what is said of one
            kit.publish_messages("events", vec![events[0].to_message()]).await;
            kit.settled().await;
            let again = kit.published_events(STORED).pop().unwrap();
            assert!(ids[0].contains(&again.id.to_string()));
            let whole = kit.published_events(COUNT);
            assert_ne!(whole[0].id, whole[1].id);
        }
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(start_paused = true)]
async fn all_items_of_a_batch_hold_no_more_than_one_handler_may() {
    let limits = Limits { held: 3, ..Limits::default() };
    let mut kit = Kit::start(publishing(Policy { attempts: 1, ..policy(4) }).limits(limits)).await;
    kit.publish_all(COUNTED, &counts(0..4)).await;
    kit.settled().await;
    assert_eq!(kit.dead().len(), 4);
    assert!(kit.dead()[0].reason.contains("holds 4 messages"), "{}", kit.dead()[0].reason);
}

#[tokio::test(start_paused = true)]
async fn each_item_is_counted_and_reported_by_itself_and_a_run_once() {
    let (runs, metrics) = (Runs::default(), Metrics::new());
    let worker = stock(policy(5), &runs).inbox(Inbox::memory(100)).reports().registry(&metrics);
    let mut kit = Kit::start(worker).await;
    let listening = Topology {
        exchanges: vec![Exchange::topic(REPORTS)],
        queues: vec![Queue::classic("seen")],
        bindings: vec![Binding::queue(REPORTS, "seen", format!("{QUEUE}.#"))],
        ..Topology::default()
    };
    kit.broker().declare(&listening).unwrap();
    let ids = kit
        .publish_all(COUNTED, &[count(0), count(1), does(2, "dead"), does(3, "fail-once"), count(4)])
        .await;
    kit.advance(RETRIED).await;
    let reports: Vec<Report> = kit
        .broker()
        .peek("seen")
        .into_iter()
        .map(|delivery| Event::from_message(&delivery.message).unwrap())
        .map(|event| serde_json::from_slice(&event.data).unwrap())
        .collect();
    let of = |outcome: ReportedOutcome| -> Vec<String> {
        let all = reports.iter().filter(|report| report.outcome == outcome);
        let ids = all.flat_map(|report| report.deliveries.iter().map(|delivery| delivery.id.clone()));
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        ids
    };
    let named = |at: &[usize]| -> Vec<String> { at.iter().map(|at| ids[*at].to_string()).collect() };
    assert_eq!(of(ReportedOutcome::Done), named(&[0, 1, 3, 4]));
    assert_eq!((of(ReportedOutcome::Dead), of(ReportedOutcome::Retried)), (named(&[2]), named(&[3])));
    let text = metrics.expose(None).unwrap().text;
    let of_handler = format!("queue=\"{QUEUE}\",handler=\"{COUNTED}\"");
    for (line, value) in [
        (format!("ponos_deliveries_total{{{of_handler},outcome=\"done\"}}"), 4),
        (format!("ponos_deliveries_total{{{of_handler},outcome=\"retried\"}}"), 1),
        (format!("ponos_dead_letters_total{{{of_handler},reason=\"refused\"}}"), 1),
        (format!("ponos_handler_duration_seconds_count{{{of_handler}}}"), 2),
        (format!("ponos_in_progress{{queue=\"{QUEUE}\"}}"), 0),
    ] {
        assert!(text.lines().any(|found| found == format!("{line} {value}")), "{line} {value}\n{text}");
    }
    assert_eq!(kit.stop().await.handled, 4);
}
