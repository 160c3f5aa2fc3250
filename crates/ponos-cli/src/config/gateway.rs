//! `[gateway]`: where events come in over HTTP, from whom, and in what form.

#[cfg(test)]
mod tests;
mod tokens;
mod webhooks;

use super::values::Values;
use crate::gateway::settings::{Contracts, Limits, PlainPath, Settings, TlsFiles, Unroutable};
use ponos::{event::EventName, files, schema_files};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};
pub(crate) use tokens::is_owner;
pub(super) use webhooks::events;

/// The most that `body` may say: brokers and workers take no larger one.
pub(super) const BODY_MOST: u32 = 16 << 20;
/// The most that `batch` may say.
pub(super) const BATCH_MOST: u32 = 10_000;
/// The most that `window` may say.
pub(super) const WINDOW_MOST: u32 = 100_000;

/// Reads the section, if there is one.
pub(super) fn read(values: &mut Values<'_>) -> Option<Settings> {
    if !values.is_written("gateway") {
        return None;
    }
    let settings = Settings {
        listen: values.parsed("gateway.listen", listen).unwrap_or(Settings::LISTEN),
        tls: tls(values),
        are_tokens_wanted: values.count("gateway.tokens") > 0,
        holders: tokens::read(values),
        paths: paths(values),
        unroutable: unroutable(
            values,
            "gateway.unroutable",
            ["422 where no queue is bound", "202 all the same"],
        ),
        limits: limits(values),
        origins: origins(values),
        webhooks: webhooks::read(values),
        contracts: contracts(values),
    };
    check_reach(values, &settings);
    Some(settings)
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| format!("'{text}' is not an address; write 127.0.0.1:7314, 0.0.0.0:7314 or [::1]:7314");
    text.parse().map_err(wrong)
}

/// Beyond this machine everybody shows who he is, and nobody reads it on the way.
fn check_reach(values: &mut Values<'_>, settings: &Settings) {
    if settings.listen.ip().is_loopback() {
        return;
    }
    if !values.is_written("gateway.tls") {
        let help = "add [gateway.tls] with cert_file and key_file, or listen on 127.0.0.1";
        values.fault("gateway.listen", "other machines reach it, and it does not encrypt", help);
    }
    if !settings.are_tokens_wanted && values.count("gateway.webhooks") == 0 {
        let help =
            "add a table [[gateway.tokens]] for each publisher (ponos token OWNER), or listen on 127.0.0.1";
        values.fault("gateway.listen", "other machines reach it, and nobody has to show a token", help);
    }
}

fn tls(values: &mut Values<'_>) -> Option<TlsFiles> {
    if !values.is_written("gateway.tls") {
        return None;
    }
    for name in ["cert_file", "key_file"] {
        let help = "a certificate needs its key, and a key its certificate: set cert_file and key_file";
        given(values, "gateway.tls", name, help);
    }
    let [cert_file, key_file] = ["gateway.tls.cert_file", "gateway.tls.key_file"].map(|key| values.path(key));
    if let Some(what) = key_file.as_deref().and_then(files::open_to_others) {
        values.warning("gateway.tls.key_file", what);
    }
    Some(TlsFiles { cert_file: cert_file?, key_file: key_file? })
}

/// The text of a key that each table of the list needs.
pub(super) fn given(values: &mut Values<'_>, table: &str, name: &str, help: &str) -> Option<String> {
    let path = format!("{table}.{name}");
    let text = values.text(&path);
    if text.is_none() && !values.is_written(&path) {
        values.fault(table, format!("the key {name} is missing"), help);
    }
    text
}

/// An event's name that may come in from outside.
pub(super) fn event(text: &str) -> Result<EventName, String> {
    let name: EventName = text.parse().map_err(|why| format!("'{text}' is not a valid event name: {why}"))?;
    match name.domain() {
        "time" => Err(format!("'{text}' is an event of the clock's: nobody else publishes time.*")),
        _ => Ok(name),
    }
}

