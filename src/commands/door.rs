//! The loop of the door: takes commands from the queue, has them done, publishes what follows, and settles them. All waiting
//! is here; `taking.rs` reads what comes, `settling.rs` answers and settles.
//!
//! Invariant: a command is settled once its effect is durable and its answer is confirmed (or can't arrive). Until then it stays
//! the broker's: after a crash, or a lost connection, it comes again.

use super::{
    answer::Answer,
    dispatch,
    outbox::Outbox,
    report::{PassedOver, Warning},
    request::Request,
    settling::Open,
    taking::{STRANGERS, too_many},
    turns::{Crowded, Turns},
    unconfirmed::Unconfirmed,
    users::Users,
};
use crate::{
    authority::{Caller, Owners, Rate},
    clock,
    config::CommandsConfig,
    ops::{OpsError, RunningClock},
    problem::Problem,
    telemetry::CommandCounts,
};
use futures_util::future::BoxFuture;
use ponos::{
    broker::{Consumer, DeliveryTag, Link},
    shutdown::{Shutdown, Stage},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

/// Commands that are taken and not settled: as many may wait in memory.
pub(super) const PREFETCH: u16 = 32;
/// As many once connections were lost: what was taken by them comes again while it is still worked on.
const MOST: usize = 4 * PREFETCH as usize;
/// How long commands that are begun may take at the end.
const GRACE: Duration = Duration::from_secs(1);

/// The door, open.
pub(super) struct DoorLoop {
    pub(super) queue: String,
    pub(super) replies: Arc<str>,
    clock: RunningClock,
    pub(super) counts: CommandCounts,
    pub(super) users: Users,
    /// Commands a second of each owner.
    pub(super) rate: u32,
    /// By owner: how many he has sent.
    pub(super) rates: HashMap<Arc<str>, Rate>,
    /// How many came of users who are not known.
    pub(super) strangers: Rate,
    pub(super) passed_over: PassedOver,
    pub(super) consumer: Consumer,
    link: watch::Receiver<Link>,
    /// Deliveries up to this generation can't be settled any more, though the link may not show it yet.
    pub(super) void: u64,
    pub(super) outbox: Outbox,
    replying: watch::Receiver<Link>,
    warning: Warning,
    pub(super) turns: Turns<Begun>,
    /// What is answered, and not for certain.
    pub(super) unconfirmed: Unconfirmed,
    tasks: JoinSet<Ended>,
    /// By number: taken and not settled, or not answered.
    pub(super) open: HashMap<u64, Open>,
    /// Settled before they are answered: whether the broker knows that is to be asked.
    pub(super) settled: Vec<u64>,
    /// Whether it knows that of these.
    pub(super) asking: Option<BoxFuture<'static, (Vec<u64>, Option<u64>)>>,
    pub(super) last: u64,
    /// In front of the ids of answers: no two processes have the same.
    pub(super) begun_at: i64,
}

/// A command that can be done.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) number: u64,
    pub(super) tag: DeliveryTag,
    pub(super) caller: Caller,
    pub(super) request: Request,
}

/// A command that is done, or is not.
struct Ended {
    number: u64,
    result: Result<Answer, Problem>,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it was to.
    Shutdown,
    /// This, which it works with, is gone.
    Gone(&'static str),
}

const NO_CONSUMER: End = End::Gone("its consumer is gone");
const NO_PUBLISHER: End = End::Gone("its publisher is gone");

impl DoorLoop {
    pub(super) fn new(
        config: &CommandsConfig,
        owners: &Owners,
        clock: RunningClock,
        (consumer, outbox): (Consumer, Outbox),
        warning: Warning,
    ) -> Self {
        Self {
            queue: config.queue.clone(),
            replies: config.replies.as_str().into(),
            counts: clock.counts.commands().clone(),
            clock,
            users: Users::new(&config.users, owners),
            rate: config.rate,
            rates: HashMap::new(),
            strangers: Rate::new(STRANGERS, STRANGERS),
            passed_over: PassedOver::default(),
            link: consumer.link(),
            consumer,
            void: 0,
            replying: outbox.link(),
            outbox,
            warning,
            turns: Turns::default(),
            unconfirmed: Unconfirmed::default(),
            tasks: JoinSet::new(),
            open: HashMap::new(),
            settled: Vec::new(),
            asking: None,
            last: 0,
            begun_at: clock::now().millis(),
        }
    }

