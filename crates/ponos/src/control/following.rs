//! Has a worker obey the stream: before it consumes, and while it runs.

use super::{
    Fold, Reader, Scope, Steering, Unread,
    fold::Record,
    reading::{Came, Opener},
};
use crate::{
    broker::{LinkError, Transport},
    clock::Clock,
    event::control,
    topology::Topology,
    worker::ConfirmingPublisher,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a worker reads before it consumes.
const LIMIT: Duration = Duration::from_secs(5);
/// The wait between two attempts to reach the broker at the start, at first …
const SHORTEST: Duration = Duration::from_millis(200);
/// … and at most.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest sleep until something ends: the system's clock may be set meanwhile.
const NAP: Duration = Duration::from_secs(60);

/// How long a passive worker, which declares no stream, waits until it looks again for one.
const AGAIN: Duration = Duration::from_secs(60);

/// Follows the stream for a worker.
#[derive(Debug)]
pub(crate) struct Follower {
    source: Source,
    steering: Arc<Steering>,
    clock: Clock,
    /// It reads from the beginning, and is not through; until then this is obeyed.
    behind: Option<Fold>,
    /// That it can't be read was said.
    is_off: bool,
}

/// Where records come from, and what they make.
#[derive(Debug)]
struct Source {
    transport: Transport,
    topology: Topology,
    opener: Option<Opener>,
    reader: Option<Reader>,
    fold: Fold,
}

/// Declares the stream, for a worker that does not run. What goes wrong with that is logged.
pub(crate) async fn declare(transport: &Transport) {
    if let Err(error) = transport.check(&control::topology()).await {
        tracing::warn!(%error, "the control stream could not be declared: queues can't be paused by hand");
    }
}

impl Follower {
    /// For the queues of this steering. A passive worker declares nothing, and writes nothing.
    pub(crate) fn new(
        transport: &Transport,
        passive: bool,
        steering: &Arc<Steering>,
        (publisher, source, clock): (&ConfirmingPublisher, &str, Clock),
    ) -> Self {
        let opener = Opener { publisher: publisher.clone(), source: source.to_owned(), clock };
        let (topology, opener) = match passive {
            true => (
                Topology { exchanges: Vec::new(), bindings: Vec::new(), ..control::topology().passive() },
                None,
            ),
            false => (control::topology(), Some(opener)),
        };
        let fold = Fold::new(Scope::Queues(steering.queues().cloned().collect()));
        let behind = Some(fold.clone());
        let source = Source { transport: transport.clone(), topology, opener, reader: None, fold };
        Self { source, steering: Arc::clone(steering), clock, behind, is_off: false }
    }

    /// Obeys what was said before now. Whether there is something to follow, or may be.
    pub(crate) async fn begin(&mut self) -> bool {
        let read = timeout(LIMIT, self.source.catch_up(self.clock)).await;
        match &read {
            Ok(Ok(())) => self.behind = None,
            Ok(Err(why)) => self.say_off(why),
            Err(_) => {
                tracing::warn!(
                    "the control stream could not be read within {} s: the worker begins, and obeys what is said there once it has read it",
                    LIMIT.as_secs()
                );
                self.behind = Some(self.source.fold.clone());
            }
        }
        self.steer();
        !matches!(read, Ok(Err(_))) || self.looks_again()
    }

    /// Obeys what is said from now on. Never returns.
    pub(crate) async fn run(mut self) {
        loop {
            let Err(why) = self.follow().await;
            self.say_off(&why);
            let again = Instant::now() + AGAIN;
            loop {
                tokio::select! {
                    () = sleep_until(again), if self.looks_again() => break,
                    // what was said holds until its end all the same
                    () = sleep_to_end(self.obeyed(), self.clock) => self.steer(),
                }
            }
            self.source.reader = None;
            let anew = self.source.fold.anew();
            let before = std::mem::replace(&mut self.source.fold, anew);
            self.behind.get_or_insert(before);
        }
    }

    /// Whether somebody else may make the stream later.
    fn looks_again(&self) -> bool {
        self.source.opener.is_none()
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, Unread> {
        loop {
            let clock = self.clock;
            if let Some(obeyed) = &self.behind {
                let mut catching = std::pin::pin!(self.source.catch_up(clock));
                loop {
                    tokio::select! {
                        caught_up = &mut catching => break caught_up?,
                        () = sleep_to_end(obeyed, clock) => self.steering.steer(obeyed, clock.now()),
                    }
                }
            }
            if self.behind.take().is_some() {
                self.steer();
                if std::mem::take(&mut self.is_off) {
                    tracing::info!("control is on: the control stream can be read now");
                }
            }
            let Some(reader) = &mut self.source.reader else { return Err(Unread::Ended) };
            tokio::select! {
                came = reader.next() => match came? {
                    Came::Record(record) => self.take(record),
                    Came::Anew => {
                        let anew = self.source.fold.anew();
                        self.behind = Some(std::mem::replace(&mut self.source.fold, anew));
                    }
                },
                () = sleep_to_end(&self.source.fold, clock) => self.steer(),
            }
        }
    }

    /// Takes in what comes. Of messages that are cancelled there may be many: these alone are new then.
    fn take(&mut self, record: Record) {
        let now = self.clock.now();
        let cancelled = match &record {
            Record::Cancelled(cancelled, is_repeated) => Some((cancelled.clone(), *is_repeated)),
            _ => None,
        };
        if self.source.fold.take(record, now) {
            match cancelled {
                Some((cancelled, is_repeated)) => self.steering.cancel(&cancelled, is_repeated, now),
                None => self.steer(),
            }
        }
    }

    fn obeyed(&self) -> &Fold {
        self.behind.as_ref().unwrap_or(&self.source.fold)
    }

    fn steer(&self) {
        self.steering.steer(self.obeyed(), self.clock.now());
    }

    fn say_off(&mut self, why: &Unread) {
        if std::mem::replace(&mut self.is_off, true) {
            return;
        }
        tracing::info!(%why, "control is off: this worker does not learn of queues that are paused or limited by hand, nor of messages that are cancelled");
    }
}

impl Source {
    async fn catch_up(&mut self, clock: Clock) -> Result<(), Unread> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(open(&self.transport, &self.topology).await?),
        };
        reader.catch_up(&mut self.fold, clock, self.opener.as_ref()).await
    }
}

/// A reader, once the broker could be asked. That is done on a connection of its own: one that knows no streams may close it.
async fn open(transport: &Transport, topology: &Topology) -> Result<Reader, LinkError> {
    let mut wait = SHORTEST;
    loop {
        match transport.check(topology).await {
            Ok(()) => return Ok(Reader::open(transport, topology.clone())),
            Err(error) if error.class.needs_a_person() => return Err(error),
            Err(error) => tracing::debug!(%error, "the control stream can't be reached yet"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

/// Sleeps until something may have ended.
async fn sleep_to_end(fold: &Fold, clock: Clock) {
    let now = clock.now();
    match fold.next_end(now) {
        Some(end) => {
            let left = Duration::from_millis(u64::try_from(end.since(now)).unwrap_or(0));
            sleep(left.min(NAP)).await;
        }
        None => std::future::pending().await,
    }
}
