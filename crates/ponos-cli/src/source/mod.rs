//! `ponos source`: events from elsewhere to RabbitMQ, each taken away there only once the broker has confirmed it here.

pub(crate) mod sqs;

use crate::{connection::Options, exit::Exit, trouble::Trouble};

// each verb is documented at its arguments
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Sqs(sqs::Args),
}

pub(crate) async fn run(options: &Options, verb: Verb) -> Result<Exit, Trouble> {
    match verb {
        Verb::Sqs(args) => sqs::run(options, args).await,
    }
}
