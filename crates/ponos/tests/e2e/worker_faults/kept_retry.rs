//! A worker that is killed when its retry is committed and the delivery not yet acked.

use super::{
    KILLS, NAME, QUEUE,
    child::Child,
    plan::{Does, Job},
};
use crate::real::{Sender, event, holds, letters, support};
use ponos::{
    broker::Transport,
    inbox::{Inbox, postgres::PostgresOptions},
    shutdown::shutdown,
    topology::{
        Topology,
        worker::{LADDER, QueueIntake, dead_letters, shared, work_queue},
    },
};
use testkit::{Node, Postgres, block_until_or_tell, wait_until};

const VHOST: &str = "killed-retry";
const DATABASE: &str = "killed_retry";

fn rows() -> String {
    Postgres::shared().sql(DATABASE, "select count(*) from ponos.ponos_outbox")
}

/// What of the inbox is sent, by nobody but this.
async fn relay(url: &str, database: &str) {
    let inbox = Inbox::postgres(database, PostgresOptions::new("faulty")).await.unwrap();
    let publisher = Transport::amqp(support::config(url)).publisher(Topology::default());
    let (end, ending) = shutdown();
    let relay = inbox.relay(publisher).unwrap();
    let relay = tokio::spawn(async move { relay.run(&ending).await });
    wait_until("the retry to be sent", support::LIMIT, async || (rows() == "0").then_some(())).await;
    end.advance();
    relay.await.unwrap();
}

/// The harder of two cases: the retry is no longer there when the first attempt fails once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_the_commit_of_a_retry_and_the_ack_makes_no_second_retry() {
    let (node, postgres) = (Node::shared(), Postgres::shared());
    let (url, database) = (node.vhost(VHOST), postgres.database(DATABASE));
    postgres.sql(DATABASE, "create table effects (number bigint not null)");
    let mut all = shared();
    all.join(work_queue(QUEUE, QueueIntake::Events(&[NAME]), false));
    Transport::amqp(support::config(&url)).check(&all).await.unwrap();
    Sender::new(&url).await.send(vec![event(KILLS, NAME, &Job { number: 1, does: Does::Fail })]).await;
    let mut child = Child::new(&url, &database);
    child.start();
    let child_cell = std::cell::RefCell::new(&mut child);
    block_until_or_tell(
        "it to be killed",
        support::LIMIT,
        || (!child_cell.borrow_mut().runs()).then_some(()),
        || child_cell.borrow().log(),
    );
    assert_eq!(rows(), "1");
    holds(node, VHOST, QUEUE, 1).await;
    relay(&url, &database).await;
    holds(node, VHOST, QUEUE, 2).await;

    // three attempts in all: the first one again, the second and the third
    child.start();
    holds(node, VHOST, &dead_letters(QUEUE), 1).await;
    child.stop();
    let retried = child.log().matches("Retried").count();
    assert_eq!(retried, 3, "the first attempt twice, and the second:\n{}", child.log());
    assert_eq!(rows(), "0", "{}", child.log());
    for queue in LADDER.iter().map(|(rung, _)| *rung).chain([QUEUE]) {
        holds(node, VHOST, queue, 0).await;
    }
    let letters = letters(&url, QUEUE, 1).await;
    assert_eq!(letters[0].headers.int("dead-attempt"), Some(3));
    holds(node, VHOST, &dead_letters(QUEUE), 1).await;
}
