//! What goes in and what comes out.

use super::faults::{Fault, planted};
use crate::{
    Answer, Answered, Author, Expect, Message, MessageKey, Refusal, Resends, Verdict,
    delayed::{DelayedBatch, DelayedEvent, DelayedKey, DueEvent, Found, ParkedEvent},
};
use khronos_schedule::Unrouted;
use ponos_event::Timestamp;
use std::{ops::Range, sync::Arc};

/// Where the marks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// The highest reading that is believed.
    pub now: Timestamp,
    /// H, as it is durable.
    pub handed: Timestamp,
    /// R: up to this send time something may have been sent; what is asked to become durable counts.
    pub reached: Timestamp,
    /// The highest creation number that anything was given.
    pub created: u64,
    /// What holds of all that began since the clock was set back, where R is of what ran before.
    pub since: Option<SinceSetBack>,
}

/// What holds of all that began since the clock was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinceSetBack {
    /// It has creation numbers above this one.
    pub created: u64,
    /// Up to this send time something of it may have been sent; what is asked to become durable counts.
    pub reached: Timestamp,
}

impl Marks {
    /// Up to which send time an event of this creation may have been sent.
    pub(super) fn reached_of(&self, creation: u64) -> Timestamp {
        let since = self.since.filter(|_| !planted(Fault::TakeAllForOld));
        let is_new = |since: &SinceSetBack| creation > since.created || planted(Fault::TakeAllForNew);
        since.filter(is_new).map_or(self.reached, |since| since.reached)
    }

    /// Up to which send time any event may have been sent, of whichever that is least.
    pub(super) fn least_reached(&self) -> Timestamp {
        self.since.map_or(self.reached, |since| since.reached.min(self.reached))
    }
}

/// Limits, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct DelayedRules {
    /// Milliseconds ahead: what is due by then is in memory.
    pub window: i64,
    /// So many of them at most; somewhat more where much is put that is due soon.
    pub most: usize,
    /// So many of each rate ceiling, beside these.
    pub at_ceiling: usize,
    /// So many are read at once.
    pub page: usize,
    /// So many handed over and not answered.
    pub in_flight: usize,
    /// So many changes wait to be decided; what comes alone may have more.
    pub waiting: usize,
    /// So many changes are looked up at once; what comes alone may have more.
    pub batch: usize,
    /// Milliseconds: so long before something is due, H is asked to be raised beyond it.
    pub lead: i64,
    /// The record is the only copy of what was published, as on the embedded broker.
    pub keeps_content: bool,
    /// When refused events are sent again.
    pub resends: Resends,
}

impl Default for DelayedRules {
    /// A minute, 100,000 events, 4,096 of each ceiling, pages of 4,096; half a second of lead; 5 resends over 10 minutes.
    fn default() -> Self {
        Self {
            window: 60_000,
            most: 100_000,
            at_ceiling: 4_096,
            page: 4_096,
            in_flight: 4_096,
            waiting: 40_000,
            batch: 10_000,
            lead: 500,
            keeps_content: false,
            resends: Resends { count: 5, over: 600_000 },
        }
    }
}

/// Some changes that one caller asks for at once: they go down in one write.
#[derive(Debug)]
pub struct DelayedRequest {
    /// Names the request.
    pub command: u64,
    /// Who asks.
    pub by: Author,
    /// Where it came as a message: the same one may come again.
    pub message: Option<Message>,
    /// All of them or none.
    pub atomic: bool,
    /// What is asked for, in this order.
    pub changes: Vec<DelayedChange>,
}

impl DelayedRequest {
    pub(super) fn message_key(&self) -> Option<MessageKey> {
        let message = self.message.as_ref()?;
        Some((self.by.owner.clone(), message.id.clone()))
    }
}

/// One change.
#[derive(Debug)]
pub enum DelayedChange {
    /// This event is wanted, new or instead of the one of its name. Whose it is, which creation and which revision, is said when
    /// it is decided.
    Put {
        /// It.
        event: Box<DelayedEvent>,
        /// What has to be there.
        expect: Expect,
        /// A new one whose time is gone.
        past: PastDue,
    },
    /// The event of this name is not wanted any more.
    Delete {
        /// Its name.
        name: Arc<str>,
        /// What has to be there.
        expect: Expect,
    },
    /// Whoever read it refuses it. It has its place among the others, and is answered as they are.
    Refused {
        /// The event, as far as that is known.
        name: Arc<str>,
        /// Why.
        refusal: Refusal,
    },
}

impl DelayedChange {
    /// What it is about.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Put { event, .. } => &event.head.key.name,
            Self::Delete { name, .. } | Self::Refused { name, .. } => name,
        }
    }
}

/// What becomes of a new event whose time is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastDue {
    /// It is sent at once.
    Send,
    /// It is refused.
    Refuse,
}

/// What one person asks for of parked events.
#[derive(Debug)]
pub struct UnparkRequest {
    /// Names the request.
    pub command: u64,
    /// Who asks.
    pub by: Author,
    /// What is to become of them.
    pub what: Unparking,
    /// Their creations.
    pub creations: Vec<u64>,
}

/// What is to become of parked events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unparking {
    /// They are sent again, under the ids that they had.
    Release,
    /// They are dropped for good.
    Drop,
}

