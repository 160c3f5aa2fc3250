//! The consuming half of the port.

use super::{Arrivals, Closed, Consume, Flow, Link, LinkError, LinkErrorClass};
use ponos_event::Message;
use std::sync::{
    Arc,
    atomic::{AtomicU16, AtomicU64, Ordering},
};
use tokio::sync::{mpsc, oneshot, watch};

/// One message delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The exchange that it was published to.
    pub exchange: String,
    /// The broker delivered it before, or may have.
    pub redelivered: bool,
    /// The tag by which it is settled.
    pub tag: DeliveryTag,
}

impl Delivery {
    /// How often a quorum queue got it back unsettled or rejected; `None` if never, and always from a classic queue.
    pub fn delivery_count(&self) -> Option<u64> {
        let count = self.message.headers.int("x-delivery-count")?;
        u64::try_from(count).ok().filter(|count| *count > 0)
    }
}

/// Names a delivery for settling: void once its channel is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryTag {
    /// The channel, counted by its consumer.
    pub generation: u64,
    /// The broker's number on its channel.
    pub tag: u64,
}

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// It is done.
    Ack,
    /// Back to the queue; it did not fail (nack with requeue).
    Release,
    /// Failed: back to the queue, counted towards the delivery limit (reject with requeue).
    Reject,
    /// To the dead letters (reject without requeue).
    Dead,
}

/// Yields deliveries of one queue and settles them. Made by an adapter; dropping it ends the adapter's task: what was
/// settled is sent, what is unsettled goes back to the queue.
#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Delivery>,
    settler: Settler,
    link: watch::Receiver<Link>,
    flow: watch::Sender<Flow>,
    prefetch: Arc<AtomicU16>,
    /// The largest prefetch.
    most: u16,
    cancelled: Arc<AtomicU64>,
    losses: watch::Receiver<Losses>,
    arrivals: Arrivals,
}

/// The connections and channels that a consumer lost so far: what was out then comes again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses {
    /// How many.
    pub count: u64,
    /// Why the last one was lost, though there may be another by now.
    pub last: Option<LinkError>,
}

/// Settles deliveries of one [`Consumer`] from anywhere. It does not keep the consumer alive.
#[derive(Debug, Clone)]
pub struct Settler {
    settle: mpsc::Sender<(DeliveryTag, Settle)>,
    flow: watch::Sender<Flow>,
}

/// The adapter's side of a [`Consumer`].
#[derive(Debug)]
pub struct ConsumerTask {
    /// Deliveries, in order. It has room for the prefetch, and is closed when the handle is dropped.
    pub deliveries: mpsc::Sender<Delivery>,
    /// Settlements asked for; those of an older generation are void. To be taken whatever waits in `deliveries`.
    pub settle: mpsc::Receiver<(DeliveryTag, Settle)>,
    /// The state of the connection.
    pub link: watch::Sender<Link>,
    /// How much is to be taken in: asked for by the handle, and set back by the adapter of a cautious consumer.
    pub flow: watch::Sender<Flow>,
    /// The prefetch of a wide one, as the handle wants it; a change is shown by `flow`.
    pub prefetch: Arc<AtomicU16>,
    /// How often the broker cancelled the consumer.
    pub cancelled: Arc<AtomicU64>,
    /// The connections that were lost.
    pub losses: watch::Sender<Losses>,
    /// To be answered, with the generation, once the broker has all that was settled before, and all that it delivered before
    /// is in `deliveries`. Taken while there is a connection.
    pub arrivals: mpsc::Receiver<oneshot::Sender<u64>>,
}

impl Consumer {
    /// A handle and the adapter's side of it.
    pub fn channel(options: &Consume) -> (Self, ConsumerTask) {
        // one more than the prefetch: what was out when it was narrowed does not count any more
        let most = options.most.max(options.prefetch).max(1);
        let bound = usize::from(most) + 1;
        let (deliveries_in, deliveries) = mpsc::channel(bound);
        let (settle, settle_out) = mpsc::channel(bound);
        let (link_in, link) = watch::channel(Link::Down { attempts: 0, error: None });
        let flow = watch::Sender::new(if options.cautious { Flow::Narrow } else { Flow::Wide });
        let (cancelled, prefetch) = (Arc::default(), Arc::new(AtomicU16::new(options.prefetch.max(1))));
        let (losses_in, losses) = watch::channel(Losses::default());
        let (arrivals, asked) = Arrivals::channel();
        let task = ConsumerTask {
            deliveries: deliveries_in,
            settle: settle_out,
            link: link_in,
            flow: flow.clone(),
            prefetch: Arc::clone(&prefetch),
            cancelled: Arc::clone(&cancelled),
            losses: losses_in,
            arrivals: asked,
        };
        let settler = Settler { settle, flow: flow.clone() };
        (Self { deliveries, settler, link, flow, prefetch, most, cancelled, losses, arrivals }, task)
    }

    /// The next delivery; `None` when the adapter's task has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }

    /// Waits for a delivery, and appends it and those that have come beside it to `buffer`, at most `limit`. How many;
    /// 0 when the adapter's task has ended (or for a limit of 0). Cancel safe.
    pub async fn next_many(&mut self, buffer: &mut Vec<Delivery>, limit: usize) -> usize {
        self.deliveries.recv_many(buffer, limit).await
    }

