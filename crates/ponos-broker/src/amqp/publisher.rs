//! A publisher's task: connects for ever, spreads what is submitted over its confirm channels, hands settlements back.

use super::{
    super::{Link, LinkError, PublishOutcome, PublisherTask, Publishing, Settlement},
    blame::Blame,
    channels::Channels,
    config::AmqpConfig,
    confirms::Confirms,
    connection::{Events, Session},
    declare::{compare, declare},
    errors::gone_exchange,
    host_order::HostOrder,
    refused_routes::RefusedRoutes,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use lapin::Event;
use ponos_event::topology::Topology;
use std::{future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// While this many wait to be written, no more are taken: that is enough to keep the window filled.
const WAITING: usize = 256;
/// Settlements that may wait for the caller before nothing more is taken.
const UNHEARD: usize = 16_384;
/// A connection that held this long resets the backoff.
const HELD: Duration = Duration::from_secs(5);
/// How often deadlines and the connection's state are looked at.
const TICK: Duration = Duration::from_millis(250);

/// Runs until the handle is dropped.
pub(super) async fn run(
    config: AmqpConfig,
    order: Arc<HostOrder>,
    topology: watch::Receiver<Topology>,
    task: PublisherTask,
) {
    let PublisherTask { submitted, settled, link } = task;
    let mut caller = CallerSide { submitted, settled, unsaid: Vec::new() };
    let mut supervisor = PublisherSupervisor {
        config,
        order,
        topology,
        link,
        generation: 0,
        alone: 0,
        refused: RefusedRoutes::default(),
    };
    supervisor.run(&mut caller).await;
    caller.say_the_rest(supervisor.config.call_timeout).await;
    supervisor.link.send_replace(Link::Closed);
}

/// The caller's side: what is submitted, and what is to be said of it.
struct CallerSide {
    submitted: mpsc::Receiver<Vec<Publishing>>,
    settled: mpsc::Sender<Vec<Settlement>>,
    unsaid: Vec<Settlement>,
}

struct PublisherSupervisor {
    config: AmqpConfig,
    order: Arc<HostOrder>,
    topology: watch::Receiver<Topology>,
    link: watch::Sender<Link>,
    generation: u64,
    /// How many are to be sent one at a time, after a message may have cost us the connection.
    alone: usize,
    /// What goes there is published apart from the lanes.
    refused: RefusedRoutes,
}

/// How a connection ended.
enum ConnectionEnd {
    /// The handle was dropped.
    Closed,
    /// It was lost.
    Lost(LinkError),
}

impl PublisherSupervisor {
    async fn run(&mut self, caller: &mut CallerSide) {
        let mut failures = 0_u32;
        loop {
            let opened = caller.losing_while(Box::pin(self.open())).await;
            let mut elects = false;
            let error = match opened {
                None => return,
                Some(Err(error)) => error,
                Some(Ok((session, channels))) => {
                    let since = Instant::now();
                    let end = self.serve(&session, channels, caller).await;
                    if let ConnectionEnd::Lost(error) = &end {
                        elects = session.lost_its_node(error);
                        // Before what was on it is reported as lost, and before the goodbye, which may take long.
                        self.down(failures.saturating_add(1), error.clone());
                    }
                    let closing = caller.losing_while(Box::pin(session.close())).await;
                    match end {
                        ConnectionEnd::Closed => return,
                        ConnectionEnd::Lost(_) if closing.is_none() => return,
                        ConnectionEnd::Lost(error) => {
                            if since.elapsed() >= HELD {
                                failures = 0;
                            }
                            error
                        }
                    }
                }
            };
            failures = failures.saturating_add(1);
            self.down(failures, error);
            let wait = self.config.backoff(failures, elects);
            if caller.losing_while(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn open(&self) -> Result<(Session, Channels), LinkError> {
        let session = Session::open(&self.config, &self.order, "publishing").await?;
        declare(&session, &self.topology()).await?;
        let mut lanes = Vec::new();
        for _ in 0..self.config.channels.max(1) {
            let mut confirms = Confirms::new(self.config.window);
            confirms.revive(session.confirm_channel().await?);
            confirms.one_at_a_time(self.alone);
            lanes.push(confirms);
        }
        Ok((session, Channels::new(lanes)))
    }

    fn down(&self, attempts: u32, error: LinkError) {
        self.link.send_replace(Link::Down { attempts, error: Some(error) });
    }

    fn up(&self, session: &Session) {
        let user = session.user().map(str::to_owned);
        self.link.send_replace(Link::Up { generation: self.generation, broker: session.broker(), user });
    }

    async fn serve(
        &mut self,
        session: &Session,
        mut channels: Channels,
        caller: &mut CallerSide,
    ) -> ConnectionEnd {
        self.generation += 1;
        self.alone = 0;
        let mut events = session.events();
        self.up(session);
        let end = self.publish(session, &mut channels, &mut events, caller).await;
        let in_flight: usize = channels.iter().map(Confirms::unsettled).sum();
        let blames = channels.iter().filter_map(|confirms| Some(Blame::of(confirms.death()?, true)));
        let mut blame = blames.into_iter().find(|blame| blame.message().is_some()).unwrap_or(Blame::Nobody);
        if blame.message().is_some() && in_flight > 1 {
            self.alone = in_flight;
            blame = Blame::Nobody;
        }
        for confirms in channels.iter_mut() {
            confirms.bury(&blame);
            confirms.drop_backlog();
            caller.unsaid.extend(confirms.settlements());
        }
        end
    }

    async fn publish(
        &mut self,
        session: &Session,
        channels: &mut Channels,
        events: &mut Events,
        caller: &mut CallerSide,
    ) -> ConnectionEnd {
        let (user, frame_max) = (session.user(), session.frame_max());
        let mut tick = tokio::time::interval(TICK);
        let mut blocked = false;
        let mut close_by = None;
        let mut compare_at = self.next_compare();
        let mut comparing: Option<BoxFuture<'_, Result<(), LinkError>>> = None;
        let mut opening: Option<BoxFuture<'_, Result<lapin::Channel, LinkError>>> = None;
        loop {
            channels.let_back(&mut self.refused);
            let worn =
                |confirms: &Confirms| confirms.death().is_some() || (confirms.is_clogged() && !blocked);
            for lane in 0..channels.lanes.len() {
                if worn(&channels.lanes[lane])
                    && let Err(error) = self.reopen(session, channels, lane).await
                {
                    return ConnectionEnd::Lost(error);
                }
            }
            if worn(&channels.apart)
                && let Err(error) = self.bury(session, &mut channels.apart)
            {
                return ConnectionEnd::Lost(error);
            }
            if opening.is_none() && !blocked && channels.apart.wants_a_channel() {
                opening = Some(session.confirm_channel().boxed());
            }
            let CallerSide { submitted, unsaid, .. } = caller;
            channels.write((user, frame_max), &self.config.fence, (submitted, unsaid));
            if channels.iter().any(|confirms| confirms.death().is_some()) {
                // It may be the connection's: then the link shows that before anything is reported as lost.
                continue;
            }
            channels.iter_mut().for_each(|confirms| caller.unsaid.extend(confirms.settlements()));
            let idle = channels.iter().all(Confirms::is_idle);
            if close_by.is_some_and(|by| idle && caller.unsaid.is_empty() || by <= Instant::now()) {
                return ConnectionEnd::Closed;
            }
            let waiting: usize = channels.lanes.iter().map(Confirms::waiting).sum();
            let room = close_by.is_none() && waiting < WAITING && caller.unsaid.len() < UNHEARD;
            let flying = channels.iter().any(Confirms::is_flying);
            let speak = !caller.unsaid.is_empty();
            tokio::select! {
                biased;
                permit = caller.settled.reserve(), if speak => match permit {
                    Ok(permit) => permit.send(std::mem::take(&mut caller.unsaid)),
                    Err(_) => {
                        // Nobody listens any more; what was taken is still brought to its end.
                        caller.unsaid.clear();
                        close_by.get_or_insert(Instant::now() + self.config.call_timeout);
                    }
                },
                () = channels.confirmed(), if flying => {}
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => {
                        blocked = true;
                        // No call is answered now.
                        comparing = None;
                        opening = None;
                        self.link.send_replace(Link::Blocked { reason });
                    }
                    Some(Event::ConnectionUnblocked) => {
                        blocked = false;
                        self.up(session);
                    }
                    // A channel's error comes here too; its publishings tell of it.
                    Some(Event::Error(error)) if !session.is_open() => {
                        channels.settle_what_came().await;
                        return ConnectionEnd::Lost(session.classify(&error));
                    }
                    Some(_) => {}
                    None => return ConnectionEnd::Lost(session.gone()),
                },
                opened = answer_of(&mut opening), if opening.is_some() => {
                    opening = None;
                    match opened {
                        Ok(channel) => channels.apart.revive(channel),
                        Err(error) => return ConnectionEnd::Lost(error),
                    }
                }
                batch = caller.submitted.recv(), if room => match batch {
                    Some(batch) if blocked => lose(&mut caller.unsaid, batch),
                    Some(batch) => {
                        let now = Instant::now();
                        let deadline = now + self.config.confirm_timeout;
                        for publishing in batch {
                            if !self.refused.take(&publishing, now) {
                                channels.lane(&publishing).take(publishing, deadline);
                            } else if channels.apart.waiting() < self.config.window {
                                channels.apart.take(publishing, deadline);
                            } else {
                                lose(&mut caller.unsaid, vec![publishing]);
                            }
                        }
                    }
                    None => close_by = Some(Instant::now() + self.config.call_timeout),
                },
                compared = answer_of(&mut comparing), if comparing.is_some() => {
                    comparing = None;
                    compare_at = self.next_compare();
                    if let Err(error) = compared {
                        return ConnectionEnd::Lost(error);
                    }
                }
                _ = tick.tick() => {
                    let now = Instant::now();
                    if compare_at <= now && comparing.is_none() && !blocked && close_by.is_none() {
                        let topology = self.topology();
                        comparing = Some(async move { compare(session, &topology).await }.boxed());
                    }
                    channels.iter_mut().for_each(|confirms| confirms.expire(now));
                    if channels.apart.is_idle() {
                        self.refused.expire(now);
                    }
                    if !session.is_open() {
                        channels.settle_what_came().await;
                        let error = channels.iter().find_map(Confirms::death);
                        return ConnectionEnd::Lost(error.map_or_else(|| session.gone(), |error| session.classify(error)));
                    }
                }
            }
        }
    }

    /// After the broker closed the channel of a lane (or too many confirms were given up): a fresh one, and care with what
    /// comes next.
    async fn reopen(
        &mut self,
        session: &Session,
        channels: &mut Channels,
        lane: usize,
    ) -> Result<(), LinkError> {
        let suspects = self.bury(session, &mut channels.lanes[lane])?;
        channels.lanes[lane].one_at_a_time(suspects);
        channels.set_apart(&self.refused);
        channels.lanes[lane].revive(session.confirm_channel().await?);
        Ok(())
    }

    /// Settles what was in flight on a channel that is gone, and returns how many of them may be at fault. An error if it was
    /// because of what this publisher itself declares.
    fn bury(&mut self, session: &Session, confirms: &mut Confirms) -> Result<usize, LinkError> {
        if !session.is_open() {
            return Err(confirms.death().map_or_else(|| session.gone(), |error| session.classify(error)));
        }
        let blame = confirms.death().map_or(Blame::Nobody, |error| Blame::of(error, false));
        match (&blame, confirms.death()) {
            (Blame::Exchange(name, _), _) if self.declares(name) => {
                return Err(gone_exchange(&self.config.url, name, self.topology.borrow().passive));
            }
            (Blame::Topology, Some(error)) => return Err(session.classify(error)),
            _ => {}
        }
        let buried = confirms.bury(&blame);
        let Some(why) = blame.message() else { return Ok(0) };
        if let Some(refused) = buried.refused {
            self.refused.learn(&refused, why, Instant::now());
        }
        // One alone was judged already.
        Ok(if buried.suspects > 1 { buried.suspects } else { 0 })
    }

    fn declares(&self, exchange: &str) -> bool {
        self.topology.borrow().exchanges.iter().any(|declared| declared.name == exchange)
    }

    /// As it is now.
    fn topology(&self) -> Topology {
        self.topology.borrow().clone()
    }

    fn next_compare(&self) -> Instant {
        Instant::now() + self.config.compare.mul_f64(1.0 + fastrand::f64())
    }
}

impl CallerSide {
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

pub(super) fn lose(unsaid: &mut Vec<Settlement>, batch: Vec<Publishing>) {
    let lost = |publishing: Publishing| Settlement { token: publishing.token, outcome: PublishOutcome::Lost };
    unsaid.extend(batch.into_iter().map(lost));
}

/// The result of a check, once one is under way.
pub(super) async fn answer_of<T>(look: &mut Option<BoxFuture<'_, T>>) -> T {
    match look {
        Some(look) => look.await,
        None => std::future::pending().await,
    }
}
