//! `[[queues]]`, `[publish]` and `[contracts]`: what a service takes and publishes.

use super::{
    policies::{self, Policies},
    values::Values,
};
use crate::described::{Described, DescribedQueue, Takes};
use ponos::{
    event::EventName,
    schema::{Contract, Registry},
    schema_files,
    worker::Policy,
};

/// Where a queue stands in the file.
pub(super) struct Place {
    /// As in the faults of a worker.
    label: String,
    /// Its table, and those of its policies.
    tables: Vec<String>,
    /// The paths of its names and patterns.
    names: Vec<(String, String)>,
}

/// The contracts of a folder.
struct Folder {
    registry: Option<Registry>,
    said: bool,
}

/// A policy that no queue has, and the tables whose keys made it, the last one first.
pub(super) type Unused = (Policy, Vec<String>);

/// Reads them, and notes where each queue stands, and which policies none has.
pub(super) fn read(described: &mut Described, values: &mut Values<'_>) -> (Vec<Place>, Vec<Unused>) {
    let folder = Folder::read(values);
    let mut policies = Policies::read(values);
    let mut places = Vec::new();
    for at in 0..values.count("queues") {
        let table = format!("queues.{at}");
        let (policy, tables) = policies.of_queue(values, &table);
        let names = names(values, &table);
        let Some((takes, label)) = takes(values, &table, &names) else { continue };
        let own = contract(values, &format!("{table}.contract"));
        let handlers = names.iter().map(|(path, name)| {
            let contract = own.clone().or_else(|| folder.of(values, path, name));
            (name.clone(), contract)
        });
        let handlers = handlers.collect();
        described.queues.push(DescribedQueue { takes, label: label.clone(), handlers, policy });
        places.push(Place { label, tables, names });
    }
    if values.count("queues") == 0 && !values.is_written("queues") && !needs_no_queue(values) {
        let help =
            "add a table [[queues]] with on = [\"order.parcel.shipped\"], or task = \"stock.label.print\"";
        values.fault("queues", "the service has no queue", help);
    }
    let mut declared = |list: &str| -> Vec<(String, Option<Contract>)> {
        let texts = values.texts(list).into_iter();
        texts.map(|(path, name)| (name.clone(), folder.of(values, &path, &name))).collect()
    };
    described.events = declared("publish.events");
    described.tasks = declared("publish.tasks");
    (places, policies.unused().collect())
}

/// Whether the file describes something that has no queue of its own.
pub(super) fn needs_no_queue(values: &Values<'_>) -> bool {
    values.is_written("gateway") || values.is_written("source")
}

/// A queue that has this policy, so that it can be checked as those are.
pub(super) fn made_up((policy, tables): &Unused) -> (DescribedQueue, Place) {
    let label = "made.up.queue".to_owned();
    let names = vec![(tables.first().cloned().unwrap_or_default(), label.clone())];
    let handlers = vec![(label.clone(), None)];
    let queue =
        DescribedQueue { takes: Takes::Events, label: label.clone(), handlers, policy: policy.clone() };
    (queue, Place { label, tables: tables.clone(), names })
}

/// The names and patterns of a queue, each with its path.
fn names(values: &Values<'_>, table: &str) -> Vec<(String, String)> {
    let task = format!("{table}.task");
    match values.text(&task) {
        Some(name) => vec![(task, name)],
        None => values.texts(&format!("{table}.on")),
    }
}

/// What a queue takes, and its label.
fn takes(values: &mut Values<'_>, table: &str, names: &[(String, String)]) -> Option<(Takes, String)> {
    let (on, task, label) = (format!("{table}.on"), format!("{table}.task"), format!("{table}.label"));
    if values.is_written(&on) && values.is_written(&task) {
        values.fault(&task, "a queue takes events or tasks, not both", "write a table [[queues]] for each");
        return None;
    }
    let said = values.text(&label);
    match (names, said) {
        ([], _) if values.is_written(&task) || values.count(&on) > 0 => None,
        ([], _) => {
            let at = if values.is_written(&on) { on } else { table.to_owned() };
            let help = "add on = [\"order.parcel.shipped\"], or task = \"stock.label.print\"";
            values.fault(&at, "this queue takes nothing", help);
            None
        }
        (_, Some(_)) if values.is_written(&task) => {
            values.fault(&label, "the queue of a task is named after the task", "leave the label out");
            None
        }
        (_, Some(label)) => Some((Takes::Several, label)),
        ([(_, name)], None) if values.is_written(&task) => Some((Takes::Tasks, name.clone())),
        ([(_, name)], None) => Some((Takes::Events, name.clone())),
        _ => {
            let help = "add label = \"...\", the last part of the queue's name, or write a table [[queues]] for each";
            values.fault(&on, "a queue of several names has no label", help);
            None
        }
    }
}

/// The contract of a file.
fn contract(values: &mut Values<'_>, key: &str) -> Option<Contract> {
    let file = values.path(key)?;
    match schema_files::contract(file) {
        Ok(contract) => Some(contract),
        Err(error) => {
            values.fault_alone(key, error.to_string());
            None
        }
    }
}

impl Folder {
    fn read(values: &mut Values<'_>) -> Self {
        let Some(path) = values.path("contracts.folder") else { return Self { registry: None, said: false } };
        let registry = match schema_files::registry(path) {
            Ok(registry) => Some(registry),
            Err(error) => {
                values.fault_alone("contracts.folder", error.to_string());
                None
            }
        };
        Self { registry, said: true }
    }

    /// The contract of a name. One that the folder lacks is a fault; of patterns it says nothing.
    fn of(&self, values: &mut Values<'_>, path: &str, name: &str) -> Option<Contract> {
        let registry = self.registry.as_ref().filter(|_| self.said)?;
        let name: EventName = name.parse().ok()?;
        let found = registry.get(&name).cloned();
        if found.is_none() {
            let what = format!("the folder of contracts has no file {name}.json");
            values.fault(
                path,
                what,
                "add the file, or correct the name; a file that holds true takes any payload",
            );
        }
        found
    }
}

/// The path of what a worker's fault is about, and what is to be said there.
pub(super) fn blame(values: &Values<'_>, places: &[Place], fault: &str) -> (String, String) {
    for Place { label, tables, names } in places {
        let Some(what) = fault.strip_prefix(&format!("{label}: ")) else { continue };
        let quoted = |(_, name): &&(String, String)| what.contains(&format!("'{name}'"));
        let path = policies::blamed(values, tables, what)
            .or_else(|| names.iter().find(quoted).map(|(path, _)| path.clone()))
            .or_else(|| what.starts_with("the label").then(|| format!("{}.label", tables[0])))
            .or_else(|| names.first().map(|(path, _)| path.clone()));
        return (path.unwrap_or_default(), what.to_owned());
    }
    if fault.starts_with("the service's name") {
        return ("service".into(), fault.into());
    }
    for (list, word) in [("publish.events", "publishes"), ("publish.tasks", "task")] {
        let about = |(_, name): &(String, String)| fault.starts_with(&format!("{word} '{name}'"));
        if let Some((path, _)) = values.texts(list).into_iter().find(about) {
            return (path, fault.into());
        }
    }
    let whole = if fault.starts_with("Limits: consumer_timeout") { "broker.consumer_timeout" } else { "" };
    (whole.into(), fault.into())
}
