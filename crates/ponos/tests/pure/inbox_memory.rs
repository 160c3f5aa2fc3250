//! The inbox in memory under the suite of all inboxes. Time stands still until all wait for it.
#![cfg(feature = "worker")]

#[macro_use]
#[path = "../inbox_conformance/mod.rs"]
mod inbox_conformance;

use inbox_conformance::Place;
use ponos::inbox::{Begun, Inbox};

struct Process;

impl Place for Process {
    const DURABLE: bool = false;

    async fn open(&mut self) -> Inbox {
        Inbox::memory(10_000)
    }
}

conformance!(tokio::test(start_paused = true), |_| Process);

#[tokio::test]
async fn without_an_inbox_everything_runs_every_time() {
    let (inbox, key) = (Inbox::none(), inbox_conformance::key("1"));
    let mut running = Vec::new();
    for _ in 0..3 {
        let Begun::Run(entry) = inbox.begin(&key).await.unwrap() else { panic!("nothing is remembered") };
        running.push(entry);
    }
    for entry in running {
        entry.done(vec![]).await.unwrap();
    }
    assert!(!inbox_conformance::is_handled(&inbox, &key).await);
}

#[tokio::test]
async fn publishes_for_an_outbox_that_is_not_there_are_refused() {
    use ponos::{event::Message, inbox::Held};
    for inbox in [Inbox::none(), Inbox::memory(10)] {
        assert!(!inbox.takes_publishes() && !inbox.is_shared());
        let key = inbox_conformance::key("1");
        let (message, due) = (Message::default(), None);
        let held = Held { id: "2".parse().unwrap(), exchange: "events".into(), message, due };
        let refused = inbox_conformance::run(&inbox, &key).await.done(vec![held]).await.unwrap_err();
        assert!(refused.to_string().contains("given 1 message to publish"), "{refused}");
        assert!(!inbox_conformance::is_handled(&inbox, &key).await);
    }
}
