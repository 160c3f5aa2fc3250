//! What a test does to single connections and channels of its node, and what it sees of them.

use crate::{Node, block_until};
use std::time::Duration;

/// Channels that stand still: what is sent on them lies there and is never answered.
#[derive(Debug)]
pub struct HeldChannels<'a> {
    node: &'a Node,
    pids: String,
}

impl Node {
    /// Makes all channels of the connections of that name stand still, for as long as the node runs.
    ///
    /// # Panics
    /// When there is none.
    pub fn hold_channels(&self, connection: &str) -> HeldChannels<'_> {
        let pids = self.eval(&format!(
            "[begin ok = sys:suspend(C), pid_to_list(C) end || C <- rabbit_channel:list(), \
             [{{connection, R}}] <- [rabbit_channel:info(C, [connection])], \
             [{{client_properties, P}}] <- [rabbit_networking:connection_info(R, [client_properties])], \
             lists:keymember(<<\"{connection}\">>, 3, P)]"
        ));
        assert_ne!(pids, "[]", "nobody is connected as {connection}");
        HeldChannels { node: self, pids }
    }

    /// Writes down what was declared so far: RabbitMQ loses a quorum queue when it is killed within a moment of declaring it.
    pub fn write_down(&self) {
        self.eval("[ok = dets:sync(T) || T <- dets:all()], mnesia:sync_log()");
    }

    /// How many connections would publish and may not, for an alarm.
    pub fn blocked_connections(&self) -> usize {
        let blocked = "length([R || R <- rabbit_networking:connections(), \
                       [{state, blocked}] <- [rabbit_networking:connection_info(R, [state])]])";
        self.eval(blocked).parse().expect("a number")
    }

    /// The channels that consume a queue, as the node names them: another name is another channel. It waits until there is
    /// one: a consumer that began with one delivery at a time leaves the queue for a moment when it is widened.
    ///
    /// # Panics
    /// When nothing consumes it within 60 s.
    pub fn consuming_channels(&self, vhost: &str, queue: &str) -> String {
        let channels = format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"{vhost}\">>, queue, <<\"{queue}\">>)), \
             [element(1, C) || C <- rabbit_amqqueue:consumers(Q)]"
        );
        block_until(&format!("{queue} to be consumed"), Duration::from_secs(60), || {
            Some(self.eval(&channels)).filter(|channels| channels != "[]")
        })
    }
}

impl HeldChannels<'_> {
    /// How much lies on them.
    pub fn waiting(&self) -> usize {
        let waiting = format!(
            "lists:sum([element(2, process_info(list_to_pid(C), message_queue_len)) || C <- {}])",
            self.pids
        );
        self.node.eval(&waiting).parse().expect("a number")
    }
}
