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
#[allow(clippy::disallowed_methods)] // a deadline in real time, outside of what is tested
pub fn block_until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(INTERVAL);
    }
}
