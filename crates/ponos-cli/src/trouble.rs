//! The errors of a verb: a message and an exit code.

use crate::{exit::Exit, output};
use ponos::broker::{LinkError, LinkErrorClass};
use std::{fmt, future::Future, io, process::ExitCode};

/// What happened, to what, and what to do.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// An error of the broker.
    Link(LinkError),
    /// An exit code and a message.
    Words(Exit, String),
    /// Nobody reads the output any more: the verb ends, without an error.
    Unread,
}

impl Trouble {
    /// The command line is wrong in a way that clap can't see.
    pub(crate) fn usage(words: impl Into<String>) -> Self {
        Self::Words(Exit::Usage, words.into())
    }

    /// Something was found, or was not done.
    pub(crate) fn findings(words: impl Into<String>) -> Self {
        Self::Words(Exit::Findings, words.into())
    }

    /// The connection went while something was awaited.
    pub(crate) fn lost(words: impl Into<String>) -> Self {
        Self::Words(Exit::Unavailable, words.into())
    }

    /// A file can't be read or written.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        Self::Words(Exit::InputOutput, format!("{what}: {error}"))
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Link(error) => error.class.into(),
            Self::Words(exit, _) => *exit,
            Self::Unread => Exit::Done,
        }
    }
}

impl From<LinkError> for Trouble {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(LinkError { class: LinkErrorClass::Unreachable, what, .. }) => {
                // "it is tried again" is for those who stay
                write!(f, "{what}; check whether RabbitMQ runs there, or name another with --url")
            }
            Self::Link(error) => write!(f, "{error}"),
            Self::Words(_, words) => f.write_str(words),
            Self::Unread => Ok(()),
        }
    }
}

/// Runs a verb to its end, reports its error, and returns the exit code.
pub(crate) fn finish(work: impl Future<Output = Result<Exit, Trouble>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output::fail(&format!("the program can't start: {error}"));
            return Exit::Software.into();
        }
    };
    let ended = runtime.block_on(Box::pin(work));
    // what is still read from standard input is not waited for
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(trouble) => {
            if !matches!(trouble, Trouble::Unread) {
                output::fail(&trouble.to_string());
            }
            trouble.exit().into()
        }
    }
}
