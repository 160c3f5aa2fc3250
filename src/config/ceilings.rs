//! `[[publish.ceilings]]`: how many events of a domain go out in a second at most.

use super::{
    CeilingConfig,
    http::{given, within},
    keys::CEILINGS,
    reader::Reader,
};
use crate::authority::{Domains, widened};
use std::collections::BTreeSet;

/// Of one clock.
const MOST: usize = 32;
const MADE: &str = "a ceiling has the keys domain and rate, as in domain = \"billing.*\" and rate = 100";
const DOMAIN: &str = "publish.ceilings.domain";
const RATE: &str = "publish.ceilings.rate";

pub(super) fn ceilings(reader: &mut Reader<'_>) -> Vec<CeilingConfig> {
    let (mut patterns, mut ceilings) = (BTreeSet::new(), Vec::new());
    let rows = reader.rows(CEILINGS);
    if rows.len() > MOST {
        let what = format!("{} ceilings; {MOST} are allowed", rows.len());
        reader.fault(CEILINGS, &what, "leave out some: # is all domains that have none of their own");
    }
    for row in rows {
        let ceiling = within(reader, row, |reader| {
            let ceiling = ceiling(reader)?;
            if !patterns.insert(widened(&ceiling.domain)) {
                let what = format!("'{}' has another ceiling", ceiling.domain);
                reader.fault(DOMAIN, &what, "leave one of them out");
            }
            Some(ceiling)
        });
        ceilings.extend(ceiling);
    }
    ceilings
}

/// Reads both of its keys, so that every fault is reported.
fn ceiling(reader: &mut Reader<'_>) -> Option<CeilingConfig> {
    let domain = given(reader, CEILINGS, DOMAIN, MADE);
    let domain = domain.and_then(|domain| match Domains::new(vec![domain.clone()]) {
        Ok(_) => Some(domain),
        Err(what) => {
            reader.fault(DOMAIN, &what, "write a domain of events, as in \"billing.*\"; # is all of them");
            None
        }
    });
    if !reader.is_set(RATE) {
        reader.fault(CEILINGS, "the key rate is missing", MADE);
        return None;
    }
    let rate = reader.integer(RATE, 1, 1..=1_000_000);
    Some(CeilingConfig { domain: domain?, rate })
}
