//! `[http]`: where it is served, to whom, and encrypted or not.

use super::{Config, HttpConfig, HttpTlsConfig, TokenConfig, keys::TOKENS, layers::Values, reader::Reader};
use crate::{
    authority::{Domains, OPEN, OPERATOR, Quota, READER, Role, token::PREFIX as TOKEN},
    schedule::is_name,
};
use axum::http::Uri;
use ponos::files;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

pub(super) fn http(reader: &mut Reader<'_>) -> HttpConfig {
    let hosts = reader.list("http.hosts", &["localhost", "127.0.0.1", "[::1]"]);
    if let Some(wrong) = hosts.iter().find(|host| {
        let port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        host.is_empty() || port || host.contains('/') || host.contains(char::is_whitespace)
    }) {
        let help = "write names without scheme and port, as in [\"localhost\", \"clock.example.com\"]";
        reader.fault("http.hosts", &format!("'{wrong}' is not a host name"), help);
    }
    let (tokens, are_tokens_wanted) = tokens(reader);
    let config = HttpConfig {
        enabled: reader.boolean("http.enabled", true),
        listen: reader.parsed(
            "http.listen",
            SocketAddr::from((Ipv4Addr::LOCALHOST, 7650)),
            "write an IP address and a port: 127.0.0.1:7650, 0.0.0.0:7650 or [::1]:7650",
        ),
        hosts,
        open: reader.boolean("http.open", false),
        open_reads: reader.boolean("http.open_reads", false),
        behind_proxy: reader.boolean("http.behind_proxy", false),
        tls: tls(reader),
        tokens,
    };
    check_open(reader, &config);
    check_reads(reader, &config, are_tokens_wanted);
    if config.refuses_tokens_from_elsewhere() {
        let help = "set [http.tls], or http.behind_proxy = true if a proxy on a network of its own encrypts; or listen on 127.0.0.1";
        let what = "HTTP is not encrypted, so tokens that come from other machines are refused";
        reader.warn("http.listen", what, help);
    }
    config
}

/// A clock that is open is so to its own machine, and asks nobody for a token.
fn check_open(reader: &mut Reader<'_>, config: &HttpConfig) {
    if !config.open {
        return;
    }
    if !config.listen.ip().is_loopback() || config.behind_proxy {
        let whom = if config.behind_proxy { "the proxy" } else { "other machines" };
        let help = "listen on 127.0.0.1 without a proxy, or remove http.open and configure [[http.tokens]]";
        reader.fault("http.open", &format!("it would let {whom} change this clock without a token"), help);
    }
    if !config.tokens.is_empty() {
        let help =
            "keep one of them: tokens say who may change what, http.open lets everybody on this machine";
        reader.fault("http.open", "it is true, and tokens are configured", help);
    }
    // Whoever can have such a name lead to 127.0.0.1 could have a page of his own, under that name, change the clock.
    if let Some(name) = config.hosts.iter().find(|host| !is_of_loopback(host)) {
        let help = "remove the name from http.hosts, or http.open and configure [[http.tokens]]";
        let what = format!(
            "it is true, and the clock answers to '{name}', which a page of another site could come by"
        );
        reader.fault("http.open", &what, help);
    }
}

impl Config {
    /// By which names requests may address the clock: those that are configured, and the one by which other clocks pass on to it what
    /// they are asked. Not by that one where everybody on this machine may change it: a page of another site could come by it.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let address = self.cluster.address.as_deref().filter(|_| !self.http.open);
        let host = address.and_then(|address| Some(address.parse::<Uri>().ok()?.host()?.to_owned()));
        self.http.hosts.iter().cloned().chain(host).collect()
    }
}

fn is_of_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// Who is elsewhere reads with a token, unless it is said that everybody may: to lose the last token lets nobody in.
fn check_reads(reader: &mut Reader<'_>, config: &HttpConfig, are_tokens_wanted: bool) {
    if !config.is_reached_from_elsewhere() {
        return;
    }
    if config.open_reads {
        if are_tokens_wanted {
            let help =
                "remove it, if tokens are to say who may read; they say who may change something either way";
            reader.warn("http.open_reads", "tokens are configured, and everybody may read without one", help);
        }
    } else if !are_tokens_wanted {
        let (key, whom) = match config.behind_proxy {
            true => ("http.behind_proxy", "whoever reaches the proxy"),
            false => ("http.listen", "whoever reaches it"),
        };
        let help = "make a token for each who is to read (khronos token new), or say that everybody may with http.open_reads = true (KHRONOS_HTTP_OPEN_READS); or listen on 127.0.0.1 without a proxy";
        reader.fault(
            key,
            &format!("{whom} could read all of this clock, for there are no [[http.tokens]]"),
            help,
        );
    }
}

