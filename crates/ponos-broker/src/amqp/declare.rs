//! Declares a topology on the broker.

use super::{
    super::{LinkError, LinkErrorClass, QueueState},
    connection::Session,
    convert::{short, table},
    errors::configuration,
};
use lapin::{
    Channel,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{FieldTable, ShortString},
};
use ponos_event::Headers;
use ponos_event::topology::{Binding, Destination, Exchange, ExchangeKind, Queue, Topology};

/// How often all is declared when something that was just declared is missing: somebody deletes while we declare.
const ATTEMPTS: u32 = 3;

/// Declares the topology, or checks that it exists if it is passive. Returns the name of the queue that the broker named, if
/// the topology has one.
pub(super) async fn declare(session: &Session, topology: &Topology) -> Result<Option<String>, LinkError> {
    if topology.passive {
        return find_all(session, topology).await.map(|()| None);
    }
    let mut attempts = 1;
    loop {
        match declare_all(session, topology).await {
            Err(error) if error.class == LinkErrorClass::Missing && attempts < ATTEMPTS => attempts += 1,
            declared => return declared,
        }
    }
}

/// Compares what was declared with the broker, each time on a channel of its own. Exchanges and queues are looked up;
/// unless the topology is passive all is declared once more: that finds those with other arguments, and restores
/// bindings, which can't be looked up. Objects that are deleted with their consumers are left out.
///
/// # Errors
/// Something is missing or not as declared. A user who may no longer declare gets no error while nothing is missing.
pub(super) async fn compare(session: &Session, topology: &Topology) -> Result<(), LinkError> {
    let lasting = topology.lasting();
    find_all(session, &lasting).await?;
    if topology.passive {
        return Ok(());
    }
    match declare_all(session, &lasting).await {
        Err(error) if error.class != LinkErrorClass::Forbidden => Err(error),
        _ => Ok(()),
    }
}

/// Binds once more the queue that goes with its consumer, here called `queue`, for bindings can't be looked for.
///
/// # Errors
/// An exchange that it was bound to is not there, or the user may not bind.
pub(super) async fn bind_again(session: &Session, topology: &Topology, queue: &str) -> Result<(), LinkError> {
    let channel = session.channel().await?;
    let of_it =
        |binding: &&Binding| matches!(&binding.destination, Destination::Queue(name) if name.is_empty());
    for binding in topology.bindings.iter().filter(of_it) {
        bind(session, &channel, binding, Some(queue)).await?;
    }
    session.call("closing a channel", channel.close(200, ShortString::default())).await
}

/// On a channel of its own: a refusal closes it.
async fn declare_all(session: &Session, topology: &Topology) -> Result<Option<String>, LinkError> {
    let channel = session.channel().await?;
    for exchange in &topology.exchanges {
        declare_exchange(session, &channel, exchange).await?;
    }
    let mut named = None;
    for queue in &topology.queues {
        let name = declare_queue(session, &channel, queue).await?;
        if queue.name.is_empty() {
            named = Some(name);
        }
    }
    for binding in &topology.bindings {
        bind(session, &channel, binding, named.as_deref()).await?;
    }
    // An exclusive queue belongs to the connection, not to this channel.
    session.call("closing a channel", channel.close(200, ShortString::default())).await?;
    Ok(named)
}

/// Sees that all exchanges and queues exist, and changes nothing.
async fn find_all(session: &Session, topology: &Topology) -> Result<(), LinkError> {
    let channel = session.channel().await?;
    for Exchange { name, .. } in &topology.exchanges {
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        // With `passive` the broker looks at the name alone.
        let kind = lapin::ExchangeKind::Topic;
        let asked =
            channel.exchange_declare(word("an exchange's name", name)?, kind, options, FieldTable::default());
        let found = session.find(&format!("looking for the exchange '{name}'"), asked).await?;
        found.ok_or_else(|| LinkError::missing("exchange", name, topology.passive))?;
    }
    for Queue { name, .. } in &topology.queues {
        let found = find_queue(session, &channel, name).await?;
        found.ok_or_else(|| LinkError::missing("queue", name, topology.passive))?;
    }
    session.call("closing a channel", channel.close(200, ShortString::default())).await
}

