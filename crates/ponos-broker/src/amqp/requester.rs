//! A requester's task: one connection, one confirm channel, and the consumer of direct replies on that channel.

use super::{
    super::{
        DIRECT_REPLY, Link, LinkError, LinkErrorClass, PublishOutcome, Request, RequestEnd, RequesterTask,
        request::PendingRequests,
    },
    config::AmqpConfig,
    connection::Session,
    convert,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    Channel, Confirmation, Consumer, Event, PublisherConfirm,
    options::{BasicConsumeOptions, BasicPublishOptions},
    types::{FieldTable, ShortString},
};
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::Instant;

/// A connection that held this long resets the backoff.
const HELD: Duration = Duration::from_secs(5);
/// How often the connection's state is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How a connection ended.
enum ConnectionEnd {
    /// The last handle was dropped.
    Closed,
    /// It was lost, or its channel was.
    Lost(LinkError),
}

/// What is written and not confirmed yet.
type Unconfirmed =
    FuturesUnordered<futures_util::future::BoxFuture<'static, (String, lapin::Result<Confirmation>)>>;

/// Runs until the last handle is dropped.
pub(super) async fn run(config: AmqpConfig, mut task: RequesterTask) {
    let (mut failures, mut generation) = (0_u32, 0);
    loop {
        let Some(opened) = losing_while(&mut task, Box::pin(open(&config))).await else { break };
        let mut elects = false;
        let error = match opened {
            Err(error) => error,
            Ok((session, channel, answers)) => {
                let since = Instant::now();
                generation += 1;
                let mut pending = PendingRequests::default();
                let end = serve(&session, channel, answers, generation, &mut pending, &mut task).await;
                if let ConnectionEnd::Lost(error) = &end {
                    elects = session.lost_its_node(error);
                    down(&task, failures.saturating_add(1), error);
                }
                pending.lose();
                session.close().await;
                let ConnectionEnd::Lost(error) = end else { break };
                if since.elapsed() >= HELD {
                    failures = 0;
                }
                error
            }
        };
        failures = failures.saturating_add(1);
        down(&task, failures, &error);
        let wait = config.backoff(failures, elects);
        if losing_while(&mut task, tokio::time::sleep(wait)).await.is_none() {
            break;
        }
    }
    task.link.send_replace(Link::Closed);
}

fn down(task: &RequesterTask, attempts: u32, error: &LinkError) {
    task.link.send_replace(Link::Down { attempts, error: Some(error.clone()) });
}

async fn open(config: &AmqpConfig) -> Result<(Session, Channel, Consumer), LinkError> {
    let session = Session::open(config, "asking").await?;
    let channel = session.confirm_channel().await?;
    // before the first request: the broker refuses a reply address that nobody consumes
    let consuming = channel.basic_consume(
        DIRECT_REPLY.into(),
        ShortString::default(),
        BasicConsumeOptions { no_ack: true, ..Default::default() },
        FieldTable::default(),
    );
    let answers = session.call("consuming answers", consuming).await?;
    Ok((session, channel, answers))
}

async fn serve(
    session: &Session,
    channel: Channel,
    mut answers: Consumer,
    generation: u64,
    pending: &mut PendingRequests,
    task: &mut RequesterTask,
) -> ConnectionEnd {
    let mut events = session.events();
    let up = || {
        let user = session.user().map(str::to_owned);
        Link::Up { generation, broker: session.broker(), user }
    };
    task.link.send_replace(up());
    let (mut unconfirmed, mut blocked) = (Unconfirmed::new(), false);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    blocked = true;
                    task.link.send_replace(Link::Blocked { reason });
                }
                Some(Event::ConnectionUnblocked) => {
                    blocked = false;
                    task.link.send_replace(up());
                }
                // a channel's error comes here too; its confirms tell of it
                Some(Event::Error(error)) if !session.is_open() => return ConnectionEnd::Lost(session.classify(&error)),
                Some(_) => {}
                None => return ConnectionEnd::Lost(session.gone()),
            },
            Some((id, confirmed)) = unconfirmed.next() => match confirmed {
                Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => {}
                // lapin hands the oldest return to whichever confirm comes next: it says itself whose it is
                Ok(Confirmation::Ack(Some(returned))) => {
                    let whose = returned.properties.correlation_id().as_ref();
                    let whose = whose.map(ShortString::as_str).unwrap_or_default();
                    pending.end(whose, RequestEnd::Unanswered(PublishOutcome::Confirmed { returned: true }));
                }
                Ok(Confirmation::Nack(_)) => pending.end(&id, RequestEnd::Unanswered(PublishOutcome::Nacked)),
                Err(error) => {
                    let said = session.classify(&error);
                    let why = || said.what.clone();
                    match said.class {
                        LinkErrorClass::Missing => pending.end(&id, RequestEnd::Unanswered(PublishOutcome::Missing(why()))),
                        LinkErrorClass::Forbidden | LinkErrorClass::Inequivalent => {
                            pending.end(&id, RequestEnd::Unanswered(PublishOutcome::Refused(why())));
                        }
                        _ => {}
                    }
                    // the channel is gone, and with it the address of all answers
                    return ConnectionEnd::Lost(said);
                }
            },
            answer = answers.next() => match answer {
                Some(Ok(delivery)) => pending.answer(convert::delivery(delivery, generation).message),
                Some(Err(error)) => return ConnectionEnd::Lost(session.classify(&error)),
                None => return ConnectionEnd::Lost(session.gone()),
            },
            request = task.submitted.recv(), if pending.has_room() => match request {
                Some(request) if blocked => request.lose(),
                Some(request) => match write(session, &channel, request, pending).await {
                    Ok(Some((id, confirm))) => unconfirmed.push(Box::pin(async move { (id, confirm.await) })),
                    Ok(None) => {}
                    Err(error) => return ConnectionEnd::Lost(error),
                },
                None => return ConnectionEnd::Closed,
            },
            _ = tick.tick() => {
                pending.tidy();
                if !session.is_open() {
                    return ConnectionEnd::Lost(session.gone());
                }
            }
        }
    }
}

/// Writes one; `None` for one that can't be written.
async fn write(
    session: &Session,
    channel: &Channel,
    request: Request,
    pending: &mut PendingRequests,
) -> Result<Option<(String, PublisherConfirm)>, LinkError> {
    let Request { exchange, mut message, end } = request;
    message.properties.reply_to = Some(DIRECT_REPLY.to_owned());
    let id = message.properties.correlation_id.clone().unwrap_or_default();
    pending.add(id.clone(), end);
    let (exchange, key, properties, body) =
        match convert::publishing(&exchange, message, session.user(), session.frame_max()) {
            Ok(ready) => ready,
            Err(why) => {
                pending.end(&id, RequestEnd::Unanswered(PublishOutcome::Refused(why)));
                return Ok(None);
            }
        };
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let publishing = channel.basic_publish(exchange, key, options, &body, properties);
    Ok(Some((id, session.call("asking", publishing).await?)))
}

/// Awaits `work`; what is asked meanwhile is lost. `None` when the last handle was dropped.
async fn losing_while<T>(task: &mut RequesterTask, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            request = task.submitted.recv() => request?.lose(),
        }
    }
}
