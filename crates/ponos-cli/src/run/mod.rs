//! `ponos run`: any program, or any HTTP service, as a worker of a service.

mod activity;
mod drain;
mod ending;
mod group;
pub(crate) mod health;
mod http;
pub(crate) mod log;
mod policy;
mod program;
mod retry_after;

use crate::{
    config::Config,
    connection::Options,
    contracts::Contracts,
    described::{Described, unfit},
    exit::Exit,
    inbox, output,
    streams::Streams,
    traces,
    trouble::Trouble,
};
use activity::Activity;
use drain::Drained;
use ending::{Ending, LEAVING};
use ponos::{
    broker::Transport,
    shutdown::shutdown,
    worker::{Policy, Report, Worker},
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Runs any program, or any HTTP service, as a worker.
///
/// Each event or task becomes one run of the program, or one request; the exit code, or the status, says what becomes
/// of the event. Retries, dead letters and the rest are those of every worker.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "ponos run [OPTIONS] --service <SERVICE> --on <PATTERN>... -- <PROGRAM> [ARG]...\n       ponos run [OPTIONS] --service <SERVICE> --on <PATTERN>... --to <URL>\n       ponos run [OPTIONS] --config <FILE> -- <PROGRAM> [ARG]...",
    after_long_help = ENDS,
    group = clap::ArgGroup::new("work").required(true).args(["program", "to"])
)]
pub(crate) struct Args {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    policy: policy::Args,
    /// Posts each event to this http:// or https:// address instead of running a program
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Validates payloads: a file with a JSON Schema for all events, or a folder of files NAME.json; invalid ones go to the
    /// dead letters with the reason
    #[arg(long, value_name = "FILE", requires = "service", conflicts_with = "config")]
    schema: Option<PathBuf>,
    /// Remembers what was handled, so that a repeated delivery is handled once: memory or sled:PATH for one
    /// replica, postgres://user:password@host/database for any number
    #[arg(long, value_name = "INBOX", env = inbox::VARIABLE, hide_env_values = true)]
    inbox: Option<String>,
    #[command(flatten)]
    retries: inbox::RetriesArgs,
    /// Ends when the queues are empty and every delivery taken in is settled. Does not wait for later attempts, for queues
    /// paused for 30 seconds, for deliveries that can't be settled for as long, or where nothing comes for three heartbeats
    /// (no broker, or another consumer has the turn). Exit code 1 if anything was left, went to the dead letters, was put off
    /// and has not come back, or was given back
    #[arg(long)]
    drain: bool,
    /// Writes the time into this file every 5 seconds while the worker is alive, with a line for each paused queue and for
    /// what was missing on the broker; removes it when the worker is not alive, and at the end. Restart the worker when the
    /// file is gone or older than a minute
    #[arg(long, value_name = "FILE")]
    health_file: Option<PathBuf>,
    /// Serves metrics for Prometheus at http://ADDRESS/metrics: 127.0.0.1:9464 for this machine alone, 0.0.0.0:9464 for whoever
    /// can reach it (there is no password)
    #[arg(long, value_name = "ADDRESS", env = "PONOS_METRICS", hide_env_values = true)]
    metrics: Option<String>,
    /// The format of log lines on standard error; PONOS_LOG sets their level
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PONOS_LOG_FORMAT",
        hide_env_values = true,
        default_value = "text",
        help_heading = "Log"
    )]
    log_format: log::Format,
    #[command(flatten)]
    traces: traces::TracesArgs,
    /// Declares nothing on the broker; exchanges and queues must exist already (see ponos topology)
    #[arg(long)]
    passive: bool,
    /// The program and its arguments, run once for each event
    #[arg(value_name = "PROGRAM", last = true)]
    program: Vec<String>,
}

const ENDS: &str = "\
A program gets the payload on standard input, and in its environment PONOS_ID, PONOS_NAME, PONOS_SOURCE,
PONOS_SUBJECT, PONOS_TIME, PONOS_QUEUE, PONOS_ATTEMPT, PONOS_ATTEMPTS, PONOS_CORRELATION_ID, PONOS_CAUSATION_ID,
TRACEPARENT and BAGGAGE. Its exit code says what becomes of the event:
  0         done
  99        nothing to do: done, too
  65, 100   can never work: to the dead letters at once
  75        not now: again later
  others    failed: again later, and to the dead letters after the last attempt
