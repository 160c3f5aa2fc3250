//! `[source.sqs]`: which queues of SQS are received, and which events their messages are.

#[cfg(test)]
mod tests;

use super::{gateway, values::Values};
use crate::source::sqs::settings::{Endpoint, KeyFiles, Limits, Queue, Settings, is_region};
use ponos::files;
use ponos_http::Domains;
use std::{collections::BTreeSet, path::PathBuf};

/// The most that `body` may say: SQS takes no larger messages.
pub(super) const MESSAGE_MOST: u32 = 1 << 20;
/// The most that `bytes` may say.
pub(super) const BYTES_MOST: u32 = 1 << 30;
/// The most that `prefetch` may say.
pub(super) const PREFETCH_MOST: u32 = 1_000;
/// The most queues.
const QUEUES: usize = 32;

/// What becomes of a message whose event no queue is bound to.
const UNROUTABLE: [&str; 2] = ["it is left to SQS", "it is deleted all the same"];

/// Reads the section, if there is one.
pub(super) fn read(values: &mut Values<'_>) -> Option<Settings> {
    if !values.is_written("source.sqs") {
        return None;
    }
    let usual = Limits::default();
    let limits = Limits {
        body: values.count_of("source.sqs.body", MESSAGE_MOST.into()).unwrap_or(usual.body),
        bytes: bytes(values).unwrap_or(usual.bytes),
        confirm: gateway::confirm(values, "source.sqs.confirm").unwrap_or(usual.confirm),
    };
    let queues = queues(values);
    // one that is too small for any is reported already
    let least = queues.len().saturating_mul(1 << 20);
    if (usize::try_from(MESSAGE_MOST).unwrap_or(usize::MAX)..least).contains(&limits.bytes) {
        let what = format!("{} bytes are too few for {} queues", limits.bytes, queues.len());
        values.fault(
            "source.sqs.bytes",
            what,
            format!("each needs room for the largest message: set it to {least} or more"),
        );
    }
    Some(Settings {
        region: values.parsed("source.sqs.region", region),
        endpoint: endpoint(values),
        keys: keys(values),
        unroutable: gateway::unroutable(values, "source.sqs.unroutable", UNROUTABLE),
        limits,
        contracts: gateway::contracts(values),
        queues,
    })
}

/// Bytes that are held at a time: one of the largest messages at least.
fn bytes(values: &mut Values<'_>) -> Option<usize> {
    const KEY: &str = "source.sqs.bytes";
    let bytes: u32 = values.count_of(KEY, BYTES_MOST.into())?;
    if bytes < MESSAGE_MOST {
        values.fault(
            KEY,
            format!("{bytes} is out of bounds"),
            format!("allowed are {MESSAGE_MOST} to {BYTES_MOST}"),
        );
    }
    usize::try_from(bytes).ok()
}

fn region(text: &str) -> Result<String, String> {
    let wrong = || format!("'{text}' is not a region; write it as eu-central-1");
    is_region(text).then(|| text.to_owned()).ok_or_else(wrong)
}

fn endpoint(values: &mut Values<'_>) -> Option<Endpoint> {
    const KEY: &str = "source.sqs.endpoint";
    let (endpoint, path) = values.parsed(KEY, Endpoint::parse)?;
    if !matches!(path.as_str(), "" | "/") {
        values.fault(KEY, "it has a path", "write it as https://sqs.eu-central-1.amazonaws.com");
    }
    check_reach(values, KEY, &endpoint);
    Some(endpoint)
}

/// Whoever is on the way can read what is not encrypted.
fn check_reach(values: &mut Values<'_>, key: &str, endpoint: &Endpoint) {
    if !endpoint.is_tls && !endpoint.is_loopback() {
        values
            .warning(key, "messages, and tokens of a session, are not encrypted on their way: use https://");
    }
}

fn keys(values: &mut Values<'_>) -> KeyFiles {
    let mut file = |name: &str| -> Option<PathBuf> {
        let key = format!("source.sqs.{name}");
        let file = values.path(&key)?;
        if let Some(what) = files::open_to_others(&file) {
            values.warning(&key, what);
        }
        Some(file)
    };
    let [access_key_id, secret_access_key, session_token] =
        ["access_key_id_file", "secret_access_key_file", "session_token_file"].map(&mut file);
    let help = "set access_key_id_file and secret_access_key_file, or leave both to the environment";
    for (one, other, name) in [
        (&access_key_id, &secret_access_key, "access_key_id_file"),
        (&secret_access_key, &access_key_id, "secret_access_key_file"),
        (&session_token, &secret_access_key, "session_token_file"),
    ] {
        if one.is_some() && other.is_none() {
            values.fault(&format!("source.sqs.{name}"), "this is a half of a key of AWS", help);
        }
    }
    KeyFiles { access_key_id, secret_access_key, session_token }
}

