//! `ponos observe`: listens to what services report, answers who handled what, and says what was not handled in time.
//!
//! `routes.rs` answers, `openapi.rs` describes that. What hears and publishes is `ponos-hearing`; what is known, and what is certain of
//! it, is `ponos-observer`.

mod openapi;
mod routes;
#[cfg(test)]
mod tests;

use crate::{
    connection::{Options, gone},
    exit::Exit,
    http::{self, ConnectionLimits},
    monitoring::MonitoringArgs,
    output,
    run::log,
    scraped::Scraped,
    serve::listen::Listener,
    span,
    trouble::Trouble,
};
use ponos::{
    clock::Clock,
    metrics::Metrics,
    shutdown::{Stage, shutdown},
    topology::{check_event_pattern, worker::EVENTS},
};
use ponos_hearing::{Heard, Hearing, HearingEnd, Listening, Missing, ObserverMetrics, listen};
use ponos_observer::Limits;
use routes::Answering;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

const LIMITS: ConnectionLimits =
    ConnectionLimits { most: 64, idle: Duration::from_secs(75), last: Duration::from_secs(2) };

/// Observes what services report: who handled which event, what came of it, and what was not handled in time.
///
/// Services report with --reports (ponos run, ponos serve) or Worker::reports. ponos why and ponos coverage ask here. An event that
/// a service declared to handle within a time (--within), and did not, is published as ponos.handling.missed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENDS)]
pub(crate) struct Args {
    /// Names or patterns of the events that are looked at: * is one word, # any number; may be repeated
    #[arg(long = "on", value_name = "PATTERN", default_value = "#")]
    patterns: Vec<String>,
    /// Listens at this loopback address for questions; port 0 is one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7315")]
    listen: SocketAddr,
    /// A file with a token that every question must show (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", env = "PONOS_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
    /// How long an event is kept
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = span::positive)]
    keep: Duration,
    /// How many events are kept; the oldest go first
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = at_least_one)]
    most: usize,
    /// How much memory they may take, as far as it is counted, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = at_least_one)]
    memory: usize,
    #[command(flatten)]
    monitoring: MonitoringArgs,
}

const ENDS: &str = "\
What is observed lies in memory: after a restart nothing is known of what was before, and nothing that was sent then is missed.
After Ctrl-C the exit code is 130, after SIGTERM 0.";

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    log::begin(args.monitoring.log_format)?;
    for pattern in &args.patterns {
        check_event_pattern(pattern).map_err(|wrong| Trouble::usage(wrong.to_string()))?;
    }
    let token = args.token_file.as_deref().map(http::token).transpose()?;
    let metrics = Metrics::new();
    let counted = ObserverMetrics::default();
    metrics.register(|registry| counted.register(registry));
    let scraped = Scraped::bind(args.monitoring.metrics.as_deref(), metrics)?;
    let listener = Listener::tcp(args.listen).await?;
    let transport = options.transport("ponos observe").await?;
    let heard = Heard::new(Limits {
        events: args.most,
        bytes: args.memory.saturating_mul(1 << 20),
        age_ms: i64::try_from(args.keep.as_millis()).unwrap_or(i64::MAX),
        ..Limits::default()
    });
    let listening = Listening { events: vec![EVENTS.to_owned()], patterns: args.patterns };
    let consumer = listen(&transport, &listening).await;
    let clock = Clock::system();
    let (missing, told) = Missing::new(&transport, || true);
    let hearing = Hearing::new(consumer, heard.clone(), counted, told, move || clock.now());
    let (trigger, asked) = shutdown();
    trigger.advance_on_signals(|| output::complain("stopping"));
    output::complain(&format!("listening at {}", listener.place()));
    let answering = Arc::new(Answering::new(heard, token, clock));
    let serving = {
        let asked = asked.clone();
        tokio::spawn(async move { http::serve(listener, &answering, LIMITS, asked).await })
    };
    let scraping = scraped.serve();
    let mut publishing = tokio::spawn(missing.run());
    let ended = tokio::select! {
        biased;
        () = asked.reached(Stage::Draining) => Ok(()),
        ended = hearing.run() => Err(match ended {
            HearingEnd::Refused(error) => error.into(),
            HearingEnd::Gone => gone(),
        }),
    };
    // `told` went with what hears: what was missed is published, as far as that takes no time worth speaking of; all is in the log
    let _ = tokio::time::timeout(LIMITS.last, &mut publishing).await;
    publishing.abort();
    serving.abort();
    scraping.end().await;
    ended?;
    Ok(if asked.was_interrupted() { Exit::Interrupted } else { Exit::Done })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
    if count == 0 { Err("it must be at least 1".into()) } else { Ok(count) }
}
