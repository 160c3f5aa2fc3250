//! `khronos delayed history`: how delayed events ended.

use crate::{
    cli::{Globals, at::due, error::CliError, exit::Exit, output, reach::ClockArgs, table, when, zone_data},
    ops::{
        DelayedRowView,
        delayed::{DELAYED_OUTCOMES, DelayedHistoryQuery, MOST_NUMBERED},
    },
    position::Position,
    schedule::CalendarStore,
};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// Only the delayed event of this name
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Only those whose events are of this domain: "billing" (or "billing.*") is that of billing.invoice.due
    #[arg(long, value_name = "WORDS")]
    domain: Option<String>,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only this outcome
    #[arg(long, value_parser = DELAYED_OUTCOMES)]
    outcome: Option<String>,
    /// Due times after this instant: 2026-12-01T09:00:00Z, or a local time with --zone
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Due times up to this instant
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Only events sent later than this, such as ">1s"
    #[arg(long, value_name = "DURATION")]
    late: Option<String>,
    /// Rows after this position (or number), oldest first; else the newest first
    #[arg(long, value_name = "POSITION", conflicts_with = "before")]
    after: Option<Position>,
    /// Rows before this position (or number), newest first
    #[arg(long, value_name = "POSITION")]
    before: Option<Position>,
    /// How many rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// The zone of local times, and in which due times are shown: an IANA name
    #[arg(long, visible_alias = "time-zone", value_name = "ZONE")]
    zone: Option<String>,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn history(globals: &Globals, args: HistoryArgs) -> Result<Exit, CliError> {
    let store = zone_data::configured(globals)?;
    let zone = args.zone.as_deref();
    when::check_zone(zone, "--zone", &store)?;
    let instant = |flag: &'static str, text: &Option<String>| {
        text.as_deref().map(|text| when::instant(flag, text, (zone, "--zone"), &store)).transpose()
    };
    let (from, to) = (instant("--from", &args.from)?, instant("--to", &args.to)?);
    let mut wanted = DelayedHistoryQuery {
        name: args.name,
        domain: args.domain,
        owner: args.owner,
        outcome: args.outcome,
        from,
        to,
        late: args.late,
        after: args.after,
        before: args.before,
        limit: None,
    };
    let source = args.clock.reach(globals).await?;
    let mut left = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut is_first = true;
    loop {
        wanted.limit = Some(left.min(MOST_NUMBERED));
        let page = source.delayed_history(&wanted).await?;
        left = left.saturating_sub(page.rows.len());
        let is_last = page.next.is_none() || left == 0;
        // Of many rows without one that is wanted, nothing is shown.
        if !page.rows.is_empty() || is_first && is_last {
            output::print(|out| {
                if args.json {
                    return output::lines(out, &page.rows);
                }
                if page.rows.is_empty() {
                    return writeln!(out, "no such row of a delayed event is recorded");
                }
                let header = ["NUMBER", "DUE", "NAME", "EVENT", "OWNER", "OUTCOME", "LATE", "ID OR REASON"];
                let mut rows = vec![header.map(str::to_owned).to_vec()];
                rows.extend(page.rows.iter().map(|row| cells(row, zone, &store)));
                if is_first { table::table(out, &rows) } else { table::more(out, &rows) }
            })?;
            is_first = false;
        }
        match (page.next.filter(|_| !is_last), wanted.after.is_some()) {
            (Some(next), true) => wanted.after = Some(next),
            (Some(next), false) => wanted.before = Some(next),
            (None, _) => break,
        }
    }
    source.close().await?;
    Ok(Exit::Done)
}

fn cells(row: &DelayedRowView, zone: Option<&str>, store: &CalendarStore) -> Vec<String> {
    let to = row.to.as_ref().map_or(String::new(), |to| format!(" (to {})", to.task));
    let outcome = if row.returned == Some(true) { "to nobody".to_owned() } else { row.outcome.clone() };
    vec![
        row.sequence.to_string(),
        due(row.due_at, zone, store),
        row.name.clone(),
        format!("{}{to}", row.event),
        row.owner.clone(),
        outcome,
        row.lateness_ms.map_or("-".to_owned(), |late| format!("{late} ms")),
        row.event_id.clone().or_else(|| row.reason.clone()).unwrap_or_default(),
    ]
}
