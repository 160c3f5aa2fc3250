//! When a queue pauses by itself, as its policy says. What does it is `circuit.rs`.

use super::plan::QueuePlan;
use std::time::Duration;

/// The most failures in a row that may be asked for.
const MOST_IN_A_ROW: u32 = 1_000;
/// The longest pause that may be asked for.
const LONGEST: Duration = Duration::from_secs(3600);
/// The longest name, in bytes.
const NAME: usize = 200;

/// When a queue pauses by itself, because something that its tasks need is unavailable
/// ([`Failure::unavailable`](super::Failure::unavailable)); each process finds that out for itself. Every queue has one, the
/// default, unless [`Policy::breaker`](super::Policy::breaker) says otherwise.
///
/// It opens when so many tasks in a row ([`in_a_row`](Self::in_a_row)) said so within 30 s, or half of at least 20 in 30 s. An open one
/// lets nothing begin for [`first`](Self::first), then one task, the probe; each probe that fails doubles the pause, up to
/// [`longest`](Self::longest). Once a task ends in any other way, one at a time may begin, then two, four … up to all. Plain
/// errors and panics never open it: a bug can't stop a queue.
///
/// ```
/// # use ponos::{prelude::*, worker::Breaker};
/// # async fn bill(_: serde_json::Value, _: Context) -> HandlerResult { Ok(Done) }
/// // who finds out first pauses both queues
/// let billing = || Policy::default().breaker(Breaker::default().shared("billing-api"));
/// let worker = Worker::new("shop")
///     .task("shop.bill.send", bill.with(billing()))
///     .task("shop.bill.remind", bill.with(billing()))
///     .task("shop.bill.archive", bill.with(Policy::default().breaker(None)));
/// # worker.ready().unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Queues of one worker whose breakers have the same name share one: all of them pause when it opens, and one probe is
    /// made among them. `None`: the queue has its own.
    pub name: Option<String>,
    /// How many tasks in a row must find something unavailable, within 30 s; from 1 to 1,000 (5). A queue with a single active
    /// consumer pauses at the first: its one task waits in its place.
    pub in_a_row: u32,
    /// How long it stays open before the first probe (5 s).
    pub first: Duration,
    /// The longest pause between two probes; at most 1 h (2 min).
    pub longest: Duration,
    /// Whether a handler that runs out of its time counts too. Its attempt is spent all the same (no).
    pub timeouts: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            name: None,
            in_a_row: 5,
            first: Duration::from_secs(5),
            longest: Duration::from_secs(120),
            timeouts: false,
        }
    }
}

impl Breaker {
    /// The one that all queues of the worker have whose breakers bear this name.
    #[must_use]
    pub fn shared(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Opens after so many in a row.
    #[must_use]
    pub fn in_a_row(self, tasks: u32) -> Self {
        Self { in_a_row: tasks, ..self }
    }

    /// Sets the pause before the first probe, and the longest.
    #[must_use]
    pub fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self { first, longest, ..self }
    }

    /// Counts handlers that run out of their time, too.
    #[must_use]
    pub fn timeouts(self) -> Self {
        Self { timeouts: true, ..self }
    }

    /// What is wrong with it.
    pub(crate) fn faults(&self) -> Vec<String> {
        let Self { name, in_a_row, first, longest, timeouts: _ } = self;
        let mut faults = Vec::new();
        if name.as_ref().is_some_and(|name| name.trim().is_empty() || name.len() > NAME) {
            faults.push(format!("breaker.name must have 1 to {NAME} bytes, and not blanks alone"));
        }
        if !(1..=MOST_IN_A_ROW).contains(in_a_row) {
            faults.push(format!("breaker.in_a_row is {in_a_row}; from 1 to {MOST_IN_A_ROW}"));
        }
        if first.is_zero() {
            faults.push("breaker.first is 0; an open breaker would not pause the queue".into());
        }
        if first > longest {
            faults.push(format!("breaker.first is {first:?}, longer than breaker.longest, {longest:?}"));
        }
        if *longest > LONGEST {
            faults.push(format!("breaker.longest is {longest:?}; at most 1 h"));
        }
        faults
    }
}

/// A fault for each queue that shares a breaker by name, and wants it otherwise than a queue before it.
pub(crate) fn disagreements(queues: &[QueuePlan]) -> Vec<String> {
    let mut faults = Vec::new();
    let named = |plan: &QueuePlan| {
        let breaker = plan.policy.breaker.clone()?;
        breaker.name.clone().map(|name| (name, breaker))
    };
    for (index, plan) in queues.iter().enumerate() {
        let Some((name, breaker)) = named(plan) else { continue };
        let before = queues.iter().take(index);
        let other = before.filter_map(|one| Some((one, named(one)?))).find(|(_, (of, _))| *of == name);
        if let Some((one, (_, theirs))) = other
            && theirs != breaker
        {
            faults.push(format!(
                "{}: it shares the breaker '{name}' with {}, but with other settings; give both the same",
                plan.name, one.name
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said_in_words() {
        assert_eq!(Breaker::default().faults(), Vec::<String>::new());
        let secs = Duration::from_secs;
        for (breaker, words) in [
            (Breaker::default().shared(" "), "breaker.name"),
            (Breaker::default().shared("x".repeat(201)), "breaker.name"),
            (Breaker::default().in_a_row(0), "breaker.in_a_row is 0"),
            (Breaker::default().in_a_row(1_001), "breaker.in_a_row is 1001"),
            (Breaker::default().pauses(secs(0), secs(1)), "breaker.first is 0"),
            (Breaker::default().pauses(secs(9), secs(8)), "longer than breaker.longest"),
            (Breaker::default().pauses(secs(9), secs(3_601)), "at most 1 h"),
        ] {
            let faults = breaker.faults();
            assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
        }
    }
}
