//! Dead letters from code, on a real RabbitMQ: listed, requeued and discarded, while others read, and with an inbox.

use super::{NAME, QUEUE, parcel};
use crate::{
    real::{Running, Sender, holds, letters},
    support::config,
};
use ponos::{
    Client,
    broker::Transport,
    dead::{DeadError, LetterFilter, Requeued},
    inbox::Inbox,
    prelude::*,
    topology::worker::dead_letters,
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use testkit::Node;

async fn client(url: &str) -> Client {
    Client::connect_on(Transport::amqp(config(url)), "backoffice").await.unwrap()
}

/// A worker that refuses everything while it is told to, for a reason that ends with the id.
fn worker(refuses: &Arc<AtomicBool>) -> Worker {
    let refuses = Arc::clone(refuses);
    let handler = move |_: Value, ctx: Context| {
        let refuses = refuses.load(SeqCst);
        async move {
            let why = format!("the shelf is empty: {}", ctx.event().id);
            Ok(if refuses { Outcome::dead(why) } else { Done })
        }
    };
    Worker::new("shop").on::<Value>(NAME, handler.with(Policy::default().concurrency(1)))
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_listed_requeued_and_discarded_by_a_filter() {
    let vhost = "dead-code";
    let (node, url) = (Node::shared(), Node::shared().vhost(vhost));
    let refuses = Arc::new(AtomicBool::new(true));
    let running = Running::start(&url, worker(&refuses)).await;
    Sender::new(&url).await.send(["a", "b", "c", "d"].map(parcel).into()).await;
    holds(node, vhost, &dead_letters(QUEUE), 4).await;
    let client = client(&url).await;
    let dead = client.dead(QUEUE);

    // as often as one likes: they stay, in order
    for _ in 0..3 {
        let listed = dead.list(&LetterFilter::all().kind("refused").unwrap()).await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|letter| letter.id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c", "d"]);
        assert_eq!((listed[0].queue.as_str(), listed[0].name.as_str()), (QUEUE, NAME));
        assert_eq!(listed[0].reason, "the shelf is empty: a");
        holds(node, vhost, &dead_letters(QUEUE), 4).await;
    }
    assert_eq!(dead.list(&LetterFilter::all().limit(2)).await.unwrap().len(), 2);
    assert_eq!(dead.list(&LetterFilter::all().kind("schema").unwrap()).await.unwrap(), []);
    holds(node, vhost, &dead_letters(QUEUE), 4).await;

    refuses.store(false, SeqCst);
    let filter = LetterFilter::all().reason("EMPTY: B");
    assert_eq!(dead.requeue(&filter).await.unwrap(), Requeued { sent: 1, ..Requeued::default() });
    running.ends.done(1).await;
    assert!(running.ends.all().contains(&("b".to_owned(), Ended::Done)));
    holds(node, vhost, &dead_letters(QUEUE), 3).await;
    assert_eq!(dead.discard(&LetterFilter::all().reason("empty: a").limit(1)).await.unwrap(), 1);
    holds(node, vhost, &dead_letters(QUEUE), 2).await;
    let left = letters(&url, QUEUE, 2).await;
    let left: Vec<_> = left.iter().map(|letter| letter.properties.message_id.as_deref().unwrap()).collect();
    assert_eq!(left, ["c", "d"]);
    running.stop().await;

    // their queue is gone: they stay, and it is said why
    node.delete_queue(vhost, QUEUE);
    holds(node, vhost, &dead_letters(QUEUE), 2).await;
    let stayed = dead.requeue(&LetterFilter::all()).await.unwrap();
    assert_eq!((stayed.sent, stayed.stayed), (0, 2));
    assert!(stayed.why.unwrap().contains(&format!("the queue '{QUEUE}' does not exist")));
    holds(node, vhost, &dead_letters(QUEUE), 2).await;
    let missing = client.dead("nobody").list(&LetterFilter::all()).await.unwrap_err();
    assert!(matches!(&missing, DeadError::Missing { queue } if queue == "nobody.dlq"), "{missing}");
    client.close().await.unwrap();
    let closed = client.dead(QUEUE).requeue(&LetterFilter::all()).await.unwrap_err();
    assert!(matches!(closed, DeadError::Client(_)), "{closed}");
    holds(node, vhost, &dead_letters(QUEUE), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_that_is_named_forgets_what_is_requeued() {
    let vhost = "dead-code-inbox";
    let (node, url) = (Node::shared(), Node::shared().vhost(vhost));
    let (inbox, runs) = (Inbox::memory(100), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&runs);
    let handler = move |_: Value, _: Context| {
        let is_first = count.fetch_add(1, SeqCst) == 0;
        async move { Ok(if is_first { Outcome::dead("not now") } else { Done }) }
    };
    let policy = Policy::default().timeout(Duration::from_secs(20));
    let worker = Worker::new("shop").on::<Value>(NAME, handler.with(policy)).inbox(inbox.clone());
    let running = Running::start(&url, worker).await;
    let mut sender = Sender::new(&url).await;
    sender.send(vec![parcel("a")]).await;
    holds(node, vhost, &dead_letters(QUEUE), 1).await;
    // the same comes again, and is done: a copy of it is a dead letter still
    sender.send(vec![parcel("a")]).await;
    running.ends.done(1).await;
    let client = client(&url).await;
    let again = client.dead(QUEUE).forgotten_by(&inbox).requeue(&LetterFilter::all()).await.unwrap();
    assert_eq!(again.sent, 1);
    running.ends.done(2).await;
    assert_eq!(runs.load(SeqCst), 3);
    client.close().await.unwrap();
    running.stop().await;
}
