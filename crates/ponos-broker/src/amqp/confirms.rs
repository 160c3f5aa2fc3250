//! One confirm channel: publishings written in order, confirms in a window, one settlement for each.
//!
//! When the broker closes the channel it does not say which publishing was at fault. So with several in flight all are
//! settled as lost, and as many are then sent one at a time; when it happens with one alone, that one is refused. A bad
//! message costs its neighbours one resend each, and never stops them; what goes where one was refused is published apart
//! from then on (`refused_routes`). A missing exchange it does name: all that were to go there are settled as missing, the
//! others as lost.

mod in_flight;
mod nacks;
mod silence;

use super::{
    super::{Fence, PublishOutcome, Publishing, Settlement},
    blame::Blame,
    convert,
    refused_routes::Routed,
    returns::{Brought, Returns},
};
use in_flight::{InFlight, Landed};
use lapin::{Channel, Confirmation, ErrorKind, options::BasicPublishOptions, types::ShortString};
use nacks::Nacks;
use ponos_event::Numbered;
use silence::Silence;
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Publishings that may wait to be written: each is a future of two kilobytes until it is.
const UNWRITTEN: usize = 256;

/// Places kept for each publishing of the window.
const PLACES: usize = 16;

/// A publishing that was written, or is being written, and is not answered.
struct Unconfirmed {
    token: u64,
    message_id: String,
    routed: Routed,
    deadline: Instant,
    settled: bool,
}

/// What was in flight on a channel that is gone.
pub(super) struct Buried {
    /// How many were.
    pub(super) suspects: usize,
    /// The one that was refused.
    pub(super) refused: Option<Routed>,
}

/// One confirm channel.
#[derive(Default)]
pub(super) struct Confirms {
    /// None while it is closed.
    channel: Option<Arc<Channel>>,
    in_flight: InFlight,
    unconfirmed: Numbered<Unconfirmed>,
    /// Those in `unconfirmed` that are settled already and only waited for, so that lapin can forget them.
    given_up: usize,
    backlog: VecDeque<(Publishing, Instant)>,
    silence: Silence,
    nacks: Nacks,
    returns: Returns,
    window: usize,
    /// How many are still to be sent one at a time.
    alone: usize,
    died: Option<lapin::Error>,
    accepted: Option<Routed>,
    settled: Vec<Settlement>,
}

impl Confirms {
    /// Closed: nothing is written before a channel is there ([`Self::revive`]).
    pub(super) fn new(window: usize) -> Self {
        Self { window: window.max(1), ..Self::default() }
    }

    /// Takes a publishing, to be written when the window has room.
    pub(super) fn take(&mut self, publishing: Publishing, deadline: Instant) {
        self.backlog.push_back((publishing, deadline));
    }

    /// How many are taken and not written.
    pub(super) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Whether all that was taken is settled.
    pub(super) fn is_idle(&self) -> bool {
        self.backlog.is_empty() && self.unsettled() == 0 && !self.returns.holds()
    }

    /// Whether anything can still come from the broker.
    pub(super) fn is_flying(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// The settlements since the last call.
    pub(super) fn settlements(&mut self) -> std::vec::Drain<'_, Settlement> {
        self.settled.drain(..)
    }

    /// Written, and neither confirmed nor given up.
    pub(super) fn unsettled(&self) -> usize {
        self.unconfirmed.len() - self.given_up
    }

    /// The last one that the broker answered and did not close the channel for, since the last call.
    pub(super) fn accepted(&mut self) -> Option<Routed> {
        self.accepted.take()
    }

    /// Whether something waits for a channel.
    pub(super) fn wants_a_channel(&self) -> bool {
        self.channel.is_none() && !self.backlog.is_empty()
    }

    /// Why the channel died, if it did.
    pub(super) fn death(&self) -> Option<&lapin::Error> {
        self.died.as_ref()
    }

    /// Sends the next `count` publishings one at a time.
    pub(super) fn one_at_a_time(&mut self, count: usize) {
        self.alone = self.alone.max(count);
    }

    /// Whether more than half of the window waits for confirms that were given up, or places are kept behind one that gets
    /// no answer: worth a fresh channel.
    pub(super) fn is_clogged(&self) -> bool {
        let is_full = self.given_up * 2 > self.window || self.unconfirmed.places() > self.window * PLACES;
        // where nothing lands at all, a fresh one is a matter of patience
        is_full && self.silence.is_broken()
    }

    /// Whether nothing has landed for the time limit of a confirm, or for longer where the channel before stood still, too, though
    /// something is outstanding: the channel stands still, and whatever is published on it.
    pub(super) fn stands_still(&self, limit: Duration, now: Instant) -> bool {
        self.silence.is_too_long(limit, now)
    }

