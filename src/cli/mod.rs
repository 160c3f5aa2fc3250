//! The command line: one file per verb, each with its `Args` and its `run`.
//!
//! What the verbs share: `reach.rs` (which clock is asked), `source.rs` (the operations on it: over HTTP, or those of `ops`
//! on the store of a clock that does not run), `error.rs` and `exit.rs` (how a verb ends), `output.rs` (writing),
//! `report.rs` (diagnostics), `Globals`.

mod asyncapi;
mod at;
mod audit;
mod backfill;
mod calendar;
mod changes;
mod check;
mod chosen;
mod clock_side;
mod cluster;
mod completions;
mod coverage;
mod delayed;
mod delete;
mod error;
mod exit;
mod forecast;
mod get;
mod health;
mod history;
mod interrupt;
mod list;
mod next;
mod output;
mod parked;
mod pause;
mod plan;
mod put;
mod reach;
mod report;
mod run;
mod schemas;
mod source;
mod source_now;
mod store;
mod table;
mod tail;
mod terminal;
mod token;
mod trigger;
mod when;
mod why;
mod zone_data;

use crate::{
    config::{Config, Override, Request},
    schedule::ZONE_DATA,
};
use clap::{CommandFactory, FromArgMatches, Parser, parser::ValueSource};
use exit::Exit;
use std::{path::PathBuf, process::ExitCode, sync::LazyLock};

static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}, time zones of IANA tzdb {ZONE_DATA}", env!("CARGO_PKG_VERSION")));

/// The one clock of your services: publishes named time events to RabbitMQ, loses none, and can prove it.
#[derive(Debug, Parser)]
#[command(name = "khronos", version = VERSION.as_str(), arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// The options of all verbs.
#[derive(Debug, clap::Args)]
struct Globals {
    /// The configuration file; ./config.toml if it exists, else the embedded defaults.
    #[arg(long, global = true, value_name = "FILE", env = "KHRONOS_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// Whether the file is named by the flag, and not by the variable.
    #[arg(skip)]
    is_config_typed: bool,
}

impl Globals {
    /// What the configuration is made from, with what a verb's own flags say.
    fn request(&self, flags: Vec<Override>) -> Request {
        Request { file: self.config.clone(), environment: std::env::vars_os().collect(), flags }
    }

    /// The configuration; when it can't be used, everything that is wrong was said on standard error.
    fn load(&self, flags: Vec<Override>) -> Result<Config, Exit> {
        Config::load(&self.request(flags)).map_err(|faults| {
            report::to_stderr(&faults);
            Exit::Configuration
        })
    }
}

/// A flag that overrides a key, if it was given.
fn flag(key: &'static str, flag: &'static str, value: Option<&str>) -> Option<Override> {
    value.map(|value| Override { key, flag, value: value.to_owned() })
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Runs the clock.
    Run(run::Args),
    /// Checks the configuration and all schedules.
    Check(check::Args),
    /// Shows the next occurrences.
    Next(next::Args),
    // Its help is longer, and stands with its arguments.
    Plan(plan::Args),
    /// Shows how many occurrences are coming, and when most of them.
    Forecast(forecast::Args),
    /// Lists the schedules as they run.
    List(list::Args),
    /// Shows one schedule, with its definition.
    Get(get::GetArgs),
    /// Creates or changes schedules of a running clock.
    Put(put::Args),
    /// Deletes schedules that were created at run time.
    Delete(delete::Args),
    // Its help is longer, and stands with its arguments.
    Calendar(calendar::Args),
    /// Writes the definitions of what was created at run time.
    Export(get::ExportArgs),
    /// Lists what was created, changed and deleted at run time.
    Changes(changes::Args),
    /// Shows how occurrences ended.
    History(history::Args),
    // Their help is longer, and stands with their arguments.
    Why(why::Args),
    Coverage(coverage::Args),
    /// Compares the record with the arithmetic.
    Audit(audit::Args),
    /// Lists, releases or drops parked events.
    Parked(parked::Args),
    /// Has the clock, or some schedules, send nothing until it is resumed.
    Pause(pause::PauseArgs),
    /// Has a paused clock, or some schedules, go on.
    Resume(pause::ResumeArgs),
    /// Sends occurrences of the past.
    Backfill(backfill::BackfillArgs),
    /// Lists operations, or cancels one.
    Operations(backfill::OperationArgs),
    /// Sends an event of a schedule now.
    Trigger(trigger::Args),
    // Their help is longer, and stands with their arguments.
    At(at::Args),
    Delayed(delayed::Args),
    /// Prints events as they arrive.
    Tail(tail::Args),
    /// Asks a running clock whether it is well, as a probe.
    Health(health::Args),
    // Its help is longer, and stands with its arguments.
    Cluster(cluster::Args),
    /// Moves a clock's state, copies it while the clock runs, and has such a copy go on.
    Store(store::Args),
    /// Makes tokens, by which callers over HTTP show who they are.
    Token(token::Args),
    // Its help is longer, and stands with its arguments.
    Asyncapi(asyncapi::Args),
    /// Prints the JSON Schema of an event's data, of a command, or of the answers to commands.
    Schemas(schemas::Args),
    /// Prints a shell's completion script.
    Completions(completions::Args),
}