The last lines of its standard error become the reason. After --timeout, and when ponos stops, its whole process
group gets SIGTERM, and SIGKILL 5 seconds later. So do processes that it started and left behind when it ended; one
that is to stay must leave the group (setsid).

An HTTP service gets a CloudEvents request in binary mode: POST, the payload as body, ce-id, ce-type, ce-source,
ce-subject, ce-time and so on as headers, ponos-attempt, traceparent, baggage. Its status says what becomes of the event:
  2xx             done
  429, 503        with Retry-After: again then, or up to 1 s before, and no attempt is spent (for --max-wait at most,
                  then to the dead letters); else again later
  408, 425, 5xx   again later; so with 3xx, for redirects are not followed
  other 4xx       can never work: to the dead letters at once
The status and the start of the body become the reason.

A service that refuses connections, or a program that can't be started, is not the event's fault: no attempt is
spent, and the event comes again after 1 s, 5 s, then every 30 s (for --max-wait at most, then to the dead letters).
Several of these in a row pause the queue: one event is tried after 5 s, 10 s … 2 min until it is available again.

The first Ctrl-C or SIGTERM takes in no more and lets the work in progress end (--grace); the second ends it at once:
what was in progress goes back to its queue. After Ctrl-C the exit code is 130, after SIGTERM 0.

Log lines are short by default; with --log-format json, they and everything else that ponos writes to standard error are one
JSON object per line. What a program writes there is passed on as it is.";

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    log::begin(args.log_format)?;
    let place =
        args.inbox.as_deref().filter(|told| !told.is_empty()).map(inbox::InboxLocation::read).transpose()?;
    let (activity, ending) = (Activity::default(), Ending::default());
    let contracts = args.schema.as_deref().map(Contracts::read).transpose()?;
    let mut config = args.streams.read(&args.policy.policy(), contracts.as_ref())?;
    if !args.streams.are_of_a_file() {
        config.consumer_timeout = Some(args.policy.consumer_timeout);
    }
    // the grace is kept by us; the worker's own is for programs that are told to end by then
    let limits = config.limits(args.policy.grace + LEAVING);
    let mut worker = worker(&args, &config, &activity, &ending)?.limits(limits);
    let described = &config.described;
    let put_off = drain::PutOffDeliveries::default();
    if args.drain {
        let noting = put_off.clone();
        worker = worker.observe(move |observed| noting.note(observed));
    }
    if let Some(place) = place.or_else(|| config.inbox.clone()) {
        // nobody is there when a retry of a drained worker is due
        let keeps_retries = !args.drain && !args.retries.retries_on_broker;
        worker = worker.inbox(place.open(&described.service, described.slots(), keeps_retries).await?);
    }
    if let Some(address) = args.metrics.as_deref().filter(|address| !address.is_empty()) {
        worker = worker.metrics(address);
    }
    if let Some(collector) = args.traces.collector()? {
        worker = worker.traces(collector);
    }
    if args.passive || config.passive {
        worker = worker.passive();
    }
    if config.reports {
        worker = worker.reports();
    }
    let ready = worker.ready().map_err(unfit)?;
    let broker = options.or(&config).config(&format!("ponos run {}", described.service))?;
    let waits = drain::DrainWaits::new(quiet(described), broker.heartbeat);
    let transport = Transport::amqp(broker);
    let (trigger, asked) = shutdown();
    trigger.advance_on_signals(|| output::complain("stopping; a second signal stops at once"));
    let (stopping, shutdown) = shutdown();
    let told = asked.clone();
    let following = tokio::spawn(ending.follow(asked, args.policy.grace, activity.clone(), stopping));
    let liveness = ready.liveness();
    let draining = args.drain.then(|| {
        let (queues, alive) = (described.queue_names().collect(), liveness.clone());
        let (trigger, asked) = (trigger.clone(), told.clone());
        tokio::spawn(drain::watch(transport.clone(), queues, activity.clone(), waits, alive, trigger, asked))
    });
    if let Some(path) = &args.health_file {
        health::begin(path)?;
    }
    let keeping = args.health_file.clone().map(|path| health::keep(path, move || health::state(&liveness)));
    let keeping = keeping.map(tokio::spawn);
    let ended = Box::pin(ready.run_on(transport, shutdown)).await;
    following.abort();
    if let (Some(keeping), Some(path)) = (keeping, &args.health_file) {
        keeping.abort();
        // the abort is the error
        let _ = keeping.await;
        health::end(path);
    }
    let mut drained = Drained::Stopped;
    if let Some(draining) = draining {
        draining.abort();
        // an error: it was asked to stop before they were empty
        drained = draining.await.unwrap_or(Drained::Stopped);
    }
    // programs that were told to end are gone before we are
    let _ = tokio::time::timeout(LEAVING, activity.none_left()).await;
    let Report { handled, retried, dead, given_back, unsettled, left, .. } = ended.map_err(unfit)?;
    output::complain(&format!(
        "ended: {handled} handled, {retried} put off, {dead} to the dead letters, {given_back} given back, \
         {unsettled} to be delivered again (their connection was lost)"
    ));
    let (emptied, not_had) = match drained {
        Drained::Left(not_had) => (false, Some(not_had)),
        other => (other == Drained::Emptied, None),
    };
    for one in left.iter().chain(not_had.iter().flatten()) {
        output::complain(&format!("left: {one}"));
    }
    let waiting = put_off.count();
    if waiting > 0 {
        output::complain(&format!("{waiting} that were put off or given back have not come back"));
    }
    if told.was_interrupted() {
        return Ok(Exit::Interrupted);
    }
    // not all done, as --drain was to have it: what failed, or an inbox that did not answer; what was given back while its
    // queue was paused, and done later, is done
    let given_back = given_back > 0 && !emptied;
    let is_left =
        args.drain && (dead > 0 || waiting > 0 || given_back || !left.is_empty() || not_had.is_some());
    Ok(if is_left { Exit::Findings } else { Exit::Done })
}

