//! While a subscription holds: deliveries are handed on, and settlements sent.

use super::{
    super::{
        super::{Delivery, DeliveryTag, LinkError, LinkErrorClass, Settle},
        acks::Flush,
        convert,
        declare::{bind_again, declare},
        intake::Intake,
        publisher::answer_of,
    },
    ConsumerSupervisor,
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::{Instant, sleep_until},
};

/// Acks are sent together, for each frame costs a quorum queue as much as some deliveries: at this many or a quarter of
/// what may be out, …
const TOGETHER: usize = 100;
/// … or this long after the first, …
const LINGER: Duration = Duration::from_millis(5);
/// … A finished delivery waits at most this many lingers for older ones, then is acked on its own.
const LATE_AFTER: u32 = 4;

/// How often the connection's state is checked.
const TICK: Duration = Duration::from_millis(500);
/// How many settlements are taken before deliveries have their turn.
const AT_ONCE: usize = 64;

impl ConsumerSupervisor {
    /// Until the handle is dropped. Settlements come first, for they make room for deliveries; neither waits for the other.
    pub(super) async fn serve(&mut self, intake: &mut Intake) -> Result<(), LinkError> {
        let mut tick = tokio::time::interval(TICK);
        let mut flow = self.task.flow.subscribe();
        let mut settled: Vec<(DeliveryTag, Settle)> = Vec::with_capacity(AT_ONCE);
        let mut unheard: VecDeque<Delivery> = VecDeque::new();
        let mut flush_at: Option<Instant> = None;
        let mut lingered = 0;
        let mut dropped = false;
        // A queue that goes with this consumer is bound by nobody else, should its exchange be deleted and declared again.
        let own = self.wanted.topology.queues.iter().any(|queue| queue.name.is_empty());
        let mut binding: Option<BoxFuture<'_, Result<(), LinkError>>> = None;
        let mut bind_at = self.next_compare();
        // who waits for the echo, and who is to be answered when what came before it is handed on
        let (mut echo, mut asked): (Option<BoxFuture<'_, bool>>, Option<oneshot::Sender<u64>>) = (None, None);
        let mut echoed = false;
        loop {
            let wanted = *flow.borrow_and_update();
            self.task.renew(&mut self.wanted.options);
            intake.turn(&self.wanted.options, wanted).await?;
            intake.settle_deferred().await?;
            let waiting = if intake.is_turning() { 0 } else { intake.acks.waiting() };
            let together = usize::from(self.wanted.options.width(wanted) / 4).clamp(1, TOGETHER);
            // The timer counts from the first ack that waits.
            flush_at = if waiting == 0 { None } else { flush_at.or_else(|| Some(Instant::now() + LINGER)) };
            let wake_at = intake.held_until().or(flush_at);
            // The broker may be waiting for us when nothing else is out.
            let is_last = waiting > 0 && intake.acks.is_idle() && self.task.settle.is_empty();
            if waiting >= together || is_last {
                intake.flush(Flush::Together).await?;
                if intake.acks.waiting() >= together {
                    intake.flush(Flush::All).await?;
                }
                flush_at = None;
                continue;
            }
            tokio::select! {
                biased;
                count = self.task.settle.recv_many(&mut settled, AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    // what was asked for before the settlement is done before it
                    let wanted = *flow.borrow_and_update();
                    self.task.renew(&mut self.wanted.options);
                    intake.turn(&self.wanted.options, wanted).await?;
                    for (tag, how) in settled.drain(..) {
                        if tag.generation == self.generation {
                            intake.settle(tag.tag, how).await?;
                        }
                    }
                }
                () = sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    if intake.is_turning() {
                        continue;
                    }
                    lingered = (lingered + 1) % LATE_AFTER;
                    intake.flush(if lingered == 0 { Flush::Late } else { Flush::Together }).await?;
                    flush_at = None;
                }
                Ok(permit) = self.task.deliveries.reserve(), if !unheard.is_empty() && !dropped => {
                    if let Some(delivery) = unheard.pop_front() {
                        permit.send(delivery);
                    }
                    self.deliver(&mut unheard);
                },
                // earlier settlements are still taken, even if a settler is kept
                () = self.task.deliveries.closed(), if !dropped => {
                    dropped = true;
                    self.task.settle.close();
                }
                _ = flow.changed() => {}
                came = intake.next(), if unheard.is_empty() && !dropped => match came {
                    Some(came) => {
                        intake.stir();
                        for delivery in came {
                            let delivery = delivery.map_err(|error| intake.classify(&error))?;
                            if !intake.acks.delivered(delivery.delivery_tag) {
                                return Err(intake.gap());
                            }
                            unheard.push_back(convert::delivery(delivery, self.generation));
                        }
                        self.deliver(&mut unheard);
                    }
                    None => self.ended(intake).await?,
                },
                bound = answer_of(&mut binding), if binding.is_some() => {
                    (binding, bind_at) = (None, self.next_compare());
                    match bound {
                        Err(error) if error.class != LinkErrorClass::Forbidden => return Err(error),
                        _ => {}
                    }
                }
                // in front of the echo goes all that was settled, which waits while the subscription turns
                ask = self.task.arrivals.recv(), if asked.is_none() && !dropped && !intake.is_turning() => {
                    intake.flush(Flush::All).await?;
                    echo = ask.is_some().then(|| intake.echo());
                    asked = ask;
                }
                answered = answer_of(&mut echo), if echo.is_some() => {
                    (echo, echoed) = (None, answered);
                    // without an answer the channel is gone: dropping the question answers that not all has come
                    asked = asked.take().filter(|_| answered);
                }
                // behind the stream, from which nothing more comes that was sent before the echo
                () = std::future::ready(()), if echoed && unheard.is_empty() => {
                    echoed = false;
                    // an error: nobody waits for it any more
                    let _ = asked.take().map(|asked| asked.send(self.generation));
                }
                _ = tick.tick() => {
                    if !intake.session.is_open() {
                        return Err(intake.session.gone());
                    }
                    if own && binding.is_none() && bind_at <= Instant::now() && !dropped {
                        let (session, queue) = (Arc::clone(&intake.session), intake.queue().to_owned());
                        let topology = self.wanted.topology.clone();
                        binding = Some(async move { bind_again(&session, &topology, &queue).await }.boxed());
                    }
                }
            }
        }
    }

