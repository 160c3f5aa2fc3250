//! The clock as an AsyncAPI document: each event that a schedule publishes, with the schema of its data and the next occurrence as
//! an example. What is sent later on request has whatever name it was given, and stands in no such document.

use crate::{
    engine::{Coalesced, Era, occurrence_event},
    schedule::Schedule,
};
use ponos::{
    asyncapi::{Address, Document, Payload, Unwritable},
    event::Timestamp,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The JSON Schema of an event's data.
pub const TIME_EVENT: &str = include_str!("../../schemas/time-event.json");
/// Under which name it stands in the document.
const NAME: &str = "time-event";
/// The most schedules of one event that its description names.
const MOST_NAMED: usize = 10;

/// A schedule, and what is known of it.
#[derive(Debug, Clone)]
pub struct PublishedSchedule {
    /// What is published, and when.
    pub schedule: Schedule,
    /// Since when it counts.
    pub era: Era,
    /// Whose it is, if it was created at run time.
    pub owner: Option<String>,
    /// What people know it for.
    pub description: Option<String>,
    /// What lists are filtered by.
    pub labels: BTreeMap<String, String>,
}

/// The events of these schedules on that exchange; the examples are what is due next after `from`.
///
/// # Errors
/// [`Unwritable`], if the schema of the events can't stand in such a document.
pub fn document<'a>(
    clock: &str,
    exchange: &str,
    schedules: impl IntoIterator<Item = &'a PublishedSchedule>,
    from: Timestamp,
) -> Result<Document, Unwritable> {
    let mut document = Document::new(format!("The clock '{clock}'"));
    document.version = env!("CARGO_PKG_VERSION").into();
    document.description = Some("What the schedules of the clock khronos publish.".into());
    let schema: Value = serde_json::from_str(TIME_EVENT)
        .map_err(|error| Unwritable { name: NAME.into(), reason: error.to_string() })?;
    let payload = Payload { name: NAME, schema: &schema };
    let mut named: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for published in schedules {
        let event = published.schedule.event.as_str();
        let lines = named.entry(event).or_default();
        lines.push(line(published));
        let channel = document.send(Address::Event { exchange, pattern: event }, payload)?;
        channel.description = Some(shown(lines));
        channel.owners.extend(published.owner.clone());
        channel.labels.extend(published.labels.iter().map(|(key, value)| format!("{key}:{value}")));
        if let Some(due) = published.schedule.timing.after(from) {
            let alone = Coalesced { first: due, last: due, count: 1 };
            let next = occurrence_event(clock, published.era, &published.schedule, alone);
            channel.example(&published.schedule.name, &next);
        }
    }
    Ok(document)
}

/// A schedule in words: `one-day: every 1 day. Backups begin.`
fn line(published: &PublishedSchedule) -> String {
    let PublishedSchedule { schedule, description, .. } = published;
    let timing = schedule.timing.describe();
    match description {
        Some(description) => format!("{}: {timing}. {description}", schedule.name),
        None => format!("{}: {timing}", schedule.name),
    }
}

fn shown(lines: &[String]) -> String {
    let more = lines.len().saturating_sub(MOST_NAMED);
    let shown: Vec<&str> = lines.iter().take(MOST_NAMED).map(String::as_str).collect();
    let shown = shown.join("\n");
    if more == 0 { shown } else { format!("{shown}\nand {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{CalendarStore, Definition};

    fn published(name: &str, event: &str, owner: Option<&str>) -> PublishedSchedule {
        let definition = Definition {
            name: name.into(),
            event: Some(event.into()),
            every: Some("1 hour".into()),
            data: Some(serde_json::json!({ "of": name })),
            ..Definition::default()
        };
        PublishedSchedule {
            schedule: Schedule::build_with(&definition, &CalendarStore::default()).unwrap(),
            era: Era::first(1, Timestamp::EPOCH),
            owner: owner.map(str::to_owned),
            description: owner.map(|owner| format!("For {owner}.")),
            labels: owner.map(|owner| ("team".to_owned(), owner.to_owned())).into_iter().collect(),
        }
    }

    #[test]
    fn an_event_of_several_schedules_is_one_channel_with_the_next_of_each_as_an_example() {
        let from: Timestamp = "2026-12-01T09:30:00.000Z".parse().unwrap();
        let all = [
            published("a", "office.hour.passed", Some("billing")),
            published("b", "office.hour.passed", Some("shop")),
            published("c", "office.shift.ended", None),
        ];
        let written = document("main", "time", &all, from).unwrap().to_json();
        let channel = &written["channels"]["office.hour.passed"];
        assert_eq!(channel["x-owners"], serde_json::json!(["billing", "shop"]));
        assert_eq!(channel["tags"][0]["name"], "team:billing");
        assert_eq!(channel["bindings"]["amqp"]["exchange"]["name"], "time");
        let described = channel["description"].as_str().unwrap();
        assert!(described.contains("a: ") && described.ends_with("For shop."), "{described}");
        let message = &written["components"]["messages"]["office.hour.passed"];
        assert_eq!(message["examples"].as_array().unwrap().len(), 2);
        let example = &message["examples"][1];
        assert_eq!((&example["name"], &example["payload"]["data"]["of"]), (&"b".into(), &"b".into()));
        assert_eq!(example["payload"]["due_at"], "2026-12-01T10:00:00.000Z");
        assert_eq!(example["payload"]["previous_due_at"], "2026-12-01T09:00:00.000Z");
        assert_eq!(example["headers"]["cloudEvents_source"], "/khronos/main");
        assert_eq!(written["channels"]["office.shift.ended"].get("x-owners"), None);
    }

    #[test]
    fn of_many_schedules_some_are_named_and_of_one_that_is_finished_there_is_no_example() {
        let mut all: Vec<PublishedSchedule> =
            (0..12).map(|number| published(&format!("s{number}"), "office.hour.passed", None)).collect();
        let from = Timestamp::from_millis(Timestamp::HORIZON.millis() - 1);
        let written = document("main", "events", &all, from).unwrap().to_json();
        let described = written["channels"]["office.hour.passed"]["description"].as_str().unwrap();
        assert!(described.ends_with("\nand 2 more"), "{described}");
        assert_eq!(written["components"]["messages"]["office.hour.passed"].get("examples"), None);
        all.clear();
        let empty = document("main", "events", &all, from).unwrap().to_json();
        assert_eq!(empty["channels"], serde_json::json!({}));
    }
}
