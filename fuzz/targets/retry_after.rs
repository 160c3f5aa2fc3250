//! `Retry-After`, as services answer it to a worker.
#![no_main]

#[path = "../../crates/ponos-cli/src/run/retry_after.rs"]
mod retry_after;

use ponos::{event::Timestamp, worker::LONGEST_RETRY};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for now in [i64::MIN, -1, 0, 1_790_000_000_123, i64::MAX] {
        let wait = retry_after::parse(&text, Timestamp::from_millis(now));
        assert!(wait.is_none_or(|wait| wait <= LONGEST_RETRY), "{wait:?}");
    }
});
