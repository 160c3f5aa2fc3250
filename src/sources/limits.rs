//! Compares what all schedules together demand of the clock with `[limits]`, against accidents.

use super::{Kept, Place, Schedules};
use crate::{
    config::LimitsConfig,
    diagnostic::{Diagnostic, counted},
    engine::{CeilingId, Ceilings},
    schedule::{ADay, Demand, FaultCode},
};
use std::collections::BTreeMap;

/// How many of the most frequent schedules are named.
const NAMED: usize = 3;

impl<K: Kept> Schedules<K> {
    /// Notes an error for whatever goes beyond the limits: one schedule too often, or all of them together, with those that
    /// were created at run time.
    pub fn hold_to(&mut self, limits: &LimitsConfig, created: Demand) {
        let least = i64::try_from(limits.shortest_interval.as_millis()).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for (at_list, kept) in self.list.iter().enumerate().skip(self.beside) {
            if let Some(interval) = kept.timing().interval_below(least) {
                let (name, shown) = (kept.name(), length(interval));
                let what = format!(
                    "schedule '{name}' has an interval of {shown}; the shortest interval allowed is {}",
                    length(least)
                );
                found.push(at(self.place(at_list), what, "shortest_interval", "make it less frequent"));
            }
        }
        let all = self.list.len().saturating_add(created.schedules);
        if all > limits.schedules && !self.list.is_empty() {
            let are = if limits.schedules == 1 { "is" } else { "are" };
            let of_these = match created.schedules {
                0 => String::new(),
                some => format!(", {some} of these created at run time"),
            };
            let what = format!("{}{of_these}; {} {are} allowed", counted(all, "schedule"), limits.schedules);
            let first = limits.schedules.saturating_sub(created.schedules).min(self.list.len() - 1);
            found.push(at(self.place(first), what, "schedules", "remove some"));
        }
        found.extend(self.too_many_events(limits.rate, created));
        found.into_iter().for_each(|diagnostic| self.diagnostics.push(diagnostic));
    }

    /// Warns of each rate ceiling above which the schedules of its domain are, all together.
    pub fn hold_below(&mut self, ceilings: &Ceilings) {
        if ceilings.is_empty() {
            return;
        }
        let mut demand: BTreeMap<CeilingId, (Demand, usize, ADay)> = BTreeMap::new();
        for (index, kept) in self.list.iter().enumerate().filter(|(_, kept)| !kept.is_paused()) {
            let Some(ceiling) = ceilings.of(kept.event()) else { continue };
            let one = Demand::of(&kept.timing(), false);
            let (all, first, most) = demand.entry(ceiling).or_insert((Demand::default(), index, one.often));
            *all = all.and(one);
            if one.often > *most {
                (*first, *most) = (index, one.often);
            }
        }
        for (id, (all, first, _)) in demand {
            let Some(ceiling) = ceilings.get(id).filter(|one| all.often > one.a_day()) else { continue };
            let what = format!(
                "the schedules of '{}' are due {} times a second, averaged over a day on which each is due, and its ceiling lets {} through: what is over waits longer and longer",
                ceiling.domain,
                all.often,
                ceiling.a_day()
            );
            let Place { file, line } = self.place(first);
            let help = "make some of them less frequent (this one comes most often), or change publish.ceilings in the configuration";
            self.diagnostics.push(
                Diagnostic {
                    file: Some(file),
                    line: Some(line),
                    column: Some(1),
                    ..Diagnostic::error(what).code(FaultCode::OutOfRange).help(help)
                }
                .warning(),
            );
        }
    }

    fn too_many_events(&self, allowed: u32, created: Demand) -> Option<Diagnostic> {
        let mut most: Vec<(ADay, usize)> = Vec::with_capacity(NAMED + 1);
        let mut total = created;
        for (index, kept) in self.list.iter().enumerate().filter(|(_, kept)| !kept.is_paused()) {
            let demand = Demand::of(&kept.timing(), false);
            total = total.and(demand);
            let place = most.partition_point(|(other, _)| *other >= demand.often);
            if place < NAMED {
                most.insert(place, (demand.often, index));
                most.truncate(NAMED);
            }
        }
        if total.often <= ADay::of_a_second(allowed) {
            return None;
        }
        let named: Vec<String> = most
            .iter()
            .filter_map(|(often, index)| Some(format!("'{}' {often}", self.list.get(*index)?.name())))
            .collect();
        let of_these = match created.often {
            ADay(0) => String::new(),
            often => format!(", {often} of these created at run time"),
        };
        let what = format!(
            "all schedules together are due {} times a second, averaged over a day on which each is due{of_these}; {allowed} {} allowed; the most frequent: {}",
            total.often,
            if allowed == 1 { "is" } else { "are" },
            named.join(", ")
        );
        most.first().map(|(_, first)| at(self.place(*first), what, "rate", "make some of them less frequent"))
    }
}

fn at(place: Place, what: String, key: &str, remedy: &str) -> Diagnostic {
    let variable = key.to_uppercase();
    let help = format!("{remedy}, or change limits.{key} in the configuration (KHRONOS_LIMITS_{variable})");
    Diagnostic {
        file: Some(place.file),
        line: Some(place.line),
        column: Some(1),
        ..Diagnostic::error(what).code(FaultCode::OutOfRange).help(help)
    }
}

