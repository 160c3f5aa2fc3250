//! A thread of its own for what keeps connections alive: lapin's heartbeats and sockets, and the look-up of names.
//!
//! On the caller's runtime they would stand still while handlers block all of its threads, and the broker would give the
//! connection up in the middle of their tasks. A resolver that does not answer would hold up the end of that runtime, too.

use super::attempt::within;
use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
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

/// The addresses of a name, as the resolver gives them, within a time limit.
pub(super) async fn look_up(name: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let name = name.to_owned();
    let looking = async move { tokio::net::lookup_host((name, port)).await.map(Vec::from_iter) };
    let looking = handle()?.spawn(looking);
    within(limit, async { looking.await.map_err(io::Error::other)? }).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn names_are_looked_up_though_every_blocking_thread_of_the_caller_is_taken() {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        let (end, held) = mpsc::channel::<()>();
        let _taken = runtime.spawn_blocking(move || held.recv());
        let found = runtime.block_on(look_up("localhost", 5672, Duration::from_secs(20)));
        drop(end);
        let found = found.unwrap();
        assert!(
            found.iter().any(|address| address.ip().is_loopback() && address.port() == 5672),
            "{found:?}"
        );
    }
}
