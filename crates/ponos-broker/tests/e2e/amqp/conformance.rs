//! RabbitMQ under the suite that the in-memory twin passes: what the suite says is what RabbitMQ does.

#[macro_use]
#[path = "../../broker_conformance/mod.rs"]
mod broker_conformance;

use crate::support::LIMIT;
use broker_conformance::Harness;
use ponos_broker::{Transport, amqp::AmqpConfig, memory::Version};
use testkit::Node;

/// One vhost of the node that all tests of this binary share.
struct Rabbit {
    node: &'static Node,
    vhost: &'static str,
    transport: Transport,
}

impl Rabbit {
    fn new(vhost: &'static str) -> Self {
        let node = Node::shared();
        let mut config = AmqpConfig::parse(&node.vhost(vhost)).unwrap();
        // Never reached, however busy the machine is.
        config.connect_timeout = LIMIT;
        config.call_timeout = LIMIT;
        config.confirm_timeout = LIMIT;
        let transport = Transport::amqp(config);
        Self { node, vhost, transport }
    }
}

impl Harness for Rabbit {
    fn transport(&self) -> &Transport {
        &self.transport
    }

    fn version(&self) -> Version {
        if self.node.version() >= (4, 3) { Version::V4_3 } else { Version::V3 }
    }

    fn disconnect_all(&self) {
        self.node.close_connections_of(self.vhost);
    }

    fn delete_queue(&self, queue: &str) {
        self.node.delete_queue(self.vhost, queue);
    }

    fn delete_exchange(&self, exchange: &str) {
        self.node.delete_exchange(self.vhost, exchange);
    }

    fn depth(&self, queue: &str) -> Option<u64> {
        self.node.queue(self.vhost, queue).map(|(ready, _consumers)| ready)
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        // a failed test leaves it to be looked at until the node goes
        if !std::thread::panicking() {
            self.node.delete_vhost(self.vhost);
        }
    }
}

conformance!(tokio::test(flavor = "multi_thread", worker_threads = 2), Rabbit::new);
