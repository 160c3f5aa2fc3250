//! `khronos store`: a clock's state as a whole.

mod copy;

pub(super) use copy::copy_exit;

use super::{
    Globals,
    error::{CliError, end, finish},
    exit::Exit,
    flag, output,
    reach::control_client,
};
use crate::{
    clock,
    config::{Config, StorePath},
    copying::{AcceptAsked, Acceptance, Accepted, Holding},
    http::client::ClientError,
    ops::backup::{BackupAsked, BackupView},
    start::holding_options,
};
use copy::{CopyArgs, copied};
use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};
use tokio::time::sleep;

/// Moves a clock's state, copies it while the clock runs, and has such a copy go on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

// Their help is longer, and stands with their arguments.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    Copy(CopyArgs),
    Backup(BackupArgs),
    Accept(AcceptArgs),
}

/// Copies the state of a running clock into a folder.
///
/// All of it as of one moment: a clock that starts on the copy sends nothing before `khronos store accept`. The
/// clock writes it, as the user that it runs as; what it does goes on meanwhile. Nothing may be at DIR yet. A state in a Postgres is backed
/// up by its own means.
#[derive(Debug, clap::Args)]
struct BackupArgs {
    /// Where the copy is to be
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The folder of the clock's state [store.path]
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
    /// One JSON object: folder, made_at, entries
    #[arg(long)]
    json: bool,
}

/// Has a restored copy go on, which `khronos store backup` made.
///
/// Such a copy does not know what was sent since it was made, so a clock that starts on it is held, and `/readyz` says why. What was
/// under way when it was made goes again in both cases, under the ids that it had. Each copy that is accepted becomes a store of its own, and
/// may be one of several of one backup. No clock need run on it.
#[derive(Debug, clap::Args)]
struct AcceptArgs {
    /// What was due since goes out as after an outage, as each schedule says, under the ids that it had
    #[arg(long, required_unless_present = "skip", conflicts_with = "skip")]
    send_again: bool,
    /// What was due since is recorded as skipped
    #[arg(long)]
    skip: bool,
    /// The folder of the clock's state [store.path]
    #[arg(long, value_name = "DIR")]
    store: Option<String>,
    /// One JSON object: made_at, what, skipped_delayed, is_paused
    #[arg(long)]
    json: bool,
}

/// Between two looks at how far a backup has come.
const LOOK: Duration = Duration::from_millis(200);
/// Looks between two words about it.
const TOLD: u32 = 50;

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match args.verb {
        Verb::Copy(args) => end(copied(globals, &args)),
        Verb::Backup(args) => finish(backed_up(globals, args)),
        Verb::Accept(args) => finish(accepted(globals, args)),
    }
}

async fn backed_up(globals: &Globals, args: BackupArgs) -> Result<Exit, CliError> {
    let (_, store) = folder_of(globals, args.store.as_deref())?;
    let client = control_client(&store).await.map_err(|error| match error {
        ClientError::NotRunning(_) => CliError::Usage(format!(
            "no clock runs on the store {}: khronos store copy copies it",
            store.display()
        )),
        other => other.into(),
    })?;
    // The clock has a working directory of its own.
    let folder = std::path::absolute(&args.folder).map_err(CliError::Start)?;
    let asked: BackupView = client.post("/v1/store/backup", &BackupAsked { folder }).await?;
    let (mut view, mut looks) = (asked.clone(), 0);
    while !view.done {
        sleep(LOOK).await;
        looks += 1;
        if looks % TOLD == 0 && !args.json {
            output::complain(&format!("{} entries are there", view.entries));
        }
        view = client.get("/v1/store/backup").await?;
        if !view.is_of(&asked) {
            output::complain(&format!(
                "error: another backup was begun meanwhile, into {}: whether the one into {} was made stands in the clock's log",
                view.folder.display(),
                asked.folder.display()
            ));
            return Ok(Exit::InputOutput);
        }
    }
    if let Some(error) = view.error {
        output::complain(&format!("error: {error}"));
        return Ok(Exit::InputOutput);
    }
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&view]);
        }
        let BackupView { folder, made_at, entries, .. } = &view;
        writeln!(
            out,
            "{entries} entries of {made_at} are in {}; a clock that starts on them sends nothing before `khronos store accept`",
            folder.display()
        )
    })?;
    Ok(Exit::Done)
}

