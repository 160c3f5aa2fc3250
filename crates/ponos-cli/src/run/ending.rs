//! The end: programs are asked first, and only when they are gone does the worker release their deliveries. Else
//! another replica would start on these while the programs still run.

use super::activity::Activity;
use ponos::shutdown::{Shutdown, Stage, Trigger};
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait for programs that were asked to end.
pub(super) const LEAVING: Duration = Duration::from_secs(10);

/// The request to the runs in progress to end now. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Ending(watch::Sender<bool>);

impl Default for Ending {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Ending {
    /// Whether programs are to end.
    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when they are.
    pub(super) async fn asked(&self) {
        // the sender is ours: it can't be gone
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }

    /// Passes the shutdown on to the worker: the first stage at once; the second, or the end of the grace, when nothing runs any
    /// more.
    pub(super) async fn follow(self, asked: Shutdown, grace: Duration, activity: Activity, worker: Trigger) {
        asked.reached(Stage::Draining).await;
        worker.advance();
        tokio::select! {
            () = asked.reached(Stage::Stopping) => {}
            () = tokio::time::sleep(grace) => {}
        }
        self.0.send_replace(true);
        let _ = tokio::time::timeout(LEAVING, activity.none_left()).await;
        worker.advance();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::shutdown::shutdown;

    #[tokio::test(start_paused = true)]
    async fn the_worker_stops_once_nothing_is_at_work() {
        let (signals, asked) = shutdown();
        let (worker, stops) = shutdown();
        let (ending, activity) = (Ending::default(), Activity::default());
        let at_work = activity.begin();
        let following = tokio::spawn(ending.clone().follow(asked, Duration::from_secs(30), activity, worker));
        signals.advance();
        stops.reached(Stage::Draining).await;
        assert!(!ending.is_asked());
        signals.advance();
        ending.asked().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(stops.stage(), Stage::Draining, "what the program works at was given back while it runs");
        drop(at_work);
        following.await.unwrap();
        assert_eq!(stops.stage(), Stage::Stopping);
    }
}
