//! `ponos dead`: what workers gave up on, in `<queue>.dlq`, and messages whose queue no longer exists, in `parking`.
//!
//! AMQP can't list queues, so each verb takes their names. Letters are read by consuming without settling: who
//! looks at a queue holds what it looked at; at the end the closed channel gives it back, to the place where it was. That
//! counts as a delivery on a quorum queue, which is why `topology::worker` gives these queues a delivery limit that
//! nobody reaches.

mod choice;
mod discard;
mod letter;
mod list;
mod reader;
mod requeue;
mod show;

pub(crate) use requeue::user_and_host;

use crate::{connection::Options, exit::Exit, trouble::Trouble};

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
