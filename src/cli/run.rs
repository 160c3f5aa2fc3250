//! `khronos run`.

use super::{Globals, error::store_exit, exit::Exit, flag, interrupt::Interrupt, output::complain, report};
use crate::{
    RunError, Running,
    clock_loop::{Failure, Report},
    config::{BrokerUrl, Config, Override, StorePath},
    diagnostic::counted,
    telemetry,
};
use ponos::{files, shutdown::on_signals};
use std::process::ExitCode;
use tracing::{info, warn};

/// Runs the clock.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder of schedule files [schedules.folder]
    #[arg(long, value_name = "DIR")]
    pub(super) schedules: Option<String>,
    /// amqp://user:password@host:5672/vhost, or memory: [broker.url]; other users of this machine can see it: mind
    /// broker.url_file
    #[arg(long, value_name = "URL")]
    pub(super) broker: Option<String>,
    /// The folder of the clock's state, or memory: [store.path]
    #[arg(long, value_name = "DIR")]
    pub(super) store: Option<String>,
    /// Where HTTP is served [http.listen]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// The clock's name [clock.name]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Ends when a schedule file is wrong, instead of running with the last accepted schedules; and where a failover of the
    /// Postgres of store.path may lose something
    #[arg(long)]
    pub(super) strict: bool,
    /// error, warn, info, debug, trace [log.level]
    #[arg(long, value_name = "LEVEL")]
    pub(super) log: Option<String>,
    /// pretty or json [log.format]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
}

impl Args {
    /// What the flags override in the configuration.
    pub(super) fn overrides(&self) -> Vec<Override> {
        [
            flag("schedules.folder", "--schedules", self.schedules.as_deref()),
            flag("broker.url", "--broker", self.broker.as_deref()),
            flag("store.path", "--store", self.store.as_deref()),
            flag("http.listen", "--listen", self.listen.as_deref()),
            flag("clock.name", "--name", self.name.as_deref()),
            flag("log.level", "--log", self.log.as_deref()),
            flag("log.format", "--log-format", self.log_format.as_deref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    let config = match globals.load(args.overrides()) {
        Ok(config) => config,
        Err(exit) => return exit.into(),
    };
    if let Err(error) = telemetry::begin(&config.log) {
        complain(&format!("error: logging could not be started: {error}"));
        return Exit::Software.into();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: the runtime could not be started: {error}"));
            return Exit::Software.into();
        }
    };
    let (ended, exit) = runtime.block_on(async {
        let interrupt = Interrupt::begin();
        let running = crate::run(config, args.strict, on_signals(), announce);
        (running.await, interrupt.exit().await)
    });
    // What still runs on threads of its own (a slow folder of schedules) is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(report) => {
            let Report { confirmed, unanswered, outstanding } = report;
            info!(
                confirmed,
                unanswered,
                outstanding,
                "stopped; unconfirmed and outstanding events continue at the next start"
            );
            exit.into()
        }
        Err(error) => {
            if let RunError::Schedules(diagnostics) = &error {
                report::to_stderr(diagnostics);
            }
            complain(&format!("error: {error}"));
            exit_code(&error).into()
        }
    }
}

/// What somebody who starts the clock wants to know.
fn announce(config: &Config, running: &Running) {
    let clock = &config.clock.name;
    let (schedules, source) = (counted(running.schedules, "schedule"), &running.source);
    info!("khronos {}: the clock '{clock}' runs {schedules} ({source})", env!("CARGO_PKG_VERSION"));
    if config.http.enabled {
        let (listen, scheme) = (config.http.listen, if config.http.tls.is_some() { "https" } else { "http" });
        info!(
            "subscribe: curl -N {scheme}://{listen}/v1/feed (or khronos tail); see also /v1/schedules, /v1/history, /readyz"
        );
    }
    if let Some(what) = config.http.tls.as_ref().and_then(|tls| files::open_to_others(&tls.key_file)) {
        warn!("{what}");
    }
    if config.http.refuses_tokens_from_elsewhere() {
        warn!(
            "tokens that come from other machines are refused, for HTTP is not encrypted: set [http.tls], or http.behind_proxy = true if a proxy encrypts"
        );
    }
    if config.http.open_reads && config.http.is_reached_from_elsewhere() {
        warn!(
            "everybody who reaches HTTP may read this clock without a token: http.open_reads is true (in the file, or by KHRONOS_HTTP_OPEN_READS, which wins over it)"
        );
    }
    if config.http.open {
        warn!(
            "every user of this machine may change this clock, and so may whoever comes by a proxy or tunnel that ends here: http.open is true"
        );
    }
    match &config.store.path {
        StorePath::Folder(path) => {
            info!(
                "progress and record survive restarts, in {}; subscribers resume with Last-Event-ID",
                path.display()
            );
        }
        StorePath::Postgres(_) => {
            info!("progress and record survive restarts, in Postgres; operate this clock by HTTP");
        }
        StorePath::Memory => warn!("nothing survives a restart: store.path is \"memory:\""),
    }
    match &config.broker.url {
        BrokerUrl::Memory => {
            info!(
                "the built-in broker is used; for RabbitMQ: khronos run --broker amqp://user:password@host:5672/vhost"
            );
        }
        BrokerUrl::Amqp(url) => info!("publishing to the exchange '{}' of {url}", config.broker.exchange),
    }
}

fn exit_code(error: &RunError) -> Exit {
    match error {
        RunError::Schedules(_)
        | RunError::Http(_)
        | RunError::Traces(_)
        | RunError::Replication(_)
        | RunError::Unproven(_) => Exit::Configuration,
        RunError::Commands(_) => Exit::Software,
        RunError::Loop(Failure::Broker(error)) => error.class.into(),
        RunError::Store(error) | RunError::Loop(Failure::Store(error)) => store_exit(error),
        RunError::Loop(
            Failure::PublisherGone | Failure::Timer(_) | Failure::Start(_) | Failure::Panicked,
        ) => Exit::Software,
    }
}
