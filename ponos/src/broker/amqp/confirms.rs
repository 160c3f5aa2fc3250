//! One confirm channel: publishings written in order, confirms in a window, one settlement for each.
//!
//! When the broker closes the channel it does not say which publishing was at fault. So with several in flight all are
//! settled as lost, and as many are then sent one at a time; when it happens with one alone, that one is refused. A bad
//! message costs its neighbours one resend each, and never stops them.

use super::{
    super::{PublishOutcome, Publishing, Settlement},
    convert,
    returns::{Brought, Returns},
};
use futures_util::{Stream, stream::FuturesUnordered};
use lapin::{Channel, Confirmation, ErrorKind, options::BasicPublishOptions, types::ShortString};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::time::Instant;

/// A publishing on its way: its number, and what came of it.
type Flying = Pin<Box<dyn Future<Output = (u64, lapin::Result<Confirmation>)> + Send>>;

/// One confirm channel.
pub(super) struct Confirms {
    channel: Channel,
    flying: FuturesUnordered<Flying>,
    flights: HashMap<u64, Flight>,
    /// Those in `flights` that are settled already and only waited for, so that lapin can forget them.
    given_up: usize,
    backlog: VecDeque<(Publishing, Instant)>,
    next: u64,
    returns: Returns,
    window: usize,
    /// How many are still to be sent one at a time.
    alone: usize,
    died: Option<lapin::Error>,
    settled: Vec<Settlement>,
}

struct Flight {
    token: u64,
    message_id: String,
    deadline: Instant,
    settled: bool,
}

impl Confirms {
    /// On a channel in confirm mode.
    pub(super) fn new(channel: Channel, window: usize) -> Self {
        Self {
            channel,
            flying: FuturesUnordered::new(),
            flights: HashMap::new(),
            given_up: 0,
            backlog: VecDeque::new(),
            next: 0,
            returns: Returns::default(),
            window: window.max(1),
            alone: 0,
            died: None,
            settled: Vec::new(),
        }
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
        !self.flying.is_empty()
    }

