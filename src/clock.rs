//! The only file that reads the system's time.
#![allow(clippy::disallowed_methods)]

use ponos::event::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, floored to the millisecond. It may step, in either direction.
pub fn now() -> Timestamp {
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => Timestamp::from_millis(millis(after)),
        Err(before) => Timestamp::from_millis(millis(before.duration()).saturating_neg()),
    }
}
