//! `khronos backfill` and `khronos operations`: occurrences of the past are sent, watched and cancelled.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table,
};
use crate::{
    engine::store::made_up,
    http::client::{Client, encode},
    ops::{BackfillAsked, BackfillDecision, OperationList, OperationView},
};
use ponos::event::Timestamp;
use std::process::ExitCode;

/// Sends what a schedule would have called for in a span of the past, from its present definition, behind all that is due.
#[derive(Debug, clap::Args)]
pub(super) struct BackfillArgs {
    /// The schedule
    #[arg(value_name = "NAME")]
    name: String,
    /// What was due from this instant on (2026-12-01T09:00:00Z)
    #[arg(long, value_name = "INSTANT")]
    from: Timestamp,
    /// Through this instant
    #[arg(long, value_name = "INSTANT")]
    to: Timestamp,
    /// Only what the record does not have as sent, and what is not still to be sent
    #[arg(long)]
    only_missing: bool,
    /// Events a second, 1 to 1000; 10 if left out
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
    /// To this queue alone, instead of to all that are bound
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Say how many, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Begin nothing unless it is so many events, as --dry-run has counted them
    #[arg(long, value_name = "NUMBER")]
    expect_count: Option<u64>,
    /// Names the operation: asked for again with the same key, it is the same one. Made up if left out
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Lists operations: those that run, and those that ended within a day.
#[derive(Debug, clap::Args)]
pub(super) struct OperationArgs {
    /// This one alone
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// Have it send no more than what is on its way
    #[arg(long, requires = "id")]
    cancel: bool,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn backfill(globals: &Globals, args: BackfillArgs) -> ExitCode {
    finish(begin(globals, args))
}

pub(super) fn operations(globals: &Globals, args: OperationArgs) -> ExitCode {
    finish(watch(globals, args))
}

async fn begin(globals: &Globals, args: BackfillArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "backfill").await?;
    let BackfillArgs { name, from, to, only_missing, rate, queue, dry_run, expect_count, key, json, .. } =
        args;
    let key = key.unwrap_or_else(|| format!("{:016x}", made_up()));
    let asked = BackfillAsked { from, to, only_missing, rate, queue, dry_run, expect_count };
    let path = format!("/v1/schedules/{}/backfill", encode(&name));
    let answer = client.post_as(&path, &key, &asked).await;
    let answer: BackfillDecision = answer.inspect_err(|_| {
        if !dry_run {
            output::complain(&format!("asked again with --key {key}, nothing is sent twice"));
        }
    })?;
    output::print(|out| {
        if json {
            return output::lines(out, &[&answer]);
        }
        let BackfillDecision {
            count,
            first_due_at,
            last_due_at,
            there,
            comes_from,
            recorded_since,
            operation,
        } = &answer;
        match (operation, first_due_at.zip(*last_due_at)) {
            (Some(one), _) => {
                writeln!(out, "operation {}: {} events at {} a second", one.id, one.count, one.rate)?;
                writeln!(out, "watch it with khronos operations {0}, end it with --cancel", one.id)
            }
            (None, Some((first, last))) => {
                writeln!(out, "{count} events would be sent, due from {first} to {last}")
            }
            (None, None) => writeln!(out, "nothing would be sent"),
        }?;
        if *there > 0 {
            writeln!(out, "left out: {there} that were sent, or are still to be sent")?;
        }
        if let Some(from) = comes_from {
            writeln!(out, "what is due from {from} on comes by itself")?;
        }
        if let Some(since) = recorded_since {
            writeln!(out, "the record goes back to {since} only: so this would be refused")?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

async fn watch(globals: &Globals, args: OperationArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "operations").await?;
    let operations: Vec<OperationView> = match &args.id {
        Some(id) if args.cancel => vec![client.cancel(&format!("/v1/operations/{}", encode(id))).await?],
        Some(id) => vec![client.get(&format!("/v1/operations/{}", encode(id))).await?],
        None => all(&client).await?,
    };
    output::print(|out| {
        if args.json {
            return output::lines(out, &operations);
        }
        if operations.is_empty() {
            return writeln!(out, "there are no operations");
        }
        let header = ["ID", "KIND", "SCHEDULE", "STATE", "EVENTS", "SENT", "ON THEIR WAY", "LEFT", "BEGUN"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(operations.iter().map(cells));
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

async fn all(client: &Client) -> Result<Vec<OperationView>, CliError> {
    let (mut all, mut page) = (Vec::new(), String::new());
    loop {
        let found: OperationList = client.get(&format!("/v1/operations?limit=1000{page}")).await?;
        all.extend(found.operations);
        match found.next {
            Some(next) => page = format!("&page={}", encode(&next)),
            None => return Ok(all),
        }
    }
}

fn cells(one: &OperationView) -> Vec<String> {
    let number = |number: u64| number.to_string();
    vec![
        one.id.clone(),
        one.kind.clone(),
        one.schedule.clone(),
        one.state.clone(),
        number(one.count),
        number(one.sent),
        number(one.outstanding),
        number(one.left),
        one.begun_at.to_string(),
    ]
}