/// What became of a request about parked events. Creations that are not in it are not parked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unparked {
    /// It was done to these.
    pub done: Vec<u64>,
    /// Not to these: they were released before. What was, and is not being sent at this moment, can be dropped.
    pub being_sent: Vec<u64>,
}

/// What is to be known of a parked event without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedHead {
    /// It, as it is handed over.
    pub event: DueEvent,
    /// It was released.
    pub is_released: bool,
}

impl From<&ParkedEvent> for ParkedHead {
    fn from(parked: &ParkedEvent) -> Self {
        let event = DueEvent { is_parked: true, ..DueEvent::from(&parked.event.head) };
        Self { event, is_released: parked.released }
    }
}

/// What happened.
#[derive(Debug)]
pub enum DelayedInput {
    /// Nothing but time, or H.
    Tick,
    /// The publisher became usable, or stopped being so.
    Link(bool),
    /// Somebody asks for this. Answered by [`DelayedAction::Decided`], [`DelayedAction::TooMany`] or
    /// [`DelayedAction::NotFound`].
    Change(Box<DelayedRequest>),
    /// The answer to [`DelayedAction::Find`].
    Found {
        /// As asked.
        ticket: u64,
        /// By each name, in the order asked.
        found: Vec<Found>,
        /// To each message, likewise.
        answered: Vec<Option<Answered>>,
    },
    /// The other answer to [`DelayedAction::Find`], [`DelayedAction::FindParked`] and [`DelayedAction::LoadParked`]: what lies
    /// there can't be read.
    NotFound(u64),
    /// Somebody asks for this. Answered by [`DelayedAction::Unparked`], [`DelayedAction::TooMany`] or
    /// [`DelayedAction::NotFound`].
    Unpark(Box<UnparkRequest>),
    /// The answer to [`DelayedAction::FindParked`].
    FoundParked {
        /// As asked.
        ticket: u64,
        /// Those that are parked, in the order asked.
        found: Vec<Option<ParkedHead>>,
    },
    /// The answer to [`DelayedAction::LoadParked`].
    Parked {
        /// As asked.
        ticket: u64,
        /// What there is, by creation; fewer than asked for: that was all.
        heads: Vec<ParkedHead>,
    },
    /// The answer to [`DelayedAction::Load`].
    Due {
        /// As asked.
        ticket: u64,
        /// What there is; fewer than asked for: that was all.
        events: Vec<DueEvent>,
    },
    /// What was to be written is: durable, if it [must be](DelayedBatch::must_last), and seen by whoever reads.
    Written(u64),
    /// The broker answered.
    Settled(Vec<DelayedAnswer>),
    /// Hand nothing over any more, and take nothing in.
    Drain,
}

/// The broker's answer to one handover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayedAnswer {
    /// As given by [`DelayedAction::Publish`].
    pub token: u64,
    /// The answer.
    pub answer: Answer,
    /// When it was published.
    pub sent_at: Timestamp,
    /// What becomes of it where nobody is bound.
    pub unrouted: Unrouted,
}

/// What is to be done. Actions are to be performed in order.
#[must_use]
#[derive(Debug)]
pub enum DelayedAction {
    /// Look these up, and say [`DelayedInput::Found`]. There is never more than one under way.
    Find {
        /// Names the question.
        ticket: u64,
        /// Names of events.
        names: Vec<Arc<str>>,
        /// Messages.
        messages: Vec<MessageKey>,
    },
    /// Read what is due there, and say [`DelayedInput::Due`]. There is never more than one under way that counts.
    Load {
        /// Names the question.
        ticket: u64,
        /// In this range of send times, the end exclusive, …
        range: Range<Timestamp>,
        /// … behind this place, …
        after: Option<DelayedKey>,
        /// … so many at most.
        most: usize,
    },
    /// Look up the parked events of these creations, and say [`DelayedInput::FoundParked`]. There is never more than one under way.
    FindParked {
        /// Names the question.
        ticket: u64,
        /// Their creations.
        creations: Vec<u64>,
    },
    /// Read the parked events behind this creation, so many at most, and say [`DelayedInput::Parked`]. Likewise.
    LoadParked {
        /// Names the question.
        ticket: u64,
        /// Behind this creation, …
        after: u64,
        /// … so many at most.
        most: usize,
    },
    /// Write this, then say [`DelayedInput::Written`]. There is never more than one under way.
    Write {
        /// Names the write.
        ticket: u64,
        /// What.
        batch: Box<DelayedBatch>,
    },
    /// What became of these requests is durable: answer each, change by change.
    Decided(Vec<(u64, Vec<Verdict>)>),
    /// What became of this request about parked events is durable: answer it.
    Unparked(u64, Unparked),
    /// This request changes nothing, for too many wait: it may be given again later.
    TooMany(u64),
    /// This request changes nothing, for what is there of what it names can't be read.
    NotFound(u64),
    /// Something of this send time is due soon: raise H to it, or beyond, durably.
    Reserve(Timestamp),
    /// Read the content of these, publish them, and answer each token with [`DelayedInput::Settled`].
    Publish(Vec<(u64, DueEvent)>),
}
