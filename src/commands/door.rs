//! The loop of the door: takes commands from the queue, has them done, publishes what follows, and settles them. All waiting
//! is here.
//!
//! Invariant: a command is settled once its effect is durable and its answer is confirmed (or can't arrive). Until then it stays
//! the broker's: after a crash, or a lost connection, it comes again.

use super::{
    answer::Answer,
    command::CommandKind,
    dispatch,
    lanes::Lanes,
    outbox::{Note, Outbox, Told},
    outcome::{dead_letter, reply},
    request::Request,
    users::Users,
};
use crate::{
    authority::{Caller, Owners, Rate, TooOften},
    clock,
    config::CommandsConfig,
    ops::{OpsError, RunningClock},
    problem::Problem,
    telemetry::{CommandCounts, CommandResult, EVENT_SPAN},
};
use ponos::{
    broker::{Consumer, Delivery, DeliveryTag, Link, Settle},
    event::{Message, TraceParent},
    shutdown::{Shutdown, Stage},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::{Span, debug, field::Empty, info, info_span, warn};

/// Commands that are taken and not settled: as many may wait in memory.
pub(super) const PREFETCH: u16 = 32;
/// As many once connections were lost: what was taken by them comes again while it is still worked on.
const MOST: usize = 4 * PREFETCH as usize;
/// How long commands that are begun may take at the end.
const GRACE: Duration = Duration::from_secs(1);

/// The door, open.
pub(super) struct DoorLoop {
    queue: String,
    replies: Arc<str>,
    clock: RunningClock,
    counts: CommandCounts,
    users: Users,
    /// Commands a second of each owner.
    rate: u32,
    /// By owner: how many he has sent.
    rates: HashMap<Arc<str>, Rate>,
    consumer: Consumer,
    link: watch::Receiver<Link>,
    outbox: Outbox,
    replying: watch::Receiver<Link>,
    warning: watch::Sender<Option<String>>,
    lanes: Lanes<Begun>,
    tasks: JoinSet<Ended>,
    /// By number: taken and not settled.
    open: HashMap<u64, Open>,
    last: u64,
    /// In front of the ids of answers: no two processes have the same.
    begun_at: i64,
}

/// A command that can be done.
#[derive(Debug)]
struct Begun {
    number: u64,
    caller: Caller,
    request: Request,
    /// What it is about: one at a time.
    subject: Option<String>,
}

/// A command that is done, or is not.
struct Ended {
    number: u64,
    subject: Option<String>,
    result: Result<Answer, Problem>,
}

/// A command that is taken and not settled.
#[derive(Debug)]
struct Open {
    tag: DeliveryTag,
    message: Message,
    kind: Option<CommandKind>,
    /// Messages that follow from it and are not confirmed.
    left: u8,
    settle: Settle,
    /// The broker gave it before, or may have.
    came_before: bool,
}

impl DoorLoop {
    pub(super) fn new(
        config: &CommandsConfig,
        owners: &Owners,
        clock: RunningClock,
        (consumer, outbox): (Consumer, Outbox),
        warning: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            queue: config.queue.clone(),
            replies: config.replies.as_str().into(),
            counts: clock.counts.commands().clone(),
            clock,
            users: Users::new(&config.users, owners),
            rate: config.rate,
            rates: HashMap::new(),
            link: consumer.link(),
            consumer,
            replying: outbox.link(),
            outbox,
            warning,
            lanes: Lanes::default(),
            tasks: JoinSet::new(),
            open: HashMap::new(),
            last: 0,
            begun_at: clock::now().millis(),
        }
    }

    /// Takes commands until the shutdown; then ends what is begun, for a while. What is left comes again.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let draining = shutdown.reached(Stage::Draining);
        let stopping = shutdown.reached(Stage::Stopping);
        tokio::pin!(draining, stopping);
        let mut end: Option<Instant> = None;
        while end.is_none() || !self.open.is_empty() {
            self.show();
            let limit = sleep_until(end.unwrap_or_else(Instant::now));
            tokio::select! {
                biased;
                () = &mut stopping => break,
                () = limit, if end.is_some() => break,
                () = &mut draining, if end.is_none() => {
                    end = Some(Instant::now() + GRACE);
                    self.consumer.stop();
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => match ended {
                    Ok(ended) => self.on_ended(ended, end.is_some()).await,
                    // Its own panics are caught: this one was cut off.
                    Err(error) => warn!(%error, "a command was cut off; it comes again"),
                },
                told = self.outbox.turn() => match told {
                    Some(told) => self.on_told(told).await,
                    None => break,
                },
                delivery = self.consumer.next(), if end.is_none() && self.open.len() < MOST => match delivery {
                    Some(delivery) => self.take(delivery).await,
                    None => break,
                },
                changed = self.link.changed() => if changed.is_err() { break },
                changed = self.replying.changed() => if changed.is_err() { break },
            }
        }
        if !self.open.is_empty() {
            info!(
                commands = self.open.len(),
                "commands that were not answered stay in the queue '{}'", self.queue
            );
        }
        self.close().await;
    }

    /// Says goodbye to the broker: what was settled arrives, and what was not goes back to the queue at once.
    async fn close(self) {
        let Self { consumer, outbox, link, replying, .. } = self;
        drop((consumer, outbox));
        let goodbye = Duration::from_secs(1);
        // Whatever comes of it, the connections are cut next.
        let _ = tokio::join!(Link::closed(link, goodbye), Link::closed(replying, goodbye));
    }

    /// Says what is wrong with the door, if anything is.
    fn show(&self) {
        let said = trouble(&self.link.borrow())
            .map(|why| format!("commands: nothing is taken from the queue '{}': {why}", self.queue))
            .or_else(|| {
                let why = trouble(&self.replying.borrow())?;
                Some(format!("commands: answers can't be sent, so commands wait: {why}"))
            });
        self.warning.send_if_modified(|shown| {
            let is_news = *shown != said;
            match &said {
                Some(said) if is_news => warn!("{said}"),
                None if is_news => info!("commands are taken from the queue '{}'", self.queue),
                _ => {}
            }
            shown.clone_from(&said);
            is_news
        });
    }

    async fn take(&mut self, delivery: Delivery) {
        self.last += 1;
        let number = self.last;
        let came_before = delivery.redelivered || delivery.delivery_count().is_some();
        if came_before {
            self.counts.came_again();
        }
        let Delivery { message, tag, .. } = delivery;
        let kind = CommandKind::of(&message);
        let read = self.read(&message, &kind);
        let kind = kind.ok();
        self.open.insert(number, Open { tag, message, kind, left: 0, settle: Settle::Ack, came_before });
        match read {
            Ok((caller, request)) => {
                let subject = request.subject().map(str::to_owned);
                let begun = Begun { number, caller, request, subject: subject.clone() };
                let now = match &subject {
                    Some(subject) => self.lanes.enter(subject, begun),
                    None => Some(begun),
                };
                if let Some(begun) = now {
                    self.begin(begun);
                }
            }
            Err(problem) => self.answer(number, Answer::from(&problem), Some(problem)).await,
        }
    }

    /// Who asks, and for what: in this order, so that a flood costs little.
    fn read(
        &mut self,
        message: &Message,
        kind: &Result<CommandKind, Problem>,
    ) -> Result<(Caller, Request), Problem> {
        let caller = self.users.caller(message)?.clone();
        // As many as are configured.
        let rate =
            self.rates.entry(caller.owner().clone()).or_insert_with(|| Rate::new(self.rate, self.rate));
        rate.take(1, Instant::now()).map_err(|TooOften(wait)| {
            let what = format!(
                "'{}' sends more commands than the clock takes of one owner (commands.rate); this one was not looked at",
                caller.owner()
            );
            Problem::too_often(what, wait)
        })?;
        let kind = kind.as_ref().map_err(Problem::clone)?;
        Ok((caller, Request::read(*kind, message)?))
    }

    fn begin(&mut self, begun: Begun) {
        let Begun { number, caller, request, subject } = begun;
        let clock = self.clock.clone();
        self.tasks.spawn(async move {
            // On a task of its own: whatever becomes of it, the command is answered.
            let work = tokio::spawn(async move { dispatch::run(&clock, &caller, request).await });
            let result = work.await.unwrap_or_else(|_| Err(OpsError::Defect.into()));
            Ended { number, subject, result }
        });
    }

    async fn on_ended(&mut self, Ended { number, subject, result }: Ended, is_stopping: bool) {
        if let Some(next) = subject.and_then(|subject| self.lanes.leave(&subject)) {
            if is_stopping {
                self.open.remove(&next.number);
            } else {
                self.begin(next);
            }
        }
        match result {
            Ok(answer) => self.answer(number, answer, None).await,
            // The clock that starts next answers it.
            Err(problem) if is_stopping && problem.status() >= 500 => drop(self.open.remove(&number)),
            Err(problem) => self.answer(number, Answer::from(&problem), Some(problem)).await,
        }
    }

    /// Sends the answer to whom it may concern, and the message to the dead letters if it can't be a command.
    async fn answer(&mut self, number: u64, answer: Answer, problem: Option<Problem>) {
        let Some(open) = self.open.get_mut(&number) else { return };
        let dead = problem.as_ref().filter(|problem| problem.is_of_the_request());
        let result = match answer.status() {
            200..=299 => CommandResult::Done,
            _ if dead.is_some() => CommandResult::Invalid,
            429 => CommandResult::Limited,
            300..=499 => CommandResult::Refused,
            _ => CommandResult::Failed,
        };
        self.counts.answered(open.kind.map(CommandKind::word), result);
        log(open, &answer, problem.as_ref());
        let id = format!("reply-{}-{number}", self.begun_at);
        if let Some(reply) = reply(&open.message, &answer, &self.replies, id) {
            self.outbox.send(Note { command: number, is_letter: false }, reply);
            open.left += 1;
        }
        let message = std::mem::take(&mut open.message);
        if let Some(problem) = dead {
            let letter = dead_letter(message, &self.queue, problem, clock::now());
            self.outbox.send(Note { command: number, is_letter: true }, letter);
            open.left += 1;
        }
        self.settle_if_done(number).await;
    }

    async fn on_told(&mut self, told: Vec<Told>) {
        for Told { note: Note { command, is_letter }, failure } in told {
            let Some(open) = self.open.get_mut(&command) else { continue };
            open.left = open.left.saturating_sub(1);
            match failure {
                Some(why) if is_letter => {
                    warn!(
                        "a dead letter could not be published ({why}); the broker moves the message itself"
                    );
                    open.settle = Settle::Dead;
                }
                Some(why) => {
                    self.counts.reply_dropped();
                    debug!("an answer was dropped: {why}");
                }
                None => {}
            }
            self.settle_if_done(command).await;
        }
    }

    async fn settle_if_done(&mut self, number: u64) {
        if self.open.get(&number).is_none_or(|open| open.left > 0) {
            return;
        }
        let Some(Open { tag, settle, came_before, .. }) = self.open.remove(&number) else { return };
        // Gone with its task: it comes again, which the loop notices by itself.
        let _ = self.consumer.settle(tag, settle).await;
        if !came_before {
            // After a crash one is taken at a time, so that what caused it harms no other.
            self.consumer.widen();
        }
    }
}

