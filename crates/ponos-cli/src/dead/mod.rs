//! `ponos dead`: what workers gave up on, in `<queue>.dlq`, and messages whose queue no longer exists, in `parking`.
//!
//! AMQP can't list queues, so each verb takes their names. How letters are read, chosen and sent back is `ponos::dead`'s; here is
//! what people say and see of it.

mod choice;
mod discard;
mod list;
mod requeue;
mod show;

pub(crate) use requeue::user_and_host;

use self::choice::SeenLetters;
use crate::{connection::Options, exit::Exit, output, trouble::Trouble};
use ponos::{
    broker::Transport,
    clock::Clock,
    dead::{DeadError, HeldLetter, LetterFilter, LetterReader},
};

/// Lists, shows, requeues or drops dead letters. What each is for stands with its arguments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    List(list::Args),
    Show(show::Args),
    Requeue(requeue::Args),
    Drop(discard::Args),
}

pub(crate) async fn run(options: &Options, verb: Verb) -> Result<Exit, Trouble> {
    match verb {
        Verb::List(args) => list::run(options, args).await,
        Verb::Show(args) => show::run(options, args).await,
        Verb::Requeue(args) => requeue::run(options, args).await,
        Verb::Drop(args) => discard::run(options, args).await,
    }
}

/// Begins to read a queue, and says what of it is not seen.
async fn open(transport: &Transport, queue: &str, most: u64) -> Result<LetterReader, Trouble> {
    let reader = LetterReader::open(transport, queue, most).await?;
    let (state, longest) = (reader.found(), u64::from(LetterReader::MOST));
    if state.consumers > 0 {
        let (others, read, they) = if state.consumers == 1 {
            ("one other", "reads", "it holds")
        } else {
            ("others", "read", "they hold")
        };
        output::complain(&format!(
            "note: {others} {read} '{queue}' now; the letters that {they} are not shown"
        ));
    }
    if state.ready.min(most) > longest {
        output::complain(&format!(
            "note: '{queue}' holds {} letters; only the first {longest} are read",
            state.ready
        ));
    }
    Ok(reader)
}

/// The next letter that the filter chooses; all that are read are noted.
async fn next(
    reader: &mut LetterReader,
    filter: &LetterFilter,
    seen: &mut SeenLetters,
) -> Result<Option<HeldLetter>, Trouble> {
    while let Some(held) = reader.next().await? {
        seen.note(filter, &held.letter);
        if filter.takes(&held.letter, Clock::system().now()) {
            return Ok(Some(held));
        }
    }
    Ok(None)
}

impl From<DeadError> for Trouble {
    fn from(error: DeadError) -> Self {
        match error {
            DeadError::Broker(error) => error.into(),
            DeadError::Missing { queue } => Self::Words(
                Exit::AccessRefused,
                format!(
                    "there is no queue '{queue}'; --queue is the whole name of a work queue: SERVICE.NAME, such as docker.time.one-day.passed"
                ),
            ),
            unreadable @ DeadError::Unreadable { .. } => {
                Self::Words(Exit::Configuration, unreadable.to_string())
            }
            wrong @ DeadError::Filter(_) => Self::usage(wrong.to_string()),
            lost => Self::lost(lost.to_string()),
        }
    }
}
