//! A thread of its own for what keeps connections alive: lapin's heartbeats and sockets.
//!
//! On the caller's runtime they would stand still while handlers block all of its threads, and the broker would give the
//! connection up in the middle of their tasks.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
};
use tokio::runtime::{Builder, Handle};

/// A handle to its runtime: one for the process, made at the first call, gone with the process.
pub(super) fn handle() -> io::Result<Handle> {
    static REACTOR: Mutex<Option<Handle>> = Mutex::new(None);
    let mut reactor = REACTOR.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*reactor {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let forever = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("ponos-amqp".into()).spawn(forever)?;
    *reactor = Some(handle.clone());
    Ok(handle)
}
