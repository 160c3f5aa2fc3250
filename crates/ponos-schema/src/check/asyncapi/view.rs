//! An AsyncAPI document as it is compared: its channels with their messages, and its operations.

use super::super::Unusable;
use crate::{
    Side,
    text::{shortened, step},
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The longest chain of references.
const HOPS: usize = 32;

/// One document.
pub(super) struct View<'d> {
    pub(super) root: &'d Value,
    /// `OLD` or `NEW`.
    side: &'static str,
    pub(super) channels: BTreeMap<&'d str, ChannelView<'d>>,
    pub(super) operations: BTreeMap<&'d str, OperationView<'d>>,
}

/// One channel.
#[derive(Clone)]
pub(super) struct ChannelView<'d> {
    pub(super) value: &'d Value,
    pub(super) messages: BTreeMap<&'d str, &'d Value>,
    /// Those of its messages that the application sends.
    pub(super) sent: BTreeSet<String>,
    is_received: bool,
}

/// One operation.
#[derive(Clone)]
pub(super) struct OperationView<'d> {
    pub(super) is_send: bool,
    /// The channel's name.
    pub(super) channel: String,
    /// Through which queue it receives.
    pub(super) queue: Option<&'d str>,
}

impl ChannelView<'_> {
    /// Whom it breaks if it goes: who reads what the application sends, or what waits for the application itself.
    pub(super) fn side(&self) -> Side {
        if self.is_received && self.sent.is_empty() { Side::Queued } else { Side::Readers }
    }
}

impl<'d> View<'d> {
    pub(super) fn of(root: &'d Value, side: &'static str) -> Result<Self, Unusable> {
        let mut view = Self { root, side, channels: BTreeMap::new(), operations: BTreeMap::new() };
        let version = root.get("asyncapi").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("3.") {
            let what = format!(
                "this is version '{}', and documents of version 3 are compared; convert it (npx @asyncapi/cli convert)",
                shortened(version, 20)
            );
            return Err(view.fault("/asyncapi", what));
        }
        for (id, value) in view.named("channels")? {
            let value = view.resolve(value, &format!("/channels/{}", step(id)))?;
            let messages = value.get("messages").and_then(Value::as_object).into_iter().flatten();
            let messages = messages.map(|(name, message)| {
                let at = format!("/channels/{}/messages/{}", step(id), step(name));
                Ok((name.as_str(), view.resolve(message, &at)?))
            });
            let messages = messages.collect::<Result<_, Unusable>>()?;
            view.channels
                .insert(id, ChannelView { value, messages, sent: BTreeSet::new(), is_received: false });
        }
        for (id, value) in view.named("operations")? {
            view.operation(id, value)?;
        }
        Ok(view)
    }

    fn operation(&mut self, id: &'d str, value: &'d Value) -> Result<(), Unusable> {
        let at = format!("/operations/{}", step(id));
        let value = self.resolve(value, &at)?;
        let is_send = match value.get("action").and_then(Value::as_str) {
            Some("send") => true,
            Some("receive") => false,
            _ => return Err(self.fault(&format!("{at}/action"), "this is neither send nor receive")),
        };
        let reference = value.pointer("/channel/$ref").and_then(Value::as_str);
        let channel = reference.and_then(|text| text.strip_prefix("#/channels/")).map(decoded);
        let Some((channel, known)) =
            channel.and_then(|id| self.channels.get_mut(id.as_str()).map(|known| (id, known)))
        else {
            let what = "this refers to no channel of the document; write \"$ref\": \"#/channels/NAME\"";
            return Err(self.fault(&format!("{at}/channel"), what));
        };
        known.is_received |= !is_send;
        if is_send {
            match value.get("messages").and_then(Value::as_array) {
                Some(messages) => {
                    let references = messages.iter().filter_map(|message| message.get("$ref")?.as_str());
                    known.sent.extend(references.filter_map(|text| text.rsplit('/').next()).map(decoded));
                }
                None => known.sent.extend(known.messages.keys().map(|name| (*name).to_owned())),
            }
        }
        let queue = value.pointer("/x-queue/name").and_then(Value::as_str);
        self.operations.insert(id, OperationView { is_send, channel, queue });
        Ok(())
    }

    /// The entries of an object of the document.
    fn named(&self, key: &str) -> Result<Vec<(&'d str, &'d Value)>, Unusable> {
        match self.root.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Object(fields)) => {
                Ok(fields.iter().map(|(id, value)| (id.as_str(), value)).collect())
            }
            Some(_) => Err(self.fault(&format!("/{key}"), "this is not an object")),
        }
    }

    /// What stands there, or what it refers to, whatever stands beside the reference; `at` is its place.
    fn resolve(&self, value: &'d Value, at: &str) -> Result<&'d Value, Unusable> {
        self.follow(value, at, |_| true)
    }

    /// A schema, or the one that it consists of: what stands beside a reference counts.
    pub(super) fn schema(&self, value: &'d Value, at: &str) -> Result<&'d Value, Unusable> {
        self.follow(value, at, |fields| fields.len() == 1)
    }

    fn follow(
        &self,
        mut value: &'d Value,
        at: &str,
        leads: impl Fn(&Map<String, Value>) -> bool,
    ) -> Result<&'d Value, Unusable> {
        for _ in 0..HOPS {
            let fields = value.as_object().filter(|fields| leads(fields));
            let reference = fields.and_then(|fields| fields.get("$ref")).and_then(Value::as_str);
            let Some(reference) = reference else { return Ok(value) };
            value = self.target(reference, at)?;
        }
        Err(self.fault(at, "the references from here have no end"))
    }

    /// What a reference leads to.
    pub(super) fn target(&self, reference: &str, at: &str) -> Result<&'d Value, Unusable> {
        let Some(pointer) = reference.strip_prefix('#') else {
            let what = format!(
                "this refers to '{}', which is not in the document; bundle it into one (npx @asyncapi/cli bundle)",
                shortened(reference, 80)
            );
            return Err(self.fault(at, what));
        };
        self.root.pointer(&percent_decoded(pointer)).ok_or_else(|| {
            let what = format!("this refers to '{}', which is not there", shortened(reference, 80));
            self.fault(at, what)
        })
    }

    pub(super) fn fault(&self, pointer: &str, what: impl Into<String>) -> Unusable {
        Unusable::Document { side: self.side, pointer: pointer.to_owned(), what: what.into() }
    }
}

/// A name that stands in a reference as one step of its pointer.
fn decoded(step: &str) -> String {
    percent_decoded(step).replace("~1", "/").replace("~0", "~")
}

/// `%23` as `#`; what is no such pair stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let pair = after.get(..2).filter(|_| *first == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
