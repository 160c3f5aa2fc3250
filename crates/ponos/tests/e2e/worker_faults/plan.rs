//! What each message's handler does, drawn before anything runs, and what must become of it.

use super::{NAME, random};
use crate::real::event;
use ponos::event::Message;
use serde::{Deserialize, Serialize};

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Does {
    Work,
    FailOnce,
    Fail,
    PanicOnce,
    Panic,
    SleepOnce,
    Sleep,
    AskOnce,
    ReleaseOnce,
    Refuse,
    Flood,
    /// Ends its process the first time it runs.
    DieOnce,
    /// Ends its process whenever it runs.
    Die,
    /// Against its schema: its number is none.
    Unfit,
}

/// What must become of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Done,
    /// The kind, and words of the reason.
    Dead(&'static str, &'static str),
}

impl Does {
    pub(crate) fn fate(self) -> Fate {
        match self {
            Self::Work | Self::FailOnce | Self::PanicOnce | Self::SleepOnce | Self::AskOnce => Fate::Done,
            Self::ReleaseOnce | Self::DieOnce => Fate::Done,
            Self::Fail => Fate::Dead("attempts", "no luck"),
            Self::Panic => Fate::Dead("attempts", "panicked: much worse"),
            Self::Sleep => Fate::Dead("attempts", "timed out"),
            Self::Flood => Fate::Dead("attempts", "10001 messages"),
            Self::Refuse => Fate::Dead("refused", "not mine"),
            Self::Die => Fate::Dead("poison", "without being settled"),
            Self::Unfit => Fate::Dead("schema", "/number"),
        }
    }
}

impl Job {
    pub(crate) fn id(number: u64) -> String {
        format!("job-{number}")
    }

    pub(crate) fn message(&self) -> Message {
        let mut data = serde_json::to_value(self).unwrap();
        if self.does == Does::Unfit {
            data["number"] = "none".into();
        }
        event(&Self::id(self.number), NAME, &data)
    }
}

/// As many jobs, most of which simply work, and a few of each other kind; those that end their process at
/// fixed places, for which `count` is to be a multiple of ten.
pub(crate) fn jobs(count: usize) -> Vec<Job> {
    let mut random = random();
    let does = (0..count).map(|number| match number * 10 {
        at if [1, 5, 9].iter().any(|tenth| at == count * tenth) => Does::DieOnce,
        at if at == count * 3 => Does::Die,
        _ => draw(&mut random),
    });
    does.enumerate().map(|(number, does)| Job { number: number as u64, does }).collect()
}

fn draw(random: &mut fastrand::Rng) -> Does {
    match random.u32(0..1_000) {
        0..50 => Does::FailOnce,
        50..65 => Does::Fail,
        65..85 => Does::PanicOnce,
        85..95 => Does::Panic,
        95..100 => Does::SleepOnce,
        100..103 => Does::Sleep,
        103..123 => Does::AskOnce,
        123..133 => Does::ReleaseOnce,
        133..143 => Does::Refuse,
        143..153 => Does::Unfit,
        153..154 => Does::Flood,
        _ => Does::Work,
    }
}