    /// The settlements since the last call.
    pub(super) fn settlements(&mut self) -> std::vec::Drain<'_, Settlement> {
        self.settled.drain(..)
    }

    /// Written, and neither confirmed nor given up.
    pub(super) fn unsettled(&self) -> usize {
        self.flights.len() - self.given_up
    }

    /// Why the channel died, if it did.
    pub(super) fn death(&self) -> Option<&lapin::Error> {
        self.died.as_ref()
    }

    /// Sends the next `count` publishings one at a time.
    pub(super) fn one_at_a_time(&mut self, count: usize) {
        self.alone = self.alone.max(count);
    }

    /// Whether more than half of the window waits for confirms that were given up: worth a fresh channel.
    pub(super) fn is_clogged(&self) -> bool {
        self.given_up * 2 > self.window
    }

    /// Writes what the window has room for.
    pub(super) fn write(&mut self, user: Option<&str>, frame_max: u32) {
        while self.died.is_none() && self.flights.len() < self.room() {
            let Some((publishing, deadline)) = self.backlog.pop_front() else { break };
            self.alone = self.alone.saturating_sub(1);
            self.write_one(publishing, deadline, user, frame_max);
        }
    }

    fn room(&self) -> usize {
        if self.alone > 0 { 1 + self.given_up } else { self.window }
    }

    fn write_one(&mut self, publishing: Publishing, deadline: Instant, user: Option<&str>, frame_max: u32) {
        let Publishing { token, exchange, message, .. } = publishing;
        let message_id = message.properties.message_id.clone().unwrap_or_default();
        let ready = || -> Result<_, String> {
            let exchange = convert::short("the exchange's name", exchange.to_string())?;
            let key = convert::short("the routing key", message.routing_key)?;
            let properties = convert::properties(message.properties, &message.headers, user, frame_max)?;
            Ok((exchange, key, properties, message.body))
        };
        let (exchange, key, properties, body): (ShortString, ShortString, _, _) = match ready() {
            Ok(ready) => ready,
            Err(why) => return self.settle(token, PublishOutcome::Refused(why)),
        };
        let number = self.next;
        self.next += 1;
        let channel = self.channel.clone();
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let mut flying: Flying = Box::pin(async move {
            let written = channel.basic_publish(exchange, key, options, &body, properties).await;
            drop(body);
            match written {
                Ok(confirm) => (number, confirm.await),
                Err(error) => (number, Err(error)),
            }
        });
        self.flights.insert(number, Flight { token, message_id, deadline, settled: false });
        // The first poll takes the tag and queues the frames, without waiting: so the order is the order taken.
        match flying.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((number, result)) => self.landed(vec![(number, result)]),
            Poll::Pending => self.flying.push(flying),
        }
    }

    /// Ready when confirms came (or the channel died); they are settled then.
    pub(super) fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut landed = Vec::new();
        // A return may be with any confirm that came before, so all that came must be seen before one is judged. The stream
        // stops now and then without being empty, and says so by waking.
        let woken = Arc::new(Woken { again: AtomicBool::new(false), task: cx.waker().clone() });
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self.flying).poll_next(&mut cx) {
                Poll::Ready(Some(one)) => landed.push(one),
                Poll::Ready(None) => break,
                Poll::Pending if woken.again.swap(false, Ordering::AcqRel) => {}
                Poll::Pending => break,
            }
        }
        if landed.is_empty() {
            return Poll::Pending;
        }
        self.landed(landed);
        Poll::Ready(())
    }

    fn landed(&mut self, landed: Vec<(u64, lapin::Result<Confirmation>)>) {
        let newest = self.next;
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
            let Some(flight) = self.remove(number) else { continue };
            if flight.settled || !acked {
                self.returns.forget(&flight.message_id);
                if !flight.settled {
                    self.settle(flight.token, PublishOutcome::Nacked);
                }
                continue;
            }
            let brought = if brought { Brought::AReturn } else { Brought::Nothing };
            let judged = self.returns.judge(flight.token, flight.message_id, brought, newest);
            if let Some(returned) = judged {
                self.settle(flight.token, PublishOutcome::Confirmed { returned });
            }
        }
        if self.returns.holds() {
            let oldest = self.flights.keys().min().copied();
            for (token, returned) in self.returns.release(oldest) {
                self.settle(token, PublishOutcome::Confirmed { returned });
            }
        }
    }

    fn note(&mut self, returned: Option<&lapin::message::BasicReturnMessage>) {
        if let Some(message) = returned {
            let id = message.properties.message_id().as_ref();
            self.returns.note(id.map(ShortString::as_str).unwrap_or_default());
        }
    }

    fn failed(&mut self, number: u64, error: lapin::Error) {
        // What lapin did not even send is no suspect.
        let unsent =
            matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_));
        if unsent
            && let Some(flight) = self.remove(number)
            && !flight.settled
        {
            self.settle(flight.token, PublishOutcome::Lost);
        }
        let says_more = matches!(error.kind(), ErrorKind::ProtocolError(_));
        if self.died.is_none() || says_more {
            self.died = Some(error);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number)?;
        if flight.settled {
            self.given_up -= 1;
        }
        Some(flight)
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
        for flight in self.flights.values_mut().filter(|flight| !flight.settled && flight.deadline <= now) {
            flight.settled = true;
            self.given_up += 1;
            self.settled.push(Settlement { token: flight.token, outcome: PublishOutcome::Lost });
        }
    }

    /// Settles what is in flight on a channel that is gone: the only one as refused if `verdict` says why, else all as lost.
    /// Returns how many were in flight.
    pub(super) fn bury(&mut self, verdict: Option<&str>) -> usize {
        for (token, returned) in self.returns.release(None) {
            self.settle(token, PublishOutcome::Confirmed { returned });
        }
        let suspects = self.unsettled();
        // One that was given up could be the guilty one too.
        let verdict = verdict.filter(|_| self.flights.len() == 1);
        let outcome = verdict.map_or(PublishOutcome::Lost, |why| PublishOutcome::Refused(why.to_owned()));
        for (_, flight) in self.flights.drain().filter(|(_, flight)| !flight.settled) {
            self.settled.push(Settlement { token: flight.token, outcome: outcome.clone() });
        }
        self.given_up = 0;
        self.returns = Returns::default();
        self.flying = FuturesUnordered::new();
        suspects
    }

    /// Goes on with a fresh channel; what waits is kept.
    pub(super) fn revive(&mut self, channel: Channel) {
        self.channel = channel;
        self.died = None;
    }

    /// Settles what waits as lost.
    pub(super) fn drop_backlog(&mut self) {
        for (publishing, _) in std::mem::take(&mut self.backlog) {
            self.settle(publishing.token, PublishOutcome::Lost);
        }
    }
}

/// Notes a wake-up while it passes it on.
struct Woken {
    again: AtomicBool,
    task: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}
