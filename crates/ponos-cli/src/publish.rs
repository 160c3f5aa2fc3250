//! `ponos publish`: an event for everybody, or a task for a service.

use crate::{
    connection::Options,
    contracts::Contracts,
    exit::Exit,
    later::{self, Put, When},
    output,
    sending::{Sender, Sent},
    trouble::Trouble,
};
use ponos::{
    clock::Clock,
    event::{Event, EventId, EventName, Message, from_json},
    keyed_id,
    topology::worker::{EVENTS, TASKS},
};
use serde_json::{Value, json};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Publishes an event and waits until the broker has confirmed it.
///
/// The event goes to the exchange 'events' in CloudEvents binary mode, with its name as routing key. If no queue is
/// bound to it, a note says so; with --mandatory that is a failure (exit code 1). --task sends a task to a service
/// instead, which must arrive. With --at or --in it is sent later, by the clock 'khronos': printed are the name under which the
/// clock keeps it, and when it is due; --id or --key make it one, however often it is put.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The event's or task's name, such as order.parcel.shipped
    #[arg(value_name = "NAME")]
    name: String,
    /// The payload, one JSON value; - reads it from standard input
    #[arg(value_name = "JSON")]
    payload: String,
    /// A task for this service instead of an event for everybody
    #[arg(long, value_name = "SERVICE")]
    task: Option<String>,
    /// The event's id; a random one if left out
    #[arg(long, value_name = "ID", conflicts_with = "key")]
    id: Option<String>,
    /// Derives the id from source, name and this key: published again it has the same id, and inboxes take it once
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    when: When,
    /// The publisher, as a URI reference
    #[arg(long, value_name = "URI", default_value = "/ponos/publish")]
    source: String,
    /// The subject: what the event is about
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// The correlation id, which all events that follow from one cause share
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Fails if no queue is bound to the event
    #[arg(long)]
    mandatory: bool,
    /// Validates the payload first: a file with a JSON Schema, or a folder of files NAME.json
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Prints what was published as a JSON object
    #[arg(long)]
    json: bool,
}

/// The largest payload, in bytes.
const PAYLOAD_MOST: u64 = 16 << 20;

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let name = if args.task.is_some() { EventName::of_task(&args.name) } else { args.name.parse() };
    let name = name.map_err(|why| Trouble::usage(format!("'{}' is not a valid name: {why}", args.name)))?;
    let text = if args.payload == "-" { standard_input().await? } else { args.payload.clone().into_bytes() };
    let payload: Value = from_json(&text).map_err(|error| {
        Trouble::usage(format!(
            "the payload is not valid JSON: {error}; write a text as '\"so\"', an object as '{{\"a\": 1}}'"
        ))
    })?;
    if let Some(file) = &args.schema {
        check(file, &name, &payload)?;
    }
    if args.when.is_later() {
        let id = id(&args, &name)?;
        let (task, correlation_id) = (args.task.as_deref(), args.correlation_id.as_deref());
        let (when, name, payload, json) = (&args.when, name.as_str(), &payload, args.json);
        return later::put(options, Put { when, name, payload, task, id, correlation_id, json }).await;
    }
    let message = message(&args, name.clone(), text.trim_ascii().to_vec())?;
    let id = message.properties.message_id.clone().unwrap_or_default();
    let exchange = if args.task.is_some() { TASKS } else { EVENTS };
    let key = message.routing_key.clone();
    let mut sender = Sender::open(&options.transport("ponos publish").await?).await?;
    let sent = sender.send(exchange, message).await;
    sender.close().await;
    let sent = sent?;
    let arrived = match sent {
        Sent::Arrived => true,
        Sent::Nowhere => false,
        Sent::Refused(why) => return Err(Trouble::findings(refused(&why))),
    };
    if args.json {
        let report = json!({ "id": id, "name": name.as_str(), "exchange": exchange, "routing_key": key, "received": arrived });
        output::print(|out| writeln!(out, "{report}"))?;
    } else {
        output::print(|out| writeln!(out, "{id}"))?;
    }
    match (&args.task, arrived) {
        (_, true) => Ok(Exit::Done),
        (Some(service), false) => Err(Trouble::findings(format!(
            "nobody receives it: the queue '{service}.{name}' of this task does not exist, or is not bound to '{TASKS}'; start the worker of '{service}' first, or correct the names"
        ))),
        (None, false) => {
            output::complain(&format!(
                "note: nobody receives it: no queue is bound to '{EVENTS}' by a pattern that matches '{name}'"
            ));
            Ok(if args.mandatory { Exit::Findings } else { Exit::Done })
        }
    }
}

fn refused(why: &str) -> String {
    if why.contains("NOT_FOUND") {
        return format!("not published: {why}; start a worker, or the clock, which declare the exchanges");
    }
    format!("not published: {why}")
}

async fn standard_input() -> Result<Vec<u8>, Trouble> {
    let read = tokio::task::spawn_blocking(|| {
        let mut text = Vec::new();
        std::io::stdin().lock().take(PAYLOAD_MOST + 1).read_to_end(&mut text).map(|_| text)
    });
    let text = match read.await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(Trouble::io("standard input can't be read", &error)),
        Err(error) => return Err(Trouble::Words(Exit::Software, format!("reading standard input: {error}"))),
    };
    if text.len() as u64 > PAYLOAD_MOST {
        return Err(Trouble::usage(
            "the payload has more than 16 MiB; publish where it can be fetched from instead",
        ));
    }
    Ok(text)
}

fn check(file: &Path, name: &EventName, payload: &Value) -> Result<(), Trouble> {
    let checked = match Contracts::read(file)? {
        Contracts::One(contract) => contract.check(payload).map_err(|why| why.to_string()),
        Contracts::Folder(_, registry) => registry.check(name, payload).map_err(|why| why.to_string()),
    };
    checked.map_err(|why| {
        Trouble::findings(format!("not published, because the payload breaks its schema: {why}"))
    })
}

fn message(args: &Args, name: EventName, data: Vec<u8>) -> Result<Message, Trouble> {
    let id = id(args, &name)?;
    if args.source.is_empty() {
        return Err(Trouble::usage("--source is empty; it says who publishes, such as /shop/backoffice"));
    }
    let mut event = Event::new(id, args.source.clone(), name, data);
    event.time = Some(Clock::system().now());
    event.subject = args.subject.clone();
    event.correlation_id = args.correlation_id.clone();
    let mut message = event.into_message();
    if let Some(service) = &args.task {
        message.routing_key = format!("{service}.{}", message.routing_key);
    }
    if message.routing_key.len() > 255 {
        return Err(Trouble::usage("service and name together have more than 255 bytes"));
    }
    Ok(message)
}

/// As it is said, or derived from a key, or random.
fn id(args: &Args, name: &EventName) -> Result<EventId, Trouble> {
    match (&args.id, &args.key) {
        (Some(id), _) => id.parse().map_err(|why| Trouble::usage(format!("--id: {why}"))),
        (None, Some(key)) => Ok(keyed_id(&args.source, name, key)),
        (None, None) => Ok(random_id()),
    }
}

/// An id that no other event has.
pub(crate) fn random_id() -> EventId {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().into()
}
