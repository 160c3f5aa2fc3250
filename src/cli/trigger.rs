//! `khronos trigger`: an event of a schedule goes out now.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use crate::{engine::store::made_up, http::client::encode, ops::TriggerDecision};
use std::process::ExitCode;

/// Sends an event of a schedule now, beside its occurrences, also while it is paused.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The schedule
    #[arg(value_name = "NAME")]
    name: String,
    /// Names the command, as part of the event's id: asked for again with the same key, nothing more is sent. Made up if left out
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(trigger(globals, args))
}

async fn trigger(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "trigger").await?;
    let key = args.key.unwrap_or_else(|| format!("{:016x}", made_up()));
    if key.is_empty() || key.chars().any(|char| !char.is_ascii_graphic()) {
        return Err(CliError::Usage("--key: 1 to 255 visible ASCII characters".into()));
    }
    let asked = client.post_once(&format!("/v1/schedules/{}/trigger", encode(&args.name)), &key).await;
    let answer: TriggerDecision = asked.inspect_err(|_| {
        output::complain(&format!("asked again with --key {key}, one event is sent at most"));
    })?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&answer]);
        }
        let TriggerDecision { schedule, event_id, due_at, command } = &answer;
        writeln!(out, "triggered {schedule}: event {event_id}, due at {due_at}, key {command}")
    })?;
    Ok(Exit::Done)
}
