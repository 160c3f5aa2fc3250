//! Waiting for a condition with a deadline, in place of sleeping and hoping.

use std::time::Duration;

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` yields something and returns it.
///
/// # Panics
/// When `limit` has passed: `what` says what was waited for.
pub async fn wait_until<T>(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    match tokio::time::timeout(limit, waiting).await {
        Ok(found) => found,
        Err(_) => panic!("waited {limit:?} in vain for: {what}"),
    }
}

/// [`wait_until`] for code that is not async.
///
/// # Panics
/// When `limit` has passed: `what` says what was waited for.
pub fn block_until<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    block_until_or_tell(what, limit, condition, String::new)
}

/// [`block_until`] that adds to its panic what `tell` knows then: a log, what is missing.
///
/// # Panics
/// When `limit` has passed.
#[allow(clippy::disallowed_methods)] // a deadline in real time, outside of what is tested
pub fn block_until_or_tell<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
    tell: impl FnOnce() -> String,
) -> T {
    let deadline = std::time::Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        if std::time::Instant::now() >= deadline {
            panic!("waited {limit:?} in vain for: {what}\n{}", tell());
        }
        std::thread::sleep(INTERVAL);
    }
}
