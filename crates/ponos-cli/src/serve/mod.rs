//! `ponos serve`: a worker whose handlers are programs of any language, which receive deliveries and settle them over HTTP.

mod deliveries;
mod forms;
pub(crate) mod listen;
mod metrics;
mod openapi;
mod publishing;
mod routes;
mod server;

use crate::{
    config::Config,
    connection::Options,
    described::unfit,
    exit::Exit,
    http, inbox,
    monitoring::MonitoringArgs,
    output,
    run::{health, log},
    span,
    streams::Streams,
    traces,
    trouble::Trouble,
};
use deliveries::{Deliveries, Terms, WAITING};
use listen::Listener;
use ponos::{
    broker::Transport,
    metrics::Metrics,
    shutdown::{Shutdown, Stage, Trigger, shutdown},
    worker::{Breaker, Limits, Policy, Prefetch, Report},
};
use publishing::Publisher;
use routes::Served;
use server::Server;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// What a delivery's handler takes beyond its waiting and a program's time.
const MARGIN: Duration = Duration::from_secs(5);

/// Runs a service's worker for programs of any language beside it: they receive deliveries and settle them over HTTP.
///
/// Retries, contracts, inbox, dead letters and metrics are those of every worker. docs/serve.md has the interface; clients are in
/// clients/.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENDS)]
pub(crate) struct Args {
    #[command(flatten)]
    streams: Streams,
    /// Listens at this loopback address; port 0 is one that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7313", conflicts_with = "socket")]
    listen: SocketAddr,
    /// Listens at this Unix socket instead, which belongs to this user alone (0600)
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A file with a token that every request must show (Authorization: Bearer TOKEN)
    #[arg(long, value_name = "FILE", env = "PONOS_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
    /// How long a program may have a delivery in all when it extends its deadline; the policy's timeout, if that is longer
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = span::positive)]
    longest: Duration,
    /// How long programs may take after the first request to stop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span::duration)]
    grace: Duration,
    /// As of ponos run: memory, sled:PATH, or postgres://user:password@host/database
    #[arg(long, value_name = "INBOX", env = inbox::VARIABLE, hide_env_values = true)]
    inbox: Option<String>,
    #[command(flatten)]
    retries: inbox::RetriesArgs,
    /// As of ponos run: a file that is recent while the worker is alive
    #[arg(long, value_name = "FILE")]
    health_file: Option<PathBuf>,
    #[command(flatten)]
    monitoring: MonitoringArgs,
    #[command(flatten)]
    traces: traces::TracesArgs,
}

const ENDS: &str = "\
A delivery that nobody receives within 60 seconds goes back, and its queue is paused, unless a program is there that is busy with
another one: no attempt is spent, and one is offered again after 1, 2, 4 … 30 seconds. A delivery that a program received and did
not settle by its deadline has failed, as after any timeout.

The first Ctrl-C or SIGTERM gives out no more and lets programs settle what they have (--grace); the second ends it at once: what
they had goes back to its queue. After Ctrl-C the exit code is 130, after SIGTERM 0.";

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    log::begin(args.monitoring.log_format)?;
    let mut config = args.streams.read(&Policy::default(), None)?;
    if let Some(told) = args.inbox.as_deref().filter(|told| !told.is_empty()) {
        config.inbox = Some(inbox::InboxLocation::read(told)?);
    }
    let token = args.token_file.as_deref().map(http::token).transpose()?;
    let deliveries = Deliveries::new(args.longest);
    let mut worker = worker(&config, &deliveries);
    let described = &config.described;
    if let Some(place) = &config.inbox {
        let keeps_retries = !args.retries.retries_on_broker;
        worker = worker.inbox(place.open(&described.service, described.slots(), keeps_retries).await?);
    }
    if let Some(address) = args.monitoring.metrics.as_deref().filter(|address| !address.is_empty()) {
        let metrics = Metrics::new();
        deliveries.metrics().register(&metrics);
        worker = worker.registry(&metrics).metrics(address);
    }
    if let Some(collector) = args.traces.collector()? {
        worker = worker.traces(collector);
    }
    let ready = worker.ready().map_err(unfit)?;
    let options = options.or(&config);
    let transport = Transport::amqp(options.config(&format!("ponos serve {}", described.service))?);
    let publisher = Publisher::new(described, &options)?;
    let listener = match &args.socket {
        Some(path) => Listener::unix(path).await?,
        None => Listener::tcp(args.listen).await?,
    };
    output::complain(&format!("listening at {}", listener.place()));
    let served = Served { described: described.clone(), deliveries: deliveries.clone(), publisher };
    let server = Arc::new(Server::new(served, token, listener.is_tcp()));
    let (end, ending) = shutdown();
    let serving = tokio::spawn(server.serve(listener, ending));
    let (trigger, asked) = shutdown();
    trigger.advance_on_signals(|| output::complain("stopping; a second signal stops at once"));
    let (stopping, stop) = shutdown();
    let told = asked.clone();
    let following = tokio::spawn(follow(asked, args.grace, deliveries, stopping));
    if let Some(path) = &args.health_file {
        health::begin(path)?;
    }
    let liveness = ready.liveness();
    let keeping = args.health_file.clone().map(|path| health::keep(path, move || health::state(&liveness)));
    let keeping = keeping.map(tokio::spawn);
    let ended = Box::pin(ready.run_on(transport, stop)).await;
    following.abort();
    if let (Some(keeping), Some(path)) = (keeping, &args.health_file) {
        keeping.abort();
        // the abort is the error
        let _ = keeping.await;
        health::end(path);
    }
    // who settled last is answered
    end.advance();
    let _ = serving.await;
    let Report { handled, retried, dead, given_back, unsettled, .. } = ended.map_err(unfit)?;
    output::complain(&format!(
        "ended: {handled} handled, {retried} put off, {dead} to the dead letters, {given_back} given back, \
         {unsettled} to be delivered again (their connection was lost)"
    ));
    Ok(if told.was_interrupted() { Exit::Interrupted } else { Exit::Done })
}

