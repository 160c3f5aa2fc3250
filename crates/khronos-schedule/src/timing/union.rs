//! Several timings as one: each instant once, however many of them call for it.
//!
//! `next` and `previous` ask each member. `count` adds the members' counts and takes off what was counted before: by
//! arithmetic where both are elapsed time, else by walking whichever of the two has fewer instants there.

use super::{
    day_rules::DayRules,
    every::Elapsed,
    on_days,
    rule::Rule,
    steps::{Steps, UsedUp},
};
use crate::zone::Zone;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// How many instants are walked to see how near two of them come.
const WALKED: usize = 2_000;
/// 2026-01-01T00:00:00Z, from where they are walked.
const START: i64 = 1_767_225_600_000;

/// One of the timings, in its own zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) rule: Rule,
    /// Not part of the serialised form, as [`Timing`](super::Timing)'s.
    #[serde(skip)]
    pub(crate) zone: Zone,
}

/// At least one member, no two of them alike; those with the fewest instants first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Union {
    members: Box<[Member]>,
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.same(false, other)
    }
}

impl PartialEq for Union {
    /// The order in which they are written says nothing.
    fn eq(&self, other: &Self) -> bool {
        self.same(false, other)
    }
}

impl Member {
    fn same(&self, by_days: bool, other: &Self) -> bool {
        self.rule.same(&self.zone, by_days, &other.rule, &other.zone)
    }
}

impl Union {
    /// Whether both are the same instants by construction; `by_days`: on certain days of each member's zone.
    pub(crate) fn same(&self, by_days: bool, other: &Self) -> bool {
        let is_in = |member: &Member, those: &Self| those.members.iter().any(|one| one.same(by_days, member));
        let all_in = |these: &Self, those: &Self| these.members.iter().all(|member| is_in(member, those));
        all_in(self, other) && all_in(other, self)
    }

    /// `by_days`: on certain days of each one's zone.
    pub(crate) fn new(members: Vec<Member>, by_days: bool) -> Self {
        let mut distinct: Vec<Member> = Vec::with_capacity(members.len());
        for member in members {
            if !distinct.iter().any(|one| one.same(by_days, &member)) {
                distinct.push(member);
            }
        }
        distinct.sort_by_key(|member| Reverse(member.rule.shortest(None).unwrap_or(i64::MAX)));
        Self { members: distinct.into() }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Gives its members these zones, one after the other.
    pub(crate) fn set_zones(&mut self, zones: &[Zone]) {
        self.members.iter_mut().zip(zones).for_each(|(member, zone)| member.zone = zone.clone());
    }

    pub(crate) fn next(&self, days: Option<&DayRules>, from: i64) -> Option<i64> {
        next(&self.members, days, from)
    }

    pub(crate) fn previous(&self, days: Option<&DayRules>, until: i64) -> Option<i64> {
        self.members.iter().filter_map(|member| member.rule.previous(&member.zone, days, until)).max()
    }

    /// How many there are in `[from, until)`; where they are more than `most`, some number above it. So no more than `most`
    /// of any two are walked.
    pub(crate) fn count(
        &self,
        days: Option<&DayRules>,
        (from, until): (i64, i64),
        most: u64,
        steps: &mut Steps,
    ) -> Result<u64, UsedUp> {
        let mut total = 0;
        for (index, member) in self.members.iter().enumerate() {
            let own = member.rule.count(&member.zone, days, from, until);
            if own > most || total > most {
                return Ok(own.max(total));
            }
            total += own - shared(&self.members[..index], days, total, member, own, (from, until), steps)?;
        }
        Ok(total)
    }

    /// As near as two come among the first instants from 2026 on.
    pub(crate) fn shortest(&self, days: Option<&DayRules>) -> Option<i64> {
        let mut at = self.next(days, START).or_else(|| self.next(days, 0))?;
        let mut shortest: Option<i64> = None;
        for _ in 0..WALKED {
            let Some(next) = self.next(days, at + 1) else { break };
            shortest = Some(shortest.map_or(next - at, |shortest| shortest.min(next - at)));
            at = next;
        }
        shortest
    }

    pub(crate) fn most_a_day(&self) -> u64 {
        self.members.iter().map(|member| member.rule.most_a_day()).sum()
    }
}

fn next(members: &[Member], days: Option<&DayRules>, from: i64) -> Option<i64> {
    members.iter().filter_map(|member| member.rule.next(&member.zone, days, from)).min()
}

/// How many instants of `member` (it has `own` there) any of the `earlier` ones (they have `total`) calls for too.
fn shared(
    earlier: &[Member],
    days: Option<&DayRules>,
    total: u64,
    member: &Member,
    own: u64,
    (from, until): (i64, i64),
    steps: &mut Steps,
) -> Result<u64, UsedUp> {
    if own == 0 || total == 0 {
        return Ok(0);
    }
    if let ([other], Rule::Elapsed(ours)) = (earlier, &member.rule)
        && let Rule::Elapsed(theirs) = other.rule
        && (days.is_none() || member.zone.same_clock(&other.zone))
    {
        let both = Elapsed::both(theirs, *ours);
        return Ok(both.map_or(0, |both| on_days::count_elapsed(both, &member.zone, days, from, until)));
    }
    let has = |members: &[Member], at| members.iter().any(|m| m.rule.next(&m.zone, days, at) == Some(at));
    let (walked, asked) = match own <= total {
        true => (std::slice::from_ref(member), earlier),
        false => (earlier, std::slice::from_ref(member)),
    };
    let (mut at, mut found) = (from, 0);
    while let Some(due) = next(walked, days, at).filter(|&due| due < until) {
        steps.make(walked.len() + asked.len())?;
        found += u64::from(has(asked, due));
        at = due + 1;
    }
    Ok(found)
}
