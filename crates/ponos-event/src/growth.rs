//! Whether work grows as what it is done to does, on a machine of any speed.

use std::time::{Duration, Instant};

/// How long it takes. The tests' own stop watch.
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn timed(work: &dyn Fn()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Ten times as much takes some ten times as long, and not a hundred times: or so little that it says nothing.
///
/// # Panics
/// Otherwise, and not just while the machine had other things to do.
pub(crate) fn assert_in_proportion(what: &str, tenth: impl Fn(), whole: impl Fn()) {
    let mut measured = Vec::new();
    for _ in 0..5 {
        let took = timed(&whole);
        if took < Duration::from_millis(100) {
            return;
        }
        let less = timed(&tenth);
        if took < 40 * less {
            return;
        }
        measured.push((less, took));
    }
    panic!("{what}: a tenth and the whole take {measured:?}");
}
