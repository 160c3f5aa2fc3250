//! Whether a clock may take over a definition now: what a preview says. Its text is read first, which says all that is wrong
//! with it as such; then it is held to the clock's limits and to the present ([`judge`]).
//!
//! Absent: what is of all schedules together (`limits.rate`, `limits.schedules`), and whose a name is. The engine, which takes
//! it over, knows these.

use super::{Clock, OpsError};
use crate::{
    config::LimitsConfig,
    schedule::{
        Calendars, Definition, Ending, FaultCode, Past,
        file::{self, FieldFault, FieldFaults, JsonEntry},
    },
};
use ponos::event::Timestamp;
use std::time::Duration;

const DAY: u64 = 86_400;

/// What definitions are read and judged by: the calendars and the limits that the clock has now.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    calendars: Calendars,
    /// The calendars of the files are known; else none is yet.
    files_read: bool,
    limits: Option<LimitsConfig>,
}

impl Judge {
    pub(super) fn of(clock: &Clock) -> Self {
        let (named, limits) = match clock {
            Clock::Running(clock) => (clock.named_calendars(), clock.limits().cloned()),
            // They are in files, which it does not read.
            Clock::Stopped(_) => (Some(Calendars::new(clock.calendars().clone())), None),
        };
        let files_read = named.is_some();
        let calendars = named.unwrap_or_else(|| Calendars::new(clock.calendars().clone()));
        Self { calendars, files_read, limits }
    }

    /// Understands a definition.
    ///
    /// # Errors
    /// [`OpsError::Definition`] with all that is wrong with it; [`OpsError::Unavailable`] where it names calendars and these are
    /// not known yet.
    pub(super) fn read(&self, json: &[u8], now: Timestamp) -> Result<JsonEntry, OpsError> {
        file::from_json(json, &self.calendars, now).map_err(|faults| {
            let names_calendars = |fault: &FieldFault| fault.code == FaultCode::UnknownCalendar;
            if !self.files_read && faults.list.iter().any(names_calendars) {
                let what = "the files of schedules and calendars are still being read, and the definition names calendars; \
                            try again later";
                return OpsError::Unavailable(what.to_owned());
            }
            OpsError::Definition(faults)
        })
    }

    /// What speaks against how often it comes, of which the caller may have no two within `least`.
    pub(super) fn too_often(&self, read: &JsonEntry, least: Duration) -> FieldFaults {
        too_often(read, self.limits.as_ref(), least)
    }

    /// What has it never be due any more, if it is so.
    pub(super) fn never_due(&self, read: &JsonEntry, now: Timestamp) -> Option<FieldFaults> {
        never_due(read, now).map(FieldFaults::from)
    }

    /// Whether the clock may take it over now.
    ///
    /// # Errors
    /// [`OpsError::Definition`] with all that speaks against it.
    pub(super) fn judge(&self, read: &JsonEntry, now: Timestamp) -> Result<(), OpsError> {
        judge(read, self.limits.as_ref(), now).map_err(OpsError::Definition)
    }
}

/// Whether a clock with these limits may take it over now.
///
/// # Errors
/// All that speaks against it.
pub fn judge(read: &JsonEntry, limits: Option<&LimitsConfig>, now: Timestamp) -> Result<(), FieldFaults> {
    let mut faults = too_often(read, limits, Duration::ZERO);
    never_due(read, now).into_iter().for_each(|fault| faults.add(fault));
    if faults.list.is_empty() { Ok(()) } else { Err(faults) }
}

/// What has it never be due from now on, if it is so.
fn never_due(read: &JsonEntry, now: Timestamp) -> Option<FieldFault> {
    let timing = &read.schedule.timing;
    let is_sent_late = timing.is_one_shot() && read.schedule.past == Past::Send;
    let counted = timing.clone().counting_since(now);
    if is_sent_late || counted.after(now).is_some() {
        return None;
    }
    let last = counted.last().map_or(String::new(), |last| format!(": it was last due at {last}"));
    let key = match counted.ending() {
        Ending::Until => "until",
        Ending::Limit(_) => "limit",
        Ending::Once | Ending::Rule => timing_key(&read.definition),
    };
    let suggestion = timing.is_one_shot().then(|| "past = \"send\" has it sent at once".to_owned());
    Some(FieldFault {
        pointer: format!("/{key}"),
        code: FaultCode::NeverFires,
        detail: format!("{key}: it would never be due from {now} on{last}"),
        expected: None,
        suggestion,
    })
}

