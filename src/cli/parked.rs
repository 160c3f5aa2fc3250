//! `khronos parked`: what was given up on, to be seen, sent again or dropped.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table,
};
use crate::{
    http::client::Client,
    ops::{ParkedDecision, ParkedIds, ParkedList, ParkedView},
};
use std::{collections::HashMap, process::ExitCode};

/// Lists, releases or drops parked events.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lists them, with the numbers by which they are released or dropped
    List {
        #[command(flatten)]
        clock: ClockArgs,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Sends them again, under the ids that they had
    Release(Chosen),
    /// Drops them for good; the record says so
    Drop(Chosen),
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// Their numbers
    #[arg(value_name = "NUMBER", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<u64>,
    /// All that are parked now, except those being sent. With a token that is limited to some domains this is refused where
    /// others' are parked too: name the numbers then
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Numbers in one request: a clock takes 64 KiB.
const AT_ONCE: usize = 2_000;

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match args.verb {
        Verb::List { clock, json } => finish(list(globals, clock, json)),
        Verb::Release(chosen) => {
            finish(change(globals, chosen, "parked release", "/v1/parked/release", "released"))
        }
        Verb::Drop(chosen) => finish(change(globals, chosen, "parked drop", "/v1/parked/drop", "dropped")),
    }
}

async fn list(globals: &Globals, clock: ClockArgs, json: bool) -> Result<Exit, CliError> {
    let source = clock.reach(globals).await?;
    let parked = source.parked().await?.parked;
    source.close().await?;
    output::print(|out| {
        if json {
            return output::lines(out, &parked);
        }
        if parked.is_empty() {
            return writeln!(out, "nothing is parked");
        }
        let header = [
            "NUMBER",
            "SCHEDULE",
            "FIRST DUE",
            "LAST DUE",
            "COUNT",
            "EVENTS",
            "PARKED",
            "REFUSED",
            "STATE",
            "NEXT TRY",
            "REASON",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        // Of each schedule only the oldest is tried: the others come after it.
        let mut oldest = HashMap::new();
        for parked in &parked {
            let first = parked.next_try_at.map(|_| *oldest.entry(&parked.schedule).or_insert(parked.id));
            rows.push(cells(parked, first));
        }
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

async fn change(
    globals: &Globals,
    chosen: Chosen,
    verb: &'static str,
    path: &str,
    done_to_it: &str,
) -> Result<Exit, CliError> {
    let client = chosen.clock.operate(globals, verb).await?;
    let all = chosen.all;
    let ids = if all { releasable(&client).await? } else { chosen.ids };
    if !chosen.json && ids.is_empty() {
        output::print(|out| writeln!(out, "nothing is parked"))?;
    }
    let mut exit = Exit::Done;
    for ids in ids.chunks(AT_ONCE) {
        let mut answer: ParkedDecision = client.post(path, &ParkedIds { ids: ids.to_vec() }).await?;
        if all {
            // They went, or are tried, since they were listed: that is no fault of whoever said "all".
            (answer.unknown, answer.being_sent) = (Vec::new(), Vec::new());
        }
        print_decision(&answer, done_to_it, chosen.json)?;
        if !answer.unknown.is_empty() || !answer.being_sent.is_empty() {
            exit = Exit::Usage;
        }
    }
    Ok(exit)
}

fn print_decision(answer: &ParkedDecision, done_to_it: &str, json: bool) -> Result<(), Exit> {
    output::print(|out| {
        for id in &answer.done {
            if json {
                output::lines(out, &[serde_json::json!({ "id": id, "outcome": done_to_it })])?;
            } else {
                writeln!(out, "{id} {done_to_it}")?;
            }
        }
        Ok(())
    })?;
    for id in &answer.unknown {
        output::complain(&format!(
            "error: nothing is parked under {id}; `khronos parked list` shows what is"
        ));
    }
    for id in &answer.being_sent {
        output::complain(&format!(
            "error: {id} is being sent, so it is not {done_to_it}; `khronos parked list` shows what becomes of it"
        ));
    }
    Ok(())
}

async fn releasable(client: &Client) -> Result<Vec<u64>, CliError> {
    let parked = client.get::<ParkedList>("/v1/parked").await?.parked;
    Ok(parked.iter().filter(|parked| !is_being_sent(parked)).map(|parked| parked.id).collect())
}

fn is_being_sent(parked: &ParkedView) -> bool {
    parked.released || parked.being_sent
}

/// `oldest`: the entry of its schedule that is tried first, if it is tried by itself.
fn cells(parked: &ParkedView, oldest: Option<u64>) -> Vec<String> {
    let next_try = match (parked.next_try_at, oldest) {
        (Some(_), Some(oldest)) if oldest != parked.id => format!("after {oldest}"),
        (Some(at), _) => at.to_string(),
        (None, _) => "-".to_owned(),
    };
    let state = match (is_being_sent(parked), parked.next_try_at) {
        (true, _) => "being sent",
        (false, Some(_)) => "tried again",
        (false, None) => "parked",
    };
    vec![
        parked.id.to_string(),
        parked.schedule.clone(),
        parked.first_due_at.to_string(),
        parked.due_at.to_string(),
        parked.count.to_string(),
        parked.events.to_string(),
        parked.parked_at.to_string(),
        parked.refused.to_string(),
        state.to_owned(),
        next_try,
        parked.reason.clone(),
    ]
}
