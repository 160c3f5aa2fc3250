//! A worker to which the broker brings nothing though it has something says that it is not alive.

use super::{QUEUE, parcels, shop};
use crate::real::{
    Running, Sender,
    support::{self, LIMIT, config},
};
use ponos::{broker::Transport, topology::Topology};
use testkit::{Node, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_to_which_nothing_comes_though_messages_are_ready_is_not_alive_until_they_come() {
    let url = Node::shared().vhost("liveness");
    // of all consumers of the queue one alone is served, and the worker knows nothing of it
    let mut topology = shop().topology().unwrap();
    for queue in topology.queues.iter_mut().filter(|queue| queue.name == QUEUE) {
        *queue = queue.clone().with("x-single-active-consumer", true);
    }
    Transport::amqp(config(&url)).check(&topology).await.unwrap();
    let mut other = support::consumer(config(&url), Topology::default(), QUEUE, 1);
    Sender::new(&url).await.send(parcels("p", 3)).await;
    tokio::time::timeout(LIMIT, other.next()).await.unwrap().unwrap();

    let running = Running::start(&url, shop().passive()).await;
    wait_until("it to find that it is not alive", LIMIT * 2, async || {
        running
            .liveness
            .check()
            .err()
            .filter(|trouble| trouble.contains("2 messages are ready, a slot is free"))
    })
    .await;
    drop(other);
    running.ends.done(3).await;
    wait_until("it to be alive again", LIMIT, async || running.liveness.check().ok()).await;
    running.stop().await;
}
