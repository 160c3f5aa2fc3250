//! `khronos pause` and `khronos resume`: everything, or some schedules, rest for a while and go on.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use crate::{
    engine::{Notice, OnResume},
    ops::{
        ChosenDecision, ORIGINS, PauseAsked, PauseDecision, PauseSomeAsked, ResumeAsked, ResumeDecision,
        ResumeSomeAsked, STATES, ScheduleFilter,
    },
};
use ponos::event::Timestamp;
use std::process::ExitCode;

/// Who asks, where nobody is named.
const NOBODY: &str = "an operator";

/// Which schedules.
#[derive(Debug, Clone, clap::Args)]
#[command(group = clap::ArgGroup::new("which").args(["names", "all", "domain", "prefix", "owner", "origin", "state", "label"]).required(true).multiple(true))]
struct Which {
    /// These schedules
    #[arg(value_name = "NAME", conflicts_with_all = ["all", "domain", "prefix", "owner", "origin", "state", "label"])]
    names: Vec<String>,
    /// All schedules, also those that are added meanwhile
    #[arg(long, conflicts_with_all = ["domain", "prefix", "owner", "origin", "state", "label", "dry_run", "expect_count"])]
    all: bool,
    /// Those whose events are of this domain: "billing" is that of billing.invoice.due, and so is "billing.invoice"
    #[arg(long, value_name = "WORDS")]
    domain: Option<String>,
    /// Those whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Those that this owner created at run time
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Those from there: file, or client (created at run time)
    #[arg(long, value_name = "WORD", value_parser = ORIGINS)]
    origin: Option<String>,
    /// Those in this state
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    state: Option<String>,
    /// Those with this label: team:billing; with any value of it: team; with several: team:billing,stage
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Say which, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Change nothing unless it is so many
    #[arg(long, value_name = "NUMBER")]
    expect_count: Option<usize>,
}

impl Which {
    /// `None`: all.
    fn filter(&self) -> Option<ScheduleFilter> {
        let Self { names, domain, prefix, owner, origin, state, label, .. } = self.clone();
        (!self.all).then_some(ScheduleFilter { names, prefix, domain, owner, origin, state, label })
    }
}

/// Has the clock, or some of its schedules, send nothing until it is resumed, through restarts and reloads.
#[derive(Debug, clap::Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// Why, for whoever finds it paused
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

/// Has a paused clock, or some of its schedules, go on.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("chosen").args(["catch_up", "skip"]).required(true))]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    which: Which,
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
    let by = args.by.filter(|by| !by.trim().is_empty()).unwrap_or_else(|| NOBODY.to_owned());
    let PauseArgs { which, note, until, length, how, .. } = args;
    let on_resume = how.chosen();
    if let Some(filter) = which.filter() {
        let Which { dry_run, expect_count, .. } = which;
        let by = Some(by);
        let asked = PauseSomeAsked { filter, by, note, until, length, on_resume, dry_run, expect_count };
        let answer: ChosenDecision = client.post("/v1/schedules:pause", &asked).await?;
        return say(&answer, args.json, ("paused", "were paused before; note and end are as given now"));
    }
    let asked = PauseAsked { all: true, by, note, until, length, on_resume };
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
    if let Some(filter) = args.which.filter() {
        let Which { dry_run, expect_count, .. } = args.which;
        let asked = ResumeSomeAsked { filter, on_resume, dry_run, expect_count };
        let answer: ChosenDecision = client.post("/v1/schedules:resume", &asked).await?;
        return say(&answer, args.json, ("resumed", ""));
    }
    let answer: ResumeDecision = client.post("/v1/resume", &ResumeAsked { all: true, on_resume }).await?;
    output::print(|out| match &answer.was_paused {
        _ if args.json => output::lines(out, &[&answer]),
        Some(pause) => writeln!(out, "{}", resumed(pause.since, answer.through, answer.on_resume)),
        None => writeln!(out, "the clock was not paused; nothing changed"),
    })?;
    Ok(Exit::Done)
}

/// What was done to schedules that were chosen; `before`: what is said of those that were paused, where that is something.
fn say(answer: &ChosenDecision, json: bool, (done, before): (&str, &str)) -> Result<Exit, CliError> {
    let ChosenDecision { count, names, were_paused, dry_run } = answer;
    output::print(|out| {
        if json {
            return output::lines(out, &[answer]);
        }
        let (would, schedules) =
            (if *dry_run { "would be " } else { "" }, if *count == 1 { "schedule" } else { "schedules" });
        write!(out, "{would}{done}: {count} {schedules}")?;
        if !names.is_empty() {
            write!(out, " ({}{})", names.join(", "), if names.len() < *count { ", ..." } else { "" })?;
        }
        if *were_paused > 0 && !before.is_empty() {
            write!(out, "; {were_paused} {before}")?;
        }
        writeln!(out)
    })?;
    Ok(Exit::Done)
}

/// The same words as in the log.
fn resumed(since: Timestamp, through: Option<Timestamp>, how: OnResume) -> String {
    Notice::Resumed { since, through: through.unwrap_or(since), how }.to_string()
}
