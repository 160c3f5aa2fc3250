//! What the loop counts and measures, for metrics: plain numbers, shown with its status.

use crate::engine::{Answer, Engine, Notice, States};

/// What a reason or a warning of a [`Status`](super::Status) is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degraded {
    /// No connection, or the broker takes nothing.
    Broker,
    /// The wall clock is not believed.
    Clock,
    /// The store can't be written.
    Store,
    /// There are no schedules: the files were refused.
    Schedules,
    /// Everything is paused.
    Paused,
    /// Some schedules are paused by their names.
    PausedByName,
    /// The files were refused, and the last accepted ones are used.
    FilesRefused,
    /// Another clock has this name.
    SecondClock,
    /// The clock was set back and goes on.
    SetBack,
    /// Something was missing on the broker and was declared again.
    Redeclared,
    /// Events are not confirmed for long.
    Unconfirmed,
    /// The broker refuses events.
    Refused,
    /// Events are parked.
    Parked,
    /// A load is under way.
    Loading,
    /// Events wait long for the rate ceiling of their domain.
    Ceiling,
    /// Calendars have run out.
    Calendars,
    /// No commands are taken, though they should be.
    Commands,
    /// A failover of the store's database may lose what was committed last, or that can't be told.
    Replication,
    /// It follows another clock, and would not take over from it.
    Hindered,
    /// What services report is not heard, though it is to be.
    Reports,
}

impl Degraded {
    /// All of them: first the reasons for not being ready, then the warnings.
    pub const ALL: [Self; 20] = [
        Self::Broker,
        Self::Clock,
        Self::Store,
        Self::Schedules,
        Self::Paused,
        Self::PausedByName,
        Self::FilesRefused,
        Self::SecondClock,
        Self::SetBack,
        Self::Redeclared,
        Self::Unconfirmed,
        Self::Refused,
        Self::Parked,
        Self::Loading,
        Self::Ceiling,
        Self::Calendars,
        Self::Commands,
        Self::Replication,
        Self::Hindered,
        Self::Reports,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Clock => "clock",
            Self::Store => "store",
            Self::Schedules => "schedules",
            Self::Paused => "paused",
            Self::PausedByName => "paused-by-name",
            Self::FilesRefused => "files-refused",
            Self::SecondClock => "second-clock",
            Self::SetBack => "set-back",
            Self::Redeclared => "redeclared",
            Self::Unconfirmed => "unconfirmed",
            Self::Refused => "refused",
            Self::Parked => "parked",
            Self::Loading => "loading",
            Self::Ceiling => "ceiling",
            Self::Calendars => "calendars",
            Self::Commands => "commands",
            Self::Replication => "replication",
            Self::Hindered => "hindered",
            Self::Reports => "reports",
        }
    }
}

/// What is counted since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) confirmed: u64,
    /// Of these, how many reached nobody.
    pub(super) returned: u64,
    refusals: u64,
    forward_steps: u64,
    backward_steps: u64,
}

impl Counters {
    pub(super) fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Confirmed { returned } => {
                self.confirmed += 1;
                self.returned += u64::from(*returned);
            }
            Answer::Refused(_) => self.refusals += 1,
            Answer::Lost => {}
        }
    }

    pub(super) fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::ClockHeld { .. } => self.forward_steps += 1,
            Notice::ClockBehind { .. } | Notice::ClockResumed { .. } => self.backward_steps += 1,
            _ => {}
        }
    }
}

/// What is counted and measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Schedules.
    pub schedules: States,
    /// Handed over and not answered.
    pub in_flight: usize,
    /// Schedules whose events the broker refuses at present.
    pub refused_schedules: usize,
    /// Answers with which the broker refused an event.
    pub refusals: u64,
    /// Steps of the wall clock ahead that were too long.
    pub forward_steps: u64,
    /// Steps of the wall clock back that were too long.
    pub backward_steps: u64,
}

impl Figures {
    pub(super) fn new(engine: &Engine, counters: &Counters) -> Self {
        Self {
            schedules: engine.states(),
            in_flight: engine.in_flight(),
            refused_schedules: engine.refused().len(),
            refusals: counters.refusals,
            forward_steps: counters.forward_steps,
            backward_steps: counters.backward_steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_step_of_the_clock_is_counted_by_its_direction() {
        let mut counters = Counters::default();
        let at = ponos::event::Timestamp::from_millis;
        counters.notice(&Notice::ClockHeld { ahead: 1 });
        counters.notice(&Notice::ClockReleased);
        counters.notice(&Notice::ClockBehind { behind: 1, highest: at(2) });
        counters.notice(&Notice::ClockResumed { highest: at(2), now: at(1) });
        assert_eq!((counters.forward_steps, counters.backward_steps), (1, 2));
    }

    /// A new one is missing here first.
    fn place(reason: Degraded) -> usize {
        match reason {
            Degraded::Broker => 0,
            Degraded::Clock => 1,
            Degraded::Store => 2,
            Degraded::Schedules => 3,
            Degraded::Paused => 4,
            Degraded::PausedByName => 5,
            Degraded::FilesRefused => 6,
            Degraded::SecondClock => 7,
            Degraded::SetBack => 8,
            Degraded::Redeclared => 9,
            Degraded::Unconfirmed => 10,
            Degraded::Refused => 11,
            Degraded::Parked => 12,
            Degraded::Loading => 13,
            Degraded::Ceiling => 14,
            Degraded::Calendars => 15,
            Degraded::Commands => 16,
            Degraded::Replication => 17,
            Degraded::Hindered => 18,
            Degraded::Reports => 19,
        }
    }

    #[test]
    fn every_reason_is_among_all_of_them() {
        assert_eq!(Degraded::ALL.map(place).to_vec(), (0..=19).collect::<Vec<_>>());
    }

    #[test]
    fn no_two_reasons_have_one_word() {
        let words: BTreeSet<&str> = Degraded::ALL.into_iter().map(Degraded::word).collect();
        assert_eq!(words.len(), Degraded::ALL.len());
    }
}
