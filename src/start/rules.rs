//! The limits of the machines, as the configuration says them.

use crate::{
    config::{Config, OnBackward},
    delayed::DelayedRules,
    engine::{ClockRules, Resends, Rules},
    schedule::{ADay, Demand},
};
use std::time::Duration;

pub(super) fn rules(config: &Config) -> Rules {
    Rules {
        clock: ClockRules {
            settle: millis(config.clock.settle),
            max_forward: millis(config.clock.max_forward),
            max_backward: millis(config.clock.max_backward),
            resume_backward: config.clock.on_backward == OnBackward::Resume,
        },
        resends: resends(config),
        in_flight: config.publish.in_flight,
        piece: PIECE,
        parked: PARKED,
        record_first: config.broker.url.is_embedded(),
        keep_finished: millis(config.keep_finished),
        demand: Demand { schedules: config.limits.schedules, often: ADay::of_a_second(config.limits.rate) },
    }
}

/// Entries of parked events that are kept.
const PARKED: usize = 100_000;

/// Schedules that change in one write: sled is at its best with some hundred entries at a time.
const PIECE: usize = 1_000;

pub(super) fn delayed_rules(config: &Config) -> DelayedRules {
    DelayedRules {
        in_flight: config.publish.in_flight,
        keeps_content: config.broker.url.is_embedded(),
        resends: resends(config),
        ..DelayedRules::default()
    }
}

pub(super) fn resends(config: &Config) -> Resends {
    Resends {
        count: u8::try_from(config.publish.resends).unwrap_or(u8::MAX),
        over: millis(config.publish.resend_over),
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
