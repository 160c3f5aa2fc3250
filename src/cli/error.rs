//! How a verb ends: its work's result, or what went wrong, as an exit code.

use super::{exit::Exit, output, store::copy_exit};
use crate::{
    authority::Denied,
    copying::CopyError,
    http::client::ClientError,
    ops::{Missing, MissingKind, OpsError},
    store::StoreError,
};
use std::{future::Future, path::PathBuf, process::ExitCode};

/// Where all names of such are.
fn listed(missing: &Missing) -> &'static str {
    match missing.kind {
        MissingKind::DelayedEvent => "khronos delayed list shows what is pending",
        MissingKind::Event => "khronos history shows what the record has",
        MissingKind::Reports => "ponos observe listens, too: see docs/reports.md",
        _ => "khronos list shows all",
    }
}

/// Why a verb has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("{}", client_message(.0))]
    Client(#[from] ClientError),
    #[error("{}", ops_message(.0))]
    Ops(#[from] OpsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(
        "there is no store at {0}, and no clock runs on it or answers at http.listen; name another with --store, or a running clock with --url"
    )]
    NoStore(PathBuf),
    #[error("no clock runs on the store {0}; {1} needs a running one")]
    NotRunning(PathBuf, &'static str),
    #[error("{0}")]
    Usage(String),
    #[error("the program can't start: {0}")]
    Start(std::io::Error),
    /// Said already.
    #[error("")]
    Said(Exit),
}

impl From<Exit> for CliError {
    fn from(exit: Exit) -> Self {
        Self::Said(exit)
    }
}

fn client_message(error: &ClientError) -> String {
    match error {
        ClientError::Refused { missing: Some(missing), .. } => missing.message(listed(missing)),
        other => other.to_string(),
    }
}

fn ops_message(error: &OpsError) -> String {
    match error {
        OpsError::NotFound(missing) => missing.message(listed(missing)),
        other => other.to_string(),
    }
}

impl CliError {
    /// Whether it is that a schedule does not run any more.
    pub(super) fn is_of_former_schedule(&self) -> bool {
        let missing = match self {
            Self::Client(ClientError::Refused { missing, .. }) => missing.as_ref(),
            Self::Ops(OpsError::NotFound(missing)) => Some(missing),
            _ => None,
        };
        missing.is_some_and(|missing| missing.kind == MissingKind::FormerSchedule)
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Refused { status: 401 | 403, .. }) => Exit::AccessRefused,
            Self::Client(ClientError::Refused { status: 429, .. }) => Exit::Unavailable,
            Self::Client(
                ClientError::Refused { status: 400..=499, .. }
                | ClientError::Address { .. }
                | ClientError::Clear(_),
            )
            | Self::Usage(_) => Exit::Usage,
            Self::Client(_) | Self::NotRunning(..) => Exit::Unavailable,
            Self::Ops(error) => ops_exit(error),
            Self::Store(error) => store_exit(error),
            Self::Copy(error) => copy_exit(error, store_exit),
            Self::NoStore(_) => Exit::InputOutput,
            Self::Start(_) => Exit::Software,
            Self::Said(exit) => *exit,
        }
    }
}

fn ops_exit(error: &OpsError) -> Exit {
    match error {
        OpsError::Invalid(_)
        | OpsError::Parameter(_)
        | OpsError::Definition(_)
        | OpsError::NotFound(_)
        | OpsError::Refused(_)
        | OpsError::Conflict(_)
        | OpsError::Unchanged { .. }
        | OpsError::CalendarUnchanged { .. }
        | OpsError::EventUnchanged { .. }
        | OpsError::NeverDue { .. }
        | OpsError::OtherCount { .. }
        | OpsError::TooFragmented(_) => Exit::Usage,
        OpsError::Unavailable(_)
        | OpsError::TooMany(_)
        | OpsError::NoRoom { .. }
        | OpsError::OutOfDisk(_)
        | OpsError::Unknown(_)
        | OpsError::Ending { .. }
        | OpsError::Partly { .. } => Exit::Unavailable,
        OpsError::Denied(Denied::TooOften { .. }) => Exit::Unavailable,
        OpsError::Denied(_) => Exit::AccessRefused,
        OpsError::Record(error) => store_exit(error),
        OpsError::Defect => Exit::Software,
    }
}

/// The exit code of a store that can't be used.
pub(super) fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::OtherClock { .. }
        | StoreError::Locked { .. }
        | StoreError::Led { .. }
        | StoreError::Newer { .. }
        | StoreError::Unfinished { .. }
        | StoreError::Held { .. } => Exit::Configuration,
        _ => Exit::InputOutput,
    }
}

/// Runs a verb's work to its end and says what went wrong.
pub(super) fn finish(work: impl Future<Output = Result<Exit, CliError>>) -> ExitCode {
    end(wait(work))
}

/// Says what went wrong with work that has ended.
pub(super) fn end(ended: Result<Exit, CliError>) -> ExitCode {
    let exit = ended.unwrap_or_else(|error| {
        if !matches!(error, CliError::Said(_)) {
            output::complain(&format!("error: {error}"));
        }
        error.exit()
    });
    exit.into()
}

/// Runs work to its end.
pub(super) fn wait<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    // Not on this thread: its stack is not ours to choose (`ponos::stack`).
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(CliError::Start)?;
    let done = runtime.block_on(work);
    // What still runs on threads of its own (a read that hangs in the disk) is not waited for.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_only_another_program_can_use_is_a_matter_of_configuration() {
        let path = PathBuf::from("store");
        let newer = StoreError::Newer { path: path.clone(), form: 3, known: 2 };
        assert_eq!(CliError::from(newer).exit(), Exit::Configuration);
        let failed = StoreError::Io { path, what: "no room".into() };
        assert_eq!(CliError::from(failed).exit(), Exit::InputOutput);
    }

    #[test]
    fn a_read_that_hangs_keeps_no_verb_from_ending() {
        let (let_go, hangs) = std::sync::mpsc::channel::<()>();
        let (ended, end) = std::sync::mpsc::channel();
        let verb = std::thread::spawn(move || {
            let work = async {
                tokio::task::spawn_blocking(move || hangs.recv());
                Err::<(), _>(CliError::Usage("it takes too long".into()))
            };
            ended.send(wait(work)).unwrap();
        });
        let end = end.recv_timeout(std::time::Duration::from_secs(60));
        assert!(matches!(end, Ok(Err(CliError::Usage(_)))), "{end:?}");
        drop(let_go);
        verb.join().unwrap();
    }
}