    /// Whether what the broker refuses may be refused by this channel alone, and nothing is outstanding on it any more.
    pub(super) fn is_to_be_replaced(&self, now: Instant) -> bool {
        self.nacks.want_another(now) && self.unsettled() == 0 && !self.returns.holds()
    }

    /// Goes on without the channel, on which nothing is outstanding, until something is to go by another one.
    pub(super) fn replace(&mut self, now: Instant) {
        self.bury(&Blame::Nobody);
        self.nacks.replaced(now);
    }

    /// What was not answered until now had a reason that is none of the channel's.
    pub(super) fn excuse(&mut self) {
        self.silence.excused();
    }

    /// Writes what the window has room for, as far as the fence lets it pass; `false` once it held one back.
    pub(super) fn write(&mut self, user: Option<&str>, frame_max: u32, fence: &Fence, now: Instant) -> bool {
        // one that is to be replaced gets no more for a while
        let channel = self.channel.clone().filter(|_| !self.nacks.drains(now));
        let passes = channel.is_none_or(|channel| self.write_on(&channel, user, frame_max, fence));
        self.silence.look(!self.unconfirmed.is_empty(), now);
        passes
    }

    fn write_on(
        &mut self,
        channel: &Arc<Channel>,
        user: Option<&str>,
        frame_max: u32,
        fence: &Fence,
    ) -> bool {
        while self.died.is_none()
            && self.unconfirmed.len() < self.room()
            && self.in_flight.unwritten() < UNWRITTEN
        {
            let Some((publishing, deadline)) = self.backlog.pop_front() else { break };
            if !fence.lets_pass(&publishing) {
                self.settle(publishing.token, PublishOutcome::Lost);
                return false;
            }
            self.alone = self.alone.saturating_sub(1);
            self.write_one(channel.clone(), publishing, deadline, user, frame_max);
        }
        true
    }

    fn room(&self) -> usize {
        if self.alone > 0 { 1 + self.given_up } else { self.window }
    }

    fn write_one(
        &mut self,
        channel: Arc<Channel>,
        publishing: Publishing,
        deadline: Instant,
        user: Option<&str>,
        frame_max: u32,
    ) {
        let Publishing { token, exchange: to, message, .. } = publishing;
        let message_id = message.properties.message_id.clone().unwrap_or_default();
        let (exchange, key, properties, body) = match convert::publishing(&to, message, user, frame_max) {
            Ok(ready) => ready,
            Err(why) => return self.settle(token, PublishOutcome::Refused(why)),
        };
        let routed = Routed { exchange: to, key: key.clone(), size: body.len() };
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let writing =
            Box::pin(async move { channel.basic_publish(exchange, key, options, &body, properties).await });
        let number =
            self.unconfirmed.push(Unconfirmed { token, message_id, routed, deadline, settled: false });
        if let Err(error) = self.in_flight.write(number, writing) {
            self.failed(number, error);
        }
    }

