//! Who should listen to an event, who did, and what came of it: a bounded window of what is seen on the bus and of what workers
//! report (`ponos_event::reports`).
//!
//! A message's way: [`Observer`] takes an event, a report or a declaration; `window.rs` keeps events with what was reported of each,
//! `services.rs` what is known of services and of their runs, `expected.rs` decides what was not handled in time. The answers are
//! plain data: [`Why`], the causal tree of an event (`why.rs`), and [`Coverage`] (`coverage.rs`); `text.rs` has them as texts for people.
//!
//! Invariants: everything is bounded in number ([`Limits`]), and events with their handlings in bytes, too, whatever comes; what is said
//! to be missed is certain by the rules of `expected.rs`, and whatever may be a gap in what was observed makes it uncertain instead.
//! Pure: time is an argument. Absent: the broker; what hears it for an observer is `ponos-hearing`.

mod answer;
mod coverage;
mod expected;
mod limits;
mod observer;
mod seen;
mod services;
mod text;
mod why;
mod window;

pub use answer::{Attempt, Handling, HandlingState, SeenView};
pub use coverage::{Coverage, EventCoverage, HandlerCoverage, RunState, ServiceCoverage};
pub use expected::{Doubt, Miss, MissState, Uncertain};
pub use limits::Limits;
pub use observer::{Counts, Observer};
pub use seen::SeenEvent;
pub use text::{write_coverage, write_why};
pub use why::{Awaited, AwaitedState, Node, Why};

#[cfg(test)]
mod tests;