/// The worker that offers what it takes in.
fn worker(config: &Config, deliveries: &Deliveries) -> ponos::worker::Worker {
    let limits = config.limits(Limits::default().grace);
    let consumer_timeout = limits.consumer_timeout;
    // `follow` says when it is over: here it is as long as anything may be held
    let limits = Limits { grace: consumer_timeout, ..limits };
    let terms = |policy: &Policy| terms(policy, deliveries.longest(policy.timeout), consumer_timeout);
    let policy = |policy: &Policy| {
        let timeout = terms(policy).busy + deliveries.longest(policy.timeout) + MARGIN;
        offered(policy, timeout, consumer_timeout)
    };
    let worker = config.described.worker(policy, |queue, policy| {
        let (deliveries, queue, terms) = (deliveries.clone(), Arc::clone(queue), terms(policy));
        move |_, context| {
            let (deliveries, queue) = (deliveries.clone(), Arc::clone(&queue));
            async move { deliveries.offer(queue, context, terms).await }
        }
    });
    let noting = deliveries.clone();
    let worker = worker.limits(limits).observe(move |observed| noting.note(observed));
    let worker = if config.reports { worker.reports() } else { worker };
    if config.passive { worker.passive() } else { worker }
}

/// On which terms the deliveries of a queue are offered. While programs are busy one waits as long as a program may have one, or
/// less where the broker would not wait for all that is held.
fn terms(policy: &Policy, longest: Duration, consumer_timeout: Duration) -> Terms {
    let rounds = match policy.prefetch {
        Prefetch::Auto => 2,
        Prefetch::Fixed(prefetch) => usize::from(prefetch).div_ceil(policy.slots()).max(1),
    };
    let each = consumer_timeout / u32::try_from(rounds).unwrap_or(u32::MAX);
    let busy = match policy.rate {
        None => longest.min(each.saturating_sub(longest + MARGIN * 2)).max(WAITING),
        // what is held waits for the rate, too
        Some(_) => WAITING,
    };
    Terms { timeout: policy.timeout, busy, is_exclusive: policy.exclusive }
}

/// The policy of a handler that waits for a program, which takes so long in all. What is held unsettled becomes less, if else the
/// broker would not wait for it; where a number was asked for, that is a fault.
fn offered(policy: &Policy, timeout: Duration, consumer_timeout: Duration) -> Policy {
    // that nobody asked for so long is no guess, and whoever asks again is not to wait for long
    let breaker = Breaker::default().in_a_row(1).pauses(Duration::from_secs(1), Duration::from_secs(30));
    let mut policy = policy.clone().timeout(timeout).breaker(breaker);
    if policy.prefetch == Prefetch::Auto {
        let rounds =
            (1..4_u16).rev().find(|rounds| timeout * u32::from(*rounds) < consumer_timeout).unwrap_or(1);
        if timeout * 4 >= consumer_timeout {
            let slots = u16::try_from(policy.slots()).unwrap_or(u16::MAX);
            policy.prefetch = Prefetch::Fixed(slots.saturating_mul(rounds));
        }
    }
    policy
}

/// Passes the shutdown on: at the first stage nothing is given out any more; the worker stops once no program has a delivery, or
/// at the end of the grace, or at the second stage.
async fn follow(asked: Shutdown, grace: Duration, deliveries: Deliveries, worker: Trigger) {
    asked.reached(Stage::Draining).await;
    deliveries.drain();
    worker.advance();
    tokio::select! {
        () = asked.reached(Stage::Stopping) => {}
        () = tokio::time::sleep(grace) => {}
        () = deliveries.none_held() => {}
    }
    worker.advance();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_wait_for_busy_programs_as_long_as_the_broker_waits_for_them() {
        const MINUTE: Duration = Duration::from_secs(60);
        let at_ten = Policy::default().concurrency(10);
        for (policy, longest, busy) in [
            (at_ten.clone(), 5, 5 * MINUTE),
            (at_ten.clone(), 1, MINUTE),
            // 15 min for each
            (at_ten.clone(), 12, 3 * MINUTE - MARGIN * 2),
            (at_ten.clone(), 20, MINUTE),
            // 7.5 min for each
            (at_ten.clone().prefetch(40), 5, MINUTE * 5 / 2 - MARGIN * 2),
            (at_ten.rate(10, MINUTE), 5, MINUTE),
        ] {
            let terms = terms(&policy, longest * MINUTE, 30 * MINUTE);
            assert_eq!(terms.busy, busy, "{policy:?}, {longest} min");
        }
    }
}
