//! Policies in three layers, the later one wins field by field: `[policy]`, the one of `[[policies]]` that a queue names, and
//! the queue's own keys.

use super::{keys, values::Values};
use crate::span;
use ponos::worker::{Policy, Prefetch};
use std::collections::HashMap;

/// The policies of a file.
pub(super) struct Policies {
    default: Policy,
    named: HashMap<String, Named>,
}

/// A policy of `[[policies]]`.
struct Named {
    policy: Policy,
    /// The path of its table.
    table: String,
    /// Whether a queue names it.
    is_used: bool,
}

impl Policies {
    /// Reads `[policy]` and `[[policies]]`.
    pub(super) fn read(values: &mut Values<'_>) -> Self {
        let default = over(Policy::default(), values, "policy");
        let mut named = HashMap::new();
        for at in 0..values.count("policies") {
            let table = format!("policies.{at}");
            let policy = over(default.clone(), values, &table);
            match values.text(&format!("{table}.name")) {
                Some(name) if named.contains_key(&name) => {
                    let what = format!("two policies have the name '{name}'");
                    values.fault(&format!("{table}.name"), what, "give each a name of its own");
                }
                Some(name) => drop(named.insert(name, Named { policy, table, is_used: false })),
                None if values.is_written(&format!("{table}.name")) => {}
                None => {
                    values.fault(&table, "this policy has no name", "add name = \"...\", which queues say")
                }
            }
        }
        Self { default, named }
    }

    /// The policy of a queue, by the path of its table, and the tables whose keys made it, the last one first.
    pub(super) fn of_queue(&mut self, values: &mut Values<'_>, queue: &str) -> (Policy, Vec<String>) {
        let said = format!("{queue}.policy");
        let mut tables = vec!["policy".to_owned()];
        let base = match values.text(&said) {
            None => &self.default,
            Some(name) => match self.named.get_mut(&name) {
                Some(named) => {
                    named.is_used = true;
                    tables.insert(0, named.table.clone());
                    &named.policy
                }
                None => {
                    let mut known: Vec<&str> = self.named.keys().map(String::as_str).collect();
                    known.sort_unstable();
                    let help = if known.is_empty() {
                        format!("add a table [[policies]] with name = \"{name}\"")
                    } else {
                        ponos_toml::diagnostic::did_you_mean(&name, known)
                    };
                    values.fault(&said, format!("there is no policy '{name}'"), help);
                    &self.default
                }
            },
        };
        tables.insert(0, queue.to_owned());
        (over(base.clone(), values, queue), tables)
    }
}

impl Policies {
    /// Those that no queue names, each with the tables whose keys made it, the last one first.
    pub(super) fn unused(self) -> impl Iterator<Item = (Policy, Vec<String>)> {
        let unused = self.named.into_values().filter(|named| !named.is_used);
        unused.map(|named| (named.policy, vec![named.table, "policy".to_owned()]))
    }
}

/// The policy with the fields that this table sets.
fn over(mut policy: Policy, values: &mut Values<'_>, table: &str) -> Policy {
    let key = |name: &str| format!("{table}.{name}");
    let set = |field: &mut _, value: Option<_>| {
        if let Some(value) = value {
            *field = value;
        }
    };
    if let Some(attempts) = values.count_of(&key("attempts"), u32::MAX.into()) {
        policy.attempts = attempts;
    }
    if let Some(concurrency) = values.count_of(&key("concurrency"), 10_000) {
        policy.concurrency = concurrency;
    }
    if let Some(prefetch) = values.count_of(&key("prefetch"), u16::MAX.into()) {
        policy.prefetch = Prefetch::Fixed(prefetch);
    }
    set(&mut policy.timeout, values.duration(&key("timeout")));
    set(&mut policy.max_wait, values.duration(&key("max_wait")));
    set(&mut policy.backoff.first, values.duration(&key("backoff.first")));
    set(&mut policy.backoff.longest, values.duration(&key("backoff.longest")));
    if let Some(factor) = values.number(&key("backoff.factor")) {
        policy.backoff.factor = factor;
    }
    if let Some(jitter) = values.number(&key("backoff.jitter")) {
        policy.backoff.jitter = jitter;
    }
    policy.rate = values.parsed(&key("rate"), span::rate).or(policy.rate);
    policy.max_age = values.duration(&key("max_age")).or(policy.max_age);
    policy.expect_by_next = values.duration(&key("expect_by_next")).or(policy.expect_by_next);
    policy.within = values.duration(&key("within")).or(policy.within);
    policy.exclusive = values.boolean(&key("exclusive")).unwrap_or(policy.exclusive);
    policy.fleet = values.boolean(&key("fleet")).unwrap_or(policy.fleet);
    policy.latest_only = values.boolean(&key("latest_only")).unwrap_or(policy.latest_only);
    policy
}

/// The path of the key that a fault of a policy begins with (`backoff.first is …`), if one of these tables has it.
pub(super) fn blamed(values: &Values<'_>, tables: &[String], fault: &str) -> Option<String> {
    let word = fault.split([' ', ':']).next().unwrap_or_default();
    let known = keys::POLICY.iter().any(|(key, _)| word.split('.').next() == Some(key));
    let mut paths = tables.iter().map(|table| format!("{table}.{word}"));
    known.then(|| paths.find(|path| values.is_written(path))).flatten()
}
