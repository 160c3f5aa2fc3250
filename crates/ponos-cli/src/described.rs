//! A service as flags or `ponos.toml` describe it: its queues with their policies and contracts, and what it publishes.

use crate::{exit::Exit, trouble::Trouble};
use ponos::{
    schema::Contract,
    worker::{Configured, Context, FanIn, Handler, HandlerResult, Policy, Worker, WorkerError},
};
use serde_json::Value;
use std::{future::Future, sync::Arc};

/// A service, its queues, and what it publishes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    /// The service's name, the first part of its queues' names.
    pub(crate) service: String,
    pub(crate) queues: Vec<DescribedQueue>,
    /// Events that its handlers publish.
    pub(crate) events: Vec<(String, Option<Contract>)>,
    /// Tasks that its handlers publish, beside those that it handles itself.
    pub(crate) tasks: Vec<(String, Option<Contract>)>,
}

/// A queue: what it takes, and how that is tried.
#[derive(Debug, Clone)]
pub(crate) struct DescribedQueue {
    pub(crate) takes: Takes,
    /// The second part of its name.
    pub(crate) label: String,
    /// Names or patterns, each with the contract of its payloads.
    pub(crate) handlers: Vec<(String, Option<Contract>)>,
    pub(crate) policy: Policy,
}

/// What a queue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Events of one name or pattern, which is its label.
    Events,
    /// The service's own tasks of one name, which is its label.
    Tasks,
    /// Events of several names or patterns.
    Several,
}

impl Described {
    /// The full names of its queues.
    pub(crate) fn queue_names(&self) -> impl Iterator<Item = Arc<str>> {
        self.queues.iter().map(|queue| self.queue_name(&queue.label))
    }

    fn queue_name(&self, label: &str) -> Arc<str> {
        format!("{}.{label}", self.service).into()
    }

    /// How many handlers run at a time, of all queues.
    pub(crate) fn slots(&self) -> usize {
        self.queues.iter().map(|queue| queue.policy.slots()).fold(0, usize::saturating_add)
    }

    /// A worker that runs, for each queue, the handler that `make` returns for its name and policy, by the policy that `policy`
    /// makes of its own.
    pub(crate) fn worker<F, R>(
        &self,
        policy: impl Fn(&Policy) -> Policy,
        make: impl Fn(&Arc<str>, &Policy) -> F,
    ) -> Worker
    where
        F: Fn(Value, Context) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        let mut worker = Worker::new(&self.service);
        for queue in &self.queues {
            let (name, own) = (self.queue_name(&queue.label), policy(&queue.policy));
            let handler = |contract: &Option<Contract>| -> Configured<Value, R> {
                let handler = make(&name, &queue.policy).with(own.clone());
                match contract {
                    Some(contract) => handler.contract(contract.clone()),
                    None => handler,
                }
            };
            let mut handlers = queue.handlers.iter().map(|(pattern, contract)| (pattern, handler(contract)));
            worker = match queue.takes {
                Takes::Several => worker.fan_in(&queue.label, own.clone(), |fan_in| {
                    let on = |fan_in: FanIn, (pattern, handler): (&String, Configured<Value, R>)| {
                        fan_in.on::<Value>(pattern, handler)
                    };
                    handlers.fold(fan_in, on)
                }),
                Takes::Events => {
                    handlers.fold(worker, |worker, (name, handler)| worker.on::<Value>(name, handler))
                }
                Takes::Tasks => match handlers.next() {
                    Some((name, handler)) => worker.task::<Value>(name, handler),
                    None => worker,
                },
            };
        }
        for (name, contract) in &self.events {
            worker = match contract {
                Some(contract) => worker.publishes_under(name, contract.clone()),
                None => worker.publishes::<Value>(name),
            };
        }
        for (name, contract) in &self.tasks {
            worker = match contract {
                Some(contract) => worker.sends_task_under(name, contract.clone()),
                None => worker.sends_task::<Value>(name),
            };
        }
        worker
    }
}

/// The error of a worker that can't run; its settings came from the command line, or from `ponos.toml`.
pub(crate) fn unfit(error: WorkerError) -> Trouble {
    match error {
        WorkerError::Broker(error) => error.into(),
        WorkerError::Invalid(_) => Trouble::usage(error.to_string()),
        WorkerError::Metrics(_) => Trouble::Words(Exit::Configuration, error.to_string()),
        error => Trouble::lost(error.to_string()),
    }
}
