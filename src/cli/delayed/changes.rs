//! `khronos delayed changes`: who changed which delayed events.

use crate::{
    cli::{Globals, error::CliError, exit::Exit, output, reach::ClockArgs, table},
    ops::{
        DelayedChangeView,
        delayed::{DelayedChangesQuery, MOST_NUMBERED},
    },
    position::Position,
};

/// Names in a cell of the table.
const SHOWN: usize = 3;

#[derive(Debug, clap::Args)]
pub(super) struct ChangesArgs {
    /// Only of the delayed event of this name; of many that were changed at once the first ones are named
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only those that this owner asked for
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Only changes after this position, oldest first: "position" of one that was shown, or its number
    #[arg(long, value_name = "POSITION")]
    after: Option<Position>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn changes(globals: &Globals, args: ChangesArgs) -> Result<Exit, CliError> {
    let source = args.clock.reach(globals).await?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let ChangesArgs { name, by, after, .. } = args;
    let mut wanted = DelayedChangesQuery { name, by, after, ..DelayedChangesQuery::default() };
    let mut changes: Vec<DelayedChangeView> = Vec::new();
    loop {
        wanted.limit = Some(MOST_NUMBERED.min(most - changes.len()));
        let page = source.delayed_changes(&wanted).await?;
        changes.extend(page.changes);
        let (Some(next), true) = (page.next, changes.len() < most) else { break };
        match after {
            Some(_) => wanted.after = Some(next),
            None => wanted.before = Some(next),
        }
    }
    source.close().await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &changes);
        }
        if changes.is_empty() {
            return writeln!(out, "no such change of a delayed event is kept");
        }
        let header = ["NUMBER", "AT", "BY", "DOOR", "WHAT", "EVENTS", "NAMES", "REVISION"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(changes.iter().map(cells));
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

fn cells(change: &DelayedChangeView) -> Vec<String> {
    let shown = change.names.len().min(SHOWN) as u64;
    let more = match change.count.saturating_sub(shown) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let names = change.names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    vec![
        change.sequence.to_string(),
        change.at.to_string(),
        change.by.clone(),
        change.door.clone(),
        change.what.clone(),
        change.count.to_string(),
        format!("{names}{more}"),
        change.after.as_ref().map_or("-".into(), |version| version.revision.to_string()),
    ]
}