/// Parses the arguments and runs the verb.
pub fn main() -> ExitCode {
    let cli = match parsed() {
        Ok(cli) => cli,
        Err(said) => return output::report_clap_error::<Cli>(&said),
    };
    if !matches!(cli.verb, Verb::Run(_)) {
        ponos::shutdown::exit_on_interrupt(|| {});
    }
    match cli.verb {
        Verb::Run(args) => run::run(&cli.globals, args),
        Verb::Check(args) => check::run(&cli.globals, args),
        Verb::Next(args) => next::run(&cli.globals, args),
        Verb::Plan(args) => plan::run(&cli.globals, args),
        Verb::Forecast(args) => forecast::run(&cli.globals, args),
        Verb::List(args) => list::run(&cli.globals, args),
        Verb::Get(args) => get::get(&cli.globals, args),
        Verb::Put(args) => put::run(&cli.globals, args),
        Verb::Delete(args) => delete::run(&cli.globals, args),
        Verb::Calendar(args) => calendar::run(&cli.globals, args),
        Verb::Export(args) => get::export(&cli.globals, args),
        Verb::Changes(args) => changes::run(&cli.globals, args),
        Verb::History(args) => history::run(&cli.globals, args),
        Verb::Why(args) => why::run(&cli.globals, args),
        Verb::Coverage(args) => coverage::run(&cli.globals, args),
        Verb::Audit(args) => audit::run(&cli.globals, args),
        Verb::Parked(args) => parked::run(&cli.globals, args),
        Verb::Pause(args) => pause::pause(&cli.globals, args),
        Verb::Resume(args) => pause::resume(&cli.globals, args),
        Verb::Backfill(args) => backfill::backfill(&cli.globals, args),
        Verb::Operations(args) => backfill::operations(&cli.globals, args),
        Verb::Trigger(args) => trigger::run(&cli.globals, args),
        Verb::At(args) => at::run(&cli.globals, args),
        Verb::Delayed(args) => delayed::run(&cli.globals, args),
        Verb::Tail(args) => tail::run(&cli.globals, args),
        Verb::Health(args) => health::run(&cli.globals, args),
        Verb::Cluster(args) => cluster::run(&cli.globals, args),
        Verb::Store(args) => store::run(&cli.globals, args),
        Verb::Token(args) => token::run(args),
        Verb::Asyncapi(args) => asyncapi::run(&cli.globals, args),
        Verb::Schemas(args) => schemas::run(&args),
        Verb::Completions(args) => completions::run(&cli.globals, args),
    }
}

fn parsed() -> Result<Cli, clap::Error> {
    let given = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&given)?;
    cli.globals.is_config_typed = given.value_source("config") == Some(ValueSource::CommandLine);
    Ok(cli)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
