//! The port's RabbitMQ side: reconnecting, alarms, error classes, and the suite that the twin passes too.

mod conformance;
mod consumer;
mod errors;
mod publisher;
mod shared;
mod supervisor;
mod topology;
