//! The adapter of RabbitMQ: the suite that the twin passes too, reconnecting, alarms, error classes.

mod conformance;
mod consumer;
mod errors;
mod publisher;
mod shared;
mod supervisor;
mod topology;
