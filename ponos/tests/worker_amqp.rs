//! The worker on a real RabbitMQ: bad input, what somebody deletes by hand, the broker gone in the middle of a task, an orderly
//! stop, and what only a broker can show of order and exclusiveness. The fault suite is `worker_faults.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod real;
mod worker_on_rabbitmq;
