//! While a connection holds: what is submitted goes to the confirm channels, settlements come back, and what was declared is
//! compared with the broker.

use super::{
    super::{
        super::{Link, LinkError},
        blame::Blame,
        channels::Channels,
        confirms::Confirms,
        connection::{Events, Session},
        declare::compare,
        errors::gone_exchange,
    },
    ConnectionEnd, PublisherSupervisor, answer_of,
    caller_side::{CallerSide, lose},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use lapin::Event;
use std::time::Duration;
use tokio::time::Instant;

/// While this many wait to be written, no more are taken: that is enough to keep the window filled.
const WAITING: usize = 256;
/// How often deadlines and the connection's state are looked at.
const TICK: Duration = Duration::from_millis(250);

impl PublisherSupervisor {
    /// Until the connection is lost, or the handle dropped.
    pub(super) async fn publish(
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
            let now = Instant::now();
            if let Err(error) = self.renew(session, channels, blocked, now) {
                return ConnectionEnd::Lost(error);
            }
            if opening.is_none() && !blocked && channels.wanting().is_some() {
                opening = Some(session.confirm_channel().boxed());
            }
            let CallerSide { submitted, unsaid, .. } = caller;
            channels.write((user, frame_max, now), &self.config.fence, (submitted, unsaid));
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
            let room = close_by.is_none() && waiting < WAITING && caller.has_room();
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
                        channels.iter_mut().for_each(Confirms::excuse);
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
                        Ok(channel) => {
                            if let Some(confirms) = channels.wanting() {
                                confirms.revive(channel);
                            }
                        }
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

    /// Gives up the channels that the broker closed, on which too many confirms were given up, which stand still, or which refuse.
    /// What goes by one gets another once something is to go by it: with care where a message may be at fault.
    fn renew(
        &mut self,
        session: &Session,
        channels: &mut Channels,
        blocked: bool,
        now: Instant,
    ) -> Result<(), LinkError> {
        let mut is_any_closed = false;
        for confirms in channels.iter_mut() {
            if confirms.death().is_some() || confirms.is_clogged() && !blocked {
                let suspects = self.bury(session, confirms)?;
                confirms.one_at_a_time(suspects);
                is_any_closed = true;
            } else if !blocked && session.is_open() && confirms.stands_still(self.config.confirm_timeout, now)
            {
                // the broker closes it when it can, and what it still confirms there is heard by nobody
                tracing::warn!(
                    "a channel to {} stands still: another one takes its place, and {} that it has not confirmed are sent again",
                    session.broker(),
                    confirms.unsettled()
                );
                confirms.abandon();
            } else if !blocked && session.is_open() && confirms.is_to_be_replaced(now) {
                confirms.replace(now);
            }
        }
        if is_any_closed {
            channels.set_apart(&self.refused);
        }
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

    fn next_compare(&self) -> Instant {
        Instant::now() + self.config.compare.mul_f64(1.0 + fastrand::f64())
    }
}
