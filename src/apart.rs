//! What threads do that are apart from publishing.

/// How much such a thread and its helpers stand back: a third of a usual thread's share where all are busy.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Where processors are scarce, who publishes comes first. Threads that are started from here on by this one inherit it.
pub(crate) fn yield_to_publishing() {
    #[cfg(target_os = "linux")]
    // Without it events go out all the same, if a little later under a flood of requests.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
