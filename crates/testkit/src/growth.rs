//! Whether work grows as what it is done to does, on a machine of any speed.

use std::time::{Duration, Instant};

/// How long it takes. The tests' own stop watch.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn timed(work: &dyn Fn()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Ten times as much takes some ten times as long, and not a hundred times: or so little that it says nothing. They take turns,
/// and of both the quickest counts: the machine may have other things to do.
///
/// # Panics
/// Otherwise.
pub fn assert_in_proportion(what: &str, tenth: impl Fn(), whole: impl Fn()) {
    let (mut all, mut less) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        all = all.min(timed(&whole));
        if all < Duration::from_millis(100) {
            return;
        }
        less = less.min(timed(&tenth));
    }
    assert!(all < 40 * less, "{what}: the whole takes {all:?}, and a tenth of it {less:?}");
}
