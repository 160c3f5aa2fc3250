//! `[clock]`: its name, and what it makes of the system's time.

use super::reader::Reader;
use crate::schedule::is_name;
use std::{path::PathBuf, time::Duration};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// `[clock]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockConfig {
    /// Part of every event's id.
    pub name: String,
    /// How long a clock that was held must stay steady before it is believed.
    pub settle: Duration,
    /// A longer step forwards, not shared by the boot-time clock, is held.
    pub max_forward: Duration,
    /// A longer step backwards is an alarm.
    pub max_backward: Duration,
    /// What happens after such a step.
    pub on_backward: OnBackward,
    /// By how much the system's time may probably be wrong before that is a warning; `None` for no warning.
    pub max_error: Option<Duration>,
    /// The folder of TZif files that says the rules of time zones; `None` for the bundled data.
    pub time_zones: Option<PathBuf>,
}

/// What happens after a long step backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBackward {
    /// Nothing is sent until the clock has caught up.
    Wait,
    /// The span is recorded, and the count goes on from now.
    Resume,
}

pub(super) fn clock(reader: &mut Reader<'_>) -> ClockConfig {
    let mut name = reader.text("clock.name").unwrap_or_else(|| "khronos".to_owned());
    if !is_name(&name) {
        let help = "1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
        reader.fault("clock.name", &format!("'{name}' is not a valid clock name"), help);
        name = "khronos".to_owned();
    }
    ClockConfig {
        name,
        settle: reader.duration("clock.settle", MINUTE, DAY),
        max_forward: reader.duration("clock.max_forward", MINUTE, 365 * DAY),
        max_backward: reader.duration("clock.max_backward", 5 * MINUTE, 365 * DAY),
        on_backward: reader.choice(
            "clock.on_backward",
            OnBackward::Wait,
            &[("wait", OnBackward::Wait), ("resume", OnBackward::Resume)],
        ),
        max_error: reader.is_set("clock.max_error").then(|| reader.duration("clock.max_error", MINUTE, HOUR)),
        time_zones: reader.path("clock.time_zones"),
    }
}
