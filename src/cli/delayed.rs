//! `khronos delayed`: delayed events of a running clock, listed, shown, cancelled and sent now; parked ones sent again and dropped;
//! and what became of them. `khronos at` puts them.

mod changes;
mod history;
mod parked;

use super::{
    Globals,
    at::due,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table, when, zone_data,
};
use crate::{
    http::client::{Client, ClientError, Condition, encode},
    ops::{DelayedEventList, DelayedEventView, EventOutcomeView, Tag},
    schedule::CalendarStore,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Lists, shows, cancels and sends delayed events, which `khronos at` and clients have put; and says what became of them
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lists those that are pending, by name.
    List(ListArgs),
    /// Shows one, with its data; for an hour after it was sent, what became of it.
    Get(GetArgs),
    /// Cancels some: they are never sent.
    Cancel(CancelArgs),
    /// Sends one now.
    SendNow(SendNowArgs),
    /// Lists those that were given up on, with the numbers by which they are released or dropped.
    Parked(parked::ListArgs),
    /// Sends parked ones again, under the ids that they had.
    Release(parked::Chosen),
    /// Drops parked ones for good; the record says so.
    Drop(parked::Chosen),
    /// Shows how they ended, also of a clock that does not run.
    History(history::HistoryArgs),
    /// Lists which were put, changed and cancelled, and by whom; also of a clock that does not run.
    Changes(changes::ChangesArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those whose names begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Only those whose events are of this domain: "billing" (or "billing.*") is that of billing.invoice.due
    #[arg(long, value_name = "WORDS")]
    domain: Option<String>,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only those that are due after this instant: 2026-12-01T09:00:00Z, or a local time with --zone
    #[arg(long, value_name = "INSTANT")]
    due_after: Option<String>,
    /// Only those that are due before this instant
    #[arg(long, value_name = "INSTANT")]
    due_before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Where to go on: what the list before said at its end
    #[arg(long, value_name = "PAGE")]
    page: Option<String>,
    /// The zone of local times, and in which due times are shown: an IANA name
    #[arg(long, visible_alias = "time-zone", value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    /// Its name
    name: String,
    /// The zone in which its times are shown: an IANA name
    #[arg(long, visible_alias = "time-zone", value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct CancelArgs {
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Only if this revision of it is pending (one event): as `delayed get --json` says, or its ETag
    #[arg(long, value_name = "CREATION.REVISION")]
    if_revision: Option<Tag>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct SendNowArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match args.verb {
        Verb::List(args) => finish(list(globals, args)),
        Verb::Get(args) => finish(get(globals, args)),
        Verb::Cancel(args) => finish(cancel(globals, args)),
        Verb::SendNow(args) => finish(send_now(globals, args)),
        Verb::Parked(args) => finish(parked::list(globals, args)),
        Verb::Release(chosen) => finish(parked::change(globals, chosen, parked::RELEASE)),
        Verb::Drop(chosen) => finish(parked::change(globals, chosen, parked::DROP)),
        Verb::History(args) => finish(history::history(globals, args)),
        Verb::Changes(args) => finish(changes::changes(globals, args)),
    }
}

fn path_of(name: &str) -> String {
    format!("/v1/events/{}", encode(name))
}

/// A page has so many at most.
const PAGE: usize = 1_000;

async fn list(globals: &Globals, args: ListArgs) -> Result<Exit, CliError> {
    let store = zone_data::configured(globals)?;
    let zone = args.zone.as_deref();
    when::check_zone(zone, "--zone", &store)?;
    let filters = filters(&args, &store)?;
    let client = args.clock.operate(globals, "delayed list").await?;
    let path = |limit| format!("/v1/events?limit={limit}{filters}");
    let split = |found: DelayedEventList| (found.events, found.next);
    let (events, next) = listed(&client, path, args.limit, args.page.clone(), split).await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &events);
        }
        if events.is_empty() {
            return writeln!(
                out,
                "no {}delayed events are pending",
                if filters.is_empty() { "" } else { "such " }
            );
        }
        let header = ["NAME", "EVENT", "DUE AT", "OWNER", "REVISION", ""];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(events.iter().map(|one| cells(one, zone, &store)));
        table::table(out, &rows)
    })?;
    say_where_it_goes_on(next);
    Ok(Exit::Done)
}

/// So many of what a list of the clock has, from a page on, and where the list goes on after them. `path` asks for at most so many
/// at once, and `split` takes an answer apart.
async fn listed<L: DeserializeOwned, T>(
    client: &Client,
    path: impl Fn(usize) -> String,
    limit: u32,
    page: Option<String>,
    split: impl Fn(L) -> (Vec<T>, Option<String>),
) -> Result<(Vec<T>, Option<String>), CliError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut all, mut next) = (Vec::new(), page);
    loop {
        let page = next.as_deref().map_or(String::new(), |page| format!("&page={}", encode(page)));
        let found = client.get(&format!("{}{page}", path(PAGE.min(most - all.len())))).await?;
        let (more, after) = split(found);
        all.extend(more);
        next = after;
        if next.is_none() || all.len() >= most {
            return Ok((all, next));
        }
    }
}

fn say_where_it_goes_on(next: Option<String>) {
    if let Some(next) = next {
        output::complain(&format!("note: there may be more: --page {next}"));
    }
}

