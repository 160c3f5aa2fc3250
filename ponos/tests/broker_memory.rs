//! The in-memory twin under the suite that RabbitMQ passes. Time stands still until all wait for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, clippy::wildcard_imports)]

#[macro_use]
mod broker_conformance;

use broker_conformance::Harness;
use ponos::{
    broker::{Consumer, Publisher, memory},
    topology::Topology,
};

struct Twin(memory::Broker);

impl Harness for Twin {
    fn publisher(&self, topology: Topology) -> Publisher {
        self.0.publisher(topology)
    }

    fn consumer(&self, topology: Topology, queue: &str, prefetch: u16) -> Consumer {
        self.0.consumer(topology, queue, prefetch)
    }

    fn disconnect_all(&self) {
        self.0.disconnect_all();
    }

    fn delete_queue(&self, queue: &str) {
        assert!(self.0.delete_queue(queue));
    }

    fn depth(&self, queue: &str) -> Option<u64> {
        self.0.queue_depth(queue).map(|depth| depth as u64)
    }
}

conformance!(tokio::test(start_paused = true), |_| Twin(memory::Broker::new()));