/// Why a connection is of no use at present.
fn trouble(link: &Link) -> Option<String> {
    match link {
        Link::Up { .. } => None,
        Link::Down { error: Some(error), .. } => Some(error.to_string()),
        Link::Down { error: None, .. } => Some("connecting".to_owned()),
        Link::Blocked { reason } => Some(format!("the broker accepts no messages ({reason})")),
        Link::Closed => Some("closed".to_owned()),
    }
}

/// A line of the log, in the trace of the command: of what was refused at a level that is seen, of what was read at none.
fn log(open: &Open, answer: &Answer, problem: Option<&Problem>) {
    let properties = &open.message.properties;
    let user = properties.user_id.as_deref().unwrap_or("?");
    let id = properties.message_id.as_deref().unwrap_or("?");
    let kind = open.kind.map_or("unknown", CommandKind::word);
    let status = answer.status();
    span(&open.message).in_scope(|| match problem {
        Some(problem) if status >= 500 => warn!(user, id, status, "{kind}: {}", problem.detail),
        Some(problem) => debug!(user, id, status, "{kind}: {}", problem.detail),
        None => debug!(user, id, status, "{kind}"),
    });
}

/// The span of a command's line, with the ids of the trace that it belongs to.
fn span(message: &Message) -> Span {
    let span = info_span!(target: EVENT_SPAN, "command", trace_id = Empty, span_id = Empty);
    if let Some(TraceParent { trace_id, parent_id }) =
        message.headers.text("traceparent").and_then(TraceParent::parse)
    {
        span.record("trace_id", trace_id).record("span_id", parent_id);
    }
    span
}
