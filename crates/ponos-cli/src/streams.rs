//! Which queues a service works on: `--service`, `--on`, `--task`, `--fan-in`, `--exclusive`. For `topology` and `run`.

use crate::{contracts::Contracts, exit::Exit, trouble::Trouble};
use ponos::worker::{Configured, Context, FanIn, Handler, HandlerResult, Policy, Worker, WorkerError};
use serde_json::Value;
use std::{future::Future, sync::Arc};

/// A service and the queues it works on.
#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// The service's name, the first part of its queues' names
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: String,
    /// Takes events of this name or pattern, through the queue SERVICE.PATTERN; may be repeated
    #[arg(long = "on", value_name = "PATTERN", required_unless_present = "tasks")]
    events: Vec<String>,
    /// Takes the service's own tasks of this name, through the queue SERVICE.NAME; may be repeated
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    /// Takes all --on patterns through one queue SERVICE.LABEL; with --concurrency 1, in the order of publishing
    #[arg(long, value_name = "LABEL", requires = "events")]
    fan_in: Option<String>,
    /// One at a time across all replicas, in order
    #[arg(long)]
    exclusive: bool,
}

impl Streams {
    /// A worker that runs, for each queue, the handler that `make` returns for it.
    pub(crate) fn worker<F, R>(
        &self,
        policy: &Policy,
        contracts: Option<&Contracts>,
        make: impl Fn(Arc<str>) -> F,
    ) -> Result<Worker, Trouble>
    where
        F: Fn(Value, Context) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        let policy = Policy { exclusive: self.exclusive, ..policy.clone() };
        let handler =
            |label: &str, pattern: &str, policy: &Policy| -> Result<Configured<Value, R>, Trouble> {
                let handler = make(self.queue(label)).with(policy.clone());
                Ok(match contracts {
                    Some(contracts) => handler.contract(contracts.of(pattern)?),
                    None => handler,
                })
            };
        let mut worker = Worker::new(&self.service);
        if let Some(label) = &self.fan_in {
            let handlers = self.events.iter().map(|pattern| Ok((pattern, handler(label, pattern, &policy)?)));
            let handlers: Vec<_> = handlers.collect::<Result<_, Trouble>>()?;
            worker = worker.fan_in(label, policy.clone(), |fan_in| {
                let on = |fan_in: FanIn, (pattern, handler): (&String, Configured<Value, R>)| {
                    fan_in.on::<Value>(pattern, handler)
                };
                handlers.into_iter().fold(fan_in, on)
            });
        } else {
            for pattern in &self.events {
                worker = worker.on::<Value>(pattern, handler(pattern, pattern, &policy)?);
            }
        }
        for name in &self.tasks {
            worker = worker.task::<Value>(name, handler(name, name, &policy)?);
        }
        Ok(worker)
    }

    /// The queues' names.
    pub(crate) fn queues(&self) -> impl Iterator<Item = Arc<str>> {
        let events = if self.fan_in.is_some() { &[] } else { &self.events[..] };
        events.iter().chain(&self.fan_in).chain(&self.tasks).map(|label| self.queue(label))
    }

    fn queue(&self, label: &str) -> Arc<str> {
        format!("{}.{label}", self.service).into()
    }
}

/// The error of a worker that can't run; its settings came from the command line.
pub(crate) fn unfit(error: WorkerError) -> Trouble {
    match error {
        WorkerError::Broker(error) => error.into(),
        WorkerError::Invalid(_) => Trouble::usage(error.to_string()),
        WorkerError::Metrics(_) => Trouble::Words(Exit::Configuration, error.to_string()),
        error => Trouble::lost(error.to_string()),
    }
}
