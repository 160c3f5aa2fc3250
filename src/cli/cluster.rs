//! `khronos cluster`: the clocks of one name on one Postgres, as its tables say: also while none of them answers.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    flag, output,
    table::table,
};
use crate::{
    postgres::{ClusterSeen, Door, Follower, MemberSeen, Resigning, resign},
    start::cluster_door,
};
use serde::Serialize;
use std::process::ExitCode;

/// Shows the clocks of one name on one Postgres: which one leads, since when, and who follows.
///
/// It asks the database of the configuration (store.path, store.url_file), and no clock.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The URL of the Postgres [store.path]; other users of this machine can see it: mind store.url_file
    #[arg(long, value_name = "URL", global = true)]
    store: Option<String>,
    /// One JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
enum Verb {
    /// Has the leader make room for a clock that follows: of those that would take over at once the one that was seen last.
    Resign,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    seen: ClusterSeen,
    /// What a failover of the database may lose; null: nothing, as it is now.
    replication: Option<String>,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(ask(globals, args))
}

async fn ask(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let overrides = flag("store.path", "--store", args.store.as_deref()).into_iter().collect();
    let config = globals.load(overrides)?;
    let Some(door) = cluster_door(&config)? else {
        let what = "this clock has a store of its own: several clocks need one on Postgres (store.path = \"postgres://…\", docs/several-clocks.md)";
        return Err(CliError::Usage(what.into()));
    };
    if args.verb == Some(Verb::Resign) {
        let asked = resign(&door).await?;
        let (said, exit) = match &asked {
            Resigning::Asked(next) => (format!("the leader makes room for {next}"), Exit::Done),
            Resigning::Cold { next, why } => {
                let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                let said = format!(
                    "the leader makes room for {next}, which may have to read everything first{why}: no clock that follows is known to be warm"
                );
                (said, Exit::Done)
            }
            Resigning::NotLed => ("nobody leads at present".to_owned(), Exit::Unavailable),
            Resigning::Alone => (
                "no other clock lives that is connected to its broker: the leader goes on".to_owned(),
                Exit::Unavailable,
            ),
        };
        output::print(|out| if args.json { output::lines(out, &[&asked]) } else { writeln!(out, "{said}") })?;
        return Ok(exit);
    }
    let shown = Shown { seen: ClusterSeen::of(&door).await?, replication: replication(door).await };
    let seen = &shown.seen;
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&shown]);
        }
        let ClusterSeen { clock, leader, is_led, term, since, gap_ms, members, .. } = seen;
        let since = since.as_deref().unwrap_or("-");
        match (is_led, leader) {
            (true, Some(leader)) => writeln!(out, "{clock}: {leader} leads since {since} (term {term})")?,
            (true, None) => writeln!(out, "{clock}: led since {since} (term {term})")?,
            (false, _) => writeln!(out, "{clock}: nobody leads (last term {term}, since {since})")?,
        }
        if let Some(gap) = gap_ms {
            writeln!(out, "before, nobody led for {gap} ms")?;
        }
        if let Some(replication) = &shown.replication {
            writeln!(out, "{replication}")?;
        }
        let head = ["ROLE", "ADDRESS", "VERSION", "TIME ZONES", "AHEAD", "BROKER", "WARM", "SEEN"]
            .map(str::to_owned)
            .to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(members.iter().map(row)).collect();
        table(out, &rows)?;
        for (member, why) in members.iter().filter_map(|one| Some((one, one.cold.as_ref()?))) {
            if member.lives {
                let name = member.address.as_ref().unwrap_or(&member.id);
                writeln!(out, "{name} would read everything before it leads: {why}")?;
            }
        }
        Ok(())
    })?;
    Ok(if seen.is_led { Exit::Done } else { Exit::Unavailable })
}

/// What a failover of the database may lose.
async fn replication(door: Door) -> Option<String> {
    let looked = tokio::task::spawn_blocking(move || Follower::new(&door).replication()).await;
    match looked.ok()? {
        Ok(replication) => replication.warning(),
        Err(error) => {
            Some(format!("the replication of the store's Postgres could not be looked at: {error}"))
        }
    }
}

fn row(member: &MemberSeen) -> Vec<String> {
    let role = match (member.lives, member.leads) {
        (false, _) => "gone",
        (true, true) => "leader",
        (true, false) => "follower",
    };
    vec![
        role.to_owned(),
        member.address.clone().unwrap_or_else(|| "-".to_owned()),
        member.version.clone(),
        member.time_zones.clone(),
        member.ahead_ms.map_or_else(|| "-".to_owned(), |ahead| format!("{ahead} ms")),
        if member.has_broker { "connected" } else { "-" }.to_owned(),
        match (member.warm, member.warm_ms_ago) {
            (Some(true), Some(ago)) => format!("{ago} ms ago"),
            (Some(_), _) => "no".to_owned(),
            (None, _) => "-".to_owned(),
        },
        format!("{} ms ago", member.seen_ms_ago),
    ]
}
