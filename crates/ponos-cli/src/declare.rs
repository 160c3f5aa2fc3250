//! `ponos declare`: makes the exchanges, queues and bindings of a service, and ends.

use crate::{connection::Options, described::unfit, exit::Exit, output, streams::Streams, trouble::Trouble};
use ponos::{
    broker::Transport,
    worker::{Outcome, Policy},
};

/// Declares the exchanges, queues and bindings of a service on the broker, and ends.
///
/// For workers that are started only when something waits for them: their queues must be there before. What is there already
/// and equal stays as it is; what is there with other arguments is refused, and nothing is deleted.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    streams: Streams,
}

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let config = args.streams.read(&Policy::default(), None)?;
    let described = &config.described;
    let worker = described.worker(Clone::clone, |_, _| |_, _| async { Ok(Outcome::Done) });
    let worker = worker.limits(config.limits(ponos::worker::Limits::default().grace));
    let worker = if config.passive { worker.passive() } else { worker };
    let worker = if config.reports { worker.reports() } else { worker };
    let ready = worker.ready().map_err(unfit)?;
    let transport = Transport::amqp(options.or(&config).config("ponos declare")?);
    ready.declare_on(&transport).await.map_err(unfit)?;
    let topology = ready.topology();
    let word = if config.passive { "there" } else { "declared" };
    output::complain(&format!(
        "{word}: {} exchanges, {} queues, {} bindings of the service '{}'",
        topology.exchanges.len(),
        topology.queues.len(),
        topology.bindings.len(),
        described.service
    ));
    Ok(Exit::Done)
}
