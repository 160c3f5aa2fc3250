//! `[[gateway.tokens]]`: who may publish, and what. Only what is derived from a token stands there.

use super::{super::values::Values, event, given};
use crate::gateway::settings::Holder;
use ponos_http::{
    Domains,
    token::{PREFIX, TokenDigest, TokenId},
};
use std::{collections::BTreeSet, str::FromStr};

/// What makes the lines of a token.
const MADE: &str = "`ponos token OWNER --domains 'billing.*'` makes a token, with these lines";

/// Reads them.
pub(super) fn read(values: &mut Values<'_>) -> Vec<Holder> {
    let (mut holders, mut ids) = (Vec::new(), BTreeSet::new());
    for at in 0..values.count("gateway.tokens") {
        let table = format!("gateway.tokens.{at}");
        let holder = holder(values, &table);
        if let Some(holder) = &holder
            && !ids.insert(holder.id.clone())
        {
            let what = format!("another token has the id {}", holder.id);
            values.fault(&format!("{table}.id"), what, "make a new token for each: ponos token OWNER");
        }
        holders.extend(holder);
    }
    holders
}

/// Reads all of its keys, so that every fault is reported.
fn holder(values: &mut Values<'_>, table: &str) -> Option<Holder> {
    let key = |name: &str| format!("{table}.{name}");
    let id: Option<TokenId> = needed(values, table, "id");
    let digest: Option<TokenDigest> = needed(values, table, "sha256");
    let owner = owner(values, table);
    if let Some(role) = values.text(&key("role")).filter(|role| role != "write") {
        let what = format!("the role '{role}' is not one of a publisher");
        values.fault(&key("role"), what, "write role = \"write\", or leave it out");
    }
    let domains: Vec<String> = values.texts(&key("domains")).into_iter().map(|(_, text)| text).collect();
    let domains = match Domains::new(domains) {
        Ok(domains) => Some(domains),
        Err(what) => {
            let at = if values.is_written(&key("domains")) { key("domains") } else { table.to_owned() };
            let help = "say which events it may publish, as in domains = [\"billing.*\"]; # is all of them";
            values.fault(&at, what, help);
            None
        }
    };
    let plain = values.parsed(&key("plain"), event);
    let rate = values.count_of(&key("rate"), 1_000_000);
    Some(Holder { id: id?, digest: digest?, owner: owner?, domains: domains?, plain, rate })
}

/// The value of a key that may hold a part of a token: it is not repeated.
fn needed<T: FromStr<Err: ToString>>(values: &mut Values<'_>, table: &str, name: &str) -> Option<T> {
    let text = given(values, table, name, MADE)?;
    text.parse()
        .map_err(|wrong: T::Err| values.fault(&format!("{table}.{name}"), wrong.to_string(), MADE))
        .ok()
}

/// Whether this can be the name of an owner.
pub(crate) fn is_owner(owner: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let begins = owner.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    // else a token, written there by mistake, would stand in the log
    begins && owner.len() <= 128 && owner.bytes().all(may_stand) && !owner.starts_with(PREFIX)
}

fn owner(values: &mut Values<'_>, table: &str) -> Option<String> {
    let owner = given(values, table, "owner", MADE)?;
    let is_valid = is_owner(&owner);
    if !is_valid {
        let help = "1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit: the service that holds the token";
        values.fault(&format!("{table}.owner"), "this is not a valid name of an owner", help);
    }
    is_valid.then_some(owner)
}