fn length(millis: i64) -> String {
    if millis % 1000 == 0 { format!("{} s", millis / 1000) } else { format!("{millis} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnostic::Text, engine::Ceiling, sources::Bounds};
    use std::time::Duration;

    fn held(text: &str, limits: &LimitsConfig) -> Vec<String> {
        held_beside(text, limits, Demand::default())
    }

    fn held_beside(text: &str, limits: &LimitsConfig, created: Demand) -> Vec<String> {
        let mut schedules = <Schedules>::default();
        schedules.add(&Text::new("a.toml", text), Bounds::default());
        schedules.hold_to(limits, created);
        schedules.diagnostics.list().iter().map(ToString::to_string).collect()
    }

    fn limits() -> LimitsConfig {
        LimitsConfig { shortest_interval: Duration::from_millis(100), rate: 10, schedules: 3 }
    }

    const FAST: &str = "[[schedule]]\nname = \"fast\"\nevery = \"100ms\"\nevent = \"x.fast.came\"\n";

    #[test]
    fn what_is_within_the_limits_is_not_mentioned() {
        let slow = "[[schedule]]\nname = \"slow\"\nevery = \"1 day\"\npaused = true\n";
        assert_eq!(held(&format!("{FAST}{slow}"), &limits()), [""; 0]);
    }

    #[test]
    fn a_schedule_that_comes_too_often_is_refused_with_the_numbers() {
        let limits = LimitsConfig { shortest_interval: Duration::from_secs(1), ..limits() };
        assert_eq!(
            held(FAST, &limits),
            [
                "a.toml:2:1: schedule 'fast' has an interval of 100 ms; the shortest interval allowed is 1 s; make it less frequent, or change limits.shortest_interval in the configuration (KHRONOS_LIMITS_SHORTEST_INTERVAL)"
            ]
        );
        let near = "[[schedule]]\nname = \"near\"\nevent = \"x.near.came\"\ntimings = [{ every = \"1h\" }, { every = \"1h\", phase = \"200ms\" }]\n";
        let found = held(near, &limits);
        assert!(found[0].contains("'near' has an interval of 200 ms"), "{found:?}");
    }

    #[test]
    fn all_together_are_refused_with_the_busiest_of_them() {
        let union = "[[schedule]]\nname = \"two\"\nevent = \"x.two.came\"\ntimings = [{ cron = \"* * * * * *\" }, { every = \"5s\" }]\n";
        let found = held(&format!("{FAST}{union}"), &limits());
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("due 11.20 times a second")
                && found[0].contains("10 are allowed")
                && found[0].contains("the most frequent: 'fast' 10.00, 'two' 1.20")
                && found[0].contains("limits.rate"),
            "{found:?}"
        );
    }

    #[test]
    fn too_many_schedules_are_refused() {
        let many: String = (0..4)
            .map(|n| format!("[[schedule]]\nname = \"s{n}\"\nevent = \"x.s{n}.came\"\nevery = \"1h\"\n"))
            .collect();
        let found = held(&many, &limits());
        assert!(
            found.len() == 1 && found[0].starts_with("a.toml:14:1: 4 schedules; 3 are allowed"),
            "{found:?}"
        );
    }

    #[test]
    fn what_was_created_at_run_time_counts_too() {
        let created = Demand { schedules: 3, often: ADay(86_400) };
        let found = held_beside(FAST, &limits(), created);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("a.toml:2:1: 4 schedules, 3 of these created at run time; 3 are allowed"),
            "{found:?}"
        );
        assert!(
            found[1].contains("due 11.00 times a second")
                && found[1].contains("1.00 of these created at run time; 10 are allowed"),
            "{found:?}"
        );
        let few = Demand { schedules: 2, often: ADay(0) };
        assert_eq!(held_beside(FAST, &limits(), few), [""; 0]);
    }

    #[test]
    fn schedules_of_a_domain_above_its_ceiling_are_warned_of() {
        let ceiling = |domain: &str, rate| Ceiling::of_a_second(domain.into(), domain.into(), rate);
        let said = |ceilings: Vec<Ceiling>| {
            let mut schedules = <Schedules>::default();
            let more = "[[schedule]]\nname = \"more\"\nevery = \"1s\"\nevent = \"x.more.came\"\n";
            schedules.add(&Text::new("a.toml", &format!("{more}{FAST}")), Bounds::default());
            schedules.hold_below(&Ceilings::new(ceilings));
            assert_eq!(schedules.diagnostics.errors(), 0);
            schedules.diagnostics.list().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(vec![ceiling("x.#", 11), ceiling("y.#", 1)]), [""; 0]);
        let found = said(vec![ceiling("x.#", 10)]);
        assert!(
            found.len() == 1
                && found[0].starts_with("a.toml:6:1: ")
                && found[0].contains("'x.#' are due 11.00 times a second")
                && found[0].contains("lets 10.00 through")
                && found[0].contains("publish.ceilings"),
            "{found:?}"
        );
    }
}
