//! A requester of the in-memory broker: a publisher, and the consumer of a queue of its own that stands for the channel's
//! reply address.

use super::Broker;
use crate::{
    Consume, DIRECT_REPLY, Link, PublishOutcome, Publishing, Request, RequestEnd, RequesterTask, Settle,
    Settlement, request::PendingRequests,
};
use ponos_event::topology::{Queue, Topology};
use std::collections::HashMap;

pub(super) async fn run(broker: Broker, mut task: RequesterTask) {
    let address = format!("{DIRECT_REPLY}.{:032x}", fastrand::u128(..));
    let queue = Queue { name: address.clone(), exclusive: true, ..Queue::default() };
    let own = Topology { queues: vec![queue], ..Topology::default() };
    let mut publisher = broker.publisher(Topology::default());
    let mut answers = broker.consumer(own, Consume::new(address.clone()));
    let (mut publishing, mut consuming) = (publisher.link(), answers.link());
    let (mut pending, mut tokens) = (PendingRequests::default(), HashMap::<u64, String>::new());
    let (mut next, mut generation, mut seen) = (0, 0, [None, None]);
    loop {
        // both halves are one channel of RabbitMQ's: it is up when both are, and another when either is
        let halves = [&mut publishing, &mut consuming].map(|half| half.borrow_and_update().clone());
        let generations = halves.each_ref().map(|half| match half {
            Link::Up { generation, .. } => Some(*generation),
            _ => None,
        });
        let blocked = halves.iter().any(|half| matches!(half, Link::Blocked { .. }));
        if generations != seen && !blocked {
            pending.lose();
            tokens.clear();
            seen = generations;
            generation += u64::from(seen.iter().all(Option::is_some));
        }
        let is_up = generations.iter().all(Option::is_some);
        let [sending, hearing] = halves;
        let link = match (sending, hearing) {
            (Link::Up { broker, user, .. }, Link::Up { .. }) => Link::Up { generation, broker, user },
            (Link::Up { .. }, other) | (other, _) => other,
        };
        task.link.send_if_modified(|shown| {
            let differs = *shown != link;
            *shown = link;
            differs
        });
        tokio::select! {
            biased;
            Ok(()) = publishing.changed() => {}
            Ok(()) = consuming.changed() => {}
            Some(settled) = publisher.settlements() => {
                for Settlement { token, outcome } in settled {
                    let Some(id) = tokens.remove(&token) else { continue };
                    if outcome != (PublishOutcome::Confirmed { returned: false }) {
                        pending.end(&id, RequestEnd::Unanswered(outcome));
                    }
                }
            }
            Some(delivery) = answers.next() => {
                // of a lost connection it comes again, and then nobody waits for it
                let _ = answers.settle(delivery.tag, Settle::Ack).await;
                pending.answer(delivery.message);
            }
            request = task.submitted.recv(), if pending.has_room() => match request {
                None => break,
                Some(request) if !is_up => request.lose(),
                Some(Request { exchange, mut message, end }) => {
                    pending.tidy();
                    next += 1;
                    let id = message.properties.correlation_id.clone().unwrap_or_default();
                    message.properties.reply_to = Some(address.clone());
                    pending.add(id.clone(), end);
                    tokens.insert(next, id);
                    let batch = vec![Publishing { token: next, lane: 0, exchange, message }];
                    if publisher.submit(batch).await.is_err() {
                        break;
                    }
                }
            }
        }
    }
    pending.lose();
    task.link.send_replace(Link::Closed);
}
