//! The audit of delayed events: what the balance says is pending, against a count of what is there. It is counted in portions, between
//! which others read and the clock writes: then the count is right where it lies within what was taken, ended and taken back meanwhile.
//! One portion, and a clock that does not run, are counted to the event.

use super::numbered;
use crate::{
    engine::{
        audit::DelayedReport,
        delayed::{Balance, Counted},
    },
    ops::Clock,
};

/// Events counted at once: some ten milliseconds.
const PORTION: usize = 20_000;

/// Audits the delayed events of a clock; none where it keeps none.
pub(in crate::ops) async fn audit(clock: &Clock) -> Option<DelayedReport> {
    let keeps_some = match clock {
        Clock::Running(clock) => clock.delayed().is_ok(),
        Clock::Stopped(clock) => clock.has_delayed(),
    };
    if keeps_some { Some(audit_by(clock, PORTION).await) } else { None }
}

async fn audit_by(clock: &Clock, portion: usize) -> DelayedReport {
    let mut seen: Option<Seen> = None;
    let mut after = None;
    loop {
        let from = after.take();
        match numbered::read(clock, move |reader| reader.count(from.as_deref(), portion)).await {
            Ok(counted) => {
                after.clone_from(&counted.next);
                let seen = seen.insert(seen.map_or_else(|| Seen::new(&counted), |seen| seen.and(&counted)));
                if after.is_none() {
                    return seen.report();
                }
            }
            Err(error) => {
                return DelayedReport { unreadable: Some(error.to_string()), ..DelayedReport::default() };
            }
        }
    }
}

/// What was counted so far.
#[derive(Debug, Clone, Copy)]
struct Seen {
    begun: Balance,
    ended: Balance,
    names: u64,
    /// By how much the places differed from the balance of the same moment, at most: too few, and too many.
    places: (u64, u64),
}

impl Seen {
    fn new(counted: &Counted) -> Self {
        let Counted { count: names, places, balance, .. } = *counted;
        let places = (balance.pending.saturating_sub(places), places.saturating_sub(balance.pending));
        Self { begun: balance, ended: balance, names, places }
    }

    fn and(self, counted: &Counted) -> Self {
        let next = Self::new(counted);
        let (few, many) = (self.places.0.max(next.places.0), self.places.1.max(next.places.1));
        Self { ended: next.ended, names: self.names + next.names, places: (few, many), ..self }
    }

    fn report(&self) -> DelayedReport {
        let Self { begun, ended, names, places } = self;
        let left =
            ended.settled.saturating_sub(begun.settled) + ended.cancelled.saturating_sub(begun.cancelled);
        let least = begun.pending.saturating_sub(left);
        let most = begun.pending + ended.accepted.saturating_sub(begun.accepted);
        let Balance { accepted, settled, cancelled, pending } = *ended;
        DelayedReport {
            accepted,
            settled,
            cancelled,
            pending,
            counted: *names,
            // What was accepted is in one of three places.
            is_balanced: ended.is_right(),
            missing: least.saturating_sub(*names).max(places.0),
            surplus: names.saturating_sub(most).max(places.1),
            unreadable: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::delayed::tests::{batch, clock, item, owner};

    #[test]
    fn a_count_is_right_within_what_happened_meanwhile() {
        let balance =
            |accepted, settled, cancelled, pending| Balance { accepted, settled, cancelled, pending };
        let begun = balance(20, 5, 5, 10);
        let of = |ended, names, places| {
            let report = Seen { begun, ended, names, places }.report();
            (report.missing, report.surplus, report.agrees())
        };
        assert_eq!(of(begun, 10, (0, 0)), (0, 0, true));
        assert_eq!(of(begun, 9, (0, 0)), (1, 0, false));
        assert_eq!(of(begun, 12, (0, 0)), (0, 2, false));
        // Three came, two ended, one was taken back.
        let ended = balance(23, 7, 6, 10);
        for (names, missing, surplus) in [(6, 1, 0), (7, 0, 0), (13, 0, 0), (15, 0, 2)] {
            assert_eq!(of(ended, names, (0, 0)), (missing, surplus, missing + surplus == 0), "{names}");
        }
        assert_eq!(of(ended, 10, (3, 0)), (3, 0, false));
        assert_eq!(of(ended, 10, (0, 1)), (0, 1, false));
        assert_eq!(of(balance(24, 7, 6, 10), 10, (0, 0)), (0, 0, false), "it is no balance");
    }

    #[tokio::test]
    async fn what_is_pending_is_counted_in_portions_and_what_is_lost_is_found() {
        let (running, machine) = clock().await;
        let items = (0..25).map(|number| item(&format!("n{number:02}"), r#""in":"1h""#)).collect();
        crate::ops::delayed::change(&running, &owner("ann", "#"), batch(items)).await.unwrap();
        machine.settle("n07");
        let clock = Clock::from(running);
        for portion in [7, 24, 25, 20_000] {
            let report = audit_by(&clock, portion).await;
            assert!(report.agrees(), "{report:?}");
            assert_eq!((report.accepted, report.settled, report.pending, report.counted), (25, 1, 24, 24));
        }
        machine.disk.lose("n11");
        for portion in [7, 20_000] {
            let report = audit_by(&clock, portion).await;
            assert_eq!((report.missing, report.surplus, report.agrees()), (1, 0, false), "{report:?}");
        }
    }
}
