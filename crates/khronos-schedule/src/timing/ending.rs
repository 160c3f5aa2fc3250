//! What ends a timing, and its last due time: for people, who want to know why nothing of a schedule is due any more.

use super::Timing;
use ponos_event::Timestamp;
use std::fmt;

/// What ends a timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `at`: it is due once.
    Once,
    /// `limit`: it has been due so often.
    Limit(u32),
    /// `until`.
    Until,
    /// Its years, or the days of its calendars, end, or the horizon is reached.
    Rule,
}

impl Timing {
    /// What ends it. A `limit` without `from` ends it only once it is [counted](Self::counting_since).
    pub fn ending(&self) -> Ending {
        let bounds = self.bounds();
        match bounds.limit {
            _ if self.is_one_shot() => Ending::Once,
            Some(limit) if bounds.is_ended_by_limit() => Ending::Limit(limit.most),
            _ if bounds.has_until() => Ending::Until,
            _ => Ending::Rule,
        }
    }

    /// Whether its days alone have it that nothing is due after `t` (exclusive): with other days in its calendars something
    /// would be. Neither `until` nor a `limit` that is reached has ended it, nor is its `at` past.
    pub fn is_out_of_days(&self, t: Timestamp) -> bool {
        self.days.is_some()
            && !self.bounds().is_ended_by_limit()
            && self.after(t).is_none()
            && self.on_every_day().after(t).is_some()
    }

    /// Its last due time if there were no rules about days.
    pub fn last_on_any_day(&self) -> Option<Timestamp> {
        self.on_every_day().last()
    }

    /// Its last due time; `None` if there is none at all.
    pub fn last(&self) -> Option<Timestamp> {
        self.before(Timestamp::HORIZON.plus(1))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("it is due once (at)"),
            Self::Limit(most) => write!(f, "its limit of {most} is reached"),
            Self::Until => f.write_str("its until is reached"),
            Self::Rule => f.write_str("it is never due again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definition, Packed};

    #[test]
    fn what_ends_a_timing_comes_with_its_last_due_time() {
        let every = |definition: Definition| Definition {
            name: "a".into(),
            event: Some("test.hour.passed".into()),
            every: Some("1h".into()),
            from: Some("2026-01-01T00:00:00Z".into()),
            ..definition
        };
        let once = Definition {
            every: None,
            from: None,
            at: Some("2026-01-01T05:00:00Z".into()),
            ..every(Definition::default())
        };
        let limit = every(Definition { limit: Some(3), ..Definition::default() });
        let until = every(Definition { until: Some("2026-01-01T08:00:00Z".into()), ..Definition::default() });
        let both = Definition { limit: Some(3), ..until.clone() };
        let later = Definition { limit: Some(30), ..until.clone() };
        let cron = Definition {
            every: None,
            from: None,
            cron: Some("0 0 7 1 1 * 2026".into()),
            ..every(Definition::default())
        };
        for (definition, ending, hour) in [
            (once, Ending::Once, 5),
            (limit, Ending::Limit(3), 2),
            (until, Ending::Until, 7),
            (both, Ending::Limit(3), 2),
            (later, Ending::Until, 7),
            (cron, Ending::Rule, 7),
        ] {
            let timing = Packed::build(&definition).unwrap().timing();
            let timing = timing.counting_since(Timestamp::EPOCH);
            let last = format!("2026-01-01T{hour:02}:00:00.000Z").parse().ok();
            assert_eq!((timing.ending(), timing.last()), (ending, last), "{definition:?}");
        }
        let endless = Definition { from: None, ..every(Definition::default()) };
        assert_eq!(Packed::build(&endless).unwrap().timing().ending(), Ending::Rule);
    }
}
