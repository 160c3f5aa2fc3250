//! Compares two AsyncAPI documents: what an edit takes from readers, or from what is queued.
//!
//! Channels are matched by their name, else by their address; messages by their name in the channel. Payloads and headers are
//! compared as [`compare`](crate::compare()) does. A pointer leads into the document, and from `payload` or `headers` on into
//! the data. Descriptions, tags, owners, examples and servers mean nothing here; neither do traits.

mod schema;
mod view;

use super::Unusable;
use crate::{
    Change, Side, compare,
    text::{shortened, step},
};
use schema::Described;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use view::{ChannelView, View};

/// The parts of a channel that say where its messages go.
const PLACE: [&str; 4] =
    ["/address", "/bindings/amqp/exchange/name", "/bindings/amqp/exchange/type", "/bindings/amqp/queue/name"];
/// Characters of a value that are shown.
const SHOWN: usize = 80;

/// Whether a document says that it is AsyncAPI, of whatever version.
pub(super) fn is_document(document: &Value) -> bool {
    document.get("asyncapi").is_some_and(Value::is_string)
}

/// The relevant changes, in the order of their places.
pub(super) fn changes(old: &Value, new: &Value) -> Result<Vec<Change>, Unusable> {
    let (old, new) = (View::of(old, "OLD")?, View::of(new, "NEW")?);
    let mut comparison =
        Comparison { matched: matched(&old, &new), old, new, compared: HashMap::new(), changes: Vec::new() };
    comparison.channels()?;
    comparison.operations();
    Ok(comparison.changes)
}

/// The channels of both, by their names.
fn matched<'d>(old: &View<'d>, new: &View<'d>) -> BTreeMap<&'d str, &'d str> {
    let address = |channel: &ChannelView<'d>| channel.value.get("address").and_then(Value::as_str);
    let by_address = |channel: &ChannelView<'d>| {
        let wanted = address(channel)?;
        let is_free = |id: &str| !old.channels.contains_key(id);
        new.channels
            .iter()
            .find(|(id, other)| is_free(id) && address(other) == Some(wanted))
            .map(|(id, _)| *id)
    };
    let found = |(id, channel): (&&'d str, &ChannelView<'d>)| {
        let same = new.channels.get_key_value(id).map(|(id, _)| *id);
        Some((*id, same.or_else(|| by_address(channel))?))
    };
    old.channels.iter().filter_map(found).collect()
}

struct Comparison<'d> {
    old: View<'d>,
    new: View<'d>,
    /// The channels of the old document, with what they are in the new one.
    matched: BTreeMap<&'d str, &'d str>,
    /// What was found of schemas that many messages share.
    compared: HashMap<(String, String), Vec<Change>>,
    changes: Vec<Change>,
}

impl<'d> Comparison<'d> {
    fn breaks(&mut self, side: Side, pointer: String, what: impl Into<String>) {
        self.changes.push(Change { pointer, what: what.into(), breaking: true, side });
    }

    fn is_new(&mut self, pointer: String) {
        let what = "is new".to_owned();
        self.changes.push(Change { pointer, what, breaking: false, side: Side::Queued });
    }

    fn channels(&mut self) -> Result<(), Unusable> {
        let all: BTreeSet<&'d str> = self.old.channels.keys().copied().collect();
        for id in all {
            let at = format!("/channels/{}", step(id));
            let Some(before) = self.old.channels.get(id).cloned() else { continue };
            let after = self.matched.get(id).and_then(|id| self.new.channels.get(id)).cloned();
            match after {
                Some(after) => {
                    self.place(&at, &before, &after);
                    self.messages(&at, &before, &after)?;
                }
                None if before.side() == Side::Readers => self.breaks(
                    Side::Readers,
                    at,
                    "the channel is gone, and its readers receive nothing more; keep it until nobody reads it",
                ),
                None => self.breaks(
                    Side::Queued,
                    at,
                    "the channel is gone, and what waits in its queue is handled by nobody; empty and delete the queue first",
                ),
            }
        }
        let known: BTreeSet<&str> = self.matched.values().copied().collect();
        let new: Vec<&str> = self.new.channels.keys().copied().filter(|id| !known.contains(id)).collect();
        new.into_iter().for_each(|id| self.is_new(format!("/channels/{}", step(id))));
        Ok(())
    }

    fn place(&mut self, at: &str, before: &ChannelView<'_>, after: &ChannelView<'_>) {
        for pointer in PLACE {
            let text =
                |channel: &ChannelView<'_>| channel.value.pointer(pointer)?.as_str().map(str::to_owned);
            let (Some(old), Some(new)) = (text(before), text(after)) else { continue };
            if old != new {
                let (old, new) = (shortened(&old, SHOWN), shortened(&new, SHOWN));
                let what = match before.side() {
                    Side::Readers => format!(
                        "changed from '{old}' to '{new}', and whoever reads the old one receives nothing more; send to both until all have moved, or keep it"
                    ),
                    Side::Queued => format!(
                        "changed from '{old}' to '{new}', and what waits there is handled by nobody; read both until the old one is empty, or keep it"
                    ),
                };
                self.breaks(before.side(), format!("{at}{pointer}"), what);
            }
        }
    }

