//! The broker connection of a follower: open, with all declared, and probed, so that it can be led with at once.

use super::{Keeper, Role};
use crate::clock_loop::PROBE;
use ponos::{
    broker::{Link, PublishOutcome, Publisher, Publishing},
    event::{Message, Properties},
};
use tokio::sync::watch;

/// Nobody is bound to it: the broker confirms it, and it goes nowhere.
const NOWHERE: &str = "khronos.probe.nobody";

/// A connection that nothing is sent by yet.
#[derive(Debug)]
pub(crate) struct Standby {
    publisher: Publisher,
    link: watch::Receiver<Link>,
}

impl Standby {
    /// By this publisher.
    pub(crate) fn new(publisher: Publisher) -> Self {
        let link = publisher.link();
        Self { publisher, link }
    }

    /// The state of its connection.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Leads with it.
    pub(crate) fn into_publisher(self) -> Publisher {
        self.publisher
    }

    /// Probes as long as this process follows. `false` where the connection's task has ended.
    pub(crate) async fn follow(&mut self, keeper: &Keeper, role: &mut watch::Receiver<Role>) -> bool {
        let mut probes = keeper.probes.clone();
        loop {
            if *role.borrow_and_update() != Role::Following {
                return true;
            }
            let is_up = matches!(*self.link.borrow_and_update(), Link::Up { .. });
            keeper.note_broker(is_up);
            tokio::select! {
                changed = role.changed() => if changed.is_err() { return true },
                changed = self.link.changed() => if changed.is_err() { return false },
                wanted = probes.changed(), if is_up => {
                    if wanted.is_err() || self.publisher.submit(vec![probe()]).await.is_err() {
                        return wanted.is_err();
                    }
                }
                settled = self.publisher.settlements() => match settled {
                    Some(settled) => {
                        if settled.iter().any(|one| matches!(one.outcome, PublishOutcome::Confirmed { .. })) {
                            keeper.confirmed();
                        }
                    }
                    None => return false,
                },
            }
        }
    }
}

fn probe() -> Publishing {
    let properties = Properties { message_id: Some(NOWHERE.to_owned()), ..Properties::default() };
    let message = Message { routing_key: NOWHERE.to_owned(), properties, ..Message::default() };
    Publishing { token: PROBE, lane: 0, exchange: "".into(), message }
}
