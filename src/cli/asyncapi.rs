//! `khronos asyncapi`: what the schedules publish, as an AsyncAPI document.

use super::{
    Globals,
    chosen::all,
    clock_side::{ClockSide, clock_side},
    error::{CliError, end, wait},
    exit::Exit,
    output,
    reach::ClockArgs,
    when,
};
use crate::{
    config::{BrokerUrl, Config},
    engine::Era,
    ops::{
        ScheduleView,
        asyncapi::{PublishedSchedule, document},
    },
    schedule::{CalendarStore, Definition, Schedule},
};
use ponos::{asyncapi::servers, event::Timestamp};
use std::process::ExitCode;

/// Prints what the schedules publish as an AsyncAPI 3.0 document
///
/// One channel for each event, with the schema of its data, the next occurrence of each schedule as an example, owners and labels.
/// The schedules are those of the files, or with --running those that the clock has, which others created at run time too. Exchange
/// and hosts of the broker are the configuration's, without user and password; --url names another clock, whose broker is not known.
/// `ponos schema check` compares two such documents.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The schedules as the clock has them, instead of those of the files; --url and --store say the same
    #[arg(long)]
    running: bool,
    #[command(flatten)]
    clock: ClockArgs,
    /// The folder of schedule files, instead of the configured one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["running", "url", "store"])]
    schedules: Option<String>,
    /// The examples are what is due after this instant (exclusive), with an offset: 2026-12-01T09:00:00Z; now if left out. With it
    /// the same schedules make the same document
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
}

/// Whose schedules they are, and on which exchange and broker.
struct Published {
    clock: String,
    config: Config,
    schedules: Vec<PublishedSchedule>,
    /// The broker is the configured one.
    is_configured: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    end(show(globals, &args))
}

fn show(globals: &Globals, args: &Args) -> Result<Exit, CliError> {
    let from = when::start(args.from.as_deref(), None, None, &CalendarStore::default())?;
    let published = match args.running || args.clock.name_one() {
        true => wait(of_clock(globals, &args.clock))?,
        false => of_files(globals, args)?,
    };
    let Published { clock, config, schedules, is_configured } = published;
    let mut written = document(&clock, &config.broker.exchange, &schedules, from).map_err(|unwritable| {
        output::complain(&format!("error: {unwritable}"));
        Exit::Software
    })?;
    if let (true, BrokerUrl::Amqp(url)) = (is_configured, &config.broker.url) {
        written.servers = servers(url);
    }
    let written = written.to_json();
    output::print(|out| writeln!(out, "{written:#}"))?;
    Ok(Exit::Done)
}

fn of_files(globals: &Globals, args: &Args) -> Result<Published, Exit> {
    let (config, sources) = all(globals, args.schedules.as_deref())?;
    // as if the clock had had them always: of when it will take them nothing is known
    let era = Era::first(1, Timestamp::EPOCH);
    let sources = sources.into_iter();
    let schedules = sources.map(|source| published(source.schedule, era, source.definition)).collect();
    Ok(Published { clock: config.clock.name.clone(), config, schedules, is_configured: true })
}

async fn of_clock(globals: &Globals, args: &ClockArgs) -> Result<Published, CliError> {
    let config = args.config(globals)?;
    let is_configured = !args.is_elsewhere(globals)?;
    let ClockSide { clock, schedules, calendars, .. } = clock_side(globals, args).await?;
    let view = |view: ScheduleView| {
        let ScheduleView { name, definition, revision, effective_from, counts_from, .. } = view;
        match Schedule::build_with(&definition, &calendars) {
            Ok(schedule) => {
                let era = Era { counts_from, ..Era::first(revision, effective_from) };
                Some(published(schedule.counting_since(counts_from), era, definition))
            }
            Err(_) => {
                output::complain(&format!(
                    "note: the clock's schedule '{name}' is not understood by this version, and is left out"
                ));
                None
            }
        }
    };
    let schedules = schedules.into_iter().filter_map(view).collect();
    Ok(Published { clock, config, schedules, is_configured })
}

fn published(schedule: Schedule, era: Era, definition: Definition) -> PublishedSchedule {
    let Definition { created, description, labels, .. } = definition;
    let owner = created.map(|created| created.owner);
    PublishedSchedule { schedule, era, owner, description, labels: labels.unwrap_or_default() }
}
