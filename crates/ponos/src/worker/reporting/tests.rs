//! What is handed over, and what is dropped.

use super::*;
use crate::event::Timestamp;

fn reported() -> (ReportedOutcome, ReportedDelivery) {
    let delivery = ReportedDelivery {
        id: "1".into(),
        name: "order.parcel.shipped".into(),
        handler: None,
        attempt: 1,
        began_at: Timestamp::EPOCH,
        ended_at: Timestamp::EPOCH,
        reason: None,
        due_at: None,
        correlation_id: None,
        causation_id: None,
        trace_id: None,
        published: Vec::new(),
        unlisted: 0,
    };
    (ReportedOutcome::Done, delivery)
}

#[test]
fn what_has_no_room_is_dropped_and_counted_and_costs_nothing() {
    let (lines, mut received) = mpsc::channel(1);
    let reporter = Reporter { lines, tally: Tally::default() };
    let queue = Arc::from("shop.order.parcel.shipped");
    reporter.ended(&queue, || Some(reported()));
    reporter.ended(&queue, || panic!("it is not even made"));
    assert_eq!((reporter.tally.dropped(), reporter.tally.metrics.dropped.get()), (1, 1));
    assert_eq!(received.try_recv().unwrap().delivery.id, "1");
    // what is not to be reported takes no room
    reporter.ended(&queue, || None);
    reporter.ended(&queue, || Some(reported()));
    assert_eq!((received.try_recv().unwrap().outcome, reporter.tally.dropped()), (ReportedOutcome::Done, 1));
}
