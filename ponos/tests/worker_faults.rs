//! The fault suite: 10,000 messages (× `TEST_SCALE`) on a real RabbitMQ, through handlers that fail, panic, time out, ask for
//! another attempt, and die, in a worker process that is killed at random moments while the broker is killed and restarted.
//! Every message ends done, or dead with its reason; nothing is lost, nothing goes around for ever, and an effect that is
//! written in the handler's transaction is there once. `TEST_SEED` gives other numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod real;
mod worker_fault_suite;
