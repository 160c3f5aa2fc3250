//! Which broker the configuration means, and what is declared on it.

use crate::{
    config::{BrokerConfig, BrokerUrl},
    schedule::Packed,
};
use ponos::{
    broker::{Fence, Transport, amqp, memory},
    topology::{Binding, Exchange, Queue, Topology, worker::TASKS},
};
use std::collections::BTreeSet;

/// In the embedded broker every event is routed here, so that none counts as unheard: the feed reads the record.
const FEED: &str = "khronos.feed";

/// The largest frame of the connections that send events, in bytes. The headers of an event are a few hundred; larger frames would only
/// be larger buffers, which are written round and round, and so are in memory for good.
const FRAME: u32 = 65_536;

/// The broker that the configuration names, and how to reach it. `name` is shown in RabbitMQ's list of connections.
pub fn transport(config: &BrokerConfig, name: &str) -> Transport {
    match &config.url {
        BrokerUrl::Memory => Transport::memory(memory::Broker::new()),
        BrokerUrl::Amqp(url) => Transport::amqp(sending(config, url, name)),
    }
}

/// The same, whose publishers ask this fence; the built-in broker has none.
pub fn fenced_transport(config: &BrokerConfig, name: &str, fence: Fence) -> Transport {
    match &config.url {
        BrokerUrl::Memory => transport(config, name),
        BrokerUrl::Amqp(url) => {
            let mut amqp = sending(config, url, name);
            amqp.fence = fence;
            Transport::amqp(amqp)
        }
    }
}

fn sending(config: &BrokerConfig, url: &amqp::BrokerUrl, name: &str) -> amqp::AmqpConfig {
    let mut amqp = amqp_config(config, url, name);
    amqp.frame_max = FRAME;
    amqp
}

/// How RabbitMQ at `url` is reached, as far as the configuration says; `name` is shown in its list of connections.
pub fn amqp_config(config: &BrokerConfig, url: &amqp::BrokerUrl, name: &str) -> amqp::AmqpConfig {
    let mut amqp = amqp::AmqpConfig::new(url.clone());
    amqp.url_file = config.url_file.clone();
    amqp.connection_name = name.to_owned();
    amqp.connect_timeout = config.connect_timeout;
    amqp.heartbeat = u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX);
    amqp.confirm_timeout = config.confirm_timeout;
    amqp.window = config.window;
    amqp.channels = config.channels;
    let tls = &config.tls;
    amqp.tls =
        amqp::TlsFiles { ca: tls.ca_file.clone(), client: tls.cert_file.clone().zip(tls.key_file.clone()) };
    amqp
}

/// The exchange of tasks, to which delayed ones go.
pub fn tasks() -> Topology {
    Topology { exchanges: vec![Exchange::direct(TASKS)], ..Topology::default() }
}

/// What the clock needs to exist: its exchange; with `fanout` the exchange per event that unmodified Ponos (Node) workers
/// bind to.
pub fn topology<'a>(config: &BrokerConfig, schedules: impl IntoIterator<Item = &'a Packed>) -> Topology {
    let mut topology =
        Topology { exchanges: vec![Exchange::topic(&*config.exchange)], ..Topology::default() };
    if config.url.is_embedded() {
        topology.queues.push(Queue::classic(FEED).with("x-max-length", 1));
        topology.bindings.push(Binding::queue(&*config.exchange, FEED, "#"));
    }
    if config.fanout {
        let events: BTreeSet<&str> =
            schedules.into_iter().map(Packed::event).filter(|event| !event.is_empty()).collect();
        for event in events {
            topology.exchanges.push(Exchange::fanout(event));
            topology.bindings.push(Binding::exchange(&*config.exchange, event, event));
        }
    }
    topology
}