fn tls(reader: &mut Reader<'_>) -> Option<HttpTlsConfig> {
    let keys = ["http.tls.cert_file", "http.tls.key_file"];
    for (one, other) in [(keys[0], keys[1]), (keys[1], keys[0])] {
        if reader.text(one).is_some() && reader.text(other).is_none() {
            let what = "a certificate needs its key, and a key its certificate";
            reader.fault(one, what, format!("set {other} too"));
        }
    }
    let [cert_file, key_file] = keys.map(|key| reader.path(key));
    if let Some(what) = key_file.as_deref().and_then(files::open_to_others) {
        reader.warn(keys[1], &what, "let the clock's own user or group read it, and nobody else");
    }
    Some(HttpTlsConfig { cert_file: cert_file?, key_file: key_file? })
}

/// The tokens, and whether there are to be some: those with a fault are left out.
fn tokens(reader: &mut Reader<'_>) -> (Vec<TokenConfig>, bool) {
    let mut ids = BTreeSet::new();
    let mut tokens = Vec::new();
    let rows = reader.rows(TOKENS);
    let are_wanted = !rows.is_empty();
    for row in rows {
        let token = within(reader, row, |reader| {
            let token = token(reader)?;
            if !ids.insert(token.id.clone()) {
                let what = format!("another token has the id {}", token.id);
                reader.fault("http.tokens.id", &what, "make a new token for each: khronos token new");
            }
            Some(token)
        });
        tokens.extend(token);
    }
    (tokens, are_wanted)
}

/// Reads one table of a list of tables.
pub(super) fn within<T>(reader: &mut Reader<'_>, row: Values, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    let all = std::mem::replace(&mut reader.values, row);
    let read = read(reader);
    reader.values = all;
    read
}

/// The longest least interval.
const LEAST_INTERVAL: Duration = Duration::from_secs(366 * 86_400);

/// What makes the lines of a token.
const MADE: &str = "`khronos token new` makes a token, with these lines";

/// Reads all of its keys, so that every fault is reported.
fn token(reader: &mut Reader<'_>) -> Option<TokenConfig> {
    let id = needed(reader, "http.tokens.id");
    let digest = needed(reader, "http.tokens.sha256");
    let grant = grant(reader, TOKENS, "token", MADE);
    let (id, digest, Grant { owner, role, domains, tasks, quota }) = (id?, digest?, grant?);
    Some(TokenConfig { id, digest, owner, role, domains, tasks, quota })
}

/// Whom a caller acts for, what he may do, and how much of it: keys of each list of callers.
pub(super) struct Grant {
    pub(super) owner: String,
    pub(super) role: Role,
    pub(super) domains: Domains,
    pub(super) tasks: Option<Domains>,
    pub(super) quota: Quota,
}

/// Reads them of a `caller` in this list; `made` says how one comes to the lines.
pub(super) fn grant(reader: &mut Reader<'_>, list: &str, caller: &str, made: &str) -> Option<Grant> {
    let owner = owner(reader, list, made);
    let role = role(reader, list, made);
    let domains = role.and_then(|role| domains(reader, list, caller, role));
    let tasks = role.map_or(Ok(None), |role| tasks(reader, list, caller, role));
    let Quota { puts_a_second, least_interval, .. } = Quota::USUAL;
    let schedules = reader.integer(&format!("{list}.schedules"), usize::MAX, 0..=usize::MAX);
    let delayed_events = reader.integer(&format!("{list}.delayed_events"), u64::MAX, 0..=u64::MAX);
    let quota = Quota {
        schedules: Some(schedules).filter(|most| *most < usize::MAX),
        delayed_events: Some(delayed_events).filter(|most| *most < u64::MAX),
        puts_a_second: reader.integer(&format!("{list}.puts_per_second"), puts_a_second, 1..=1_000_000),
        least_interval: reader.duration(&format!("{list}.least_interval"), least_interval, LEAST_INTERVAL),
    };
    Some(Grant { owner: owner?, role: role?, domains: domains?, tasks: tasks.ok()?, quota })
}

/// The value of a key that may hold a part of a token: it is not repeated.
fn needed<T: FromStr<Err: ToString>>(reader: &mut Reader<'_>, key: &str) -> Option<T> {
    let text = given(reader, TOKENS, key, MADE)?;
    text.parse().map_err(|wrong: T::Err| reader.fault(key, &wrong.to_string(), MADE)).ok()
}

