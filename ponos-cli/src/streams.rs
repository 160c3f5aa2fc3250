//! Which queues a service works on: `--service`, `--on`, `--task`, `--exclusive`. For `topology` and `run`.

use crate::trouble::Trouble;
use ponos::worker::{Context, Handler, HandlerResult, Policy, Worker, WorkerError};
use serde_json::Value;
use std::{future::Future, sync::Arc};

/// A service and what it takes in.
#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// The service's name, the first part of its queues' names
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: String,
    /// Takes events of this name or pattern, by a queue SERVICE.PATTERN; may be repeated
    #[arg(long = "on", value_name = "PATTERN", required_unless_present = "tasks")]
    events: Vec<String>,
    /// Takes the service's own tasks of this name, by a queue SERVICE.NAME; may be repeated
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    /// One at a time of all replicas, in order
    #[arg(long)]
    exclusive: bool,
}

impl Streams {
    /// The worker that runs for each queue the handler which `make` makes for it.
    pub(crate) fn worker<F, R>(&self, policy: Policy, make: impl Fn(Arc<str>) -> F) -> Worker
    where
        F: Fn(Value, Context) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        let policy = if self.exclusive { policy.exclusive() } else { policy };
        let mut worker = Worker::new(&self.service);
        for pattern in &self.events {
            worker = worker.on_with::<Value, _>(pattern, make(self.queue(pattern)).with(policy.clone()));
        }
        for name in &self.tasks {
            worker = worker.task::<Value, _>(name, make(self.queue(name)).with(policy.clone()));
        }
        worker
    }

    /// The queues' names.
    pub(crate) fn queues(&self) -> impl Iterator<Item = Arc<str>> {
        self.events.iter().chain(&self.tasks).map(|label| self.queue(label))
    }

    fn queue(&self, label: &str) -> Arc<str> {
        format!("{}.{label}", self.service).into()
    }
}

/// What a worker that can't run means here: what it was told came from the command line.
pub(crate) fn unfit(error: WorkerError) -> Trouble {
    match error {
        WorkerError::Broker(error) => error.into(),
        WorkerError::Invalid(_) => Trouble::usage(error.to_string()),
        error => Trouble::lost(error.to_string()),
    }
}
