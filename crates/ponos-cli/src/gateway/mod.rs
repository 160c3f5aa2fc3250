//! `ponos gateway`: events from HTTP to RabbitMQ, each accepted only once the broker has confirmed it.
//!
//! A request's way: who asks (`access.rs`, or `webhooks.rs` with `keys.rs`), what events it has (`reading.rs`), whether they may
//! be published (`routes.rs`), and what the broker makes of them (`publisher.rs`). Absent: queues, retries, and anything kept: who
//! was not answered with 202 has the event still.

pub(crate) mod access;
mod forms;
mod keys;
mod listen;
mod metrics;
mod openapi;
pub(crate) mod publisher;
pub(crate) mod reading;
mod routes;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
mod traced;
mod webhooks;

use crate::{
    config::{self, Config},
    connection::{Options, reach},
    exit::Exit,
    http::{self, ConnectionLimits},
    monitoring::MonitoringArgs,
    output,
    run::log,
    scraped::Scraped,
    traces,
    trouble::Trouble,
};
use listen::Listener;
use metrics::GatewayMetrics;
use ponos::{
    broker::{Link, Transport},
    clock::Clock,
    metrics::Metrics,
    shutdown::{Stage, shutdown},
};
use publisher::{Publishing, topology};
use routes::Gateway;
use settings::Webhook;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet};
use webhooks::WebhookRoute;

/// Connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 1024;
/// How long a client may take for a head, and how long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// How long a request may take beyond the confirm: its body, and the answer.
const MARGIN: Duration = Duration::from_secs(35);

/// Takes events over HTTP and publishes them, each answered once the broker has confirmed it.
///
/// CloudEvents (binary, structured, batch), plain JSON, signed webhooks. What it listens at, who may publish what, and the
/// webhooks are in the section gateway of ponos.toml; docs/gateway.md has the interface.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENDS)]
pub(crate) struct Args {
    /// The file that describes it; ponos.toml in this folder if left out
    #[arg(long, value_name = "FILE", env = config::VARIABLE, hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    monitoring: MonitoringArgs,
    #[command(flatten)]
    traces: traces::TracesArgs,
}

const ENDS: &str = "\
The first Ctrl-C or SIGTERM takes no more requests; those that have begun are answered, once the broker has confirmed. The second
ends it at once: who was not answered sends it again. After Ctrl-C the exit code is 130, after SIGTERM 0.";

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    log::begin(args.monitoring.log_format)?;
    let config = Config::load(args.config.as_deref())?;
    let service = config.described.service.clone();
    let Some(settings) = config.gateway.clone() else {
        let what = "the file has no section [gateway]: add it, with listen = \"127.0.0.1:7314\"";
        return Err(Trouble::Words(Exit::Configuration, what.to_owned()));
    };
    let webhook = |webhook: &Webhook| {
        let route = WebhookRoute::new(webhook, &service, settings.limits.rate)?;
        Ok::<_, Trouble>((webhook.name.clone(), route))
    };
    let webhooks = settings.webhooks.iter().map(webhook).collect::<Result<Vec<_>, _>>()?;
    let metrics = Metrics::new();
    let counted = GatewayMetrics::register(&metrics);
    let opened = args.traces.collector()?.map(|collector| collector.open(&service));
    let (traces, export) = opened.transpose().map_err(traces::unusable)?.unzip();
    if let Some(traces) = &traces {
        metrics.register(|registry| traces.register(registry, "ponos_spans"));
    }
    let scraped = Scraped::bind(args.monitoring.metrics.as_deref(), metrics)?;
    let listener = Listener::bind(&settings).await?;
    let mut amqp = options.or(&config).config(&format!("ponos gateway {service}"))?;
    amqp.confirm_timeout = settings.limits.confirm;
    let transport = Transport::amqp(amqp);
    reach(&transport, &topology(config.passive), "events are refused (503)").await?;
    let limits = (settings.limits, settings.unroutable);
    let publishing = Publishing::new(&transport, config.passive, limits, counted.clone());
    let (trigger, asked) = shutdown();
    trigger.advance_on_signals(|| output::complain("stopping; a second signal stops at once"));
    // end with this function
    let mut beside = JoinSet::new();
    beside.spawn(watch(publishing.link(), counted.clone()));
    if let Some(tls) = listener.tls() {
        beside.spawn(tls.follow(|| Clock::system().now()));
    }
    if let Some(traces) = traces {
        publishing.trace_to(traces);
    }
    let (ended, ending) = shutdown();
    let sending = export.map(|export| tokio::spawn(export.run(ending)));
    let scraped = scraped.serve();
    output::complain(&format!("listening at {}", listener.place()));
    let last = settings.limits.confirm + MARGIN;
    let gateway = Arc::new(Gateway::new(settings, service, publishing.clone(), webhooks, counted));
    let limits = ConnectionLimits { most: CONNECTIONS, idle: IDLE, last };
    tokio::select! {
        () = async {
            http::serve(listener, &gateway, limits, asked.clone()).await;
            publishing.close().await;
        } => output::complain("ended: all that was accepted is confirmed"),
        () = asked.reached(Stage::Stopping) => output::complain("ended at once: who was not answered sends it again"),
    }
    scraped.end().await;
    ended.advance();
    if let Some(sending) = sending {
        // a panic was logged
        let _ = sending.await;
    }
    Ok(if asked.was_interrupted() { Exit::Interrupted } else { Exit::Done })
}

/// Logs what becomes of the connection.
async fn watch(mut link: watch::Receiver<Link>, metrics: GatewayMetrics) {
    loop {
        let is_up = {
            let link = link.borrow_and_update();
            match &*link {
                Link::Up { broker, .. } => tracing::info!("connected to {broker}: events are accepted"),
                Link::Blocked { reason } => tracing::warn!("the broker accepts no messages: {reason}"),
                Link::Down { error: Some(error), .. } => tracing::warn!("events are refused: {error}"),
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
