//! `ponos source sqs`: messages of SQS to RabbitMQ, each deleted there only once the broker has confirmed its events.
//!
//! A message's way: it is received (`queue.rs`, by `client.rs`, signed by `signature.rs` with `credentials.rs`), read as events
//! (`reading.rs`), published (`publishing.rs`), and deleted or left (`lot.rs`). Absent: anything kept, retries of what the broker
//! refuses, dead letters: those are SQS's own.

mod call_error;
mod client;
mod credentials;
mod lot;
mod metrics;
mod publishing;
mod queue;
mod reading;
pub(crate) mod settings;
mod signature;
#[cfg(test)]
mod tests;

use crate::{
    config::{self, Config},
    connection::{Options, reach},
    exit::Exit,
    gateway::publisher::topology,
    http::client::HttpClient,
    monitoring::MonitoringArgs,
    output,
    run::log,
    said::Said,
    scraped::Scraped,
    trouble::Trouble,
};
use call_error::ErrorKind;
use client::{Room, Sqs};
use credentials::CredentialSource;
use metrics::SourceMetrics;
use ponos::{
    broker::{Link, Transport},
    metrics::Metrics,
    shutdown::{Stage, shutdown},
};
use publishing::Publishing;
use queue::QueueSource;
use reading::Reader;
use settings::{Endpoint, Queue, Settings, is_region};
use std::{
    env,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet};

/// The time limit for closing the connection; everything is confirmed by then.
const GOODBYE: Duration = Duration::from_secs(5);

/// Receives messages of SQS and publishes them as events, each deleted in SQS once the broker has confirmed it.
///
/// CloudEvents, what S3 says of its objects, and plain JSON; each with SNS between or without. The queues, and which events their
/// messages are, are in the section source.sqs of ponos.toml; docs/sources.md has it all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENDS)]
pub(crate) struct Args {
    /// The file that describes it; ponos.toml in this folder if left out
    #[arg(long, value_name = "FILE", env = config::VARIABLE, hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    monitoring: MonitoringArgs,
}

const ENDS: &str = "\
The key of AWS is in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or in files that these names with _FILE
behind them, or the section, name.

The first Ctrl-C or SIGTERM receives no more; what was received is published, confirmed and deleted, or given back where the broker
is away. The second ends it at once: SQS shows again what was not deleted. After Ctrl-C the exit code is 130, after SIGTERM 0.";

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    log::begin(args.monitoring.log_format)?;
    let config = Config::load(args.config.as_deref())?;
    let service = config.described.service.clone();
    let Some(settings) = config.sqs.clone() else {
        let what =
            "the file has no section [source.sqs]: add it, with a table [[source.sqs.queues]] for each queue";
        return Err(Trouble::Words(Exit::Configuration, what.to_owned()));
    };
    let credentials = Arc::new(CredentialSource::find(|name| env::var(name).ok(), &settings.keys)?);
    let calls = calls(&settings, &credentials)?;
    let metrics = Metrics::new();
    let counted = SourceMetrics::register(&metrics);
    let scraped = Scraped::bind(args.monitoring.metrics.as_deref(), metrics)?;
    let mut amqp = options.or(&config).config(&format!("ponos source sqs {service}"))?;
    amqp.confirm_timeout = settings.limits.confirm;
    let transport = Transport::amqp(amqp);
    reach(&transport, &topology(config.passive), "messages stay in SQS").await?;
    let calls = check(calls).await?;
    let publishing = Arc::new(Publishing::new(
        &transport,
        config.passive,
        settings.limits.confirm,
        settings.unroutable,
        counted.clone(),
    ));
    let (trigger, asked) = shutdown();
    trigger.advance_on_signals(|| output::complain("stopping; a second signal stops at once"));
    let link = publishing.link();
    // ends with this function
    let mut beside = JoinSet::new();
    beside.spawn(watch(link.clone(), counted.clone()));
    let scraped = scraped.serve();
    let source = |(queue, sqs): (Queue, Sqs)| QueueSource {
        reader: Reader::new(&service, &queue, &settings),
        queue,
        sqs,
        publishing: Arc::clone(&publishing),
        metrics: counted.clone(),
        asked: asked.clone(),
        said: Said::default(),
        is_test_said: AtomicBool::new(false),
    };
    let sources: Vec<QueueSource> = calls.into_iter().map(source).collect();
    drop(publishing);
    output::complain(&format!("receiving messages of {}", ponos::text::counted(sources.len(), "queue")));
    tokio::select! {
        ended = receive(sources, link) => {
            ended?;
            output::complain("ended: what was received is published and deleted, or given back");
        }
        () = asked.reached(Stage::Stopping) => output::complain("ended at once: SQS shows again what was not deleted"),
    }
    scraped.end().await;
    Ok(if asked.was_interrupted() { Exit::Interrupted } else { Exit::Done })
}

