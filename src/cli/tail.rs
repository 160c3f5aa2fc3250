//! `khronos tail`: events as they arrive, from a clock's feed or from a broker.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    flag, output,
    reach::{CredentialArgs, named_clock},
};
use crate::{
    broker::amqp_config,
    config::{BrokerUrl, Config},
    http::client::{Client, ClientError, Message, encode},
    ops::structured,
    position::FeedPosition,
};
use ponos::terminal::line;
use ponos::{
    broker::{Consume, Consumer, Link, Settle, Transport},
    event::Event,
    topology::{Binding, Exchange, Queue, Topology, check_event_pattern},
};
use serde_json::Value;
use std::{process::ExitCode, time::Duration};

/// Prints events as they arrive, until it is interrupted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A clock's feed; without it and --config that of the clock in KHRONOS_URL, else of the configured one
    #[arg(long, value_name = "URL", conflicts_with = "broker")]
    feed: Option<String>,
    /// A broker instead of a feed: amqp://…, or the configured one if no URL is given
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    broker: Option<String>,
    /// Only events whose names match: * is one word, # any number; may be repeated
    #[arg(long = "match", value_name = "PATTERN")]
    patterns: Vec<String>,
    /// From the event after this position on (the id of an event of the feed)
    #[arg(long, value_name = "POSITION", conflicts_with = "broker")]
    after: Option<FeedPosition>,
    /// Ends after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// One JSON object a line: the whole event
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    shown: CredentialArgs,
}

/// The first pause before a feed is opened again; it doubles …
const PAUSE: Duration = Duration::from_millis(250);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// No clock has us wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Deliveries that wait at most.
const PREFETCH: u16 = 100;

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(follow(globals, args))
}

async fn follow(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    // Before anything is asked: one that can match nothing would wait for ever.
    for pattern in &args.patterns {
        check_event_pattern(pattern).map_err(|wrong| CliError::Usage(wrong.to_string()))?;
    }
    let url = args.broker.as_deref().filter(|url| !url.is_empty());
    let load = || globals.load(flag("broker.url", "--broker", url).into_iter().collect());
    if args.broker.is_some() {
        return from_broker(&load()?, &args).await;
    }
    let client = match named_clock(globals, args.feed.as_deref())? {
        Some(target) => args.shown.client(target)?,
        None => args.shown.web_client(&load()?)?,
    };
    from_feed(&client, &args).await
}

