//! Requests and their answers.

use super::harness::*;
use ponos_broker::{DIRECT_REPLY, PublishOutcome, Publisher, RequestEnd};
use ponos_event::topology::{Binding, Exchange, Queue, Topology};
use ponos_event::{Message, Properties};

const ASKED: &str = "asked";

fn taking() -> Topology {
    topology([Exchange::direct("questions")], [Queue::classic(ASKED)]).bind([Binding::queue(
        "questions",
        ASKED,
        ASKED,
    )])
}

fn question(text: &str) -> Message {
    message(ASKED, text)
}

/// Answers a delivery in upper case, as the clock does: through the default exchange, with its correlation id.
async fn answer(publisher: &mut Publisher, delivery: &ponos_broker::Delivery) {
    let Properties { reply_to, correlation_id, .. } = delivery.message.properties.clone();
    let address = reply_to.unwrap();
    assert!(address.starts_with(&format!("{DIRECT_REPLY}.")), "{address}");
    let mut answer = message(&address, "an answer");
    answer.properties.correlation_id = correlation_id;
    answer.body = text(delivery).to_uppercase().into();
    // RabbitMQ calls a mandatory one returned, for no queue has it: its channel has
    let outcomes = publish(publisher, "", [answer]).await;
    assert!(matches!(outcomes[..], [PublishOutcome::Confirmed { .. }]), "{outcomes:?}");
}

fn answered(end: RequestEnd) -> String {
    match end {
        RequestEnd::Answered(message) => String::from_utf8(message.body).unwrap(),
        RequestEnd::Unanswered(outcome) => panic!("it was not answered: {outcome:?}"),
    }
}

pub(crate) async fn answers_come_to_who_asked_in_whatever_order(harness: &impl Harness) {
    let mut consumer = harness.consumer(taking(), ASKED, 10);
    let mut publisher = harness.publisher(Topology::default());
    up(consumer.link()).await;
    let requester = harness.transport().requester();
    up(requester.link()).await;
    let (one, two, ()) = tokio::join!(
        within("the first answer", requester.ask("questions", question("one"))),
        within("the second answer", requester.ask("questions", question("two"))),
        async {
            let deliveries = [next(&mut consumer).await, next(&mut consumer).await];
            for delivery in deliveries.iter().rev() {
                answer(&mut publisher, delivery).await;
            }
        }
    );
    assert_eq!([answered(one.unwrap()), answered(two.unwrap())], ["ONE", "TWO"]);
}

pub(crate) async fn a_request_that_reaches_nobody_ends_at_once_and_says_why(harness: &impl Harness) {
    let publisher = harness.publisher(topology([Exchange::direct("questions")], []));
    up(publisher.link()).await;
    let requester = harness.transport().requester();
    up(requester.link()).await;
    let end = within("the end", requester.ask("questions", question("one"))).await.unwrap();
    assert_eq!(end, RequestEnd::Unanswered(RETURNED));
    let end = within("the end", requester.ask("nowhere", question("two"))).await.unwrap();
    assert!(
        matches!(&end, RequestEnd::Unanswered(PublishOutcome::Missing(why)) if why.contains("nowhere")),
        "{end:?}"
    );
    // that cost it its channel, at most
    up(requester.link()).await;
    let again = async {
        loop {
            match requester.ask("questions", question("three")).await.unwrap() {
                RequestEnd::Unanswered(PublishOutcome::Lost) => tokio::task::yield_now().await,
                end => return end,
            }
        }
    };
    assert_eq!(within("the end", again).await, RequestEnd::Unanswered(RETURNED));
}

pub(crate) async fn a_request_ends_when_its_connection_is_lost_and_may_be_asked_again(
    harness: &impl Harness,
) {
    let mut consumer = harness.consumer(taking(), ASKED, 10);
    let mut publisher = harness.publisher(Topology::default());
    up(consumer.link()).await;
    let requester = harness.transport().requester();
    let before = up(requester.link()).await;
    let (end, ()) = tokio::join!(within("the end", requester.ask("questions", question("one"))), async {
        next(&mut consumer).await;
        harness.disconnect_all();
    });
    assert_eq!(end.unwrap(), RequestEnd::Unanswered(PublishOutcome::Lost));
    let mut link = requester.link();
    let newer = |link: &ponos_broker::Link| matches!(link, ponos_broker::Link::Up { generation, .. } if *generation > before);
    within("another connection", link.wait_for(newer)).await.unwrap();
    let (end, ()) = tokio::join!(within("the answer", requester.ask("questions", question("two"))), async {
        loop {
            // the first comes again, and nobody waits for its answer
            let delivery = next(&mut consumer).await;
            if text(&delivery) == "two" {
                return answer(&mut publisher, &delivery).await;
            }
        }
    });
    assert_eq!(answered(end.unwrap()), "TWO");
}
