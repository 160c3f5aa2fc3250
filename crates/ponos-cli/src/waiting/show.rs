//! `ponos waiting show`.

use super::{
    choice::{Filter, Place},
    list::{object, when},
};
use crate::{exit::Exit, inbox::trouble, json, output, trouble::Trouble};
use ponos::{clock::Clock, inbox::postgres::WaitingMessage};
use serde_json::Value;

/// Shows a message that waits: why, its properties, its headers and its body.
///
/// Several may have one id: an event that several queues of the service retry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the message
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// Prints one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Exit, Trouble> {
    let waiting = args.place.waiting(Filter::default().with_ids(std::slice::from_ref(&args.id))).await?;
    let (mut place, mut found) = (None, false);
    loop {
        let page = waiting.show(place.as_ref()).await.map_err(|error| trouble("ponos waiting", &error))?;
        found |= !page.messages.is_empty();
        for one in &page.messages {
            print(one, args.json)?;
        }
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    if found {
        return Ok(Exit::Done);
    }
    Err(Trouble::findings(format!(
        "nothing that waits has the id '{}'; see ponos waiting list",
        output::shortened(&args.id, 255)
    )))
}

fn print(one: &WaitingMessage, as_json: bool) -> Result<(), Trouble> {
    let message = match &one.message {
        Ok(message) => json::message(message),
        Err(why) => return Err(Trouble::findings(format!("{} can't be read: {why}", one.id))),
    };
    if as_json {
        let mut whole = object(one);
        whole["message"] = message;
        return output::print(|out| writeln!(out, "{whole}"));
    }
    let now = Clock::system().now();
    output::print(|out| {
        let line = |text: &str| output::shortened(text, 4_000);
        let mut field = |name: &str, value: Option<String>| match value {
            Some(value) => writeln!(out, "{name:<10} {}", line(&value)),
            None => Ok(()),
        };
        field("id", Some(one.id.clone()))?;
        field("name", one.name.clone())?;
        field("kind", Some(one.kind.to_string()))?;
        field("queue", one.queue.clone())?;
        field("since", Some(one.since.to_string()))?;
        let due = one.due.map(|due| format!("{due} ({})", when(one, now)));
        field("due", Some(due.unwrap_or_else(|| when(one, now))))?;
        field("attempt", one.attempt.map(|attempt| attempt.to_string()))?;
        field("reason", one.reason.clone())?;
        field("failures", Some(one.failures.to_string()).filter(|_| one.failures > 0))?;
        field("last error", one.last_error.clone())?;
        for table in ["properties", "headers"] {
            writeln!(out, "\n{table}")?;
            for (name, value) in message[table].as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                writeln!(out, "  {}: {}", line(name), line(&text))?;
            }
        }
        writeln!(out, "\nbody ({} bytes)", one.bytes)?;
        match &message["body"] {
            // set off, so that no line of it passes for one of ours
            Value::String(text) => text.lines().try_for_each(|line| writeln!(out, "  {line}")),
            body => writeln!(out, "{body:#}"),
        }
    })
}
