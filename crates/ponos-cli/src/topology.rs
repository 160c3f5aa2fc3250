//! `ponos topology`: what a service needs on the broker, as a document for whoever makes it, or compared with what is there.

use crate::{
    config::Config,
    connection::Options,
    described::{Takes, unfit},
    exit::Exit,
    output,
    streams::Streams,
    trouble::Trouble,
};
use ponos::{
    broker::{LinkErrorClass, Transport},
    event::{control, reports},
    topology::{self, Document, Exchange, Permissions, Queue, Topology, worker},
    worker::{Outcome, Policy},
};
use serde_json::{Value, json};

/// Prints the exchanges, queues and bindings that a service needs, or checks whether they exist.
///
/// Without --check, this prints a definitions file for an administrator to import (rabbitmqctl import_definitions FILE), or
/// the same for Terraform or Kubernetes; workers without configure permission then run with --passive. With --check, it
/// compares exchanges and queues with the broker and changes nothing; AMQP can't show bindings, so they are not compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    streams: Streams,
    /// Compares with the broker instead of printing
    #[arg(long)]
    check: bool,
    /// Who is to make it
    #[arg(long, value_name = "FORMAT", default_value = "definitions", conflicts_with = "check")]
    format: Format,
    /// How much of it is printed
    #[arg(long, value_name = "PART", default_value = "all", conflicts_with = "check")]
    part: Part,
    /// Adds what this user needs at least, who must exist, to run the service with --passive: its own queues, the events of
    /// publish in ponos.toml, and what retries and dead letters need
    #[arg(long, value_name = "USER", conflicts_with = "check")]
    permissions: Option<String>,
    /// With --format kubernetes: the RabbitmqCluster; NAMESPACE/NAME where it is not in the namespace of the resources
    #[arg(long, value_name = "NAME", default_value = "rabbitmq", conflicts_with = "check")]
    cluster: String,
    /// The virtual host in what is printed; that of the URL if left out
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    vhost: Option<String>,
    /// With --check: prints one JSON object per line
    #[arg(long, requires = "check")]
    json: bool,
}

/// The forms in which it is printed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// RabbitMQ itself: rabbitmqctl import_definitions FILE
    Definitions,
    /// Terraform or OpenTofu: a file *.tf.json of the provider cyrilgdn/rabbitmq
    Terraform,
    /// RabbitMQ's messaging topology operator: kubectl apply -f FILE
    Kubernetes,
}

/// How much is printed. Where documents are kept of several services, what they share stands in one of its own.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Part {
    /// What the service needs
    All,
    /// What all services of a virtual host share: the exchanges, the queues of retries, the parking
    Shared,
    /// The service's own queues and their bindings, and permissions
    Service,
}

pub(crate) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let config = args.streams.read(&Policy::default(), None)?;
    let options = &options.or(&config);
    let worker = config.described.worker(Clone::clone, |_, _| |_, _| async { Ok(Outcome::Done) });
    let mut wanted = worker.ready().map_err(unfit)?.topology().clone();
    wanted.join(control::topology());
    if config.reports {
        wanted.join(reports::topology());
    }
    if args.check {
        let transport = options.transport("ponos topology").await?;
        return check(&transport, &wanted, args.json).await;
    }
    let vhost = match args.vhost {
        Some(vhost) => vhost,
        None => options.config("ponos topology")?.url.vhost().to_owned(),
    };
    let permissions = args.permissions.as_deref().map(|user| permissions(user, &wanted, &config));
    if permissions.is_some() && args.streams.are_of_a_file() && !config.passive {
        output::complain(
            "note: this user may declare nothing: set passive = true in [broker], or run with --passive",
        );
    }
    let (part, permissions) = match args.part {
        Part::All => (wanted, permissions.as_ref()),
        Part::Shared => {
            let mut shared = worker::shared();
            shared.join(control::topology());
            (shared, None)
        }
        Part::Service => (worker::own(&wanted), permissions.as_ref()),
    };
    let document = Document { topology: &part, vhost: &vhost, permissions };
    let document = match args.format {
        Format::Definitions => document.definitions(),
        Format::Terraform => document.terraform(),
        Format::Kubernetes => document.kubernetes(&args.cluster),
    };
    output::print(|out| writeln!(out, "{document:#}"))?;
    Ok(Exit::Done)
}

