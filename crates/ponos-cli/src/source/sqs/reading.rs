//! What a message of SQS is as events: a CloudEvent, what S3 says of its objects, or plain JSON whose name is configured; each as
//! it is, or in the envelope of SNS.
//!
//! Pure. Ids are those of what happened, so that a message that SQS gives out again is the same event.

mod s3;

use super::{
    client::Message,
    settings::{Queue, Settings},
};
use crate::{
    gateway::{
        access::Publisher,
        reading::{check, structured},
        settings::Contracts,
    },
    http::problem::BodyFault,
};
use ponos::{
    event::{Event, EventName, Timestamp, from_json},
    keyed_id,
};
use ponos_http::Domains;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most faults of one message that are said.
const FAULTS: usize = 3;

/// Reads the messages of one queue.
pub(super) struct Reader {
    /// `source` of events that have none: `/SERVICE/sqs/NAME`.
    source: String,
    service: String,
    /// What CloudEvents may come from it; none without.
    publisher: Option<Publisher>,
    event: Option<EventName>,
    events: BTreeMap<String, EventName>,
    contracts: Contracts,
    /// The most bytes of a body.
    most: usize,
}

/// What a message is.
#[derive(Debug)]
pub(super) enum Reading {
    /// These events, at least one.
    Events(Vec<Event>),
    /// S3 tries whether its messages arrive: nothing has happened.
    TestEvent,
}

/// What a text is, before its events are looked at.
struct Text<'a> {
    text: &'a str,
    /// What makes it this message, and no other.
    id: &'a str,
    sent: Option<Timestamp>,
}

impl Reader {
    /// For this queue.
    pub(super) fn new(service: &str, queue: &Queue, settings: &Settings) -> Self {
        let owner = format!("sqs/{}", queue.name);
        let of = |domains: &Domains| Publisher::of(owner.clone(), domains.clone());
        Self {
            source: format!("/{service}/{owner}"),
            service: service.to_owned(),
            publisher: queue.domains.as_ref().map(of),
            event: queue.event.clone(),
            events: queue.events.clone(),
            contracts: settings.contracts.clone(),
            most: settings.limits.body,
        }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// Why it can't be events; all of them can, or none is.
    pub(super) fn read(&self, message: &Message) -> Result<Reading, String> {
        let (length, most) = (message.body.len(), self.most);
        if length > most {
            return Err(format!("the body has {length} bytes, and {most} are the most (source.sqs.body)"));
        }
        let sent = message.attributes.get("SentTimestamp").and_then(|text| text.parse().ok());
        let sent = sent.map(Timestamp::from_millis);
        let outer = Text { text: &message.body, id: &message.message_id, sent };
        let value = json(outer.text)?;
        match envelope(&value)? {
            Some(inner) => self.unwrapped(
                &inner,
                &json(inner.text).map_err(|why| format!("in the envelope of SNS: {why}"))?,
            ),
            None => self.unwrapped(&outer, &value),
        }
    }

    fn unwrapped(&self, text: &Text<'_>, value: &Value) -> Result<Reading, String> {
        let events = if value.get("specversion").is_some() {
            vec![self.cloud_event(text.text)?]
        } else if s3::is_test(value) {
            return Ok(Reading::TestEvent);
        } else if s3::is_notification(value) {
            let named = |name: &str| self.named(name);
            s3::read(text.text, named, |event, at| {
                keyed_id(&self.source, event, &format!("{}\n{at}", text.id))
            })?
        } else {
            let Some(name) = &self.event else {
                return Err(
                    "it is no CloudEvent, and event does not say which event plain JSON of this queue is"
                        .into(),
                );
            };
            let id = keyed_id(&self.source, name, text.id);
            let mut event = Event::new(id, &*self.source, name.clone(), text.text.as_bytes());
            event.time = text.sent;
            vec![event]
        };
        for event in &events {
            let faults = check(&self.contracts, "", event);
            if !faults.is_empty() {
                return Err(format!("'{}' breaks its contract: {}", event.name, words(&faults)));
            }
        }
        Ok(Reading::Events(events))
    }

    fn cloud_event(&self, text: &str) -> Result<Event, String> {
        let Some(publisher) = &self.publisher else {
            return Err("CloudEvents are not taken from this queue: say in domains which of them are".into());
        };
        let event = structured("", text.as_bytes())
            .map_err(|faults| format!("it is not a valid CloudEvent: {}", words(&faults)))?;
        if event.name.domain() == "time" {
            return Err(format!("'{}' is an event of the clock's: nobody else publishes time.*", event.name));
        }
        let why_not = publisher.why_not(&event.name);
        match why_not.or_else(|| publisher.why_not_from(&self.service, &event.source)) {
            Some(why) => Err(why),
            None => Ok(event),
        }
    }

    /// What S3's event of this name is here.
    fn named(&self, theirs: &str) -> Option<&EventName> {
        let any = || Some(format!("{}:*", theirs.split_once(':')?.0));
        let known = self.events.get(theirs).or_else(|| self.events.get(&any()?));
        known.or(self.event.as_ref())
    }
}

fn json(text: &str) -> Result<Value, String> {
    from_json(text.as_bytes()).map_err(|why| format!("it is not valid JSON: {why}"))
}

fn words(faults: &[BodyFault]) -> String {
    let said: Vec<String> = faults
        .iter()
        .take(FAULTS)
        .map(|fault| {
            format!("{}: {}", if fault.pointer.is_empty() { "/" } else { &fault.pointer }, fault.detail)
        })
        .collect();
    said.join("; ")
}

/// The text that SNS put into its envelope, if this is one:
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html>
fn envelope(value: &Value) -> Result<Option<Text<'_>>, String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (Some(kind), Some(topic), Some(id), Some(message)) =
        (text("Type"), text("TopicArn"), text("MessageId"), text("Message"))
    else {
        return Ok(None);
    };
    match kind {
        "Notification" => {
            let sent = text("Timestamp").and_then(|text| Timestamp::floored(text).ok());
            Ok(Some(Text { text: message, id, sent }))
        }
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => Err(format!(
            "it is the {kind} of the topic {}, and no event: open its SubscribeURL to confirm",
            ponos::text::shown(topic)
        )),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
