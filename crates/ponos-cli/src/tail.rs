//! `ponos tail`: events, or the tasks of a service, as they are published, from a queue of its own that goes with it.

use crate::{
    connection::{Options, fatal, gone},
    exit::Exit,
    json,
    layout::{self, Segment},
    output::{self, Paint},
    trouble::Trouble,
};
use ponos::{
    broker::{Consume, Consumer, Link, Settle, Transport},
    compression,
    event::{Event, EventName, Message},
    shutdown::{Stage, on_signals},
    topology::{
        Binding, Exchange, Queue, Topology, check_event_pattern,
        worker::{EVENTS, TASKS},
    },
    worker::Limits,
};
use tokio::sync::watch;

/// Prints events as they are published, until interrupted.
///
/// Reads from a temporary queue of its own, so no other consumer misses an event. One line per event: time, name, id,
/// subject, lateness (for the clock's events), payload. With --task: tasks of that service as they are sent to it, each by
/// its whole name; its retries are not shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or patterns: * is one word, # any number; all events if left out
    #[arg(value_name = "PATTERN", default_value = "#")]
    patterns: Vec<String>,
    /// Tasks of this service instead of events, by their whole names
    #[arg(long, value_name = "SERVICE")]
    task: Option<String>,
    /// Ends after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Prints one JSON object per line: the whole event
    #[arg(long)]
    json: bool,
}

/// The prefetch.
const PREFETCH: u16 = 200;
/// How many events the queue keeps while nobody reads our output; then the oldest are dropped.
const QUEUED_MOST: i64 = 10_000;
/// The most characters of a payload in a line.
const PAYLOAD: usize = 120;

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let keys = match &args.task {
        Some(service) => {
            args.patterns.iter().map(|name| queue(service, name)).collect::<Result<Vec<_>, _>>()?
        }
        None => args.patterns.iter().map(|pattern| checked(pattern)).collect::<Result<Vec<_>, _>>()?,
    };
    let transport = options.transport("ponos tail").await?;
    let mut topology = topology(if args.task.is_some() { TASKS } else { EVENTS }, &keys);
    if args.task.is_some() {
        are_there(&transport, &keys).await?;
    } else {
        // Declared where it is missing, and not touched where it is there: the user may have no right to.
        let exchange = Topology { exchanges: vec![Exchange::topic(EVENTS)], ..Topology::default() };
        if transport.check(&exchange.clone().passive()).await.is_err() {
            topology.exchanges = exchange.exchanges;
        }
    }
    let consumer = transport.consumer(topology, Consume::default().prefetch(PREFETCH));
    follow(consumer, &args).await
}

fn checked(pattern: &str) -> Result<String, Trouble> {
    check_event_pattern(pattern).map_err(|wrong| Trouble::usage(wrong.to_string()))?;
    Ok(pattern.to_owned())
}

/// The queue of a task, which is the key that it is sent by. Its exchange knows no patterns.
fn queue(service: &str, name: &str) -> Result<String, Trouble> {
    if name.contains(['*', '#']) {
        return Err(Trouble::usage(format!(
            "'{name}' is a pattern, and tasks are sent by their whole names: name those to be shown, such as {service}.images.cleanup"
        )));
    }
    EventName::of_task(name)
        .map_err(|why| Trouble::usage(format!("'{name}' is not a valid name of a task: {why}")))?;
    let queue = format!("{service}.{name}");
    if queue.len() > EventName::MAX_BYTES {
        return Err(Trouble::usage("service and name together have more than 255 bytes"));
    }
    Ok(queue)
}

/// Checks that the tasks have their queues. Where one has none, whoever sends it is told so; with ours bound he would not be, and
/// the task would be lost.
async fn are_there(transport: &Transport, queues: &[String]) -> Result<(), Trouble> {
    for queue in queues {
        if transport.inspect(queue).await?.is_none() {
            let what = format!(
                "there is no queue '{queue}': start the worker of this task first, or correct the names"
            );
            return Err(Trouble::Words(Exit::AccessRefused, what));
        }
    }
    Ok(())
}

