//! `jitter`: how far an occurrence's send time lies behind its due time, so that many schedules that are due at one
//! instant are not sent at one instant.
//!
//! The offset is a pure function of the schedule's name and the due time: a restart, another clock and a checking consumer
//! get the same. See [`jitter_offset`] for the rule.

use crate::fault::{Fault, FaultCode, Flaw};
use ponos_event::{OccurrenceId, Timestamp, duration::WrittenDuration};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// Send-time offsets below a maximum, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Jitter {
    schedule: Arc<str>,
    /// Above zero.
    most: i64,
}

/// The offset in milliseconds, in `[0, jitter)`; 0 without jitter.
///
/// It is the number that the first twelve hexadecimal digits of a UUIDv5 stand for, modulo `jitter`: of the one in the
/// namespace `d7947026-e364-593e-8c95-ddae90ef68dd` with the text `schedule ⏎ due`, where `⏎` is one line feed (an occurrence's
/// id has the clock's name before that).
///
/// ```
/// use khronos_schedule::jitter_offset;
/// let due = "2026-12-01T09:00:00.000Z".parse().unwrap();
/// // python3 -c 'import uuid; print((uuid.uuid5(uuid.UUID("d7947026-e364-593e-8c95-ddae90ef68dd"),
/// //                                 "one-day\n2026-12-01T09:00:00.000Z").int >> 80) % 300_000)'
/// assert_eq!(jitter_offset("one-day", due, 300_000), 267_379);
/// ```
pub fn jitter_offset(schedule: &str, due: Timestamp, jitter: i64) -> i64 {
    let id = Uuid::new_v5(&OccurrenceId::NAMESPACE, format!("{schedule}\n{due}").as_bytes());
    // 48 bits: far more than any jitter has milliseconds.
    ((id.as_u128() >> 80) as i64).checked_rem(jitter).unwrap_or(0)
}

impl Jitter {
    /// Reads it. `shortest` is the shortest interval of the timing: the jitter has to be below, so that one occurrence
    /// is sent before the next one is due.
    pub(crate) fn read(text: &str, schedule: &str, shortest: Option<i64>) -> Result<Self, Fault> {
        let fault = |flaw: Flaw| flaw.of("jitter");
        let duration = WrittenDuration::parse(text).map_err(|error| fault(error.into()))?;
        let most = duration.millis().map_err(|error| fault(error.into()))?;
        match shortest {
            Some(shortest) if most >= shortest => {
                let what = format!(
                    "a jitter of {duration} ({most} ms) is not shorter than the schedule's shortest interval ({shortest} ms)"
                );
                let flaw = Flaw::whole(what).code(FaultCode::Conflict);
                Err(fault(flaw.help("each occurrence must be sent before the next one is due")))
            }
            _ => Ok(Self { schedule: schedule.into(), most }),
        }
    }

    /// Offsets are below this.
    pub(crate) fn most(&self) -> i64 {
        self.most
    }

    pub(crate) fn offset(&self, due: Timestamp) -> i64 {
        jitter_offset(&self.schedule, due, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_spread_over_the_whole_of_the_jitter() {
        let jitter = Jitter { schedule: "one-hour".into(), most: 1000 };
        let mut tenths = [0; 10];
        for hour in 0..10_000 {
            let offset = jitter.offset(Timestamp::from_millis(hour * 3_600_000));
            tenths[usize::try_from(offset / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
        assert_eq!(jitter_offset("one-hour", Timestamp::EPOCH, 0), 0);
    }
}
