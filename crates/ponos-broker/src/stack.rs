//! Stack for the threads that read message headers.
//!
//! lapin reads nested headers by recursion, without a limit, on a thread of its own that has the default stack of
//! 2 MiB: a message of 6 kB whose headers are nested 1,200 deep ends every process that receives it. Until lapin has a
//! limit (`docs/upstream.md`), the stack must be large enough for the deepest headers that fit into a frame. The standard
//! library reads the size of a default stack from `RUST_MIN_STACK`, once, so a program that was started without it
//! starts itself again ([`provide`]).
//!
//! Stacks are address space, not memory: only what was used is ever backed by pages.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
};

/// Where the standard library finds the size of the stacks of new threads, in bytes.
pub const VARIABLE: &str = "RUST_MIN_STACK";

/// Bytes of stack for the deepest headers that fit into a frame of 128 KiB: 26,000 levels. lapin needs 1.8 KiB for
/// each, in a build without optimization 13 KiB.
pub const NEEDED: usize = if cfg!(debug_assertions) { 512 << 20 } else { 128 << 20 };

/// RabbitMQ's own limit of a frame unless it is configured otherwise, and what is asked for where the URL says nothing.
pub(crate) const FRAME_MAX: u32 = 131_072;

/// Set by [`provide`] to the id of the process that set [`VARIABLE`]; starting again keeps the id.
const MARK: &str = "PONOS_STACK_PROVIDED";

/// The standard library's default.
const DEFAULT: usize = 2 << 20;

/// How many threads with such stacks must fit into the process.
#[cfg(unix)]
const THREADS: usize = 8;

/// Gives a program's threads enough stack: if [`VARIABLE`] is not set, starts the program again, once, with the same
/// arguments, streams and process id. To be called first in `main`, before any thread is started. What is set already
/// stays as it is, and on systems other than Unix nothing happens.
///
/// # Errors
/// The program can't be started again, or address space is limited so that such stacks don't fit (`ulimit -v`,
/// `vm.overcommit_memory = 2`), in words. The program can go on; deeply nested headers can end it.
pub fn provide() -> Result<(), String> {
    if env::var_os(VARIABLE).is_some() || is_provided() {
        return Ok(());
    }
    restart().map_err(|why| {
        TOLD.store(true, Ordering::Relaxed);
        format!(
            "a message with deeply nested headers can end this program, because it could not be restarted with {VARIABLE}={NEEDED}: {why}; set that variable where it is started"
        )
    })
}

/// The variables that [`provide`] has set: other programs must not inherit them. Empty if it set none.
pub fn provided() -> &'static [&'static str] {
    if is_provided() { &[VARIABLE, MARK] } else { &[] }
}

fn is_provided() -> bool {
    env::var(MARK).is_ok_and(|id| id == std::process::id().to_string())
}

/// Returns only where it did not succeed, with the reason, or is not possible at all.
#[cfg(unix)]
fn restart() -> std::io::Result<()> {
    use std::{os::unix::process::CommandExt, process::Command};
    try_stacks()?;
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    // Its own path first, so that the process keeps its name; the second is right even if the file was replaced.
    for program in env::current_exe().into_iter().chain([std::path::PathBuf::from("/proc/self/exe")]) {
        let mut command = Command::new(program);
        let mut arguments = env::args_os();
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        last = command
            .args(arguments)
            .env(VARIABLE, NEEDED.to_string())
            .env(MARK, std::process::id().to_string())
            .exec();
    }
    Err(last)
}

#[cfg(not(unix))]
fn restart() -> std::io::Result<()> {
    Ok(())
}

/// A thread that gets no stack later would be a panic; now nothing has begun.
#[cfg(unix)]
fn try_stacks() -> std::io::Result<()> {
    let spawn = || std::thread::Builder::new().stack_size(NEEDED).spawn(std::thread::park);
    let mut threads = Vec::with_capacity(THREADS);
    let failed = (0..THREADS).find_map(|_| match spawn() {
        Ok(thread) => {
            threads.push(thread);
            None
        }
        Err(error) => Some(error),
    });
    for thread in threads {
        thread.thread().unpark();
        // It does nothing that could fail.
        let _ = thread.join();
    }
    failed.map_or(Ok(()), Err)
}

/// Whether the warning of too little stack was given.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Warns, once, where headers in frames of `frame_max` bytes can need more stack than this process gives its threads.
pub(crate) fn warn_once(frame_max: u32) {
    let given = stack_bytes(env::var(VARIABLE).ok().as_deref());
    if given < needed(frame_max) && !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "a message with deeply nested headers can end this process: start it with {VARIABLE}={}, or call ponos::stack::provide() first in main (now its threads have {} KiB of stack)",
            needed(frame_max),
            given / 1024
        );
    }
}

/// The stack of a thread, as the standard library reads it.
fn stack_bytes(set: Option<&str>) -> usize {
    set.and_then(|bytes| bytes.parse().ok()).unwrap_or(DEFAULT)
}

fn needed(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { u32::MAX } else { frame_max };
    let needed = (NEEDED as u64 / u64::from(FRAME_MAX)).saturating_mul(u64::from(frame_max));
    usize::try_from(needed).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_grows_with_the_frame() {
        assert_eq!(needed(FRAME_MAX), NEEDED);
        assert_eq!(needed(FRAME_MAX / 16), NEEDED / 16);
        assert!(needed(0) > needed(1 << 30));
    }

    #[test]
    fn what_the_standard_library_would_not_understand_is_its_default() {
        assert_eq!(stack_bytes(None), DEFAULT);
        assert_eq!(stack_bytes(Some("a lot")), DEFAULT);
        assert_eq!(stack_bytes(Some("4194304")), 4 << 20);
    }
}
