//! An open channel that consumes: subscribed, turned to another prefetch, settled on.

use super::{
    super::{Consume, Flow, LinkError, LinkErrorClass, Settle, StreamStart},
    acks::{Acks, Flush},
    connection::Session,
    convert, declare,
    errors::{configuration, overdue},
    hold::AckHold,
    shared::leave,
};
use crate::stack;
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, try_join_all},
    stream::ReadyChunks,
};
use lapin::{
    Channel,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
        BasicRejectOptions,
    },
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many deliveries are taken together at most.
const TOGETHER: usize = 32;

/// How long a channel that fails may take to say why, …
const LAST_WORDS: Duration = Duration::from_secs(1);
/// … and one whose connection is gone.
const LAST_OF_ALL: Duration = Duration::from_millis(100);

type DeliveryStream = ReadyChunks<lapin::Consumer>;

/// A channel of the shared connection, and what came on it.
pub(super) struct Intake {
    pub(super) session: Arc<Session>,
    channel: Channel,
    /// Ends when the subscription does; `None` without one.
    stream: Option<DeliveryStream>,
    pub(super) acks: Acks,
    queue: String,
    /// What the present subscription takes in; [`Flow::Stopped`] once it has run out for good, [`Flow::Paused`] for now.
    flow: Flow,
    /// Its prefetch.
    width: u16,
    /// Whether a turn is wanted, and something may be on its way still.
    hold: AckHold,
    /// Its cancellation was asked for; the stream runs out.
    turning: bool,
    /// Deliveries to be released later: at once they would return to this same subscription. Bounded by the prefetch.
    deferred: Vec<(u64, Settle)>,
    /// Cancelling hands the turn to another consumer, which must not find anything at work here.
    single_active: bool,
}

impl Intake {
    pub(super) async fn open(
        session: Arc<Session>,
        queue: String,
        options: &Consume,
        flow: Flow,
        single_active: bool,
    ) -> Result<Self, LinkError> {
        let channel = session.channel().await?;
        stack::warn_once(session.frame_max());
        let stream = subscribe(&session, &channel, &queue, options, flow).await?;
        Ok(Self {
            session,
            channel,
            stream,
            acks: Acks::default(),
            queue,
            flow,
            width: options.width(flow),
            hold: AckHold::new(Instant::now()),
            turning: false,
            deferred: Vec::new(),
            single_active,
        })
    }

    /// Asks the broker to end the subscription if another flow is wanted and this is the moment: nothing is on its way, for
    /// a quorum queue takes back what it was about to deliver, and counts that. Acks are held until then, so that it soon
    /// has nothing more to deliver, but not for long: [`AckHold`]. What comes all the same still comes; then the stream ends.
    pub(super) async fn turn(&mut self, options: &Consume, wanted: Flow) -> Result<(), LinkError> {
        let hold = self.hold.take();
        let is_so =
            |wanted: Flow| self.flow == wanted && (!wanted.takes() || self.width == options.width(wanted));
        if self.turning || is_so(wanted) || self.is_stopped() {
            return Ok(());
        }
        let wanted = options.reachable(wanted, self.acks.outstanding());
        if self.flow == Flow::Paused {
            // nothing is to be ended
            return self.subscribe(options, wanted).await;
        }
        // what is narrower than it should be in the end stays so until less is out
        if is_so(wanted)
            || wanted == Flow::Narrow && self.flow == Flow::Wide && self.width < options.width(Flow::Wide)
        {
            return Ok(());
        }
        // With one out at most, and that one done but not acked yet, nothing is at work and nothing can be on its way.
        let quiet = self.flow == Flow::Narrow && self.acks.is_idle() && self.acks.waiting() > 0;
        if self.single_active && wanted.takes() && !quiet {
            return Ok(());
        }
        // what the broker lets be out with the present one
        let is_full = self.acks.unsettled() >= usize::from(self.width);
        if !is_full && self.hold.holds(hold, Instant::now()) {
            return Ok(());
        }
        if let Some(tag) = self.tag() {
            let cancelled = self.channel.basic_cancel(tag, BasicCancelOptions::default());
            self.session.call("cancelling", cancelled).await?;
            self.turning = true;
        }
        Ok(())
    }

