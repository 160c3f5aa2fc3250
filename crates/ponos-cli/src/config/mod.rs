//! `ponos.toml`: one file for `run`, `serve`, `declare`, `topology`, `asyncapi`, `gateway` and `source`. Parsed once, valid from then on;
//! all faults are reported at once, each with its place.
//!
//! `keys.rs` names the keys, `values.rs` reads one value, `policies.rs` lays policies over each other, `queues.rs` reads the
//! queues, `gateway.rs` what comes in over HTTP, `source.rs` what is received from elsewhere. Relative paths count from the file's folder. Flags and variables of the
//! environment go before what the file says.

mod gateway;
mod keys;
mod policies;
mod queues;
mod source;
#[cfg(test)]
mod tests;
mod values;

use crate::{
    described::Described, exit::Exit, gateway::settings::Settings, inbox::InboxLocation, output, source::sqs,
    trouble::Trouble,
};
pub(crate) use gateway::is_owner;
use ponos::{
    broker::amqp::AmqpConfig,
    files,
    worker::{Limits, Outcome, WorkerError},
};
use ponos_toml::diagnostic::{Diagnostic, Diagnostics, Text, counted};
use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};
use values::Values;

/// The variable that names the file.
pub(crate) const VARIABLE: &str = "PONOS_CONFIG";
/// The file that is read if none is named.
const USUAL: &str = "ponos.toml";
/// The most bytes of a file.
const MOST: u64 = 1 << 20;

/// All that the file says.
#[derive(Clone, Default)]
pub(crate) struct Config {
    pub(crate) described: Described,
    pub(crate) url: Option<String>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) consumer_timeout: Option<Duration>,
    /// Nothing is declared on the broker.
    pub(crate) passive: bool,
    /// What comes of deliveries is reported.
    pub(crate) reports: bool,
    pub(crate) inbox: Option<InboxLocation>,
    /// What comes in over HTTP.
    pub(crate) gateway: Option<Settings>,
    /// What is received from SQS.
    pub(crate) sqs: Option<sqs::settings::Settings>,
}

