//! `khronos run`.

use super::{Globals, exit::Exit, flag};
use crate::config::Override;
use std::process::ExitCode;

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
    /// Ends when a schedule file is wrong, instead of running with the last accepted schedules
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
    match globals.load(args.overrides()) {
        Ok(_config) => Exit::Software.into(),
        Err(exit) => exit.into(),
    }
}