    fn next_compare(&self) -> Instant {
        Instant::now() + self.wanted.shared.config().compare.mul_f64(1.0 + fastrand::f64())
    }

    /// Hands on what there is room for.
    fn deliver(&self, unheard: &mut VecDeque<Delivery>) {
        while let Some(delivery) = unheard.pop_front() {
            if let Err(TrySendError::Full(delivery)) = self.task.deliveries.try_send(delivery) {
                unheard.push_front(delivery);
                return;
            }
            // If the handle was dropped: what nobody takes goes back to the queue.
        }
    }

    /// The stream ended, and the channel lives: because we wanted it to, or because the broker cancelled us: the queue was
    /// deleted, or a delivery was held too long.
    async fn ended(&self, intake: &mut Intake) -> Result<(), LinkError> {
        if !intake.session.is_open() {
            return Err(intake.session.gone());
        }
        let (options, flow) = (&self.wanted.options, *self.task.flow.borrow());
        if intake.turned(options, flow).await? {
            return Ok(());
        }
        if intake.is_overdue().await? {
            return Err(intake.overdue());
        }
        let named = declare(&intake.session, &self.wanted.topology).await?;
        let queue = self.wanted.queue_name(named);
        intake.resubscribe(queue.clone(), options, self.task.begin(options)).await?;
        self.task.cancelled(&queue);
        Ok(())
    }
}