fn queues(values: &mut Values<'_>) -> Vec<Queue> {
    const TABLES: &str = "source.sqs.queues";
    let count = values.count(TABLES);
    if count == 0 && !values.is_written(TABLES) {
        let help = "add a table [[source.sqs.queues]] with url and event";
        values.fault("source.sqs", "no queue of SQS is named", help);
    }
    if count > QUEUES {
        let what = format!("{count} queues are named, and {QUEUES} are the most");
        values.fault(TABLES, what, "write a file for each part of them, and run one program for each");
    }
    let (mut queues, mut names, mut places) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for at in 0..count {
        let table = format!("{TABLES}.{at}");
        let queue = queue(values, &table);
        if let Some(queue) = &queue
            && !names.insert(queue.name.clone())
        {
            let key = format!("{table}.name");
            let at = if values.is_written(&key) { key } else { format!("{table}.url") };
            let what = format!("another queue is called '{}'", queue.name);
            values.fault(&at, what, "give each a name of its own: name = \"orders-of-france\"");
        }
        if let Some(queue) = &queue
            && !places.insert((queue.place.authority.to_ascii_lowercase(), path(&queue.url)))
        {
            let help = "the two would give a message that comes again another id: keep one of them";
            values.fault(&format!("{table}.url"), "this queue is named twice", help);
        }
        queues.extend(queue);
    }
    queues
}

/// What of a URL says which queue of its host it is.
fn path(url: &str) -> Option<String> {
    Endpoint::parse(url).ok().map(|(_, path)| path)
}

/// Reads all of its keys, so that every fault is reported.
fn queue(values: &mut Values<'_>, table: &str) -> Option<Queue> {
    const URL: &str =
        "write the queue's URL, as in url = \"https://sqs.eu-central-1.amazonaws.com/123456789012/orders\"";
    let key = |name: &str| format!("{table}.{name}");
    let url = gateway::given(values, table, "url", URL);
    let place = values.parsed(&key("url"), Endpoint::parse);
    if let Some((endpoint, _)) = &place {
        check_reach(values, &key("url"), endpoint);
    }
    if place.as_ref().is_some_and(|(_, path)| path.ends_with('/')) {
        // its last part says whether it keeps order
        values.fault(&key("url"), "it ends with '/'", URL);
    }
    let name = name(values, table, place.as_ref().map(|(_, path)| path.as_str()));
    let event = values.parsed(&key("event"), gateway::event);
    let events = gateway::events(values, &key("events"));
    let domains = domains(values, &key("domains"));
    if !["event", "events", "domains"].iter().any(|name| values.is_written(&key(name))) {
        let help = "add event = \"order.item.placed\" for plain JSON, domains = [\"order.*\"] for CloudEvents, or events = { \"ObjectCreated:*\" = \"files.object.created\" } for S3";
        values.fault(table, "it says of no message which event it is", help);
    }
    let wait = seconds(values, &key("wait"), (1, 20)).unwrap_or(20);
    let visibility = seconds(values, &key("visibility"), (2, 3_600)).unwrap_or(30);
    let prefetch = values.count_of(&key("prefetch"), PREFETCH_MOST.into()).unwrap_or(100);
    let (url, (place, _), name) = (url?, place?, name?);
    Some(Queue { url, place, name, event, events, domains, wait, visibility, prefetch })
}

/// What it is called here: as it is in SQS, if nothing else is said.
fn name(values: &mut Values<'_>, table: &str, path: Option<&str>) -> Option<String> {
    let key = format!("{table}.name");
    let (at, name) = match values.text(&key) {
        Some(name) => (key, name),
        None => (format!("{table}.url"), path?.rsplit('/').next().unwrap_or_default().to_owned()),
    };
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 80 || !name.bytes().all(may_stand) {
        let what = format!("'{name}' is not the name of a queue");
        values.fault(&at, what, "1 to 80 letters, digits, '-', '_' and '.'; the last part of its URL");
        return None;
    }
    Some(name)
}

fn domains(values: &mut Values<'_>, key: &str) -> Option<Domains> {
    if !values.is_written(key) {
        return None;
    }
    let domains = values.texts(key).into_iter().map(|(_, text)| text).collect();
    match Domains::new(domains) {
        Ok(domains) => Some(domains),
        Err(what) => {
            let help = "say which CloudEvents are taken, as in domains = [\"order.*\"]; # is all of them";
            values.fault(key, what, help);
            None
        }
    }
}

/// A duration in whole seconds within these bounds.
fn seconds(values: &mut Values<'_>, key: &str, (least, most): (u64, u64)) -> Option<u64> {
    let duration = values.duration(key)?;
    let is_within = (least..=most).contains(&duration.as_secs()) && duration.subsec_nanos() == 0;
    if !is_within {
        let help = format!("SQS counts whole seconds; allowed are {least}s to {most}s");
        values.fault(key, "it is out of bounds", help);
    }
    is_within.then_some(duration.as_secs())
}