/// What a clock with these limits says of how often it comes, of which one caller may have no two within `least`.
fn too_often(read: &JsonEntry, limits: Option<&LimitsConfig>, least: Duration) -> FieldFaults {
    let (timing, mut faults) = (&read.schedule.timing, FieldFaults::default());
    let mut add = |detail: String, expected: String, whose: &str| {
        let key = timing_key(&read.definition);
        faults.add(FieldFault {
            pointer: format!("/{key}"),
            code: FaultCode::OutOfRange,
            detail: format!("{key}: {detail}"),
            expected: Some(format!("{expected}: {whose} in the clock's configuration")),
            suggestion: Some("make it less frequent".to_owned()),
        });
    };
    let shortest = limits.map_or(Duration::ZERO, |limits| limits.shortest_interval);
    let millis = i64::try_from(shortest.max(least).as_millis()).unwrap_or(i64::MAX);
    if let Some(interval) = timing.interval_below(millis) {
        let whose = if least > shortest { "least_interval of its token" } else { "limits.shortest_interval" };
        let seconds = |millis: i64| millis as f64 / 1_000.0;
        let expected = format!("at least {} s", seconds(millis));
        add(format!("its shortest interval is {} s", seconds(interval)), expected, whose);
    }
    if let Some(limits) = limits.filter(|_| !read.schedule.paused) {
        let (a_day, most) = (timing.most_a_day(), u64::from(limits.rate).saturating_mul(DAY));
        if a_day > most {
            add(
                format!("it is due {a_day} times a day"),
                format!("at most {most} times, of all schedules together"),
                "limits.rate",
            );
        }
    }
    faults
}

/// The key that says when it is due.
fn timing_key(definition: &Definition) -> &'static str {
    let Definition { timings, every, cron, .. } = definition;
    match (timings, every, cron) {
        (Some(_), ..) => "timings",
        (_, Some(_), _) => "every",
        (.., Some(_)) => "cron",
        _ => "at",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(keys: &str) -> Vec<String> {
        let now: Timestamp = "2026-12-01T09:00:00Z".parse().unwrap();
        let limits = LimitsConfig { shortest_interval: Duration::from_millis(500), rate: 1, schedules: 1 };
        let text = format!("{{\"name\":\"a\",\"event\":\"a.b.c\",{keys}}}");
        let read = file::from_json(text.as_bytes(), &Calendars::default(), now).unwrap();
        let faults = judge(&read, Some(&limits), now).err().unwrap_or_default();
        assert_eq!(
            judge(&read, None, now).is_err(),
            faults.list.iter().any(|one| one.code == FaultCode::NeverFires)
        );
        faults.list.into_iter().map(|one| one.pointer).collect()
    }

    #[test]
    fn what_a_clock_can_not_take_over_now_is_refused_at_its_key() {
        for (keys, pointers) in [
            (r#""every":"1m""#, &[][..]),
            (r#""every":"1s""#, &[]),
            (r#""every":"100ms""#, &["/every", "/every"]),
            (r#""every":"100ms","paused":true"#, &["/every"]),
            (r#""timings":[{"every":"4s"},{"every":"4s","phase":"50ms"}]"#, &["/timings"]),
            (r#""timings":[{"every":"1s"},{"every":"1s","phase":"500ms"}]"#, &["/timings"]),
            (r#""at":"2026-12-01T09:00:00Z""#, &["/at"]),
            (r#""at":"2026-12-01T09:00:00Z","past":"send""#, &[]),
            (r#""at":"2026-12-01T09:00:00.001Z""#, &[]),
            (r#""every":"1m","until":"2026-12-01T09:01:00Z""#, &["/until"]),
            (r#""every":"1m","until":"2026-12-01T09:01:00.001Z""#, &[]),
            (r#""every":"1m","limit":3,"from":"2026-12-01T08:58:00Z""#, &["/limit"]),
            (r#""every":"1m","limit":3"#, &[]),
            (r#""cron":"0 0 0 1 1 * 2026""#, &["/cron"]),
        ] {
            assert_eq!(judged(keys), pointers, "{keys}");
        }
    }
}
