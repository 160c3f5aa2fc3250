//! `khronos pause` and `khronos resume`: everything rests for a while, and goes on.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use crate::{
    engine::{Notice, OnResume},
    ops::{PauseAsked, PauseDecision, ResumeAsked, ResumeDecision},
};
use ponos::event::Timestamp;
use std::process::ExitCode;

/// Who asks, where nobody is named.
const NOBODY: &str = "an operator";

/// Has the clock send nothing until it is resumed, through restarts and reloads.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    /// All schedules, also those that are added meanwhile
    #[arg(long, required = true)]
    all: bool,
    /// Why, for whoever finds the clock paused
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Resume by itself at this instant (2026-12-01T09:00:00Z); with --catch-up or --skip
    #[arg(long, value_name = "INSTANT", conflicts_with = "length", requires = "how")]
    until: Option<Timestamp>,
    /// Resume by itself after this long (2h); with --catch-up or --skip
    #[arg(long = "for", value_name = "DURATION", requires = "how")]
    length: Option<String>,
    /// Who asks
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: Option<String>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Has a paused clock go on.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("chosen").args(["catch_up", "skip"]).required(true))]
pub(super) struct ResumeArgs {
    /// All schedules
    #[arg(long, required = true)]
    all: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What becomes of what fell due meanwhile.
#[derive(Debug, clap::Args)]
#[group(id = "how", multiple = false)]
struct How {
    /// What fell due meanwhile is sent as after an outage: as each schedule's catch_up says
    #[arg(long)]
    catch_up: bool,
    /// What fell due meanwhile is skipped; the record says so
    #[arg(long)]
    skip: bool,
}

impl How {
    fn chosen(&self) -> Option<OnResume> {
        let catch_up = self.catch_up.then_some(OnResume::CatchUp);
        catch_up.or(self.skip.then_some(OnResume::Skip))
    }
}

pub(super) fn pause(globals: &Globals, args: PauseArgs) -> ExitCode {
    finish(ask_to_pause(globals, args))
}

pub(super) fn resume(globals: &Globals, args: ResumeArgs) -> ExitCode {
    finish(ask_to_resume(globals, args))
}

async fn ask_to_pause(globals: &Globals, args: PauseArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "pause").await?;
    let asked = PauseAsked {
        all: args.all,
        by: args.by.filter(|by| !by.trim().is_empty()).unwrap_or_else(|| NOBODY.to_owned()),
        note: args.note,
        until: args.until,
        length: args.length,
        on_resume: args.how.chosen(),
    };
    let answer: PauseDecision = client.post("/v1/pause", &asked).await?;
    output::print(|out| match (args.json, answer.was_paused) {
        (true, _) => output::lines(out, &[&answer]),
        (false, false) => writeln!(out, "{}", answer.paused),
        (false, true) => {
            writeln!(out, "{}; it was paused before, note and end are as given now", answer.paused)
        }
    })?;
    Ok(Exit::Done)
}

async fn ask_to_resume(globals: &Globals, args: ResumeArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "resume").await?;
    // One of both is required.
    let on_resume = args.how.chosen().unwrap_or(OnResume::CatchUp);
    let answer: ResumeDecision = client.post("/v1/resume", &ResumeAsked { all: args.all, on_resume }).await?;
    output::print(|out| match &answer.was_paused {
        _ if args.json => output::lines(out, &[&answer]),
        Some(pause) => writeln!(out, "{}", resumed(pause.since, answer.through, answer.on_resume)),
        None => writeln!(out, "the clock was not paused; nothing changed"),
    })?;
    Ok(Exit::Done)
}

/// The same words as in the log.
fn resumed(since: Timestamp, through: Option<Timestamp>, how: OnResume) -> String {
    Notice::Resumed { since, through: through.unwrap_or(since), how }.to_string()
}