fn topology(exchange: &str, keys: &[String]) -> Topology {
    Topology {
        queues: vec![Queue::temporary().with("x-max-length", QUEUED_MOST)],
        bindings: keys.iter().map(|key| Binding::queue(exchange, "", key)).collect(),
        ..Topology::default()
    }
}

async fn follow(mut consumer: Consumer, args: &Args) -> Result<Exit, Trouble> {
    let shutdown = on_signals();
    let mut link = consumer.link();
    let (mut left, mut state) = (args.count, LinkReports::default());
    let paint = Paint::stdout();
    loop {
        let delivery = tokio::select! {
            biased;
            () = shutdown.reached(Stage::Draining) => {
                return Ok(if shutdown.was_interrupted() { Exit::Interrupted } else { Exit::Done });
            }
            changed = link.changed() => {
                if changed.is_err() {
                    return Err(gone());
                }
                state.report(&mut link)?;
                continue;
            }
            delivery = consumer.next() => delivery.ok_or_else(gone)?,
        };
        print(&delivery.message, args.json, paint)?;
        // Closed means that the queue, which was ours alone, is gone: the next round ends.
        let _ = consumer.settle(delivery.tag, Settle::Ack).await;
        left = left.map(|left| left - 1);
        if left == Some(0) {
            return Ok(Exit::Done);
        }
    }
}

/// The last reported state of the link.
#[derive(Debug, Default)]
struct LinkReports {
    up: bool,
    lost: bool,
}

impl LinkReports {
    /// Reports the start, the loss of the broker and its return; an error that only a person can mend ends the tail.
    fn report(&mut self, link: &mut watch::Receiver<Link>) -> Result<(), Trouble> {
        let now = link.borrow_and_update().clone();
        if let Some(error) = fatal(&now) {
            return Err(error.clone().into());
        }
        match now {
            Link::Down { error: Some(error), .. } if !self.lost => {
                self.lost = true;
                output::complain(&error.to_string());
            }
            Link::Up { .. } if self.lost => {
                self.lost = false;
                output::complain("the broker is back; what was published in the meantime was not seen here");
            }
            Link::Up { broker, .. } if !self.up => {
                self.up = true;
                output::complain(&format!("listening on {broker}"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn print(message: &Message, as_json: bool, paint: Paint) -> Result<(), Trouble> {
    match compression::event(message, Limits::default().body) {
        Ok(event) if as_json => output::print(|out| writeln!(out, "{}", json::event(&event))),
        Ok(event) => output::print_styled(|out| writeln!(out, "{}", line(&event, paint))),
        Err(error) => {
            let key = output::shortened(&message.routing_key, EventName::MAX_BYTES);
            let error = output::shortened(&error.to_string(), 300);
            output::complain(&format!("a message with the routing key '{key}' is not an event: {error}"));
            Ok(())
        }
    }
}

/// `2026-12-01T09:00:00.000Z  time.one-day.passed  6f1c…  one-day  3 ms late  {"coalesced":0}`; in a narrow terminal several lines.
fn line(event: &Event, paint: Paint) -> String {
    let time = event.time_text().map_or_else(|| "-".to_owned(), |time| output::shortened(&time, 60));
    let short = |text: &str| output::shortened(text, 255);
    let mut parts = vec![
        Segment::faint(time),
        Segment::strong(short(event.name.as_str())),
        Segment::plain(short(event.id.as_str())),
        Segment::plain(event.subject.as_deref().map_or_else(|| "-".to_owned(), short)),
    ];
    if let Some(late) = event.extensions.int("khronos-lateness-ms") {
        parts.push(Segment::plain(format!("{late} ms late")));
    }
    parts.push(Segment::faint(output::body(&event.data, PAYLOAD)));
    layout::fitted(&parts, paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{HOSTILE, assert_harmless};

    #[test]
    fn with_styles_nothing_but_the_styles_is_obeyed() {
        let mut event = Event::new("id".parse().unwrap(), HOSTILE, "a.b.c".parse().unwrap(), HOSTILE);
        event.subject = Some(HOSTILE.into());
        let line = line(&event, Paint::always());
        assert!(line.contains("\u{1b}[1m"), "{line}");
        let plain =
            ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"].iter().fold(line, |line, code| line.replace(code, ""));
        assert_harmless("tail", &plain);
    }
}
