//! A consumer's task: connects for ever, yields deliveries, settles them, acks together.

use super::{
    super::{ConsumerTask, Delivery, Link, LinkError, Settle},
    acks::Acks,
    backoff,
    config::AmqpConfig,
    connection::Session,
    convert,
    declare::declare,
};
use crate::topology::Topology;
use futures_util::StreamExt;
use lapin::{
    Channel,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
        BasicRejectOptions,
    },
    types::{FieldTable, ShortString},
};
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Acks are sent together: at this many, …
const TOGETHER: usize = 100;
/// … or this long after the first, …
const LINGER: Duration = Duration::from_millis(1);
/// … or at once when nothing else is outstanding.
///
/// A connection that held this long starts the backoff anew.
const HELD: Duration = Duration::from_secs(5);
/// How often the connection's state is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Runs until the handle is dropped.
pub(super) async fn run(
    config: AmqpConfig,
    topology: Topology,
    queue: String,
    prefetch: u16,
    task: ConsumerTask,
) {
    let wanted = Wanted { config, topology, queue, prefetch };
    let mut supervisor = Supervisor { wanted, task, generation: 0 };
    supervisor.run().await;
    supervisor.task.link.send_replace(Link::Closed);
}

struct Supervisor {
    wanted: Wanted,
    task: ConsumerTask,
    generation: u64,
}

/// What is to be consumed, and where.
struct Wanted {
    config: AmqpConfig,
    topology: Topology,
    queue: String,
    prefetch: u16,
}

/// An open channel that consumes.
struct Intake {
    session: Session,
    channel: Channel,
    stream: lapin::Consumer,
    acks: Acks,
}

/// How a connection ended.
enum End {
    /// The handle was dropped.
    Closed,
    /// It was lost.
    Lost(LinkError),
}

