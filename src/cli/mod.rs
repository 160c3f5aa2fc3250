//! The command line: one file per verb, each with its `Args` and its `run`.

mod audit;
mod check;
mod completions;
mod history;
mod list;
mod next;
mod parked;
mod run;
mod tail;

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

/// The one clock of your services: publishes named time events to RabbitMQ, loses none, and can prove it.
#[derive(Debug, Parser)]
#[command(name = "khronos", version)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// What all verbs understand.
#[derive(Debug, clap::Args)]
struct Globals {
    /// The configuration file; ./config.toml if it exists, else the embedded defaults.
    #[arg(long, global = true, value_name = "FILE", env = "KHRONOS_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Runs the clock.
    Run(run::Args),
    /// Checks the configuration and all schedules.
    Check(check::Args),
    /// Shows the next occurrences.
    Next(next::Args),
    /// Lists the schedules as they run.
    List(list::Args),
    /// Shows how occurrences ended.
    History(history::Args),
    /// Compares the record with the arithmetic.
    Audit(audit::Args),
    /// Lists, releases or drops parked events.
    Parked(parked::Args),
    /// Prints events as they arrive.
    Tail(tail::Args),
    /// Prints a shell's completion script.
    Completions(completions::Args),
}

/// Parses the arguments and runs the verb.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.verb {
        Verb::Run(args) => run::run(&cli.globals, args),
        Verb::Check(args) => check::run(&cli.globals, args),
        Verb::Next(args) => next::run(&cli.globals, args),
        Verb::List(args) => list::run(&cli.globals, args),
        Verb::History(args) => history::run(&cli.globals, args),
        Verb::Audit(args) => audit::run(&cli.globals, args),
        Verb::Parked(args) => parked::run(&cli.globals, args),
        Verb::Tail(args) => tail::run(&cli.globals, args),
        Verb::Completions(args) => completions::run(&cli.globals, args),
    }
}
