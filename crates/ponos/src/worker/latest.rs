//! `latest_only`: skips events that a later one of the same name, source and subject has overtaken.

use crate::event::{Event, Timestamp};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// The most series remembered; beyond that, the one known for longest is forgotten.
const KNOWN: usize = 10_000;
/// An event whose time is further ahead of our clock overtakes nothing: an hour, in milliseconds.
const AHEAD: i64 = 3_600_000;

/// Type, source and subject.
pub(super) type Series = (String, String, Option<String>);

/// The series that an event belongs to.
pub(super) fn series(event: &Event) -> Series {
    (event.name.to_string(), event.source.clone(), event.subject.clone())
}

/// The latest time taken of each series.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    times: HashMap<Series, Timestamp>,
    order: VecDeque<Series>,
}

impl Latest {
    /// Takes the event, or returns the time of the one that has overtaken it. An event without a time, or with an impossible
    /// one, is always taken.
    pub(crate) fn take(&self, event: &Event, now: Timestamp) -> Result<(), Timestamp> {
        let Some(time) = event.time.filter(|time| time.since(now) <= AHEAD) else { return Ok(()) };
        let series = series(event);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.times.get_mut(&series) {
            Some(latest) if *latest > time => return Err(*latest),
            Some(latest) => *latest = time,
            None => {
                if known.times.len() >= KNOWN
                    && let Some(oldest) = known.order.pop_front()
                {
                    known.times.remove(&oldest);
                }
                known.order.push_back(series.clone());
                known.times.insert(series, time);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;

    fn event(source: &str, at: i64) -> Event {
        let name = "time.one-day.passed".parse().unwrap();
        let mut event = Event::new("1".parse().unwrap(), source, name, b"{}".to_vec());
        event.time = Some(Timestamp::from_millis(at));
        event
    }

    #[test]
    fn an_event_is_overtaken_by_a_later_one_of_its_own_series_alone() {
        let latest = Latest::default();
        assert_eq!(latest.take(&event("/a", 5), NOW), Ok(()));
        assert_eq!(latest.take(&event("/b", 3), NOW), Ok(()), "of another source");
        assert_eq!(latest.take(&event("/a", 4), NOW), Err(Timestamp::from_millis(5)));
        assert_eq!(latest.take(&event("/a", 5), NOW), Ok(()), "the same again, as a retry is");
    }

    #[test]
    fn a_time_that_cannot_be_yet_overtakes_nothing() {
        let latest = Latest::default();
        assert_eq!(latest.take(&event("/a", AHEAD + 1), NOW), Ok(()));
        assert_eq!(latest.take(&event("/a", 5), NOW), Ok(()));
        assert_eq!(latest.take(&event("/a", AHEAD), NOW), Ok(()), "clocks differ a little");
        assert_eq!(latest.take(&event("/a", 5), NOW), Err(Timestamp::from_millis(AHEAD)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let latest = Latest::default();
        for source in 0..=KNOWN {
            assert_eq!(latest.take(&event(&source.to_string(), 5), NOW), Ok(()));
        }
        assert_eq!(latest.0.lock().unwrap().times.len(), KNOWN);
        assert_eq!(latest.take(&event("0", 4), NOW), Ok(()), "the first was forgotten");
        assert_eq!(latest.take(&event(&KNOWN.to_string(), 4), NOW), Err(Timestamp::from_millis(5)));
    }
}