impl Supervisor {
    async fn run(&mut self) {
        let mut failures = 0_u32;
        loop {
            let opened = voiding_while(&mut self.task, Box::pin(self.wanted.open())).await;
            let error = match opened {
                None => return,
                Some(Err(error)) => error,
                Some(Ok(mut intake)) => {
                    let since = Instant::now();
                    self.generation += 1;
                    self.up(&intake.session);
                    let end = self.consume(&mut intake).await;
                    match end {
                        // Awaited for itself: the handle is gone already, and what it settled is still to be sent.
                        End::Closed => return Box::pin(intake.close()).await,
                        End::Lost(error) => {
                            if voiding_while(&mut self.task, Box::pin(intake.close())).await.is_none() {
                                return;
                            }
                            if since.elapsed() >= HELD {
                                failures = 0;
                            }
                            error
                        }
                    }
                }
            };
            failures = failures.saturating_add(1);
            self.task.link.send_replace(Link::Down { attempts: failures, error: Some(error) });
            let wait = backoff::wait(failures, self.wanted.config.backoff_max, fastrand::f64());
            if voiding_while(&mut self.task, tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    fn up(&self, session: &Session) {
        let user = session.user().map(str::to_owned);
        self.task.link.send_replace(Link::Up { generation: self.generation, broker: session.broker(), user });
    }

    async fn consume(&mut self, intake: &mut Intake) -> End {
        let mut tick = tokio::time::interval(TICK);
        let mut unheard: Option<Delivery> = None;
        let mut flush_at: Option<Instant> = None;
        loop {
            let waiting = intake.acks.waiting();
            // The timer counts from the first ack that waits.
            flush_at = if waiting == 0 { None } else { flush_at.or_else(|| Some(Instant::now() + LINGER)) };
            let due =
                waiting >= TOGETHER || (waiting > 0 && intake.acks.is_idle() && self.task.settle.is_empty());
            if due {
                if let Err(error) = intake.flush(false).await {
                    return End::Lost(error);
                }
                flush_at = None;
                continue;
            }
            tokio::select! {
                biased;
                settled = self.task.settle.recv() => match settled {
                    None => return End::Closed,
                    Some((tag, how)) if tag.generation == self.generation => {
                        if let Err(error) = intake.settle(tag.tag, how).await {
                            return End::Lost(error);
                        }
                    }
                    Some(_) => {}
                },
                permit = self.task.deliveries.reserve(), if unheard.is_some() => match (permit, unheard.take()) {
                    (Ok(permit), Some(delivery)) => permit.send(delivery),
                    _ => return End::Closed,
                },
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => {
                    if let Err(error) = intake.flush(false).await {
                        return End::Lost(error);
                    }
                    flush_at = None;
                }
                delivery = intake.stream.next(), if unheard.is_none() => match delivery {
                    Some(Ok(delivery)) => {
                        intake.acks.delivered(delivery.delivery_tag);
                        unheard = Some(convert::delivery(delivery, self.generation));
                    }
                    Some(Err(error)) => return End::Lost(intake.session.classify(&error)),
                    None if !intake.session.is_open() => return End::Lost(intake.session.gone()),
                    // The broker cancelled us: the queue was deleted or moved. The channel lives, and its tags do.
                    None => {
                        if let Err(error) = self.resubscribe(intake).await {
                            return End::Lost(error);
                        }
                    }
                },
                _ = tick.tick() => if !intake.session.is_open() {
                    return End::Lost(intake.session.gone());
                },
            }
        }
    }

    async fn resubscribe(&self, intake: &mut Intake) -> Result<(), LinkError> {
        let named = declare(&intake.session, &self.wanted.topology).await?;
        let queue = self.wanted.queue_name(named);
        intake.stream = subscribe(&intake.session, &intake.channel, &queue).await?;
        Ok(())
    }
}

/// Awaits `work`; settlements asked for meanwhile are void. `None` when the handle was dropped.
async fn voiding_while<T>(task: &mut ConsumerTask, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Some(done),
            settled = task.settle.recv() => { settled?; }
        }
    }
}

impl Wanted {
    async fn open(&self) -> Result<Intake, LinkError> {
        let session = Session::open(&self.config, "consuming").await?;
        let named = declare(&session, &self.topology).await?;
        let queue = self.queue_name(named);
        let channel = session.channel().await?;
        // Before consuming, and never global: quorum queues refuse that.
        let qos = channel.basic_qos(self.prefetch, BasicQosOptions { global: false });
        session.call("setting the prefetch", qos).await?;
        let stream = subscribe(&session, &channel, &queue).await?;
        Ok(Intake { session, channel, stream, acks: Acks::default() })
    }

    fn queue_name(&self, named: Option<String>) -> String {
        if self.queue.is_empty() { named.unwrap_or_default() } else { self.queue.clone() }
    }
}

async fn subscribe(session: &Session, channel: &Channel, queue: &str) -> Result<lapin::Consumer, LinkError> {
    let queue = convert::short("the queue's name", queue.to_owned())
        .map_err(|why| super::errors::configuration(why, "take a shorter one"))?;
    let consuming = channel.basic_consume(
        queue,
        ShortString::default(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    session.call("consuming", consuming).await
}

impl Intake {
    async fn settle(&mut self, tag: u64, how: Settle) -> Result<(), LinkError> {
        if how == Settle::Ack {
            // One that is unknown or settled already is void.
            self.acks.ack(tag);
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

    async fn flush(&mut self, all: bool) -> Result<(), LinkError> {
        for ack in self.acks.flush(all) {
            let options = BasicAckOptions { multiple: ack.multiple };
            self.session.call("acknowledging", self.channel.basic_ack(ack.tag, options)).await?;
        }
        Ok(())
    }

    /// What is done is acked, what is not goes back to the queue.
    async fn close(mut self) {
        if self.session.is_open() && self.flush(true).await.is_ok() {
            let tag = self.stream.tag();
            // Whatever comes of these, the connection is closed next.
            let cancelled = self.channel.basic_cancel(tag, BasicCancelOptions::default());
            if self.session.call("cancelling", cancelled).await.is_ok() {
                let _ =
                    self.session.call("closing a channel", self.channel.close(200, "goodbye".into())).await;
            }
        }
        self.session.close().await;
    }
}
