//! The adapter of RabbitMQ: the suite that the twin passes too, reconnecting, hosts of a cluster, alarms, error classes.

mod cluster;
mod conformance;
mod consumer;
mod errors;
mod hosts;
mod publisher;
mod shared;
mod supervisor;
mod topology;