/// Looks at a queue on a channel of its own; `None` if there is none.
pub(super) async fn inspect(session: &Session, queue: &str) -> Result<Option<QueueState>, LinkError> {
    let channel = session.channel().await?;
    let found = find_queue(session, &channel, queue).await?;
    if found.is_some() {
        session.call("closing a channel", channel.close(200, ShortString::default())).await?;
    }
    Ok(found)
}

async fn find_queue(
    session: &Session,
    channel: &Channel,
    name: &str,
) -> Result<Option<QueueState>, LinkError> {
    if name.is_empty() {
        return Err(LinkError::nameless());
    }
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let asked = channel.queue_declare(word("a queue's name", name)?, options, FieldTable::default());
    let found = session.find(&format!("looking for the queue '{name}'"), asked).await?;
    Ok(found.map(|queue| QueueState {
        ready: u64::from(queue.message_count()),
        consumers: u64::from(queue.consumer_count()),
    }))
}

async fn declare_exchange(
    session: &Session,
    channel: &Channel,
    exchange: &Exchange,
) -> Result<(), LinkError> {
    let kind = match exchange.kind {
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
    };
    let options = ExchangeDeclareOptions { durable: exchange.durable, ..Default::default() };
    let name = word("an exchange's name", &exchange.name)?;
    let declared = channel.exchange_declare(name, kind, options, arguments(&exchange.arguments)?);
    let what = format!("declaring the exchange '{}'", exchange.name);
    session.call(&what, declared).await.map_err(|error| within(&what, error))
}

async fn declare_queue(session: &Session, channel: &Channel, queue: &Queue) -> Result<String, LinkError> {
    let options = QueueDeclareOptions {
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        ..Default::default()
    };
    let name = word("a queue's name", &queue.name)?;
    let declared = channel.queue_declare(name, options, arguments(&queue.arguments)?);
    let what = format!("declaring the queue '{}'", queue.name);
    let declared = session.call(&what, declared).await.map_err(|error| within(&what, error))?;
    Ok(declared.name().to_string())
}

async fn bind(
    session: &Session,
    channel: &Channel,
    binding: &Binding,
    named: Option<&str>,
) -> Result<(), LinkError> {
    let source = word("an exchange's name", &binding.source)?;
    let key = word("a routing key", &binding.routing_key)?;
    let none = FieldTable::default();
    match &binding.destination {
        Destination::Queue(queue) => {
            let queue = if queue.is_empty() { named.unwrap_or_default() } else { queue };
            let what = format!("binding the queue '{queue}' to '{}'", binding.source);
            let bound = channel.queue_bind(
                word("a queue's name", queue)?,
                source,
                key,
                QueueBindOptions::default(),
                none,
            );
            session.call(&what, bound).await.map_err(|error| within(&what, error))
        }
        Destination::Exchange(exchange) => {
            let what = format!("binding the exchange '{exchange}' to '{}'", binding.source);
            let destination = word("an exchange's name", exchange)?;
            let bound = channel.exchange_bind(destination, source, key, ExchangeBindOptions::default(), none);
            session.call(&what, bound).await.map_err(|error| within(&what, error))
        }
    }
}

/// Says what was being done where the broker's words alone leave it open.
fn within(doing: &str, error: LinkError) -> LinkError {
    match error.class {
        LinkErrorClass::Inequivalent | LinkErrorClass::Forbidden | LinkErrorClass::Missing => {
            LinkError { what: format!("{doing} failed: {}", error.what), ..error }
        }
        _ => error,
    }
}

fn word(name: &str, value: &str) -> Result<ShortString, LinkError> {
    short(name, value.to_owned()).map_err(|why| configuration(why, "take a shorter one"))
}

fn arguments(headers: &Headers) -> Result<FieldTable, LinkError> {
    table(headers.clone(), &mut 0).map_err(|why| configuration(why, "take a shorter one"))
}
