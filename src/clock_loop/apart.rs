//! The loop on a thread and an event loop of its own: the timer wakes it at once, and not by way of another thread, and
//! no other work of the process can be before it.

use super::{ClockLoop, Failure, Report};
use ponos::shutdown::Shutdown;
use tokio::{runtime::Builder, sync::oneshot};

impl ClockLoop {
    /// [`ClockLoop::run`] on a thread of its own. Its end is told before all that it holds is let go: of a million schedules that takes
    /// a while, and somebody may wait to lead.
    ///
    /// # Errors
    /// [`Failure`], also if the thread can't be had, or panicked.
    pub async fn run_apart(mut self, shutdown: Shutdown) -> Result<Report, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Start)?;
        let (ended, end) = oneshot::channel();
        let work = move || {
            let result = runtime.block_on(self.turn_until(shutdown));
            // A slow folder of schedules may still be read; nobody waits for it.
            runtime.shutdown_background();
            // Nobody waits for the loop any more while the program ends.
            drop(ended.send(result));
        };
        std::thread::Builder::new().name("clock".into()).spawn(work).map_err(Failure::Start)?;
        end.await.unwrap_or(Err(Failure::Panicked))
    }
}