async fn from_feed(client: &Client, args: &Args) -> Result<Exit, CliError> {
    let query: Vec<String> =
        args.patterns.iter().map(|pattern| format!("match={}", encode(pattern))).collect();
    let query = query.join("&");
    let mut position = args.after.map(|after| after.to_string());
    let mut printer = Printer::new(args);
    let (mut pause, mut lost, mut ever) = (PAUSE, false, false);
    loop {
        let mut wait = Duration::ZERO;
        let ended = match client.feed(&query, position.as_deref()).await {
            Ok(mut feed) => {
                if lost {
                    output::complain("the feed is back");
                }
                (pause, lost, ever) = (PAUSE, false, true);
                loop {
                    let next = feed.next().await;
                    // A comment gives a position, too: whoever has seen no event yet resumes from there.
                    position = feed.position().map(str::to_owned).or(position);
                    match next {
                        Ok(Some(message)) => {
                            if printer.message(&message)? {
                                return Ok(Exit::Done);
                            }
                        }
                        Ok(None) => break "the clock ended the feed".to_owned(),
                        Err(error) => break error.to_string(),
                    }
                }
            }
            Err(error @ ClientError::Refused { status: 400..=428 | 430..=499, .. }) => {
                return Err(error.into());
            }
            // A clock that was never there is a mistake; one that went away comes back. Of feeds that broke off the clock
            // may not know yet that nobody reads them.
            Err(error) if !ever => return Err(error.into()),
            Err(ClientError::Refused { detail, retry_after, .. }) => {
                wait = retry_after.unwrap_or_default().min(LONGEST_WAIT);
                detail
            }
            Err(error) => error.to_string(),
        };
        if !lost {
            output::complain(&format!("{ended}; trying again"));
            lost = true;
        }
        tokio::time::sleep(pause.max(wait)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn from_broker(config: &Config, args: &Args) -> Result<Exit, CliError> {
    let BrokerUrl::Amqp(url) = &config.broker.url else {
        return Err(CliError::Usage(
            "the in-memory broker exists only inside the clock: use the clock's feed (omit --broker), or name a broker with --broker amqp://…"
                .into(),
        ));
    };
    let amqp = amqp_config(&config.broker, url, "khronos tail");
    let topology = topology(&config.broker.exchange, &args.patterns);
    let consumer = Transport::amqp(amqp).consumer(topology, Consume::default().prefetch(PREFETCH));
    consume(consumer, &mut Printer::new(args)).await
}

/// A queue of this connection alone, bound to the events.
fn topology(exchange: &str, patterns: &[String]) -> Topology {
    let all = ["#".to_owned()];
    let patterns = if patterns.is_empty() { &all[..] } else { patterns };
    Topology {
        exchanges: vec![Exchange::topic(exchange)],
        queues: vec![Queue::temporary()],
        bindings: patterns.iter().map(|pattern| Binding::queue(exchange, "", pattern)).collect(),
        ..Topology::default()
    }
}

async fn consume(mut consumer: Consumer, printer: &mut Printer) -> Result<Exit, CliError> {
    let mut link = consumer.link();
    let mut lost = false;
    loop {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery,
            changed = link.changed() => {
                if changed.is_ok() {
                    let now = link.borrow_and_update().clone();
                    report_link(&now, &mut lost)?;
                    continue;
                }
                consumer.next().await
            }
        };
        let Some(delivery) = delivery else { return Ok(Exit::Unavailable) };
        let enough = match Event::from_message(&delivery.message) {
            Ok(event) => printer.event(&Value::Object(structured(&event)))?,
            Err(error) => {
                let (key, error) = (line(&delivery.message.routing_key), error.to_string());
                output::complain(&format!(
                    "a message with the routing key '{key}' is not an event: {}",
                    line(&error)
                ));
                false
            }
        };
        // Closed means that the queue, which was ours alone, is gone: the next round ends.
        let _ = consumer.settle(delivery.tag, Settle::Ack).await;
        if enough {
            return Ok(Exit::Done);
        }
    }
}

/// Says once when the broker goes and when it is back; what only a person can mend ends the tail.
fn report_link(link: &Link, lost: &mut bool) -> Result<(), CliError> {
    match link {
        Link::Down { error: Some(error), .. } if error.class.needs_a_person() => {
            output::complain(&format!("error: {error}"));
            return Err(CliError::Said(error.class.into()));
        }
        Link::Down { error: Some(error), .. } if !*lost => {
            *lost = true;
            output::complain(&error.to_string());
        }
        Link::Up { .. } if *lost => {
            *lost = false;
            output::complain("the broker is back; events sent in the meantime were not seen here");
        }
        _ => {}
    }
    Ok(())
}

/// Prints events and counts them.
struct Printer {
    json: bool,
    left: Option<u64>,
}

impl Printer {
    fn new(args: &Args) -> Self {
        Self { json: args.json, left: args.count }
    }

    /// Whether that was the last one wanted.
    fn message(&mut self, message: &Message) -> Result<bool, Exit> {
        if message.event == "gap" {
            output::complain(&format!("a gap in the feed: {}", line(&message.data)));
            return Ok(false);
        }
        match serde_json::from_str(&message.data) {
            Ok(event) => self.event(&event),
            Err(_) => {
                output::complain("the feed sent something that is not an event");
                Ok(false)
            }
        }
    }

    fn event(&mut self, event: &Value) -> Result<bool, Exit> {
        output::print(|out| {
            if self.json { writeln!(out, "{event}") } else { writeln!(out, "{}", event_line(event)) }
        })?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(self.left == Some(0))
    }
}

/// `2026-12-01T09:00:00.000Z  time.one-day.passed  one-day  +3 ms`
fn event_line(event: &Value) -> String {
    let text = |key: &str| line(event[key].as_str().unwrap_or("-")).into_owned();
    let mut words = vec![text("time"), text("type"), text("subject")];
    if let Some(late) = event["khronoslatenessms"].as_i64() {
        words.push(format!("{late} ms late"));
    }
    if let Some(more @ 1..) = event["data"]["coalesced"].as_u64() {
        words.push(format!("stands for {more} earlier ones too"));
    }
    words.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::client::Target;
    use clap::Parser;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        tail: Args,
    }

    const FEED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    const SHARE: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 21\r\nConnection: close\r\n\r\n{\"detail\":\"32 feeds\"}";

    /// How a tail ends that is answered so, one after the other; and how many of the answers it did not want.
    async fn tailed(answers: Vec<String>) -> (Result<Exit, CliError>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(Target::Tcp(listener.local_addr().unwrap().to_string()));
        let (given, count) = (Arc::new(AtomicUsize::new(0)), answers.len());
        let so_far = given.clone();
        let answering = tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut request).await.unwrap();
                }
                so_far.fetch_add(1, Ordering::Relaxed);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let Command { tail } = Command::parse_from(["tail", "--count", "1"]);
        let ended = tokio::time::timeout(Duration::from_secs(60), from_feed(&client, &tail)).await;
        // It waits for what was not asked.
        answering.abort();
        (ended.expect("in time"), count - given.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_feed_that_stood_is_waited_for_while_its_owner_has_his_share() {
        let stood = format!("{FEED}: khronos\n\n");
        let event = format!("{FEED}id: 1\nevent: time.one-day.passed\ndata: {{}}\n\n");
        let (ended, left) = tailed(vec![stood, SHARE.into(), SHARE.into(), event]).await;
        assert!(matches!(ended, Ok(Exit::Done)), "{ended:?}");
        assert_eq!(left, 0);
        // One that never stood ends, and so does one that is not permitted any more.
        let (ended, _) = tailed(vec![SHARE.into()]).await;
        assert!(
            matches!(ended, Err(CliError::Client(ClientError::Refused { status: 429, .. }))),
            "{ended:?}"
        );
        let denied = SHARE.replace("429", "403");
        let (ended, _) = tailed(vec![format!("{FEED}: khronos\n\n"), denied]).await;
        assert!(
            matches!(ended, Err(CliError::Client(ClientError::Refused { status: 403, .. }))),
            "{ended:?}"
        );
    }
}
