//! Parked delayed events: what was given up on, listed, sent again or dropped.

use super::{
    super::{
        Globals, at::due, error::CliError, exit::Exit, output, reach::ClockArgs, table, when, zone_data,
    },
    listed, say_where_it_goes_on,
};
use crate::{
    ops::{ParkedCreations, ParkedDecision, ParkedEventList, ParkedEventView, delayed::UNPARKED_AT_ONCE},
    schedule::CalendarStore,
};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Where to go on: what the list before said at its end
    #[arg(long, value_name = "PAGE")]
    page: Option<String>,
    /// The zone in which times are shown: an IANA name
    #[arg(long, visible_alias = "time-zone", value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// The numbers of their creations: `khronos delayed parked` shows them
    #[arg(value_name = "CREATION", required = true)]
    creations: Vec<u64>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is done to them: the verb, the last part of its path, and what becomes of each.
#[derive(Clone, Copy)]
pub(super) struct Done(&'static str, &'static str, &'static str);

pub(super) const RELEASE: Done = Done("delayed release", "release", "released");
pub(super) const DROP: Done = Done("delayed drop", "drop", "dropped");

pub(super) async fn list(globals: &Globals, args: ListArgs) -> Result<Exit, CliError> {
    let store = zone_data::configured(globals)?;
    let zone = args.zone.as_deref();
    when::check_zone(zone, "--zone", &store)?;
    let client = args.clock.operate(globals, "delayed parked").await?;
    let path = |limit| format!("/v1/parked-events?limit={limit}");
    let split = |found: ParkedEventList| (found.parked, found.next);
    let (parked, next) = listed(&client, path, args.limit, args.page, split).await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &parked);
        }
        if parked.is_empty() {
            return writeln!(out, "no delayed events are parked");
        }
        let header = ["CREATION", "NAME", "EVENT", "DUE AT", "OWNER", "PARKED", "STATE", "REASON"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(parked.iter().map(|one| cells(one, zone, &store)));
        table::table(out, &rows)
    })?;
    say_where_it_goes_on(next);
    Ok(Exit::Done)
}

fn cells(parked: &ParkedEventView, zone: Option<&str>, store: &CalendarStore) -> Vec<String> {
    let to = parked.to.as_ref().map_or(String::new(), |to| format!(" (to {})", to.task));
    vec![
        parked.creation.to_string(),
        parked.name.clone(),
        format!("{}{to}", parked.event),
        due(parked.due_at, zone, store),
        parked.owner.clone(),
        due(parked.parked_at, zone, store),
        if parked.released { "being sent" } else { "parked" }.to_owned(),
        parked.reason.clone(),
    ]
}

pub(super) async fn change(
    globals: &Globals,
    chosen: Chosen,
    Done(verb, path, done_to_it): Done,
) -> Result<Exit, CliError> {
    let client = chosen.clock.operate(globals, verb).await?;
    let mut exit = Exit::Done;
    for creations in chosen.creations.chunks(UNPARKED_AT_ONCE) {
        let asked = ParkedCreations { creations: creations.to_vec() };
        let answer: ParkedDecision = client.post(&format!("/v1/parked-events/{path}"), &asked).await?;
        output::print(|out| {
            answer.done.iter().try_for_each(|creation| match chosen.json {
                true => output::lines(out, &[json!({ "creation": creation, "outcome": done_to_it })]),
                false => writeln!(out, "{creation} {done_to_it}"),
            })
        })?;
        for creation in &answer.unknown {
            output::complain(&format!(
                "error: no delayed event of the creation {creation} is parked; `khronos delayed parked` shows what is"
            ));
        }
        for creation in &answer.being_sent {
            output::complain(&format!(
                "error: {creation} is being sent, so it is not {done_to_it}; `khronos delayed parked` shows what becomes of it"
            ));
        }
        if !answer.unknown.is_empty() || !answer.being_sent.is_empty() {
            exit = Exit::Usage;
        }
    }
    Ok(exit)
}