impl Config {
    /// Reads this file, or the usual one, for a verb that is to work by it.
    ///
    /// # Errors
    /// It can't be read, or is wrong: what is wrong was drawn on standard error.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Trouble> {
        let (config, found) = Self::read(file)?;
        if found.errors() > 0 {
            output::complain_drawn(&found);
            let file = file.unwrap_or(Path::new(USUAL)).display();
            let what = format!("{file} can't be used: {}", counted(found.errors(), "error"));
            return Err(Trouble::Words(Exit::Configuration, what));
        }
        Ok(config)
    }

    /// Reads this file, or the usual one, and all that is wrong with it.
    ///
    /// # Errors
    /// There is no such file, or it can't be read.
    pub(crate) fn read(file: Option<&Path>) -> Result<(Self, Diagnostics), Trouble> {
        let path = file.unwrap_or(Path::new(USUAL));
        let text = match files::read_text(path, MOST) {
            Ok(text) => text,
            Err(files::ReadError::Io(error)) if file.is_none() && error.kind() == ErrorKind::NotFound => {
                return Err(Trouble::usage(format!(
                    "no service is named: write {USUAL} in this folder, name a file with --config, or give --service with --on or --task"
                )));
            }
            Err(error) => {
                let what = format!("{} can't be read: {error}", path.display());
                return Err(Trouble::Words(Exit::Configuration, what));
            }
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse(&path.display().to_string(), &text, folder))
    }

    /// What a text says, and all that is wrong with it.
    fn parse(file: &str, text: &str, folder: &Path) -> (Self, Diagnostics) {
        let text = Text::new(file, text).masked(keys::may_be_shown);
        let mut values = Values::of(&text, folder);
        if !values.is_toml() {
            return (Self::default(), values.faults);
        }
        let mut config = Self::default();
        config.broker(&mut values);
        config.inbox = inbox(&mut values);
        config.reports = values.boolean("reports").unwrap_or(false);
        let (places, unused) = queues::read(&mut config.described, &mut values);
        config.service(&mut values);
        config.gateway = gateway::read(&mut values);
        config.sqs = source::read(&mut values);
        config.check(&mut values, &places, &unused);
        let mut found = values.faults;
        found.sort();
        (config, found)
    }

    fn broker(&mut self, values: &mut Values<'_>) {
        self.url = values.text("broker.url");
        if let Some(Err(error)) = self.url.as_deref().map(AmqpConfig::parse) {
            values.fault_alone("broker.url", error.to_string());
        }
        self.url_file = values.path("broker.url_file");
        if values.is_written("broker.url") && values.is_written("broker.url_file") {
            values.fault("broker.url_file", "url and url_file are both given", "leave one of them out");
        }
        self.consumer_timeout = values.duration("broker.consumer_timeout");
        self.passive = values.boolean("broker.passive").unwrap_or(false);
    }

    fn service(&mut self, values: &mut Values<'_>) {
        match values.text("service") {
            Some(service) => self.described.service = service,
            None if values.is_written("service") => {}
            None => values.fault(
                "service",
                "the service has no name",
                "add service = \"...\": words of a-z and 0-9 joined by hyphens, the first part of its queues' names",
            ),
        }
    }

    /// Notes the faults that a worker of this would have, and those of policies that no queue has.
    fn check(&self, values: &mut Values<'_>, places: &[queues::Place], unused: &[queues::Unused]) {
        // what each handler of a queue has is told of once
        let mut told = Vec::new();
        // what can't be read would be told of twice
        let is_whole = !self.described.queues.is_empty() || queues::needs_no_queue(values);
        let can_be_read = is_whole || values.faults.errors() == 0;
        if !self.described.service.is_empty() && can_be_read {
            self.check_worker(&self.described, values, places, &mut told);
        }
        for (queue, place) in unused.iter().map(queues::made_up) {
            let queues = vec![queue];
            let described = Described { service: "shop".into(), queues, ..Described::default() };
            self.check_worker(&described, values, &[place], &mut told);
        }
    }

    fn check_worker(
        &self,
        described: &Described,
        values: &mut Values<'_>,
        places: &[queues::Place],
        told: &mut Vec<(String, String)>,
    ) {
        let worker = described.worker(Clone::clone, |_, _| |_, _| async { Ok(Outcome::Done) });
        let Err(WorkerError::Invalid(faults)) = worker.limits(self.limits(Limits::default().grace)).ready()
        else {
            return;
        };
        for fault in faults {
            let blamed = queues::blame(values, places, &fault);
            // that it has no queue, where none is needed
            if described.queues.is_empty() && queues::needs_no_queue(values) && blamed.0.is_empty() {
                continue;
            }
            if !told.contains(&blamed) {
                values.fault_alone(&blamed.0, blamed.1.clone());
                told.push(blamed);
            }
        }
    }

    /// The limits of the worker as a whole, with that grace.
    pub(crate) fn limits(&self, grace: Duration) -> Limits {
        let limits = Limits { grace, ..Limits::default() };
        match self.consumer_timeout {
            Some(consumer_timeout) => Limits { consumer_timeout, ..limits },
            None => limits,
        }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { described, url: _, url_file, consumer_timeout, passive, reports, inbox, gateway, sqs } =
            self;
        f.debug_struct("Config")
            .field("described", described)
            .field("url_file", url_file)
            .field("consumer_timeout", consumer_timeout)
            .field("passive", passive)
            .field("reports", reports)
            .field("inbox", inbox)
            .field("gateway", gateway)
            .field("sqs", sqs)
            .finish_non_exhaustive()
    }
}

fn inbox(values: &mut Values<'_>) -> Option<InboxLocation> {
    let text = values.text("inbox")?;
    match InboxLocation::read(&text) {
        Ok(InboxLocation::Sled(path)) => Some(InboxLocation::Sled(values.in_folder(&path))),
        Ok(place) => Some(place),
        Err(_) => {
            let help = "write memory, sled:PATH, or postgres://user:password@host/database";
            values.fault("inbox", "this names no inbox", help);
            None
        }
    }
}

/// What is said of a file that can't be read, as a diagnostic.
pub(crate) fn unreadable(trouble: &Trouble) -> Diagnostics {
    Diagnostic::error(trouble.to_string()).into()
}