fn permissions(user: &str, wanted: &Topology, config: &Config) -> Permissions {
    let described = &config.described;
    let events: Vec<&str> = described.events.iter().map(|(name, _)| name.as_str()).collect();
    let tasks =
        !described.tasks.is_empty() || described.queues.iter().any(|queue| queue.takes == Takes::Tasks);
    topology::permissions(user, wanted, &events, tasks)
}

/// The state of an exchange or queue on the broker.
enum ObjectState {
    Equal,
    Missing,
    Different(String),
    /// It exists, but may not be compared.
    Unknown(String),
}

async fn check(transport: &Transport, wanted: &Topology, as_json: bool) -> Result<Exit, Trouble> {
    let mut found = Vec::new();
    for exchange in &wanted.exchanges {
        found.push(("exchange", &exchange.name, exchange_state(transport, exchange).await?));
    }
    for queue in &wanted.queues {
        found.push(("queue", &queue.name, queue_state(transport, queue).await?));
    }
    let wrong = found.iter().filter(|(_, _, state)| !matches!(state, ObjectState::Equal)).count();
    output::print(|out| {
        for (thing, name, state) in &found {
            let (word, why) = match state {
                ObjectState::Equal => ("ok", None),
                ObjectState::Missing => ("missing", None),
                ObjectState::Different(why) => ("different", Some(why)),
                ObjectState::Unknown(why) => ("unknown", Some(why)),
            };
            if as_json {
                writeln!(out, "{}", line(thing, name, word, why))?;
            } else if let Some(why) = why {
                writeln!(out, "{word:<9}  {thing} {name}: {why}")?;
            } else {
                writeln!(out, "{word:<9}  {thing} {name}")?;
            }
        }
        Ok(())
    })?;
    if !as_json {
        output::complain(&format!("{} checked, {wrong} missing, different or unknown", found.len()));
    }
    Ok(if wrong == 0 { Exit::Done } else { Exit::Findings })
}

fn line(thing: &str, name: &str, state: &str, why: Option<&String>) -> Value {
    json!({ "thing": thing, "name": name, "state": state, "why": why })
}

async fn exchange_state(transport: &Transport, exchange: &Exchange) -> Result<ObjectState, Trouble> {
    let alone = Topology { exchanges: vec![exchange.clone()], ..Topology::default() };
    match transport.check(&alone.clone().passive()).await {
        Ok(()) => compare(transport, &alone).await,
        Err(error) if error.class == LinkErrorClass::Missing => Ok(ObjectState::Missing),
        Err(error) => Err(error.into()),
    }
}

async fn queue_state(transport: &Transport, queue: &Queue) -> Result<ObjectState, Trouble> {
    let alone = Topology { queues: vec![queue.clone()], ..Topology::default() };
    match transport.inspect(&queue.name).await? {
        Some(_) => compare(transport, &alone).await,
        None => Ok(ObjectState::Missing),
    }
}

/// Compares an object that is known to exist, by declaring it: that changes nothing, and is how AMQP shows a difference.
async fn compare(transport: &Transport, existing: &Topology) -> Result<ObjectState, Trouble> {
    match transport.check(existing).await {
        Ok(()) => Ok(ObjectState::Equal),
        Err(error) if error.class == LinkErrorClass::Inequivalent => Ok(ObjectState::Different(error.what)),
        Err(error) if error.class == LinkErrorClass::Forbidden => Ok(ObjectState::Unknown(
            "it exists; only a user with configure permission can see whether it is equal".into(),
        )),
        Err(error) => Err(error.into()),
    }
}