/// How long what was taken in may stand still before it is stuck: it may wait for the rate.
fn quiet(described: &Described) -> Duration {
    let rates = described.queues.iter().filter_map(|queue| queue.policy.rate);
    Duration::from_secs(1) + rates.map(|rate| rate.per).max().unwrap_or_default()
}

fn worker(args: &Args, config: &Config, activity: &Activity, ending: &Ending) -> Result<Worker, Trouble> {
    if let Some(url) = &args.to {
        let service = Arc::new(http::Endpoint::new(url)?);
        return Ok(config.described.worker(Clone::clone, |_, _| {
            let (service, activity, ending) = (Arc::clone(&service), activity.clone(), ending.clone());
            move |_, context| {
                let (service, at_work, ending) = (Arc::clone(&service), activity.begin(), ending.clone());
                async move {
                    let outcome = tokio::select! {
                        outcome = service.post(&context) => Some(outcome),
                        () = ending.asked() => None,
                    };
                    drop(at_work);
                    match outcome {
                        Some(outcome) => outcome,
                        // the worker is about to give it back
                        None => std::future::pending().await,
                    }
                }
            }
        }));
    }
    let program = Arc::new(program::Program::new(&args.program)?);
    // ours ends first, so that a program is gone before its slot is free
    let longer = |policy: &Policy| {
        let timeout = policy.timeout + group::GRACE + Duration::from_secs(5);
        policy.clone().timeout(timeout)
    };
    Ok(config.described.worker(longer, |queue, policy| {
        let (queue, timeout) = (Arc::clone(queue), policy.timeout);
        let (program, activity, ending) = (Arc::clone(&program), activity.clone(), ending.clone());
        move |_, context| {
            let (program, queue) = (Arc::clone(&program), Arc::clone(&queue));
            let (at_work, ending) = (activity.begin(), ending.clone());
            async move { program.run((&queue, timeout), &context, at_work, ending).await }
        }
    }))
}
