//! The door on a thread and an event loop of its own, so that no command can delay publishing.

use super::{
    door::{DoorLoop, End, PREFETCH},
    outbox::Outbox,
    report::Warning,
    topology,
};
use crate::{apart::yield_to_publishing, authority::Owners, config::CommandsConfig, ops::RunningClock};
use ponos::{
    broker::{Consume, Transport},
    shutdown::{Shutdown, Stage},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
    time::{Instant, sleep},
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

/// How long after the door ended by itself it is opened again: at first, and at most; twice as long each time.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A door that was open so long begins with the first of these.
const HELD: Duration = Duration::from_secs(300);

/// Takes commands on the event loop that it is called on.
pub(super) async fn run(door: Door, shutdown: Shutdown) {
    let Door { config, owners, transport, clock, warning } = door;
    let warning = Warning::new(&config.queue, warning);
    let declared = topology(&config);
    let shown = warning.clone();
    let open = move |shutdown| {
        let outbox = Outbox::new(transport.publisher(declared.clone()));
        let consume = Consume::new(&*config.queue).prefetch(PREFETCH).cautious();
        let consumer = transport.consumer(declared.clone(), consume);
        DoorLoop::new(&config, &owners, clock.clone(), (consumer, outbox), shown.clone()).run(shutdown)
    };
    keep_open(open, &warning, shutdown).await;
}

/// Opens the door until the shutdown: a door that ends by itself, be it by a defect, is opened again.
async fn keep_open<F: Future<Output = End> + Send + 'static>(
    open: impl Fn(Shutdown) -> F + Send + Sync + 'static,
    warning: &Warning,
    shutdown: Shutdown,
) {
    let open = Arc::new(open);
    let mut wait = AGAIN.0;
    loop {
        let begun = Instant::now();
        // On a task of its own, which may panic: while it opens, too.
        let (opens, until) = (open.clone(), shutdown.clone());
        let why = match tokio::spawn(async move { opens(until).await }).await {
            Ok(End::Shutdown) => return,
            Ok(End::Gone(why)) => why,
            Err(_) => "a defect, which the log describes; please report it",
        };
        if begun.elapsed() >= HELD {
            wait = AGAIN.0;
        }
        warning.ended(why, wait);
        tokio::select! {
            biased;
            () = shutdown.reached(Stage::Draining) => return,
            () = sleep(wait) => {}
        }
        wait = (2 * wait).min(AGAIN.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::shutdown;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn a_door_that_ends_by_itself_is_opened_again_and_that_is_shown() {
        let (shown_in, mut shown) = watch::channel(None);
        let warning = Warning::new("khronos.commands", shown_in);
        let (trigger, end) = shutdown::shutdown();
        let begun = Instant::now();
        let (times, mut opened) = watch::channel(0);
        let open = move |shutdown: Shutdown| {
            times.send_modify(|times| *times += 1);
            let time = *times.borrow();
            assert_ne!(time, 1, "a defect while it opens");
            async move {
                match time {
                    2 => panic!("a defect"),
                    3..=10 => End::Gone("its consumer is gone"),
                    _ => {
                        shutdown.reached(Stage::Draining).await;
                        End::Shutdown
                    }
                }
            }
        };
        let kept = tokio::spawn(async move { keep_open(open, &warning, end).await });
        let told = |part: &'static str| {
            move |shown: &Option<String>| shown.as_ref().is_some_and(|shown| shown.contains(part))
        };
        shown.wait_for(told("opened again within 1 s: a defect")).await.unwrap();
        shown.wait_for(told("opened again within 2 s: a defect")).await.unwrap();
        shown.wait_for(told("opened again within 4 s: its consumer is gone")).await.unwrap();
        shown.wait_for(told("opened again within 60 s: its consumer is gone")).await.unwrap();
        opened.wait_for(|times| *times == 11).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(600), "{:?}", begun.elapsed());
        trigger.advance();
        timeout(AGAIN.0, kept).await.expect("it ends with the shutdown").unwrap();
    }
}
