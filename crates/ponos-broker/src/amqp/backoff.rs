//! How long to wait before connecting again: doubling, capped, and spread so that a thousand clients don't come at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// A cluster that lost a node elects new leaders of its quorum queues within some hundred milliseconds, and a channel that first
/// publishes to one meanwhile may stand still for a minute (`docs/rabbitmq.md`).
const ELECTION: Duration = Duration::from_secs(1);

/// The wait after `failures` attempts in a row that failed, for a `spread` in [0, 1): between a half and the whole of
/// 100 ms, 200 ms, 400 ms, … (1 s at least, where a cluster `elects` because a node of it was lost), at most `max`.
pub(super) fn wait(failures: u32, elects: bool, max: Duration, spread: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let doubled = if elects { doubled.max(ELECTION) } else { doubled };
    doubled.min(max).mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap_and_is_spread_over_its_upper_half() {
        let max = Duration::from_secs(10);
        assert_eq!(wait(1, false, max, 1.0), Duration::from_millis(100));
        assert_eq!(wait(1, false, max, 0.0), Duration::from_millis(50));
        assert_eq!(wait(4, false, max, 1.0), Duration::from_millis(800));
        for failures in [8, 31, 32, 33, 1000, u32::MAX] {
            assert_eq!(wait(failures, false, max, 1.0), max);
            assert_eq!(wait(failures, true, max, 0.0), max / 2);
        }
    }

    #[test]
    fn a_cluster_gets_the_time_to_elect_unless_the_cap_is_lower() {
        let max = Duration::from_secs(10);
        for failures in [1, 4] {
            assert_eq!(wait(failures, true, max, 1.0), Duration::from_secs(1));
        }
        assert_eq!(wait(5, true, max, 1.0), Duration::from_millis(1600));
        assert_eq!(wait(1, true, max / 20, 1.0), max / 20);
    }
}
