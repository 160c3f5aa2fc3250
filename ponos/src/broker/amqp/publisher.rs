//! A publisher's task: connects for ever, spreads what is submitted over its confirm channels, hands settlements back.

use super::{
    super::{Link, LinkError, PublishOutcome, PublisherTask, Publishing, Settlement},
    backoff,
    config::AmqpConfig,
    confirms::Confirms,
    connection::{Events, Session},
    declare::declare,
};
use crate::topology::Topology;
use futures_util::StreamExt;
use lapin::{ErrorKind, Event, options::ConfirmSelectOptions};
use std::{future::Future, pin::pin, task::Poll, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// While so many wait to be written, no more are taken: it is enough to keep the window filled.
const WAITING: usize = 256;
/// Settlements that may wait for the caller before nothing more is taken.
const UNHEARD: usize = 16_384;
/// A connection that held this long starts the backoff anew.
const HELD: Duration = Duration::from_secs(5);
/// How often deadlines and the connection's state are looked at.
const TICK: Duration = Duration::from_millis(250);

/// Runs until the handle is dropped.
pub(super) async fn run(config: AmqpConfig, topology: Topology, task: PublisherTask) {
    let PublisherTask { submitted, settled, link } = task;
    let mut desk = Desk { submitted, settled, unsaid: Vec::new() };
    let mut supervisor = Supervisor { config, topology, link, generation: 0, alone: 0 };
    supervisor.run(&mut desk).await;
    desk.say_the_rest(supervisor.config.call_timeout).await;
    supervisor.link.send_replace(Link::Closed);
}

/// The caller's side: what is submitted, and what is to be said of it.
struct Desk {
    submitted: mpsc::Receiver<Vec<Publishing>>,
    settled: mpsc::Sender<Vec<Settlement>>,
    unsaid: Vec<Settlement>,
}

struct Supervisor {
    config: AmqpConfig,
    topology: Topology,
    link: watch::Sender<Link>,
    generation: u64,
    /// How many are to be sent one at a time, after a message may have cost us the connection.
    alone: usize,
}

/// How a connection ended.
enum End {
    /// The handle was dropped.
    Closed,
    /// It was lost.
    Lost(LinkError),
}

impl Supervisor {
    async fn run(&mut self, desk: &mut Desk) {
        let mut failures = 0_u32;
        loop {
            let opened = desk.losing_while(Box::pin(self.open())).await;
            let error = match opened {
                None => return,
                Some(Err(error)) => error,
                Some(Ok((session, channels))) => {
                    let since = Instant::now();
                    let end = self.serve(&session, channels, desk).await;
                    let closing = desk.losing_while(Box::pin(session.close())).await;
                    match end {
                        End::Closed => return,
                        End::Lost(_) if closing.is_none() => return,
                        End::Lost(error) => {
                            if since.elapsed() >= HELD {
                                failures = 0;
                            }
                            error
                        }
                    }
                }
            };
            failures = failures.saturating_add(1);
            self.link.send_replace(Link::Down { attempts: failures, error: Some(error) });
            let wait = backoff::wait(failures, self.config.backoff_max, fastrand::f64());
            if desk.losing_while(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn open(&self) -> Result<(Session, Vec<Confirms>), LinkError> {
        let session = Session::open(&self.config, "publishing").await?;
        declare(&session, &self.topology).await?;
        let mut channels = Vec::new();
        for _ in 0..self.config.channels.max(1) {
            let mut confirms = Confirms::new(confirm_channel(&session).await?, self.config.window);
            confirms.one_at_a_time(self.alone);
            channels.push(confirms);
        }
        Ok((session, channels))
    }

    fn up(&mut self, session: &Session) {
        let user = session.user().map(str::to_owned);
        self.link.send_replace(Link::Up { generation: self.generation, broker: session.broker(), user });
    }

    async fn serve(&mut self, session: &Session, mut channels: Vec<Confirms>, desk: &mut Desk) -> End {
        self.generation += 1;
        self.alone = 0;
        let mut events = session.events();
        self.up(session);
        let end = self.publish(session, &mut channels, &mut events, desk).await;
        let in_flight: usize = channels.iter().map(Confirms::unsettled).sum();
        let verdict = channels.iter().find_map(|confirms| at_fault(confirms.death()?, true));
        if verdict.is_some() && in_flight > 1 {
            self.alone = in_flight;
        }
        for confirms in &mut channels {
            confirms.bury(verdict.as_deref().filter(|_| in_flight == 1));
            confirms.drop_backlog();
            desk.unsaid.extend(confirms.settlements());
        }
        end
    }

    async fn publish(
        &mut self,
        session: &Session,
        channels: &mut [Confirms],
        events: &mut Events,
        desk: &mut Desk,
    ) -> End {
        let (user, frame_max) = (session.user(), session.frame_max());
        let mut tick = tokio::time::interval(TICK);
        let mut blocked = false;
        let mut close_by = None;
        loop {
            for confirms in &mut *channels {
                let worn = confirms.death().is_some() || (confirms.is_clogged() && !blocked);
                if worn && let Err(error) = reopen(session, confirms).await {
                    return End::Lost(error);
                }
                confirms.write(user, frame_max);
                desk.unsaid.extend(confirms.settlements());
            }
            let idle = channels.iter().all(Confirms::is_idle);
            if close_by.is_some_and(|by| idle && desk.unsaid.is_empty() || by <= Instant::now()) {
                return End::Closed;
            }
            let waiting: usize = channels.iter().map(Confirms::waiting).sum();
            let room = close_by.is_none() && waiting < WAITING && desk.unsaid.len() < UNHEARD;
            let flying = channels.iter().any(Confirms::is_flying);
            let speak = !desk.unsaid.is_empty();
            tokio::select! {
                biased;
                permit = desk.settled.reserve(), if speak => match permit {
                    Ok(permit) => permit.send(std::mem::take(&mut desk.unsaid)),
                    Err(_) => {
                        // Nobody listens any more; what was taken is still brought to its end.
                        desk.unsaid.clear();
                        close_by.get_or_insert(Instant::now() + self.config.call_timeout);
                    }
                },
                () = confirmed(channels), if flying => {}
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        blocked = true;
                        self.link.send_replace(Link::Blocked { reason });
                    }
                    Some(Event::ConnectionUnblocked) => {
                        blocked = false;
                        self.up(session);
                    }
                    // A channel's error comes here too; its publishings tell of it.
                    Some(Event::Error(error)) if !session.is_open() => {
                        settle_what_came(channels).await;
                        return End::Lost(session.classify(&error));
                    }
                    Some(_) => {}
                    None => return End::Lost(session.gone()),
                },
                batch = desk.submitted.recv(), if room => match batch {
                    Some(batch) if blocked => lose(&mut desk.unsaid, batch),
                    Some(batch) => {
                        let deadline = Instant::now() + self.config.confirm_timeout;
                        for publishing in batch {
                            let lane = usize::try_from(publishing.lane).unwrap_or(0) % channels.len();
                            channels[lane].take(publishing, deadline);
                        }
                    }
                    None => close_by = Some(Instant::now() + self.config.call_timeout),
                },
                _ = tick.tick() => {
                    let now = Instant::now();
                    channels.iter_mut().for_each(|confirms| confirms.expire(now));
                    if !session.is_open() {
                        settle_what_came(channels).await;
                        let error = channels.iter().find_map(Confirms::death);
                        return End::Lost(error.map_or_else(|| session.gone(), |error| session.classify(error)));
                    }
                }
            }
        }
    }
}

impl Desk {
    /// Awaits `work`; what is submitted meanwhile is lost. `None` when the handle was dropped.
    async fn losing_while<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let speak = !self.unsaid.is_empty();
            let room = self.unsaid.len() < UNHEARD;
            tokio::select! {
                biased;
                permit = self.settled.reserve(), if speak => match permit {
                    Ok(permit) => permit.send(std::mem::take(&mut self.unsaid)),
                    Err(_) => return None,
                },
                done = &mut work => return Some(done),
                batch = self.submitted.recv(), if room => match batch {
                    Some(batch) => lose(&mut self.unsaid, batch),
                    None => return None,
                },
            }
        }
    }

    /// At the end: what is not said yet, as long as somebody listens, and not for ever.
    async fn say_the_rest(&mut self, limit: Duration) {
        self.submitted.close();
        while let Ok(batch) = self.submitted.try_recv() {
            lose(&mut self.unsaid, batch);
        }
        if !self.unsaid.is_empty() {
            let rest = std::mem::take(&mut self.unsaid);
            // Too late or nobody there: both mean that nobody wants to know.
            let _ = tokio::time::timeout(limit, self.settled.send(rest)).await;
        }
    }
}

