//! What the user of a worker may do at least, on a broker that several services or tenants share.

use super::{
    Topology,
    worker::{DEAD, EVENTS, LADDER, RETURN, TASKS, own},
};
use crate::{control::CONTROL, reports::REPORTS};

/// The exchange of commands to the clock, which goes by the user whom the broker names: writing to it is a right of nobody's yet.
const COMMANDS: &str = "khronos.commands";

/// What a user may do in a vhost: regular expressions as RabbitMQ has them, each for whole names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// The user's name.
    pub user: String,
    /// The exchanges and queues that it may declare and delete.
    pub configure: String,
    /// The exchanges that it may publish to.
    pub write: String,
    /// The queues that it may take from.
    pub read: String,
    /// The routing keys, exchange by exchange; of an exchange that is not named here, all.
    pub topics: Vec<TopicPermissions>,
}

/// Which routing keys a user may use on a topic exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPermissions {
    /// The exchange.
    pub exchange: String,
    /// By which it may publish.
    pub write: String,
    /// By which it may bind a queue.
    pub read: String,
}

/// The least that a worker of this topology needs which declares nothing (`passive`) and publishes events of these names, and tasks
/// if `tasks`, and reports if their exchange is in it: its queues and their dead letters to read, the stream that steers it if that is
/// in it, but not to write, the exchanges of retries and dead letters to write to, and on the exchange
/// of events these names alone. So it can't publish as another, `time.*` among that, nor take what is not its own.
///
/// The exchanges of tasks, retries and dead letters go by the name of the queue, which no permission is about: who may write to them
/// can put a message into any queue of the vhost. Who must not is to have a vhost of his own.
pub fn permissions(user: &str, topology: &Topology, events: &[&str], tasks: bool) -> Permissions {
    let own = own(topology);
    let rungs = LADDER.iter().map(|(rung, _)| *rung);
    let reports = topology.exchanges.iter().any(|exchange| exchange.name == REPORTS);
    let steered = topology.queues.iter().any(|queue| queue.name == CONTROL).then_some(CONTROL);
    let sends = [(!events.is_empty(), EVENTS), (tasks, TASKS), (reports, REPORTS)];
    let sends = sends.into_iter().filter_map(|(does, exchange)| does.then_some(exchange));
    Permissions {
        user: user.to_owned(),
        configure: any_of([]),
        write: any_of(sends.chain([RETURN, DEAD, COMMANDS]).chain(rungs)),
        read: any_of(own.queues.iter().map(|queue| queue.name.as_str()).chain(steered)),
        topics: vec![TopicPermissions {
            exchange: EVENTS.to_owned(),
            write: any_of(events.iter().copied()),
            read: any_of([]),
        }],
    }
}

/// The expression for exactly these names; for none of all if there are none.
fn any_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(escaped).collect();
    // an empty pair of anchors is what RabbitMQ itself takes for "nothing": no object has an empty name
    if names.is_empty() { "^$".to_owned() } else { format!("^({})$", names.join("|")) }
}

fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_' | '#') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::worker::{QueueIntake, shared, work_queue};

    fn of(events: &[&str], tasks: bool) -> Permissions {
        let mut topology = shared();
        topology.join(work_queue("shop.order.*.made", QueueIntake::Events(&["order.*.made"]), false));
        permissions("shop", &topology, events, tasks)
    }

    #[test]
    fn a_worker_reads_its_own_queues_and_writes_the_events_that_it_names() {
        let found = of(&["order.label.printed", "order.parcel.sent"], true);
        assert_eq!(found.configure, "^$");
        assert_eq!(found.read, r"^(shop\.order\.\*\.made|shop\.order\.\*\.made\.dlq)$");
        assert_eq!(
            found.write,
            r"^(events|tasks|retry\.return|dlx|khronos\.commands|retry\.1s|retry\.5s|retry\.30s|retry\.2m|retry\.10m|retry\.1h|retry\.6h)$"
        );
        let topic = &found.topics[0];
        assert_eq!((topic.exchange.as_str(), topic.read.as_str()), ("events", "^$"));
        assert_eq!(topic.write, r"^(order\.label\.printed|order\.parcel\.sent)$");
    }

    #[test]
    fn a_worker_that_reports_may_write_reports() {
        let mut topology = shared();
        topology.join(crate::reports::topology());
        let found = permissions("shop", &topology, &[], false);
        assert!(found.write.starts_with(r"^(ponos\.reports|retry\.return|"), "{}", found.write);
    }

    #[test]
    fn a_worker_that_is_steered_may_read_how_and_steers_nobody() {
        let mut topology = shared();
        topology.join(work_queue("shop.order.made", QueueIntake::Tasks, false));
        topology.join(crate::control::topology());
        let found = permissions("shop", &topology, &[], false);
        assert_eq!(found.read, r"^(shop\.order\.made|shop\.order\.made\.dlq|ponos\.control)$");
        assert!(!found.write.contains("control"), "{}", found.write);
    }

    #[test]
    fn who_publishes_nothing_may_write_neither_events_nor_tasks() {
        let found = of(&[], false);
        assert!(!found.write.contains("events") && !found.write.contains("tasks"), "{}", found.write);
        // whatever else he is let write to later, no routing key is his
        assert_eq!(found.topics[0].write, "^$");
    }
}