/// As a query has them, each with what separates it from the one before.
fn filters(args: &ListArgs, store: &CalendarStore) -> Result<String, Exit> {
    let instant = |flag: &'static str, text: &Option<String>| {
        let zone = (args.zone.as_deref(), "--zone");
        text.as_deref()
            .map(|text| when::instant(flag, text, zone, store).map(|at| at.to_string()))
            .transpose()
    };
    let (after, before) =
        (instant("--due-after", &args.due_after)?, instant("--due-before", &args.due_before)?);
    let all = [
        ("prefix", &args.prefix),
        ("domain", &args.domain),
        ("owner", &args.owner),
        ("due_after", &after),
        ("due_before", &before),
    ];
    let said = |(key, value): (&str, &Option<String>)| {
        value.as_deref().map_or(String::new(), |value| format!("&{key}={}", encode(value)))
    };
    Ok(all.into_iter().map(said).collect())
}

fn cells(event: &DelayedEventView, zone: Option<&str>, store: &CalendarStore) -> Vec<String> {
    let to = event.to.as_ref().map_or(String::new(), |to| format!(" (to {})", to.task));
    let send = event.send_at.filter(|send| *send != event.due_at);
    let note = send.map_or(String::new(), |send| format!("sent at {}", due(send, zone, store)));
    vec![
        event.name.clone(),
        format!("{}{to}", event.event),
        due(event.due_at, zone, store),
        event.owner.clone(),
        format!("{}.{}", event.creation, event.revision),
        note,
    ]
}

async fn get(globals: &Globals, args: GetArgs) -> Result<Exit, CliError> {
    let store = zone_data::configured(globals)?;
    let zone = args.zone.as_deref();
    when::check_zone(zone, "--zone", &store)?;
    let client = args.clock.operate(globals, "delayed get").await?;
    let view: DelayedEventView = client.get(&path_of(&args.name)).await?;
    output::print(|out| match args.json {
        true => output::lines(out, &[&view]),
        false => described(&view, zone, &store).iter().try_for_each(|line| writeln!(out, "{line}")),
    })?;
    Ok(Exit::Done)
}

/// What is known of it, in lines.
fn described(view: &DelayedEventView, zone: Option<&str>, store: &CalendarStore) -> Vec<String> {
    let to = view.to.as_ref().map_or(String::new(), |to| format!(", a task to {}", to.task));
    let mut lines = vec![format!("{}: {}{to}, {}", view.name, view.event, view.state)];
    let mut say =
        |what: &str, value: Option<String>| lines.extend(value.map(|value| format!("{what} {value}")));
    let instant = |at| due(at, zone, store);
    say("due at", Some(instant(view.due_at)));
    say("sent at", view.send_at.filter(|send| *send != view.due_at).map(instant));
    say("settled at", view.settled_at.map(instant));
    say("owner", Some(view.owner.clone()));
    say("revision", Some(format!("{}.{}", view.creation, view.revision)));
    say("changed at", view.changed_at.map(instant));
    say("event id", Some(view.event_id.clone()));
    say("correlation id", view.correlation_id.clone());
    say("expires after", view.expires.clone());
    say("unrouted", view.unrouted.clone());
    say("headers", view.headers.as_ref().map(|headers| headers.get().to_owned()));
    say("data", view.data.as_ref().map(|data| data.get().to_owned()));
    say("datacontenttype", view.datacontenttype.clone());
    say("data_base64", view.data_base64.clone());
    lines
}

async fn cancel(globals: &Globals, args: CancelArgs) -> Result<Exit, CliError> {
    if args.if_revision.is_some() && args.names.len() > 1 {
        return Err(CliError::Usage("--if-revision is of one delayed event; name one".into()));
    }
    let client = args.clock.operate(globals, "delayed cancel").await?;
    let condition = args.if_revision.map(Condition::Revision);
    for name in &args.names {
        let outcome = cancel_one(&client, name, condition).await?;
        output::print(|out| match args.json {
            true => output::lines(out, &[json!({ "name": name, "outcome": outcome })]),
            false if outcome == DELETED => writeln!(out, "{name} is cancelled"),
            false => writeln!(out, "there is no delayed event '{name}'; nothing is cancelled"),
        })?;
    }
    Ok(Exit::Done)
}

const DELETED: &str = "deleted";

/// To cancel what is not there is no fault, but it may be misspelt, or was sent long ago.
async fn cancel_one(
    client: &Client,
    name: &str,
    condition: Option<Condition>,
) -> Result<&'static str, CliError> {
    let is_missing =
        matches!(client.get::<Value>(&path_of(name)).await, Err(ClientError::Refused { status: 404, .. }));
    client.delete(&path_of(name), condition).await?;
    Ok(if is_missing { "gone-already" } else { DELETED })
}

async fn send_now(globals: &Globals, args: SendNowArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "delayed send-now").await?;
    let answer: EventOutcomeView = client.post(&format!("{}/send-now", path_of(&args.name)), &()).await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&answer]);
        }
        let EventOutcomeView { name, outcome, due_at, event_id, .. } = &answer;
        let due_at = due_at.map_or("an unknown time".to_owned(), |at| at.to_string());
        let id = event_id.as_deref().map_or(String::new(), |id| format!(": event {id}"));
        match outcome.as_str() {
            "settled" => writeln!(out, "{name} was due at {due_at}, and was sent already, or given up{id}"),
            _ => writeln!(out, "{name} is sent now{id}, due at {due_at}"),
        }
    })?;
    Ok(Exit::Done)
}
