//! A worker as an AsyncAPI document: what it handles, through which queues, and what it publishes.

use super::{
    Ready, Worker, WorkerError,
    plan::{QueuePlan, Route},
};
use crate::{
    asyncapi::{Address, Document, Payload, Unwritable},
    declared::Declared,
    topology::{
        Destination, Topology,
        worker::{EVENTS, TASKS},
    },
};

impl Worker {
    /// What the worker sends and receives, as an AsyncAPI 3.0 document with the schemas of all payloads: for people, for generators
    /// of code, and for `ponos schema check` (docs/contracts.md). The service is the owner of what it publishes. The broker is not
    /// touched, and the document names none until its `servers` are set.
    ///
    /// ```
    /// use ponos::prelude::*;
    ///
    /// let worker = Worker::new("docker").on("time.one-day.passed", async |_: TimePassed, _: Context| Ok(Done));
    /// let mut document = worker.asyncapi()?;
    /// document.version = env!("CARGO_PKG_VERSION").into();
    /// assert_eq!(document.to_json()["channels"]["time.one-day.passed"]["address"], "time.one-day.passed");
    /// # Ok::<(), ponos::worker::WorkerError>(())
    /// ```
    ///
    /// # Errors
    /// [`WorkerError::Invalid`] with all faults, and where a schema can't stand in such a document.
    pub fn asyncapi(self) -> Result<Document, WorkerError> {
        self.checked()?.asyncapi()
    }
}

impl Ready {
    /// As [`Worker::asyncapi`].
    ///
    /// # Errors
    /// [`WorkerError::Invalid`]: a schema can't stand in such a document.
    pub fn asyncapi(&self) -> Result<Document, WorkerError> {
        let plan = self.plan();
        let declared = &plan.service.declared;
        let mut document = Document::new(format!("The service '{}'", declared.service));
        // first what is sent: its schemas have the names of their events
        let mut faults = sent(&mut document, declared);
        for queue in &plan.queues {
            faults.extend(received(&mut document, queue, takes_tasks(&plan.topology, &queue.name)));
        }
        let mut faults: Vec<String> = faults.iter().map(Unwritable::to_string).collect();
        faults.dedup();
        if faults.is_empty() { Ok(document) } else { Err(WorkerError::Invalid(faults)) }
    }
}

fn sent(document: &mut Document, declared: &Declared) -> Vec<Unwritable> {
    let mut faults = Vec::new();
    for (registry, is_task) in [(&declared.events, false), (&declared.tasks, true)] {
        for name in registry.names() {
            let Some(contract) = registry.get(name) else { continue };
            let queue = declared.queue(name);
            let address = match is_task {
                true => Address::Task { queue: &queue, name: name.as_str() },
                false => Address::Event { exchange: EVENTS, pattern: name.as_str() },
            };
            match document.send(address, Payload { name: name.as_str(), schema: contract.schema() }) {
                Ok(channel) => drop(channel.owners.insert(declared.service.to_string())),
                Err(fault) => faults.push(fault),
            }
        }
    }
    faults
}

fn received(document: &mut Document, queue: &QueuePlan, is_of_tasks: bool) -> Vec<Unwritable> {
    let receive = |route: &Route| {
        let address = match is_of_tasks {
            true => Address::Task { queue: &queue.name, name: &route.pattern },
            false => Address::Event { exchange: EVENTS, pattern: &route.pattern },
        };
        let payload = Payload { name: &route.pattern, schema: route.contract.schema() };
        document.receive(address, payload, &queue.name).map(drop)
    };
    queue.routes.iter().map(|route| &**route).map(receive).filter_map(Result::err).collect()
}

/// Whether a queue takes tasks.
pub(super) fn takes_tasks(topology: &Topology, queue: &str) -> bool {
    let leads_there = |to: &Destination| matches!(to, Destination::Queue(name) if name == queue);
    topology.bindings.iter().any(|binding| binding.source == TASKS && leads_there(&binding.destination))
}

#[cfg(test)]
mod tests {
    use crate::{prelude::*, schema::Contract, worker::WorkerError};
    use serde_json::{Value, json};

    async fn ok(_: Value, _: Context) -> HandlerResult {
        Ok(Done)
    }

    fn shop() -> Worker {
        let printed = Contract::from_value(json!({ "type": "object", "required": ["order"] })).unwrap();
        Worker::new("shop")
            .fan_in("orders", Policy::default(), |orders| {
                orders.on::<Value>("order.item.returned", ok).on::<Value>("order.*.placed", ok)
            })
            .on::<TimePassed>("time.one-day.passed", async |_: TimePassed, _: Context| Ok(Done))
            .task::<Value>("stock.shelf.clean", ok)
            .publishes_under("order.label.printed", printed)
            .sends_task::<u32>("stock.shelf.fill")
    }

    #[test]
    fn all_that_a_worker_takes_and_publishes_stands_in_its_document() {
        let written = shop().asyncapi().unwrap().to_json();
        let channels: Vec<&String> = written["channels"].as_object().unwrap().keys().collect();
        assert_eq!(
            channels,
            [
                "order._.placed",
                "order.item.returned",
                "order.label.printed",
                "shop.stock.shelf.clean",
                "shop.stock.shelf.fill",
                "time.one-day.passed",
            ]
        );
        let operations: Vec<(&str, &str)> = written["operations"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, operation)| (id.as_str(), operation["action"].as_str().unwrap()))
            .collect();
        assert_eq!(
            operations,
            [
                ("receive_shop.orders_order._.placed", "receive"),
                ("receive_shop.orders_order.item.returned", "receive"),
                ("receive_shop.stock.shelf.clean_shop.stock.shelf.clean", "receive"),
                ("receive_shop.time.one-day.passed_time.one-day.passed", "receive"),
                ("send_order.label.printed", "send"),
                ("send_shop.stock.shelf.clean", "send"),
                ("send_shop.stock.shelf.fill", "send"),
            ]
        );
        assert_eq!(written["channels"]["order.label.printed"]["x-owners"], json!(["shop"]));
        assert_eq!(written["channels"]["time.one-day.passed"].get("x-owners"), None);
        let schemas = &written["components"]["schemas"];
        assert_eq!(schemas["order.label.printed"], json!({ "type": "object", "required": ["order"] }));
        let window = &schemas["time.one-day.passed"]["properties"]["window"];
        assert!(
            window.to_string().contains("#/components/schemas/time.one-day.passed/$defs/Window"),
            "{window}"
        );
    }

    #[test]
    fn every_schema_that_can_not_stand_there_is_named() {
        let anchored = |name: &str| {
            let schema = json!({ "$ref": "#it", "$defs": { "it": { "$anchor": "it", "title": name } } });
            Contract::from_value(schema).unwrap()
        };
        let worker = shop()
            .publishes_under("order.item.sold", anchored("a"))
            .publishes_under("order.item.lost", anchored("b"));
        let Err(WorkerError::Invalid(faults)) = worker.asyncapi() else { panic!("it was written") };
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("order.item.lost") && faults[0].contains("#/$defs/NAME"), "{faults:?}");
    }
}
