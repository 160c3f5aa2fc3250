//! Compares what all schedules together demand of the clock with `[limits]`, against accidents.

use super::{Kept, Place, Schedules};
use crate::{config::LimitsConfig, diagnostic::Diagnostic, schedule::FaultCode};

/// How many of the most frequent schedules are named.
const NAMED: usize = 3;
const DAY: u64 = 86_400;

impl<K: Kept> Schedules<K> {
    /// Notes an error for whatever goes beyond the limits: one schedule too often, or all of them together.
    pub fn hold_to(&mut self, limits: &LimitsConfig) {
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
        if self.list.len() > limits.schedules {
            let are = if limits.schedules == 1 { "is" } else { "are" };
            let what = format!("{} schedules; {} {are} allowed", self.list.len(), limits.schedules);
            found.push(at(self.place(limits.schedules), what, "schedules", "remove some"));
        }
        found.extend(self.too_many_events(limits.rate));
        found.into_iter().for_each(|diagnostic| self.diagnostics.push(diagnostic));
    }

    fn too_many_events(&self, allowed: u32) -> Option<Diagnostic> {
        let running = self.list.iter().enumerate().filter(|(_, kept)| !kept.is_paused());
        let mut most: Vec<(u64, usize)> = Vec::with_capacity(NAMED + 1);
        let mut total = 0_u64;
        for (index, kept) in running {
            let a_day = kept.timing().most_a_day();
            total = total.saturating_add(a_day);
            let place = most.partition_point(|(other, _)| *other >= a_day);
            if place < NAMED {
                most.insert(place, (a_day, index));
                most.truncate(NAMED);
            }
        }
        if total <= u64::from(allowed) * DAY {
            return None;
        }
        let named: Vec<String> = most
            .iter()
            .filter_map(|(a_day, index)| {
                Some(format!("'{}' {}", self.list.get(*index)?.name(), rate(*a_day)))
            })
            .collect();
        let what = format!(
            "all schedules together are due {} times a second, averaged over a day on which each is due; {allowed} {} allowed; the most frequent: {}",
            rate(total),
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

/// Times a second.
fn rate(a_day: u64) -> String {
    let hundredths = a_day.saturating_mul(100) / DAY;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn length(millis: i64) -> String {
    if millis % 1000 == 0 { format!("{} s", millis / 1000) } else { format!("{millis} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnostic::Text, sources::Bounds};
    use std::time::Duration;

    fn held(text: &str, limits: &LimitsConfig) -> Vec<String> {
        let mut schedules = <Schedules>::default();
        schedules.add(&Text::new("a.toml", text), Bounds::default());
        schedules.hold_to(limits);
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
}
