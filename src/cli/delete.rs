//! `khronos delete`: deletes schedules that were created at run time.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use crate::{
    http::client::{Client, ClientError, Condition, encode},
    ops::{FilterDecision, STATES, ScheduleFilter, Tag},
};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Deletes schedules that were created at run time: by their names, or those that pass a filter.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").args(["names", "prefix", "domain", "owner", "state", "label"]).required(true).multiple(true))]
pub(super) struct Args {
    /// Their names
    #[arg(value_name = "NAME", conflicts_with_all = ["prefix", "domain", "owner", "state", "label", "dry_run", "expect_count"])]
    names: Vec<String>,
    /// Only if the clock has this revision of it (one schedule): as `get --json` says, or its ETag
    #[arg(long, value_name = "CREATION.REVISION", requires = "names")]
    if_revision: Option<Tag>,
    /// Those whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Those whose events are of this domain
    #[arg(long, value_name = "WORDS")]
    domain: Option<String>,
    /// Those that this owner created; a token that is no admin deletes its owner's alone
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Those in this state
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    state: Option<String>,
    /// Those with this label: team:billing; with any value of it: team; with several: team:billing,stage
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Counts those that pass the filter, and deletes none
    #[arg(long)]
    dry_run: bool,
    /// Deletes none unless so many pass the filter
    #[arg(long, value_name = "NUMBER")]
    expect_count: Option<usize>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(delete(globals, args))
}

async fn delete(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    if args.if_revision.is_some() && args.names.len() > 1 {
        return Err(CliError::Usage("--if-revision is of one schedule; name one".into()));
    }
    let client = args.clock.operate(globals, "delete").await?;
    if args.names.is_empty() {
        return by_filter(&client, args).await;
    }
    let condition = args.if_revision.map(Condition::Revision);
    for name in &args.names {
        let path = format!("/v1/schedules/{}", encode(name));
        // To delete what is not there is no fault, but it may be misspelt.
        let missing = match client.get::<Value>(&path).await {
            Err(ClientError::Refused { status: 404, detail, .. }) => Some(detail),
            _ => None,
        };
        client.delete(&path, condition).await?;
        let outcome = if missing.is_some() { "gone-already" } else { "deleted" };
        output::print(|out| match (args.json, &missing) {
            (true, _) => output::lines(out, &[json!({ "name": name, "outcome": outcome })]),
            (false, None) => writeln!(out, "{name} is deleted"),
            (false, Some(what)) => writeln!(out, "{what}; nothing is deleted"),
        })?;
    }
    Ok(Exit::Done)
}

async fn by_filter(client: &Client, args: Args) -> Result<Exit, CliError> {
    let Args { prefix, domain, owner, state, label, dry_run, expect_count, .. } = args;
    let filter = ScheduleFilter { prefix, domain, owner, state, label, ..ScheduleFilter::default() };
    let asked = json!({ "filter": filter, "dry_run": dry_run, "expect_count": expect_count });
    let answer: FilterDecision = client.post("/v1/schedules:delete", &asked).await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&answer]);
        }
        match dry_run {
            false => writeln!(out, "{} of {} schedules deleted", answer.done, answer.matched),
            true => {
                answer.names.iter().try_for_each(|name| writeln!(out, "{name}"))?;
                writeln!(out, "{} schedules would be deleted", answer.matched)
            }
        }
    })?;
    for refusal in &answer.refusals {
        output::complain(&format!("error: '{}' is not deleted: {}", refusal.name, refusal.detail));
    }
    Ok(if answer.refused > 0 { Exit::Usage } else { Exit::Done })
}