/// Until the end that is asked for; then the connection is closed in order.
///
/// # Errors
/// A queue is not received any more: whoever watches this is to start it again.
async fn receive(sources: Vec<QueueSource>, link: watch::Receiver<Link>) -> Result<(), Trouble> {
    let mut queues = JoinSet::new();
    for source in sources {
        queues.spawn(Arc::new(source).run());
    }
    while let Some(ended) = queues.join_next().await {
        ended.map_err(|error| {
            let what =
                format!("a queue is not received any more: {error}; SQS shows again what was not deleted");
            Trouble::Words(Exit::Software, what)
        })?;
    }
    let is_connected = matches!(*link.borrow(), Link::Up { .. } | Link::Blocked { .. });
    if is_connected {
        // whatever comes of it, nothing is lost
        let _ = Link::closed(link, GOODBYE).await;
    }
    Ok(())
}

/// How each queue is called.
fn calls(settings: &Settings, credentials: &Arc<CredentialSource>) -> Result<Vec<(Queue, Sqs)>, Trouble> {
    let room = Room::new(settings.limits.bytes, settings.queues.len());
    let told = |name: &str| env::var(name).ok().filter(|region| !region.is_empty());
    let of_environment = told("AWS_REGION").or_else(|| told("AWS_DEFAULT_REGION"));
    if let Some(wrong) = of_environment.as_deref().filter(|region| !is_region(region)) {
        let what =
            format!("AWS_REGION: '{}' is not a region, such as eu-central-1", ponos::text::shown(wrong));
        return Err(Trouble::Words(Exit::Configuration, what));
    }
    let mut clients: [Option<Arc<HttpClient>>; 2] = [None, None];
    let mut calls = Vec::with_capacity(settings.queues.len());
    for queue in &settings.queues {
        let Endpoint { uri, authority, is_tls } = settings.endpoint.as_ref().unwrap_or(&queue.place).clone();
        let region = queue.place.region().map(str::to_owned).or_else(|| of_environment.clone());
        let region = region.or_else(|| settings.region.clone()).ok_or_else(|| {
            let what = format!(
                "the region of the queue '{}' is not known: set AWS_REGION, or region in [source.sqs]",
                queue.name
            );
            Trouble::Words(Exit::Configuration, what)
        })?;
        let known = &mut clients[usize::from(is_tls)];
        let client = match known {
            Some(client) => Arc::clone(client),
            None => Arc::clone(known.insert(Arc::new(HttpClient::new(is_tls)?))),
        };
        let (credentials, room) = (Arc::clone(credentials), room.clone());
        let (queue_url, visibility) = (queue.url.clone(), queue.visibility);
        let sqs = Sqs { client, uri, authority, region, queue_url, credentials, room, visibility };
        calls.push((queue.clone(), sqs));
    }
    Ok(calls)
}

/// Asks for each queue once. SQS that is away is waited for; what only a person can mend ends the start.
async fn check(calls: Vec<(Queue, Sqs)>) -> Result<Vec<(Queue, Sqs)>, Trouble> {
    let mut asking = JoinSet::new();
    for (at, (queue, sqs)) in calls.into_iter().enumerate() {
        asking.spawn(async move {
            let has = sqs.has_redrive_policy().await;
            (at, queue, sqs, has)
        });
    }
    let mut checked = Vec::with_capacity(asking.len());
    while let Some(asked) = asking.join_next().await {
        let (at, queue, sqs, has) = asked
            .map_err(|error| Trouble::Words(Exit::Software, format!("a queue was not asked for: {error}")))?;
        let name = &queue.name;
        match has {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                "the queue '{name}' has no redrive policy: a message that can't be an event comes again and again until SQS drops it"
            ),
            Err(error) if matches!(error.kind, ErrorKind::Key | ErrorKind::NoQueue) => {
                return Err(Trouble::Words(
                    Exit::AccessRefused,
                    format!("the queue '{name}': {}", error.what),
                ));
            }
            Err(error) if error.kind == ErrorKind::Denied => tracing::info!(
                "whether the queue '{name}' has a redrive policy can't be seen: {}",
                error.what
            ),
            Err(error) => tracing::warn!("the queue '{name}': {}; it is tried again", error.what),
        }
        checked.push((at, (queue, sqs)));
    }
    checked.sort_by_key(|(at, _)| *at);
    Ok(checked.into_iter().map(|(_, call)| call).collect())
}

/// Logs what becomes of the connection.
async fn watch(mut link: watch::Receiver<Link>, metrics: SourceMetrics) {
    loop {
        let is_up = {
            let link = link.borrow_and_update();
            match &*link {
                Link::Up { broker, .. } => tracing::info!("connected to {broker}: messages are published"),
                Link::Blocked { reason } => {
                    tracing::warn!("the broker accepts no messages: {reason}; they stay in SQS")
                }
                Link::Down { error: Some(error), .. } => tracing::warn!("messages stay in SQS: {error}"),
                Link::Down { error: None, .. } | Link::Closed => {}
            }
            matches!(&*link, Link::Up { .. })
        };
        metrics.connected.set(is_up.into());
        if link.changed().await.is_err() {
            return;
        }
    }
}
