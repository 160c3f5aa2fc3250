//! The parts of the fault suite, and what they share.
// the suite needs an inbox that outlives its process: without one, what it alone uses is left
#![cfg_attr(not(any(feature = "inbox-sled", feature = "postgres")), allow(dead_code))]

mod came;
mod child;
mod plan;
mod poison;
#[cfg(any(feature = "inbox-sled", feature = "postgres"))]
mod suite;

/// The test that is the worker process, and the variables it is told by.
pub(crate) const CHILD: &str = "worker_fault_suite::child::is_the_worker_process";
pub(crate) const URL: &str = "TEST_WORKER_URL";
pub(crate) const INBOX: &str = "TEST_WORKER_INBOX";
pub(crate) const MARKS: &str = "TEST_WORKER_MARKS";

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