fn paths(values: &mut Values<'_>) -> Vec<PlainPath> {
    const HELP: &str = "write path = \"orders\" and event = \"order.item.placed\"";
    let (mut paths, mut names) = (Vec::new(), BTreeSet::new());
    for at in 0..values.count("gateway.paths") {
        let table = format!("gateway.paths.{at}");
        let path = given(values, &table, "path", HELP);
        let path = path.filter(|path| is_path(values, &format!("{table}.path"), path, &mut names));
        given(values, &table, "event", HELP);
        let event = values.parsed(&format!("{table}.event"), event);
        paths.extend(path.zip(event).map(|(path, event)| PlainPath { path, event }));
    }
    paths
}

/// Whether it can be the last word of a path, and is the only one.
fn is_path(values: &mut Values<'_>, path: &str, name: &str, names: &mut BTreeSet<String>) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(may_stand) {
        let what = format!("'{name}' is not a word of a-z, 0-9 and hyphens");
        values.fault(path, what, "it is the last part of the path that is posted to");
        return false;
    }
    let is_new = names.insert(name.to_owned());
    if !is_new {
        values.fault(path, format!("'{name}' is there twice"), "give each a name of its own");
    }
    is_new
}

/// What becomes of an event that no queue is bound to; `answers` says what each of the two words brings about.
pub(super) fn unroutable(values: &mut Values<'_>, key: &str, answers: [&str; 2]) -> Unroutable {
    match values.text(key).as_deref() {
        None | Some("refuse") => Unroutable::Refuse,
        Some("accept") => Unroutable::Accept,
        Some(other) => {
            let [refused, accepted] = answers;
            let help = format!("write \"refuse\" ({refused}) or \"accept\" ({accepted})");
            values.fault(key, format!("'{other}' is neither refuse nor accept"), help);
            Unroutable::Refuse
        }
    }
}

fn limits(values: &mut Values<'_>) -> Limits {
    let usual = Limits::default();
    let confirm = confirm(values, "gateway.confirm").unwrap_or(usual.confirm);
    let window = values.count_of("gateway.window", WINDOW_MOST.into()).unwrap_or(usual.window);
    // a larger one would be refused for as long as others publish
    let most = (window / 2).max(1);
    let batch = values.count_of("gateway.batch", BATCH_MOST.into()).unwrap_or(usual.batch.min(most));
    if batch > most {
        let what = format!("a batch of {batch} events is more than half of a window of {window}");
        values.fault("gateway.batch", what, "make batch no larger than half of window");
    }
    Limits {
        body: values.count_of("gateway.body", BODY_MOST.into()).unwrap_or(usual.body),
        batch,
        window,
        confirm,
        rate: values.count_of("gateway.rate", 1_000_000),
    }
}

/// How long a confirm is waited for.
pub(super) fn confirm(values: &mut Values<'_>, key: &str) -> Option<Duration> {
    let confirm = values.duration(key)?;
    if confirm.is_zero() || confirm.as_secs() > 60 {
        values.fault(key, "it is not within 0 to 60 s", "write confirm = \"10s\"");
    }
    Some(confirm)
}

/// The origins that may send by the webhook protocol of CloudEvents.
fn origins(values: &mut Values<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for (path, origin) in values.texts("gateway.origins") {
        if origin.is_empty() || !origin.bytes().all(|byte| byte.is_ascii_graphic()) || origin.contains(',') {
            let help = "write the DNS name that the sender gives in WebHook-Request-Origin, or * for all";
            values.fault(&path, "this is not the name of an origin", help);
        } else {
            origins.push(origin);
        }
    }
    origins
}

/// What data must be like. Without a folder of contracts, anything.
pub(super) fn contracts(values: &mut Values<'_>) -> Contracts {
    // what is wrong with it was said where queues were read
    let folder = values.path("contracts.folder").and_then(|folder| schema_files::registry(folder).ok());
    folder.map_or(Contracts::Any, Contracts::Folder)
}