    fn messages(
        &mut self,
        at: &str,
        before: &ChannelView<'d>,
        after: &ChannelView<'d>,
    ) -> Result<(), Unusable> {
        for (id, &old) in &before.messages {
            let at = format!("{at}/messages/{}", step(id));
            let Some(&new) = after.messages.get(id) else {
                let (side, what) = match before.sent.contains(*id) {
                    true => (
                        Side::Readers,
                        "the message is gone, and its readers receive nothing more; keep it until nobody reads it",
                    ),
                    false => (
                        Side::Queued,
                        "the message is gone, and those that are queued are known to nobody; keep it until none is left",
                    ),
                };
                self.breaks(side, at, what);
                continue;
            };
            let kind = |view: &View<'d>, message: &'d Value| {
                message.get("contentType").or_else(|| view.root.get("defaultContentType"))?.as_str()
            };
            if let (Some(old), Some(new)) = (kind(&self.old, old), kind(&self.new, new))
                && old != new
            {
                let (old, new) = (shortened(old, SHOWN), shortened(new, SHOWN));
                let what = format!(
                    "changed from '{old}' to '{new}', which readers of the old one can't read; publish it under a new name"
                );
                self.breaks(Side::Readers, format!("{at}/contentType"), what);
            }
            for part in ["headers", "payload"] {
                self.schemas(format!("{at}/{part}"), old.get(part), new.get(part))?;
            }
        }
        for id in after.messages.keys().filter(|id| !before.messages.contains_key(*id)) {
            let at = format!("{at}/messages/{}", step(id));
            match after.sent.contains(*id) && !before.sent.is_empty() {
                true => self.breaks(
                    Side::Readers,
                    at,
                    "is new to this channel, and its readers don't know it; send it on a channel of its own, or update every reader first",
                ),
                false => self.is_new(at),
            }
        }
        Ok(())
    }

    fn schemas(
        &mut self,
        at: String,
        old: Option<&'d Value>,
        new: Option<&'d Value>,
    ) -> Result<(), Unusable> {
        let (old, new) = (Described::of(&self.old, &at, old)?, Described::of(&self.new, &at, new)?);
        let key = old.shared.clone().zip(new.shared.clone());
        let known = key.as_ref().and_then(|key| self.compared.get(key)).cloned();
        let found = match known {
            Some(found) => found,
            None => {
                let found = differences(&self.old, &self.new, &at, &old, &new)?;
                if let Some(key) = key {
                    self.compared.insert(key, found.clone());
                }
                found
            }
        };
        let placed =
            found.into_iter().map(|change| Change { pointer: format!("{at}{}", change.pointer), ..change });
        self.changes.extend(placed);
        Ok(())
    }

    fn operations(&mut self) {
        let all: Vec<_> =
            self.old.operations.iter().map(|(id, operation)| (*id, operation.clone())).collect();
        for (id, before) in all {
            let at = format!("/operations/{}", step(id));
            let side = if before.is_send { Side::Readers } else { Side::Queued };
            if self.new.operations.get(id).is_some_and(|after| after.is_send != before.is_send) {
                let what = match before.is_send {
                    true => {
                        "changed from send to receive, and readers receive nothing more; keep it, and add another one that receives"
                    }
                    false => {
                        "changed from receive to send, and what is queued is handled by nobody; keep it, and add another one that sends"
                    }
                };
                self.breaks(side, format!("{at}/action"), what);
                continue;
            }
            // of a channel that is gone it was said
            let Some(channel) = self.matched.get(before.channel.as_str()).copied() else { continue };
            let is_kept = self.new.operations.values().any(|after| {
                after.is_send == before.is_send && after.channel == channel && after.queue == before.queue
            });
            match (is_kept, before.queue) {
                (true, _) => {}
                (false, Some(queue)) => {
                    let queue = shortened(queue, SHOWN);
                    let what = format!(
                        "is gone, and what waits in the queue '{queue}' is handled by nobody; keep it until the queue is empty, and delete the queue"
                    );
                    self.breaks(side, at, what);
                }
                (false, None) if before.is_send => {
                    let what =
                        "is gone, and readers receive nothing more; keep it until nobody reads the channel";
                    self.breaks(side, at, what);
                }
                (false, None) => {
                    self.breaks(
                        side,
                        at,
                        "is gone, and what is queued is handled by nobody; keep it until nothing is left",
                    );
                }
            }
        }
    }
}

/// What changed between two schemas, with pointers into the data, and what to do about it.
fn differences(
    old_view: &View<'_>,
    new_view: &View<'_>,
    at: &str,
    old: &Described<'_>,
    new: &Described<'_>,
) -> Result<Vec<Change>, Unusable> {
    if let (Some(a), Some(b)) = (old.json(), new.json()) {
        let (a, b) = (schema::alone(old_view, at, a)?, schema::alone(new_view, at, b)?);
        return Ok(compare(&a, &b).into_iter().map(with_remedy).collect());
    }
    if old.is_equal(new) {
        return Ok(Vec::new());
    }
    let what = "the schema changed, and is written in a language that is not compared here; publish it under a new name";
    Ok(vec![Change { pointer: String::new(), what: what.into(), breaking: true, side: Side::Queued }])
}

fn with_remedy(change: Change) -> Change {
    let remedy = match (change.breaking, change.side) {
        (false, _) => return change,
        (true, Side::Queued) => "keep accepting the old form, or publish the new one under a new name",
        (true, Side::Readers) => "update every reader first, or publish the new form under a new name",
    };
    Change { what: format!("{}; {remedy}", change.what), ..change }
}

#[cfg(test)]
mod tests;
