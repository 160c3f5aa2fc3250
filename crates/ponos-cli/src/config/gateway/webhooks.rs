//! `[[gateway.webhooks]]`: how they are signed, where the keys are, and which events they are here.

use super::{super::values::Values, event, given, is_path};
use crate::gateway::settings::{KeySource, Webhook, WebhookScheme};
use ponos::{event::EventName, files};
use std::collections::{BTreeMap, BTreeSet};

/// Reads them.
pub(super) fn read(values: &mut Values<'_>) -> Vec<Webhook> {
    const NAMED: &str = "write name = \"github\": it is the last part of the path, /v1/webhooks/github";
    let (mut webhooks, mut names) = (Vec::new(), BTreeSet::new());
    for at in 0..values.count("gateway.webhooks") {
        let table = format!("gateway.webhooks.{at}");
        let key = |name: &str| format!("{table}.{name}");
        let name = given(values, &table, "name", NAMED);
        let name = name.filter(|name| is_path(values, &key("name"), name, &mut names));
        let scheme = scheme(values, &table);
        let keys = keys(values, &table);
        let event = values.parsed(&key("event"), event);
        let events = events(values, &key("events"));
        if !values.is_written(&key("event")) && !values.is_written(&key("events")) {
            let help = "add event = \"vendor.invoice.paid\", or events = { \"invoice.paid\" = \"vendor.invoice.paid\" }";
            values.fault(&table, "it says of no event what it is here", help);
        }
        let parts = name.zip(scheme).zip(keys);
        webhooks.extend(parts.map(|((name, scheme), keys)| Webhook { name, scheme, keys, event, events }));
    }
    webhooks
}

fn scheme(values: &mut Values<'_>, table: &str) -> Option<WebhookScheme> {
    const HELP: &str = "write scheme = \"standard\" (Standard Webhooks) or scheme = \"github\"";
    match given(values, table, "scheme", HELP)?.as_str() {
        "standard" => Some(WebhookScheme::Standard),
        "github" => Some(WebhookScheme::GitHub),
        _ => {
            values.fault(&format!("{table}.scheme"), "there is no such scheme", HELP);
            None
        }
    }
}

fn keys(values: &mut Values<'_>, table: &str) -> Option<Vec<KeySource>> {
    const HELP: &str = "write keys = [\"file:PATH\"] or keys = [\"env:VARIABLE\"]; several while one takes over from another";
    let (path, mut keys, mut are_valid) = (format!("{table}.keys"), Vec::new(), true);
    for (place, text) in values.texts(&path) {
        match text.split_once(':') {
            Some(("file", file)) if !file.is_empty() => {
                let file = values.in_folder(file.as_ref());
                if let Some(what) = files::open_to_others(&file) {
                    values.warning(&place, what);
                }
                keys.push(KeySource::File(file));
            }
            Some(("env", variable)) if !variable.is_empty() => {
                keys.push(KeySource::Variable(variable.to_owned()))
            }
            _ => {
                // it may be the key itself
                values.fault(&place, "this does not say where the key is", HELP);
                are_valid = false;
            }
        }
    }
    if keys.is_empty() && are_valid {
        let at = if values.is_written(&path) { &path } else { table };
        values.fault(at, "without a key no signature can be checked", HELP);
        return None;
    }
    are_valid.then_some(keys)
}

/// Our events by the sender's names.
pub(in crate::config) fn events(values: &mut Values<'_>, path: &str) -> BTreeMap<String, EventName> {
    let mut events = BTreeMap::new();
    for (theirs, ours) in values.texts_by_key(path) {
        match event(&ours) {
            Ok(event) => drop(events.insert(theirs, event)),
            Err(what) => values.fault_alone(&format!("{path}.{theirs}"), what),
        }
    }
    events
}