    /// Takes commands until the shutdown; then ends what is begun, for a while. What is left comes again.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> End {
        let draining = shutdown.reached(Stage::Draining);
        let stopping = shutdown.reached(Stage::Stopping);
        tokio::pin!(draining, stopping);
        let mut end: Option<Instant> = None;
        let ended = loop {
            self.show();
            match end {
                None => self.begin_all(),
                Some(_) if self.open.is_empty() => break End::Shutdown,
                Some(_) => {}
            }
            self.ask_what_is_settled();
            let late = [self.turns.next_late(), self.unconfirmed.next_late()].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = &mut stopping => break End::Shutdown,
                () = until(end) => break End::Shutdown,
                () = &mut draining, if end.is_none() => {
                    end = Some(Instant::now() + GRACE);
                    self.consumer.stop();
                    self.forget(|_| true);
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => match ended {
                    Ok(ended) => self.on_ended(ended, end.is_some()).await,
                    // Its own panics are caught: this one was cut off.
                    Err(error) => warn!(%error, "a command was cut off; it comes again"),
                },
                (numbers, of) = answered(&mut self.asking) => {
                    self.asking = None;
                    self.on_settled(numbers, of).await;
                }
                told = self.outbox.turn() => match told {
                    Some(told) => self.on_told(told).await,
                    None => break NO_PUBLISHER,
                },
                () = until(late) => self.end_late().await,
                delivery = self.consumer.next(), if end.is_none() && self.open.len() < MOST => match delivery {
                    Some(delivery) => self.take(delivery).await,
                    None => break NO_CONSUMER,
                },
                changed = self.link.changed() => if changed.is_err() { break NO_CONSUMER },
                changed = self.replying.changed() => if changed.is_err() { break NO_PUBLISHER },
            }
        };
        if !self.open.is_empty() {
            info!(
                commands = self.open.len(),
                "commands that were not answered stay in the queue '{}'", self.queue
            );
        }
        self.close().await;
        ended
    }

    /// Says goodbye to the broker: what was settled arrives, and what was not goes back to the queue at once.
    async fn close(self) {
        let Self { consumer, outbox, link, replying, .. } = self;
        drop((consumer, outbox));
        let goodbye = Duration::from_secs(1);
        // Whatever comes of it, the connections are cut next.
        let _ = tokio::join!(Link::closed(link, goodbye), Link::closed(replying, goodbye));
    }

    fn show(&self) {
        self.warning.show(&self.link.borrow(), &self.replying.borrow(), self.outbox.is_stuck());
    }

    /// The generation of the deliveries that can be settled. All others come again, in front of what came after them.
    pub(super) fn current(&self) -> Option<u64> {
        match &*self.link.borrow() {
            Link::Up { generation, .. } if *generation > self.void => Some(*generation),
            _ => None,
        }
    }

    /// Forgets what waits, as far as it is meant: it stays the broker's.
    fn forget(&mut self, is_meant: impl Fn(&Begun) -> bool) {
        for number in self.turns.forget(is_meant) {
            self.open.remove(&number);
        }
    }

    /// Begins all whose turn it is. What comes again is begun then, in the order in which it comes.
    fn begin_all(&mut self) {
        let current = self.current();
        self.forget(|begun| Some(begun.tag.generation) != current);
        while let Some(Begun { number, caller, request, .. }) = self.turns.next() {
            let clock = self.clock.clone();
            self.tasks.spawn(async move {
                // On a task of its own: whatever becomes of it, the command is answered.
                let work = tokio::spawn(async move { dispatch::run(&clock, &caller, request).await });
                let result = work.await.unwrap_or_else(|_| Err(OpsError::Defect.into()));
                Ended { number, result }
            });
        }
    }

    async fn on_ended(&mut self, Ended { number, result }: Ended, is_stopping: bool) {
        self.turns.ended(number);
        match result {
            Ok(answer) => self.answer(number, answer, None).await,
            // The clock that starts next answers it.
            Err(problem) if problem.is_of_the_end() || is_stopping && problem.status() >= 500 => {
                self.open.remove(&number);
                self.turns.closed(number);
            }
            Err(problem) => self.refuse(number, problem).await,
        }
    }

    /// Refuses what waited too long for a place, and gives up what holds one for too long.
    async fn end_late(&mut self) {
        for number in self.unconfirmed.late(Instant::now()) {
            let told = self.outbox.give_up_on(number);
            self.on_told(told).await;
        }
        for number in self.turns.late(Instant::now()) {
            let Some(owner) = self.open.get(&number).and_then(|open| open.owner.clone()) else { continue };
            self.refuse(number, too_many(&owner, &Crowded::Owner)).await;
        }
    }

    pub(super) async fn refuse(&mut self, number: u64, problem: Problem) {
        self.answer(number, Answer::from(&problem), Some(problem)).await;
    }
}

/// What was asked, once something is.
async fn answered<T>(asking: &mut Option<BoxFuture<'static, T>>) -> T {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