async fn accepted(globals: &Globals, args: AcceptArgs) -> Result<Exit, CliError> {
    let (config, store) = folder_of(globals, args.store.as_deref())?;
    let what = if args.skip { Acceptance::Skip } else { Acceptance::SendAgain };
    let not_held = || CliError::Usage(format!("the store {} is not held", store.display()));
    let asked = match control_client(&store).await {
        Ok(client) => client.post("/v1/store/accept", &AcceptAsked { what }).await,
        Err(error) => Err(error),
    };
    let accepted = match asked {
        Ok(accepted) => accepted,
        Err(ClientError::Refused { status: 404, .. }) => return Err(not_held()),
        // Nobody runs on it: it is done here.
        Err(ClientError::NotRunning(_)) => apart(&config, &store, what)?.ok_or_else(not_held)?,
        Err(error) => return Err(error.into()),
    };
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&accepted]);
        }
        writeln!(out, "the store is held no more: {}", became(&accepted))
    })?;
    Ok(Exit::Done)
}

/// What becomes of what was due since the copy was made.
fn became(Accepted { made_at, what, skipped_delayed, is_paused }: &Accepted) -> String {
    let paused = "everything is paused there, as it was then: `khronos resume --all` says what becomes of";
    match (what, is_paused) {
        (Acceptance::SendAgain, false) => format!("what was due since {made_at} goes out under its ids"),
        (Acceptance::SendAgain, true) => format!("what was due since {made_at} waits, for {paused} it"),
        (Acceptance::Skip, false) => format!(
            "what was due since {made_at} is recorded as skipped, {skipped_delayed} delayed events among it"
        ),
        (Acceptance::Skip, true) => format!(
            "{skipped_delayed} delayed events that were due since {made_at} are recorded as skipped; {paused} schedules"
        ),
    }
}

/// The stores' calls block: not on a thread of the runtime.
fn apart(config: &Config, store: &Path, what: Acceptance) -> Result<Option<Accepted>, CliError> {
    let work = || {
        let mut held = Holding::open(store, &config.clock.name, holding_options(config))?;
        held.as_mut().map(|held| held.accept(what, clock::now())).transpose()
    };
    let done = thread::scope(|scope| scope.spawn(work).join());
    Ok(done.unwrap_or_else(|panic| resume_unwind(panic))?)
}

/// The configuration, and the folder of the clock's state.
fn folder_of(globals: &Globals, store: Option<&str>) -> Result<(Config, PathBuf), CliError> {
    let config = globals.load(flag("store.path", "--store", store).into_iter().collect())?;
    match &config.store.path {
        StorePath::Folder(folder) => {
            let folder = folder.clone();
            Ok((config, folder))
        }
        StorePath::Postgres(_) | StorePath::Memory => {
            let what = "this is of a clock whose state is in a folder: a Postgres is backed up and restored by its own means (pg_dump, or a base backup; docs/operations.md)";
            Err(CliError::Usage(what.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::event::Timestamp;

    #[test]
    fn what_is_said_to_become_of_schedules_is_what_somebody_who_paused_them_decides() {
        for what in [Acceptance::SendAgain, Acceptance::Skip] {
            for is_paused in [false, true] {
                let made_at = Timestamp::EPOCH;
                let said = became(&Accepted { made_at, what, skipped_delayed: 7, is_paused });
                assert_eq!(said.contains("khronos resume --all"), is_paused, "{said}");
                assert_eq!(said.contains("7 delayed events"), what == Acceptance::Skip, "{said}");
                let is_over = said.contains("goes out") || said.contains("is recorded as skipped");
                assert_eq!(is_over, !is_paused, "{said}");
            }
        }
    }
}
