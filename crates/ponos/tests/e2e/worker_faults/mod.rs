//! The fault suite: 10,000 messages (× `TEST_SCALE`) on a real RabbitMQ, through handlers that fail, panic, time out, ask for
//! another attempt, and die, in a worker process that is killed at random moments while the broker is killed and restarted.
//! Every message ends done, or dead with its reason; nothing is lost, nothing goes around for ever, and an effect that is
//! written in the handler's transaction is there once. `TEST_SEED` gives other numbers.

// the suite needs an inbox that outlives its process: without one, what it alone uses is left
#![cfg_attr(not(any(feature = "inbox-sled", feature = "postgres")), allow(dead_code))]

mod came;
mod child;
#[cfg(feature = "postgres")]
mod kept_retry;
mod plan;
mod poison;
#[cfg(any(feature = "inbox-sled", feature = "postgres"))]
mod suite;

pub(crate) use came::Came;

/// The test that is the worker process, and the variables it is told by.
pub(crate) const CHILD: &str = "worker_faults::child::is_the_worker_process";
pub(crate) const URL: &str = "TEST_WORKER_URL";
pub(crate) const INBOX: &str = "TEST_WORKER_INBOX";
pub(crate) const MARKS: &str = "TEST_WORKER_MARKS";

/// An id that has its process killed when its first attempt is to be tried again, and is not acked yet.
pub(crate) const KILLS: &str = "kills-between-commit-and-ack";
pub(crate) const NAME: &str = "test.effect.wanted";
pub(crate) const QUEUE: &str = "faulty.test.effect.wanted";
/// What a handler that is done has published.
pub(crate) const SEEN: &str = "test.effect.seen";

/// How many times as long the long tests take (`TEST_SCALE`).
pub(crate) fn scale() -> usize {
    std::env::var("TEST_SCALE").ok().map_or(1, |scale| scale.parse().expect("TEST_SCALE is a number"))
}

/// The random numbers of a test: the same at every run, or those of `TEST_SEED`.
pub(crate) fn random() -> fastrand::Rng {
    let seed = std::env::var("TEST_SEED").ok();
    fastrand::Rng::with_seed(seed.map_or(20_261_201, |seed| seed.parse().expect("TEST_SEED is a number")))
}
