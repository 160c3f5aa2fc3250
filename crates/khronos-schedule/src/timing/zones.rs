//! The zones that a timing is read in.

use super::{Timing, rule::Rule};
use crate::zone::Zone;
use ponos_event::Timestamp;

impl Timing {
    /// All zones that the definition names, each once; UTC, whose rules never change, is none of them.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        let all = std::iter::once(&self.zone).chain(self.more_zones());
        let mut seen: Vec<&Zone> = Vec::new();
        for zone in all {
            if zone.id().is_some() && !seen.contains(&zone) {
                seen.push(zone);
            }
        }
        seen.into_iter()
    }

    /// The one of these that has this name; the schedule's own if no name is given.
    pub(crate) fn zone_named(&self, name: Option<&str>) -> Zone {
        match name {
            Some(name) => self.zones().find(|zone| zone.name() == name).cloned().unwrap_or_default(),
            None => self.zone.clone(),
        }
    }

    /// All but the schedule's own: those of the members of a union, one by one; then `read_in`.
    pub(crate) fn more_zones(&self) -> impl Iterator<Item = &Zone> {
        let members = match &self.rule {
            Rule::Union(union) => union.members(),
            _ => &[],
        };
        members.iter().map(|member| &member.zone).chain(self.read_in.iter().flatten())
    }

    /// The same with these for [`more_zones`](Self::more_zones).
    pub(crate) fn with_more_zones(mut self, zones: &[Zone]) -> Self {
        let mut rest = zones;
        if let Rule::Union(union) = &mut self.rule {
            let (members, others) = zones.split_at(union.members().len().min(zones.len()));
            union.set_zones(members);
            rest = others;
        }
        self.read_in = (!rest.is_empty()).then(|| rest.into());
        self
    }

    /// Keeps those that are kept nowhere yet.
    pub(crate) fn keep_zones(&mut self, named: Vec<Zone>) {
        let mut kept: Vec<Zone> = self.zones().cloned().collect();
        let before = kept.len();
        for zone in named {
            if zone.id().is_some() && !kept.contains(&zone) {
                kept.push(zone);
            }
        }
        let more = kept.split_off(before);
        self.read_in = (!more.is_empty()).then(|| more.into());
    }

    /// The names of the zones that have other rules here than in `other`, from `since` to the horizon. Those that are not
    /// named there are none of them.
    pub fn zones_changed(&self, other: &Self, since: Timestamp) -> Vec<String> {
        let differs = |zone: &&Zone| {
            let before = other.zones().find(|before| before.name() == zone.name());
            before.is_some_and(|before| !zone.same_clock_from(before, since.millis().max(0)))
        };
        self.zones().filter(differs).map(|zone| zone.name().to_owned()).collect()
    }

    /// The same with the rules that `other` has for the zones of these names.
    #[must_use]
    pub fn with_rules_of(mut self, other: &Self) -> Self {
        let known =
            |zone: &Zone| other.zones().find(|known| known.name() == zone.name()).unwrap_or(zone).clone();
        let more: Vec<Zone> = self.more_zones().map(known).collect();
        self.zone = known(&self.zone);
        self.with_more_zones(&more)
    }

    /// Whether the same instant is the same local time of the same zone in both, as events name it.
    pub(crate) fn is_read_as(&self, other: &Self) -> bool {
        self.zone.name() == other.zone.name() && self.zone.same_clock(&other.zone)
    }
}