/// The text of a key that each table of the list needs.
pub(super) fn given(reader: &mut Reader<'_>, list: &str, key: &str, made: &str) -> Option<String> {
    let text = reader.text(key);
    if text.is_none() && !reader.is_set(key) {
        let name = key.rsplit('.').next().unwrap_or(key);
        reader.fault(list, &format!("the key {name} is missing"), made);
    }
    text
}

fn owner(reader: &mut Reader<'_>, list: &str, made: &str) -> Option<String> {
    let key = format!("{list}.owner");
    let owner = given(reader, list, &key, made)?;
    match check_owner(&owner) {
        Ok(()) => Some(owner),
        Err((what, help)) => {
            reader.fault(&key, &what, help);
            None
        }
    }
}

/// Whether this can be the name of an owner; what is wrong, and what to do.
pub(crate) fn check_owner(owner: &str) -> Result<(), (String, &'static str)> {
    // Else a token, written there by mistake, would stand in the log. It is not repeated.
    if owner.starts_with(TOKEN) {
        let what = format!("the name of an owner can't begin with {TOKEN}, as tokens do");
        return Err((what, "name the service, or the person, that holds the token"));
    }
    if !is_name(owner) {
        let help = "1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
        return Err((format!("'{owner}' is not a valid name of an owner"), help));
    }
    if [OPERATOR, OPEN, READER].contains(&owner) {
        let what = format!("'{owner}' is who comes without a token");
        return Err((what, "name the service, or the person, that holds the token"));
    }
    Ok(())
}

fn role(reader: &mut Reader<'_>, list: &str, made: &str) -> Option<Role> {
    let key = format!("{list}.role");
    given(reader, list, &key, made)?;
    let choices = Role::WORDS.map(|(word, role)| (word, Some(role)));
    reader.choice(&key, None, &choices)
}

fn domains(reader: &mut Reader<'_>, list: &str, caller: &str, role: Role) -> Option<Domains> {
    let key = format!("{list}.domains");
    let named = reader.texts(&key);
    if named.is_none() && reader.is_set(&key) {
        return None;
    }
    match check_domains(caller, role, named) {
        Ok(domains) => Some(domains),
        Err((what, help)) => {
            reader.fault(if reader.is_set(&key) { &key } else { list }, &what, help);
            None
        }
    }
}

/// The queues that tasks may be sent to; an error where they can't be used, which is said.
fn tasks(reader: &mut Reader<'_>, list: &str, caller: &str, role: Role) -> Result<Option<Domains>, ()> {
    let key = format!("{list}.tasks");
    let named = reader.texts(&key);
    if named.is_none() && reader.is_set(&key) {
        return Err(());
    }
    check_tasks(caller, role, named).map_err(|(what, help)| reader.fault(&key, &what, help))
}

/// The queues that a `caller` of this role may send tasks to, or whose parked tasks he may release and drop, if any are named; what is wrong with them, and what to do.
pub(crate) fn check_tasks(
    caller: &str,
    role: Role,
    named: Option<Vec<String>>,
) -> Result<Option<Domains>, (String, &'static str)> {
    match (named, role) {
        (None, _) => Ok(None),
        (Some(named), Role::Operate | Role::Write) => Domains::new(named)
            .map(Some)
            .map_err(|wrong| (wrong, "write queues of tasks, as in [\"docker.*\"]; # is all of them")),
        (Some(_), role) => Err((
            format!("a {caller} of the role {} has no queues of tasks", role.word()),
            "leave them out: read changes nothing, and admin may send tasks to all",
        )),
    }
}

/// The domains of a `caller` of this role; what is wrong with them, and what to do.
pub(crate) fn check_domains(
    caller: &str,
    role: Role,
    named: Option<Vec<String>>,
) -> Result<Domains, (String, &'static str)> {
    match (named, role.has_domains()) {
        (None, false) => Ok(Domains::everything()),
        (Some(named), true) => Domains::new(named)
            .map_err(|wrong| (wrong, "write domains of events, as in [\"billing.*\"]; # is all of them")),
        (None, true) => Err((
            format!("a {caller} of the role {} needs domains", role.word()),
            "say which events it may change something about, as in domains = [\"billing.*\"]; # is all of them",
        )),
        (Some(_), false) => Err((
            format!("a {caller} of the role {} has no domains", role.word()),
            "leave them out: read changes nothing, and admin may change everything",
        )),
    }
}