    /// Settles a delivery; settling one of an older generation is void (it will be delivered again).
    ///
    /// # Errors
    /// [`Closed`] when the adapter's task has ended.
    pub async fn settle(&self, tag: DeliveryTag, how: Settle) -> Result<(), Closed> {
        self.settler.settle(tag, how).await
    }

    /// Settles from elsewhere than where deliveries are received.
    pub fn settler(&self) -> Settler {
        self.settler.clone()
    }

    /// Returns to the full prefetch. Does nothing if it is wide already, or was stopped.
    ///
    /// That takes a new subscription on the same channel: earlier delivery tags stay valid. A single active consumer hands its
    /// turn on by that; it does so when a delivery was acked and nothing is at work, so that the order is kept. What is out
    /// stays out beside the new prefetch; if that is more than the prefetch itself, it stays narrow until less is.
    pub fn widen(&self) {
        turn(&self.flow, Flow::Narrow, Flow::Wide);
    }

    /// Goes back to a prefetch of 1, as [`Consumer::widen`] does. What is out stays out. A single active consumer that is
    /// wide stays so, for there is no moment that keeps its order.
    pub fn narrow(&self) {
        turn(&self.flow, Flow::Wide, Flow::Narrow);
    }

    /// Another prefetch for a consumer that is wide, or will be: at least 1, at most [`Consume::most`]. It is turned to as by
    /// [`Consumer::widen`]; a single active consumer that is wide stays as it is.
    pub fn set_prefetch(&self, prefetch: u16) {
        self.prefetch.store(prefetch.clamp(1, self.most), Ordering::Relaxed);
        self.flow.send_modify(|_| {});
    }

    /// Takes nothing in until [`Consumer::resume`]: the broker gives new messages to others. What was on its way is still
    /// delivered, and what is out can be settled. A connection that is lost meanwhile is made again, and stays paused.
    pub fn pause(&self) {
        turn(&self.flow, Flow::Wide, Flow::Paused);
        turn(&self.flow, Flow::Narrow, Flow::Paused);
    }

    /// Ends a pause: takes one in at a time until [`Consumer::widen`].
    pub fn resume(&self) {
        turn(&self.flow, Flow::Paused, Flow::Narrow);
    }

    /// Takes nothing in any more, for good: the broker gives new messages to others. What was on its way is still
    /// delivered, and what is out can be settled until the handle is dropped. If the connection is lost meanwhile, it is
    /// not made again.
    pub fn stop(&self) {
        turn(&self.flow, Flow::Wide, Flow::Stopped);
        turn(&self.flow, Flow::Narrow, Flow::Stopped);
        turn(&self.flow, Flow::Paused, Flow::Stopped);
    }

    /// The flow requested now; a cautious consumer is narrow again after each connection and subscription.
    pub fn flow(&self) -> Flow {
        *self.flow.borrow()
    }

    /// How often the broker cancelled it so far (its queue was deleted, say) and it subscribed again; [`Consumer::link`]
    /// shows a change when it does.
    pub fn cancellations(&self) -> u64 {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// The connections and channels that it lost; noted before the link shows it.
    pub fn losses(&self) -> watch::Receiver<Losses> {
        self.losses.clone()
    }

    /// Asks from elsewhere whether all has arrived, here and there.
    pub fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }
}

fn turn(flow: &watch::Sender<Flow>, from: Flow, to: Flow) {
    flow.send_if_modified(|flow| {
        let turns = *flow == from;
        if turns {
            *flow = to;
        }
        turns
    });
}

impl Settler {
    /// Settles a delivery; settling one of an older generation is void (it will be delivered again). Waits only while more
    /// settlements than the prefetch wait to be sent.
    ///
    /// # Errors
    /// [`Closed`] when the consumer was dropped: the delivery will come again.
    pub async fn settle(&self, tag: DeliveryTag, how: Settle) -> Result<(), Closed> {
        self.settle.send((tag, how)).await.map_err(|_| Closed)
    }

    /// As [`Consumer::narrow`]; what is given back after this does not come again at once in the old breadth.
    pub fn narrow(&self) {
        turn(&self.flow, Flow::Wide, Flow::Narrow);
    }
}

impl ConsumerTask {
    /// The flow to begin a subscription with: a cautious consumer is narrow again.
    pub(super) fn begin(&self, options: &Consume) -> Flow {
        if options.cautious {
            // known to the one who would be told
            self.flow.send_if_modified(|flow| {
                if *flow == Flow::Wide {
                    *flow = Flow::Narrow;
                }
                false
            });
        }
        *self.flow.borrow()
    }

    /// Notes the prefetch that the handle wants.
    pub(super) fn renew(&self, options: &mut Consume) {
        options.prefetch = self.prefetch.load(Ordering::Relaxed);
    }

    /// Counts a connection that was lost.
    pub(super) fn lost(&self, error: LinkError) {
        self.losses.send_modify(|losses| *losses = Losses { count: losses.count + 1, last: Some(error) });
    }

    /// A queue that is not there says why it was lost, where the broker had no word on that.
    pub(super) fn explain(&self, error: LinkError) {
        self.losses.send_modify(|losses| {
            if losses.last.as_ref().is_some_and(|last| last.class == LinkErrorClass::Unreachable) {
                losses.last = Some(error);
            }
        });
    }

    /// Counts a cancellation by the broker, and has it reported.
    pub(super) fn cancelled(&self, queue: &str) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            queue,
            "the broker cancelled the consumer (its queue was deleted or moved); it subscribed again"
        );
        self.link.send_modify(|_| {});
    }
}
