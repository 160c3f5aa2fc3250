//! `ponos waiting`: what waits to be sent or tried again in the database of a service's inbox. Each verb is one call of
//! [`ponos::inbox::postgres::Waiting`].
//!
//! A service without such a database has its retries on the broker's ladder, of which only depths can be told.

mod change;
mod choice;
mod ladder;
mod list;
mod show;

pub(crate) use choice::Place;

use crate::{connection::Options, exit::Exit, trouble::Trouble};

/// Lists, shows, hurries, moves or drops what waits. What each is for stands with its arguments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    List(list::Args),
    Show(show::Args),
    Run(change::RunArgs),
    Move(change::MoveArgs),
    Drop(change::DropArgs),
}

pub(crate) async fn run(options: &Options, verb: Verb) -> Result<Exit, Trouble> {
    match verb {
        Verb::List(args) => list::run(options, args).await,
        Verb::Show(args) => show::run(args).await,
        Verb::Run(args) => change::run_now(args).await,
        Verb::Move(args) => change::move_to(args).await,
        Verb::Drop(args) => change::drop(args).await,
    }
}