    /// The next deliveries; `None` once the subscription has ended. Never ready without one. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Vec<lapin::Result<lapin::message::Delivery>>> {
        match &mut self.stream {
            Some(stream) => stream.next().await,
            None => std::future::pending().await,
        }
    }

    /// Something was delivered.
    pub(super) fn stir(&mut self) {
        self.hold.stir(Instant::now());
    }

    /// Until when a turn waits for what may be on its way.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.hold.until()
    }

    /// Whether the subscription is to end and has not run out yet: acks wait for the next one.
    pub(super) fn is_turning(&self) -> bool {
        self.turning || self.hold.until().is_some()
    }

    /// Whether the subscription has run out for good.
    fn is_stopped(&self) -> bool {
        self.flow == Flow::Stopped
    }

    /// The queue that is consumed.
    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    fn tag(&self) -> Option<ShortString> {
        self.stream.as_ref().map(|stream| stream.get_ref().tag())
    }

    /// Goes on after the stream ended because of [`Self::turn`]; false if it did not.
    pub(super) async fn turned(&mut self, options: &Consume, wanted: Flow) -> Result<bool, LinkError> {
        if !std::mem::replace(&mut self.turning, false) {
            return Ok(false);
        }
        let wanted = options.reachable(wanted, self.acks.outstanding());
        self.subscribe(options, wanted).await.map(|()| true)
    }

    async fn subscribe(&mut self, options: &Consume, flow: Flow) -> Result<(), LinkError> {
        self.stream = subscribe(&self.session, &self.channel, &self.queue, options, flow).await?;
        (self.flow, self.width) = (flow, options.width(flow));
        Ok(())
    }

    /// Consumes `queue` on the same channel, after the broker had cancelled.
    pub(super) async fn resubscribe(
        &mut self,
        queue: String,
        options: &Consume,
        flow: Flow,
    ) -> Result<(), LinkError> {
        self.queue = queue;
        self.subscribe(options, flow).await
    }

    /// Settles what was put off, once there is another subscription, or none.
    pub(super) async fn settle_deferred(&mut self) -> Result<(), LinkError> {
        if self.is_turning() {
            return Ok(());
        }
        for (tag, how) in std::mem::take(&mut self.deferred) {
            self.settle(tag, how).await?;
        }
        Ok(())
    }

    pub(super) async fn settle(&mut self, tag: u64, how: Settle) -> Result<(), LinkError> {
        if how == Settle::Ack {
            // One that is unknown or settled already is void.
            self.acks.ack(tag);
            return Ok(());
        }
        if self.is_turning() {
            self.deferred.push((tag, how));
            return Ok(());
        }
        if !self.acks.settle(tag) {
            return Ok(());
        }
        let done = match how {
            Settle::Ack => return Ok(()),
            Settle::Release => {
                let options = BasicNackOptions { multiple: false, requeue: true };
                self.session.call("releasing a delivery", self.channel.basic_nack(tag, options)).await
            }
            Settle::Reject | Settle::Dead => {
                let options = BasicRejectOptions { requeue: how == Settle::Reject };
                self.session.call("rejecting a delivery", self.channel.basic_reject(tag, options)).await
            }
        };
        done.map(|_| ())
    }

    pub(super) async fn flush(&mut self, which: Flush) -> Result<(), LinkError> {
        // No frame covers what another one acks, so they need not wait for each other.
        let frames = self.acks.flush(which).into_iter().map(|ack| {
            let options = BasicAckOptions { multiple: ack.multiple };
            self.channel.basic_ack(ack.tag, options)
        });
        self.session.call("acknowledging", try_join_all(frames)).await.map(drop)
    }

    /// Resolves when all that the broker had sent on this channel has come: the answer to a call that changes nothing comes behind
    /// it. No limit cuts the connection off, for what is large or nested takes long on its way. False without an answer.
    pub(super) fn echo(&self) -> BoxFuture<'static, bool> {
        let (channel, width) = (self.channel.clone(), self.width);
        async move { channel.basic_qos(width, BasicQosOptions { global: false }).await.is_ok() }.boxed()
    }

    /// Deliveries went to a subscription that had ended, and lapin has dropped them.
    pub(super) fn gap(&self) -> LinkError {
        LinkError {
            class: LinkErrorClass::Unreachable,
            what: format!("deliveries of '{}' were dropped between two subscriptions", self.queue),
            remedy: "nothing to do: the channel is closed, so that they are delivered again".into(),
        }
    }

    /// The broker ended the subscription while deliveries were unsettled, and its queue still exists: RabbitMQ 4.3 does so when
    /// one was held too long, where older versions close the channel. It gives such a consumer nothing more, and a queue with
    /// a single active consumer nobody else anything, until the channel is gone.
    pub(super) async fn is_overdue(&self) -> Result<bool, LinkError> {
        Ok(self.acks.unsettled() > 0 && declare::inspect(&self.session, &self.queue).await?.is_some())
    }

    /// The error of a channel for which [`Self::is_overdue`] holds.
    pub(super) fn overdue(&self) -> LinkError {
        overdue(&self.queue, self.acks.unsettled())
    }

    /// Classifies an error that the stream yielded.
    pub(super) fn classify(&self, error: &lapin::Error) -> LinkError {
        let error = self.session.classify(error);
        match error.class {
            LinkErrorClass::Overdue => {
                LinkError { what: format!("consuming '{}': {}", self.queue, error.what), ..error }
            }
            _ => error,
        }
    }

    /// Why a call failed: a channel that was closed says it where deliveries come.
    pub(super) async fn reason(&mut self, error: LinkError) -> LinkError {
        let Some(stream) = self.stream.as_mut().filter(|_| error.class == LinkErrorClass::Unreachable) else {
            return error;
        };
        let limit = if self.session.is_open() { LAST_WORDS } else { LAST_OF_ALL };
        let said = async {
            while let Some(came) = stream.next().await {
                if let Some(error) = came.into_iter().find_map(Result::err) {
                    return Some(error);
                }
            }
            None
        };
        match tokio::time::timeout(limit, said).await {
            Ok(Some(said)) => self.classify(&said),
            _ => error,
        }
    }

    /// Acks finished deliveries; the others go back to the queue. Closes the connection if no other consumer uses it.
    pub(super) async fn close(mut self) -> bool {
        let mut arrived = false;
        if self.session.is_open() && self.flush(Flush::All).await.is_ok() {
            // Whatever comes of these, the channel is dropped next.
            let cancelled = match self.tag() {
                Some(tag) => {
                    let cancelled = self.channel.basic_cancel(tag, BasicCancelOptions::default());
                    self.session.call("cancelling", cancelled).await.is_ok()
                }
                None => true,
            };
            // A channel's end would count them as failed, and keep what is to be dead.
            (self.turning, _) = (false, self.hold.take());
            if cancelled && self.settle_deferred().await.is_ok() {
                let closed = self.channel.close(200, "goodbye".into());
                // the broker answers when it has taken what was sent before
                arrived = self.session.call("closing a channel", closed).await.is_ok();
            }
        }
        let Self { session, channel, stream, .. } = self;
        drop((stream, channel));
        leave(session).await;
        arrived
    }
}

/// Consumes; `None` for a flow that takes nothing in.
async fn subscribe(
    session: &Session,
    channel: &Channel,
    queue: &str,
    options: &Consume,
    flow: Flow,
) -> Result<Option<DeliveryStream>, LinkError> {
    if !flow.takes() {
        return Ok(None);
    }
    let queue = convert::short("the queue's name", queue.to_owned())
        .map_err(|why| configuration(why, "take a shorter one"))?;
    // Before consuming, and never global: quorum queues refuse that.
    let qos = channel.basic_qos(options.width(flow), BasicQosOptions { global: false });
    session.call("setting the prefetch", qos).await?;
    let consuming = channel.basic_consume(
        queue,
        ShortString::default(),
        BasicConsumeOptions { exclusive: options.exclusive, ..Default::default() },
        arguments(options),
    );
    Ok(Some(session.call("consuming", consuming).await?.ready_chunks(TOGETHER)))
}

fn arguments(options: &Consume) -> FieldTable {
    let mut arguments = FieldTable::default();
    if let Some(start) = options.from {
        let start = match start {
            StreamStart::First => "first",
            StreamStart::Last => "last",
        };
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString(LongString::from(start)));
    }
    arguments
}