    /// Ready when something was written or confirmed (or the channel died); what was confirmed is settled then.
    pub(super) fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A return may be with any confirm that came before, so all that came must be seen before one is judged.
        self.in_flight.poll_landed(cx).map(|landed| self.landed(landed))
    }

    fn landed(&mut self, landed: Vec<Landed>) {
        let newest = self.unconfirmed.next_number();
        if landed.iter().any(|(_, result)| result.is_ok()) {
            self.silence.broken();
        }
        let mut confirmed = Vec::with_capacity(landed.len());
        for (number, result) in landed {
            match result {
                Ok(Confirmation::Ack(returned)) => {
                    self.note(returned.as_ref());
                    confirmed.push((number, true, returned.is_some()));
                }
                Ok(Confirmation::Nack(returned)) => {
                    self.note(returned.as_ref());
                    confirmed.push((number, false, returned.is_some()));
                }
                Ok(Confirmation::NotRequested) => confirmed.push((number, false, false)),
                Err(error) => self.failed(number, error),
            }
        }
        for (number, acked, brought) in confirmed {
            let Some(one) = self.remove(number) else { continue };
            let Unconfirmed { token, message_id, routed, settled, .. } = one;
            if settled || !acked {
                self.returns.forget(&message_id, &routed);
                if !settled {
                    self.nacks.nacked(Instant::now());
                    self.settle(token, PublishOutcome::Nacked);
                }
            } else {
                let brought = if brought { Brought::AReturn } else { Brought::Nothing };
                let judged = self.returns.judge(token, message_id, &routed, brought, newest);
                if let Some(returned) = judged {
                    self.settle(token, PublishOutcome::Confirmed { returned });
                }
            }
            self.accepted = Some(routed);
        }
        if self.returns.holds() {
            let oldest = self.unconfirmed.oldest().map(|(oldest, _)| oldest);
            for (token, returned) in self.returns.release(oldest) {
                self.settle(token, PublishOutcome::Confirmed { returned });
            }
        }
    }

    fn note(&mut self, returned: Option<&lapin::message::BasicReturnMessage>) {
        if let Some(message) = returned {
            let id = message.properties.message_id().as_ref();
            let id = id.map(ShortString::as_str).unwrap_or_default();
            self.returns.note(id, message.exchange.as_str(), message.routing_key.as_str());
        }
    }

    fn failed(&mut self, number: u64, error: lapin::Error) {
        // a publishing that lapin did not send can't be at fault
        let unsent =
            matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_));
        if unsent
            && let Some(one) = self.remove(number)
            && !one.settled
        {
            self.settle(one.token, PublishOutcome::Lost);
        }
        let says_more = matches!(error.kind(), ErrorKind::ProtocolError(_));
        if self.died.is_none() || says_more {
            self.died = Some(error);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Unconfirmed> {
        let one = self.unconfirmed.remove(number)?;
        if one.settled {
            self.given_up -= 1;
        }
        Some(one)
    }

    fn settle(&mut self, token: u64, outcome: PublishOutcome) {
        self.settled.push(Settlement { token, outcome });
    }

    /// Gives up what has waited for too long.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.backlog.front().is_some_and(|(_, deadline)| *deadline <= now) {
            if let Some((publishing, _)) = self.backlog.pop_front() {
                self.settle(publishing.token, PublishOutcome::Lost);
            }
        }
        for one in self.unconfirmed.iter_mut().filter(|one| !one.settled && one.deadline <= now) {
            one.settled = true;
            self.given_up += 1;
            self.settled.push(Settlement { token: one.token, outcome: PublishOutcome::Lost });
        }
    }

    /// Gives up a channel that stands still: all that is outstanding on it is settled as lost, for it may have arrived or not.
    pub(super) fn abandon(&mut self) {
        self.bury(&Blame::Nobody);
        self.silence.stood_still();
    }

    /// Settles what is in flight on a channel that is gone: the only one as refused if a message is to blame, all that were
    /// to go to a missing exchange as missing, else all as lost.
    pub(super) fn bury(&mut self, blame: &Blame) -> Buried {
        for (token, returned) in self.returns.release(None) {
            self.settle(token, PublishOutcome::Confirmed { returned });
        }
        let mut buried = Buried { suspects: self.unsettled(), refused: None };
        // One that was given up could be the guilty one too.
        let alone = self.unconfirmed.len() == 1;
        for one in self.unconfirmed.drain().filter(|one| !one.settled) {
            let outcome = match blame {
                Blame::Message(why) if alone => {
                    buried.refused = Some(one.routed);
                    PublishOutcome::Refused(why.clone())
                }
                Blame::Exchange(name, why) if **name == *one.routed.exchange => {
                    PublishOutcome::Missing(why.clone())
                }
                _ => PublishOutcome::Lost,
            };
            self.settled.push(Settlement { token: one.token, outcome });
        }
        self.given_up = 0;
        self.returns = Returns::default();
        self.in_flight = InFlight::default();
        self.channel = None;
        self.died = None;
        self.silence.begins();
        if let Blame::Exchange(name, why) = blame {
            // waiting publishings to that exchange would only cost the next channel
            for (publishing, _) in self.withdraw(|publishing| *publishing.exchange == **name) {
                self.settle(publishing.token, PublishOutcome::Missing(why.clone()));
            }
        }
        buried
    }

    /// Gives back what waits, as far as it is `meant`, in its order.
    pub(super) fn withdraw(
        &mut self,
        meant: impl Fn(&Publishing) -> bool,
    ) -> VecDeque<(Publishing, Instant)> {
        let waiting = std::mem::take(&mut self.backlog);
        let (withdrawn, kept): (VecDeque<_>, _) = waiting.into_iter().partition(|(one, _)| meant(one));
        self.backlog = kept;
        withdrawn
    }

    /// Goes on with a fresh channel; what waits is kept.
    pub(super) fn revive(&mut self, channel: Channel) {
        self.nacks.begins(Instant::now());
        self.channel = Some(Arc::new(channel));
    }

    /// Settles what waits as lost.
    pub(super) fn drop_backlog(&mut self) {
        for (publishing, _) in std::mem::take(&mut self.backlog) {
            self.settle(publishing.token, PublishOutcome::Lost);
        }
    }
}

#[cfg(test)]
mod tests;
