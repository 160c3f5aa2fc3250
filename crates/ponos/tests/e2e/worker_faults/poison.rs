//! A message that ends the process of whoever handles it.

use super::{
    Came, NAME, QUEUE,
    child::Child,
    plan::{Does, Job},
};
use crate::real::{Sender, letters, support, verdict};
use ponos::topology::{Binding, Queue, Topology};
use testkit::{Node, block_until, block_until_or_tell};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_its_process_is_dead_after_five_and_its_neighbours_are_done() {
    let node = Node::shared();
    let url = node.vhost("poison");
    let effects = Topology {
        queues: vec![Queue::classic("seen")],
        bindings: vec![Binding::queue("events", "seen", super::SEEN)],
        ..Topology::default()
    };
    let mut all = ponos::topology::worker::shared();
    all.join(effects);
    all.join(ponos::topology::worker::work_queue(
        QUEUE,
        ponos::topology::worker::QueueIntake::Events(&[NAME]),
        false,
    ));
    ponos::broker::Transport::amqp(support::config(&url)).check(&all).await.unwrap();

    let jobs = (0..200).map(|number| Job { number, does: if number == 60 { Does::Die } else { Does::Work } });
    Sender::new(&url).await.send(jobs.map(|job| job.message()).collect()).await;
    let seen = Came::watch(&url, "seen", true);
    let mut child = Child::new(&url, "none");
    let dead = format!("{QUEUE}.dlq");
    let until = |child: &mut Child| {
        block_until_or_tell(
            "all to be done but one",
            support::LIMIT * 2,
            || {
                if !child.runs() {
                    child.start();
                }
                let ended =
                    node.queue("poison", &dead).is_some_and(|(ready, _)| ready == 1) && seen.count() == 199;
                ended.then_some(())
            },
            String::new,
        );
    };
    until(&mut child);
    child.stop();
    let letters = letters(&url, QUEUE, 1).await;
    assert_eq!(letters[0].properties.message_id.as_deref(), Some("job-60"));
    assert_eq!(verdict(&letters[0]).0, "poison");
    assert!(verdict(&letters[0]).1.contains("came back 5 times"), "{:?}", verdict(&letters[0]));
    assert_eq!(child.starts, 6, "it died five times:\n{}", child.log());
    assert_eq!(std::fs::read_dir(child.folder("marks")).unwrap().count(), 5);
    block_until("the queues to be empty", support::LIMIT, || {
        [QUEUE, "parking"].iter().all(|queue| node.queue("poison", queue) == Some((0, 0))).then_some(())
    });
}
