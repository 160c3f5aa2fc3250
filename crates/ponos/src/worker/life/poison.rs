//! What ends the process that handles it must not take its neighbours along, nor go on for ever.

use crate::worker::ended::{DeadKind, Death};

/// From so many returns on it is handled alone.
const ALONE: u64 = 3;
/// After so many it is handled no more.
const MOST: u64 = 5;

/// Nothing else of the stream may be at work beside it.
pub(in crate::worker) fn needs_to_be_alone(count: Option<u64>) -> bool {
    count.is_some_and(|count| count >= ALONE)
}

/// It never came back: what was suspicious is behind us.
pub(in crate::worker) fn is_new(count: Option<u64>) -> bool {
    count.is_none()
}

/// `count`: how often it came back unsettled, apart from what this process itself released.
pub(super) fn check(count: u64) -> Result<(), Death> {
    if count < MOST {
        return Ok(());
    }
    let reason = format!(
        "it came back {count} times without being settled: the process that handled it ended each time (killed, aborted, out of memory), or handed it back"
    );
    Err(Death::new(DeadKind::Poison, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_handled_alone_and_then_no_more() {
        for (count, new, alone, dead) in [
            (None, true, false, false),
            (Some(1), false, false, false),
            (Some(2), false, false, false),
            (Some(3), false, true, false),
            (Some(4), false, true, false),
            (Some(5), false, true, true),
            (Some(49), false, true, true),
        ] {
            let found = (is_new(count), needs_to_be_alone(count), check(count.unwrap_or(0)).is_err());
            assert_eq!(found, (new, alone, dead), "{count:?}");
        }
    }
}