fn lose(unsaid: &mut Vec<Settlement>, batch: Vec<Publishing>) {
    let lost = |publishing: Publishing| Settlement { token: publishing.token, outcome: PublishOutcome::Lost };
    unsaid.extend(batch.into_iter().map(lost));
}

async fn confirm_channel(session: &Session) -> Result<lapin::Channel, LinkError> {
    let channel = session.channel().await?;
    session.call("asking for confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// After the broker closed the channel (or too many confirms were given up): a fresh one, and care with what comes next.
async fn reopen(session: &Session, confirms: &mut Confirms) -> Result<(), LinkError> {
    if !session.is_open() {
        return Err(confirms.death().map_or_else(|| session.gone(), |error| session.classify(error)));
    }
    let verdict = confirms.death().and_then(|error| at_fault(error, false));
    let suspects = confirms.bury(verdict.as_deref());
    if suspects > 1 && verdict.is_some() {
        confirms.one_at_a_time(suspects);
    }
    confirms.revive(confirm_channel(session).await?);
    Ok(())
}

/// The broker's words, if they blame a message: an error of the channel, or (`hard`) of the whole connection, unless an
/// operator closed it.
fn at_fault(error: &lapin::Error, hard: bool) -> Option<String> {
    match error.kind() {
        ErrorKind::ProtocolError(said) if error.is_amqp_soft_error() != hard && said.get_id() != 320 => {
            Some(said.get_message().to_string())
        }
        _ => None,
    }
}

/// Until confirms came on any channel.
async fn confirmed(channels: &mut [Confirms]) {
    std::future::poll_fn(|cx| {
        let mut came = Poll::Pending;
        for confirms in &mut *channels {
            if confirms.is_flying() && confirms.poll_confirmed(cx).is_ready() {
                came = Poll::Ready(());
            }
        }
        came
    })
    .await;
}

/// What came before the connection went is not lost; nothing is waited for.
async fn settle_what_came(channels: &mut [Confirms]) {
    std::future::poll_fn(|cx| {
        for confirms in channels.iter_mut().filter(|confirms| confirms.is_flying()) {
            // Whether something came makes no difference here.
            let _ = confirms.poll_confirmed(cx);
        }
        Poll::Ready(())
    })
    .await;
}
