//! Delayed events: put, changed and deleted one by one or many at once, read and listed; the same by each door. Parked ones
//! are listed, released and dropped.
//!
//! What is asked for is read here, off the loop's thread ([`item`](self)); whose it is, what may have been sent, and what the same
//! message was answered before, the machine of delayed events decides. What became of them is read of their store, of a clock that
//! does not run too. Absent: how it is stored and sent.

mod change;
mod changes;
mod count;
mod history;
mod item;
mod names;
mod numbered;
mod parked;
mod post;
mod quota;
mod read;
mod refused;
mod send_now;
mod split;
#[cfg(test)]
pub(crate) mod tests;

pub use change::{EVENTS_AT_ONCE, EventBatch, EventOutcome, WantedEvent, change, delete, put};
pub use changes::{DelayedChangesQuery, changes};
pub(super) use count::audit;
pub(super) use history::leader;
pub use history::{DELAYED_OUTCOMES, DelayedHistoryQuery, history};
#[cfg(test)]
pub(crate) use item::DelayedItem;
pub(crate) use item::LONGEST_ITEM;
pub use names::NamesOf;
pub use numbered::MOST_NUMBERED;
pub use parked::{ParkedQuery, UNPARKED_AT_ONCE, discard, parked, release};
pub use post::post;
pub(super) use quota::DelayedPart;
pub use read::{DelayedQuery, get, list};
pub(super) use refused::said_of_event;
pub use send_now::send_now;
pub use split::WantedEvents;
pub(crate) use split::items;
