//! What the end-to-end tests share: the real clock as a process, what arrives in real queues, and what the schedules
//! call for.

mod arrivals;
mod balancer;
mod clock;
pub(crate) mod clocks;
mod expected;
mod feed;
mod moved_time;
mod pace;

pub(crate) use arrivals::{Arrival, Arrivals};
pub(crate) use balancer::Balancer;
pub(crate) use clock::{Clock, text};
pub(crate) use expected::{Expected, id_of};
pub(crate) use feed::Feed;
pub(crate) use moved_time::MovedTime;
pub(crate) use pace::Pace;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Longer than anything takes that works, on a machine that is ten times as slow as usual and stands still for seconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Lets real time pass where that is what the test is about: the random moment of a kill.
pub(crate) fn let_pass(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// The folder into which `test.sh` installs what tests need beside packages.
pub(crate) fn scratch() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("SCRATCH").map_or_else(|| root.join(".scratch"), PathBuf::from)
}

/// How many times as long the long tests take (`TEST_SCALE`).
pub(crate) fn scale() -> usize {
    std::env::var("TEST_SCALE").ok().map_or(1, |scale| scale.parse().expect("TEST_SCALE is a number"))
}

/// How many faults come one after the other: as many as there are, or as `TEST_FAULTS` says, so many times.
pub(crate) fn faults(there_are: usize) -> usize {
    let faults = std::env::var("TEST_FAULTS").ok();
    faults.map_or(there_are, |faults| faults.parse().expect("TEST_FAULTS is a number")) * scale()
}

/// The random numbers of a test: the same at every run, or those of `TEST_SEED`.
pub(crate) fn random() -> fastrand::Rng {
    let seed = std::env::var("TEST_SEED")
        .ok()
        .map_or(20_261_201, |seed| seed.parse().expect("TEST_SEED is a number"));
    println!("TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
