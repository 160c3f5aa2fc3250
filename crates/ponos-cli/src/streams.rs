//! Which service, and which queues it works on: a file `ponos.toml`, or the flags `--service`, `--on`, `--task`, `--fan-in`,
//! `--exclusive`. For `run`, `serve`, `declare`, `topology` and `asyncapi`.

use crate::{
    config::{self, Config},
    contracts::Contracts,
    described::{Described, DescribedQueue, Takes},
    trouble::Trouble,
};
use ponos::{schema::Contract, worker::Policy};
use std::path::PathBuf;

/// A service and the queues it works on.
#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// The file that describes the service, its queues, policies and contracts; ponos.toml in this folder if left out, where
    /// --service is not given
    #[arg(long, value_name = "FILE", env = config::VARIABLE, hide_env_values = true)]
    config: Option<PathBuf>,
    /// The service's name, the first part of its queues' names; instead of a file
    #[arg(long, value_name = "SERVICE", conflicts_with = "config")]
    service: Option<String>,
    /// Takes events of this name or pattern, through the queue SERVICE.PATTERN; may be repeated
    #[arg(long = "on", value_name = "PATTERN", requires = "service", conflicts_with = "config")]
    events: Vec<String>,
    /// Takes the service's own tasks of this name, through the queue SERVICE.NAME; may be repeated
    #[arg(long = "task", value_name = "NAME", requires = "service", conflicts_with = "config")]
    tasks: Vec<String>,
    /// Takes all --on patterns through one queue SERVICE.LABEL; with --concurrency 1, in the order of publishing
    #[arg(long, value_name = "LABEL", requires = "events")]
    fan_in: Option<String>,
    /// One at a time across all replicas, in order
    #[arg(long, requires = "service", conflicts_with = "config")]
    exclusive: bool,
    /// Reports what comes of each event, and declares what is handled, to the exchange ponos.reports (ponos observe)
    #[arg(
        long,
        env = "PONOS_REPORTS",
        hide_env_values = true,
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    reports: bool,
}

impl Streams {
    /// What the file or the flags say; `policy` and `contracts` are those of the flags.
    pub(crate) fn read(&self, policy: &Policy, contracts: Option<&Contracts>) -> Result<Config, Trouble> {
        let Some(service) = &self.service else {
            let config = Config::load(self.config.as_deref())?;
            return Ok(Config { reports: config.reports || self.reports, ..config });
        };
        let described = self.described(service, policy, contracts)?;
        Ok(Config { described, reports: self.reports, ..Config::default() })
    }

    /// Whether a file says it.
    pub(crate) fn are_of_a_file(&self) -> bool {
        self.service.is_none()
    }

    fn described(
        &self,
        service: &str,
        policy: &Policy,
        contracts: Option<&Contracts>,
    ) -> Result<Described, Trouble> {
        if self.events.is_empty() && self.tasks.is_empty() {
            return Err(Trouble::usage(
                "--service alone says nothing of what it takes: add --on PATTERN or --task NAME",
            ));
        }
        let policy = Policy { exclusive: self.exclusive, ..policy.clone() };
        let handler = |pattern: &String| -> Result<(String, Option<Contract>), Trouble> {
            let contract = contracts.map(|contracts| contracts.of(pattern)).transpose()?;
            Ok((pattern.clone(), contract))
        };
        let queue = |takes, label: &String, patterns: &[String]| -> Result<DescribedQueue, Trouble> {
            let handlers = patterns.iter().map(handler).collect::<Result<_, _>>()?;
            Ok(DescribedQueue { takes, label: label.clone(), handlers, policy: policy.clone() })
        };
        let mut queues = Vec::new();
        if let Some(label) = &self.fan_in {
            queues.push(queue(Takes::Several, label, &self.events)?);
        } else {
            for pattern in &self.events {
                queues.push(queue(Takes::Events, pattern, std::slice::from_ref(pattern))?);
            }
        }
        for name in &self.tasks {
            queues.push(queue(Takes::Tasks, name, std::slice::from_ref(name))?);
        }
        Ok(Described { service: service.to_owned(), queues, ..Described::default() })
    }
}
