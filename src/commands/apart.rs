//! The door on a thread and an event loop of its own, so that no command can delay publishing.

use super::{
    door::{DoorLoop, PREFETCH},
    outbox::Outbox,
    topology,
};
use crate::{apart::yield_to_publishing, authority::Owners, config::CommandsConfig, ops::RunningClock};
use ponos::{
    broker::{Consume, Transport},
    shutdown::Shutdown,
};
use std::io;
use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
};

/// Threads for what takes a while.
const THREADS: usize = 2;

/// What a door is made of.
#[derive(Debug)]
pub struct Door {
    /// Names on the broker, and who may send commands.
    pub config: CommandsConfig,
    /// What they may take of the clock.
    pub owners: Owners,
    /// The broker, by connections that nothing else uses.
    pub transport: Transport,
    /// The clock that is asked.
    pub clock: RunningClock,
    /// What is wrong with the door, if anything is.
    pub warning: watch::Sender<Option<String>>,
}

/// Its thread could not be started.
#[derive(Debug, thiserror::Error)]
#[error("commands can't be taken: their thread could not be started: {0}")]
pub struct StartError(#[from] io::Error);

/// The door as it runs.
#[derive(Debug)]
pub struct Running(oneshot::Receiver<()>);

impl Running {
    /// Waits until all is answered, or left to the next start, after the shutdown began to drain.
    pub async fn ended(self) {
        // Gone without a word is ended too.
        let _ = self.0.await;
    }
}

/// Takes commands on a thread of its own.
///
/// # Errors
/// [`StartError`].
pub fn start(door: Door, shutdown: Shutdown) -> Result<Running, StartError> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build()?;
    let (done, ended) = oneshot::channel();
    let work = move || {
        yield_to_publishing();
        runtime.block_on(run(door, shutdown));
        runtime.shutdown_background();
        // Nobody may wait any more.
        let _ = done.send(());
    };
    std::thread::Builder::new().name("commands".into()).spawn(work)?;
    Ok(Running(ended))
}

/// Takes commands on the event loop that it is called on.
pub(super) async fn run(door: Door, shutdown: Shutdown) {
    let Door { config, owners, transport, clock, warning } = door;
    let declared = topology(&config);
    let outbox = Outbox::new(transport.publisher(declared.clone()));
    let consume = Consume::new(&*config.queue).prefetch(PREFETCH).cautious();
    let consumer = transport.consumer(declared, consume);
    DoorLoop::new(&config, &owners, clock, (consumer, outbox), warning).run(shutdown).await;
}
