//! The engine: `step(reading, Input) → Vec<Action>` and `next_wakeup() → Option<instant>`. Pure: no I/O, no clock, no
//! async; so a seeded simulation can drive it through every crash (`simulation/`).
//!
//! Two instants and a small set are its progress, written atomically together: **W**, everything with send time ≤ W is
//! settled or stands in the set; **H** ≥ W, nothing with send time above H was ever handed to the publisher, and H is
//! durable before anything above it is handed over. **R** is the highest H that ever was durable: what may have been sent. After a restart what lies in (W, H] is sent again singly under
//! its plain id; only what lies above H may be coalesced. ADR 0002 has the reasoning.

mod at_ceilings;
pub mod audit;
mod author;
mod backlog;
mod backoff;
mod calendar_users;
mod calendars;
mod catch_up;
mod ceilings;
mod changes_log;
mod clock_guard;
mod content;
mod core;
mod covered;
mod decide;
mod declined;
pub mod delayed;
mod demand;
mod due_queue;
mod faults;
mod forgetting;
mod going;
mod hand_over;
mod in_flight;
mod io;
mod joining;
mod judge;
pub mod lease;
mod load;
mod load_summary;
mod lookahead;
mod marks;
mod measures;
mod messages;
mod names;
mod notice;
mod one_shots;
mod open_spans;
mod operations;
mod outstanding;
mod parked;
mod parked_set;
mod pause;
mod pausing;
mod place;
mod portions;
mod progress;
mod rarely;
mod read;
mod reconcile;
mod refusal;
mod refusals;
mod resting;
mod schedules;
mod sent;
mod set_back;
mod settle;
#[cfg(test)]
mod simulation;
mod skipped_times;
mod slot;
mod slots;
mod start;
mod state;
pub mod store;
mod tallies;
mod trigger;
mod trust;
mod turns;
mod unheard;
mod unwritten;
mod verdict;
mod waiting;
mod warm;

pub use at_ceilings::CeilingUse;
pub use author::{Asker, Author, Digest, Message};
pub use backoff::Resends;
pub use calendars::{CreatedCalendar, ReadCalendars, Users, WantedCalendar};
pub use ceilings::{Ceiling, CeilingId, Ceilings};
pub use changes_log::{
    ChangeEntry, ChangeKind, LoggedChange, THE_CLOCK, Version, VersionContent, VersionEntry,
};
pub use clock_guard::{ClockRules, ClockState};
pub use content::{occurrence_event, time_event};
pub use core::{Engine, Rules};
pub use covered::Covered;
pub use declined::Declined;
pub use io::{Action, Answer, Handover, Input, Reading};
pub use load::ZONES_SINCE;
pub use load_summary::LoadSummary;
pub use lookahead::Prepared;
pub use measures::{OldestPage, States};
pub use messages::{Answered, MessageKey};
pub use notice::Notice;
pub use operations::{HIGHEST_RATE, Operation};
pub use pause::{OnResume, Pause, PauseEnd, PauseRequest, Pauses, Scope};
pub use read::ScheduleStatus;
pub use refusal::Refusal;
pub use refusals::Refused;
pub use sent::Sent;
pub use settle::UNROUTED;
pub use skipped_times::{Reached, SkippedPause};
pub use state::{
    Coalesced, Commit, Era, KeptPage, OneShot, Outcome, Parked, RecordRow, Revision, Row, SkipReason,
    Snapshot, Span,
};
pub use trigger::{TriggerKey, Triggered};
pub use verdict::{ChangeRequest, Expect, ScheduleChange, Verdict};
pub use warm::{Beside, Warm};
