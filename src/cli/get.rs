//! `khronos get` and `khronos export`: definitions as a clock has them.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use crate::{
    ops::{ScheduleView, export},
    schedule::Definition,
};
use ponos::terminal::line;
use std::process::ExitCode;

/// Shows one schedule: its definition, and what is known of it.
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Writes all calendars and schedules that were created at run time, to be put again: `khronos put -f`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object, with the lists "calendars" and "schedules"; else TOML, which can't say every payload
    #[arg(long)]
    json: bool,
}

pub(super) fn get(globals: &Globals, args: GetArgs) -> ExitCode {
    finish(show(globals, args))
}

pub(super) fn export(globals: &Globals, args: ExportArgs) -> ExitCode {
    finish(write(globals, args))
}

async fn show(globals: &Globals, args: GetArgs) -> Result<Exit, CliError> {
    let source = args.clock.reach(globals).await?;
    let view = source.schedule(&args.name).await?;
    source.close().await?;
    output::print(|out| match args.json {
        true => output::lines(out, &[&view]),
        false => write!(out, "{}", described(&view)),
    })?;
    Ok(Exit::Done)
}

/// What is known of it as comments, so that the whole is a file of schedules.
fn described(view: &ScheduleView) -> String {
    let instant = |at: Option<ponos::event::Timestamp>| at.map_or("never".to_owned(), |at| at.to_string());
    let from = match (&view.owner, &view.place) {
        (Some(owner), _) => format!("created at run time by {owner}{}", through(view)),
        (None, Some(place)) => format!("of {}", line(place)),
        (None, None) => "of a schedule file".to_owned(),
    };
    let definition = Definition { calendars: None, zones: None, created: None, ..view.definition.clone() };
    format!(
        "# {from}; revision {}, since {}\n# {}, next due: {}, last sent: {}\n{}",
        view.revision,
        view.effective_from,
        view.state,
        instant(view.next_due_at),
        instant(view.last_sent_at),
        export::toml(&definition).trim_end().to_owned() + "\n"
    )
}

/// By which door its creator came.
pub(super) fn through(view: &ScheduleView) -> String {
    view.door.map_or(String::new(), |door| format!(" ({})", door.word()))
}

async fn write(globals: &Globals, args: ExportArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "export").await?;
    let format = if args.json { "json" } else { "toml" };
    let text = client.text(&format!("/v1/export?format={format}")).await?;
    output::print(|out| {
        out.write_all(&text)?;
        if args.json { writeln!(out) } else { Ok(()) }
    })?;
    let text = String::from_utf8_lossy(&text);
    let left_out: Vec<&str> =
        text.lines().filter(|line| !args.json && line.starts_with(export::LEFT_OUT)).collect();
    left_out.iter().for_each(|line| output::complain(&format!("error:{}", line.trim_start_matches('#'))));
    Ok(if left_out.is_empty() { Exit::Done } else { Exit::Findings })
}
