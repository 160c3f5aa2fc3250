//! What becomes of a request, change by change: against what is known, whose it is, what is expected, and what may have been sent.

use super::{
    faults::{Fault, planted},
    io::{DelayedChange, DelayedRequest, Marks, PastDue},
    overlay::Overlay,
};
use crate::{
    Answered, Author, Expect, Message, Refusal, Verdict,
    delayed::{DelayedHead, DelayedKey, Found, TOMBSTONES_KEPT, Tombstone},
};
use std::{collections::HashMap, sync::Arc};

/// What becomes of one change.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    /// Where the event was that goes, or moves.
    pub(super) before: Option<DelayedKey>,
    /// The event as it is put.
    pub(super) head: Option<DelayedHead>,
}

impl From<Refusal> for Decided {
    fn from(refusal: Refusal) -> Self {
        Verdict::Refused(refusal).into()
    }
}

impl From<Verdict> for Decided {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, before: None, head: None }
    }
}

/// What a message is answered that was answered before.
pub(super) fn again(before: &Answered, message: &Message, changes: usize) -> Vec<Verdict> {
    match before.digest == message.digest {
        true => before.verdicts.clone(),
        false => vec![Verdict::Refused(Refusal::MessageIdUsed); changes],
    }
}

/// What becomes of the changes of a request, in their order, as far as they are judged. Nothing is carried out yet.
#[derive(Debug)]
pub(super) struct Judged {
    all: Vec<Decided>,
    /// What an earlier change of this request makes of a name.
    here: HashMap<Arc<str>, Found>,
}

impl Judged {
    /// Of a request of so many.
    pub(super) fn of(changes: usize) -> Self {
        Self { all: Vec::with_capacity(changes), here: HashMap::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Judges the next one, against what is known of its name. What is created takes the next number: no other may have that,
    /// though it may be refused with others in the end.
    pub(super) fn judge(
        &mut self,
        marks: Marks,
        request: &DelayedRequest,
        change: &DelayedChange,
        known: Found,
        overlay: &Overlay,
        created: &mut u64,
    ) {
        let name = change.name();
        let twice = request.atomic && self.here.contains_key(name);
        let found = self.here.get(name).or_else(|| overlay.name(name)).cloned().unwrap_or(known);
        let decided = match change {
            DelayedChange::Refused { refusal, .. } => refusal.clone().into(),
            _ if twice => Refusal::Twice.into(),
            DelayedChange::Put { event, expect, past } => {
                put(marks, &request.by, &found, &event.head, *expect, *past, *created + 1)
            }
            DelayedChange::Delete { expect, .. } => delete(marks, &request.by, &found, *expect),
        };
        if decided.verdict.is_change() {
            let after = decided.head.clone().map_or(Found::Nothing, |head| Found::Pending(Box::new(head)));
            *created = (*created).max(decided.head.as_ref().map_or(0, |head| head.creation));
            self.here.insert(name.clone(), after);
        } else if request.atomic {
            self.here.entry(name.clone()).or_insert(found);
        }
        self.all.push(decided);
    }

    /// All of them are judged. Where one is refused of what is all or nothing, all are.
    pub(super) fn end(mut self, atomic: bool) -> Vec<Decided> {
        let is_refused = |one: &Decided| matches!(one.verdict, Verdict::Refused(_));
        if atomic && self.all.iter().any(is_refused) && !planted(Fault::HalfOfAnAtomicRequest) {
            let others = self.all.iter_mut().filter(|one| !is_refused(one));
            others.for_each(|one| *one = Refusal::Another.into());
        }
        self.all
    }
}

fn put(
    marks: Marks,
    by: &Author,
    found: &Found,
    wanted: &DelayedHead,
    expect: Expect,
    past: PastDue,
    creation: u64,
) -> Decided {
    if let Some(refusal) = outside(by, wanted) {
        return refusal.into();
    }
    let since = wanted.due;
    let (verdict, before, head) = match found {
        Found::Pending(head) => {
            if let Some(refusal) = not_his(by, &head.owner).or_else(|| outside(by, head)) {
                return refusal.into();
            }
            let (creation, revision) = (head.creation, head.revision);
            if let Some(refusal) = not_expected(expect, head) {
                return refusal.into();
            }
            let refusal = may_have_been_sent(marks, head);
            // A delay that is asked for again begins again, unless that which was asked for is being sent.
            let is_asked_again = matches!(expect, Expect::Any | Expect::Present) && refusal.is_some();
            if head.digest == wanted.digest && (head.due == wanted.due || is_asked_again) {
                return Verdict::Unchanged { creation, revision }.into();
            }
            if let Some(refusal) = refusal {
                return refusal.into();
            }
            let revision = revision + 1;
            let verdict = Verdict::Changed { creation, revision, since };
            (verdict, Some(head.key.clone()), (creation, revision, head.owner.clone()))
        }
        Found::Settled(stone) if is_known(marks, stone) => {
            if let Some(refusal) = not_his(by, &stone.owner) {
                return refusal.into();
            }
            let (creation, revision) = (stone.creation, stone.revision);
            let due = stone.due;
            return match stone.digest == wanted.digest {
                true => Verdict::Settled { due, creation, revision }.into(),
                false => Refusal::AlreadySettled { due }.into(),
            };
        }
        _ if matches!(expect, Expect::Revision { .. } | Expect::Present) => {
            return Refusal::Stale { revision: None }.into();
        }
        _ if past == PastDue::Refuse && wanted.key.send <= marks.now => return Refusal::NeverDue.into(),
        _ => (Verdict::Created { creation, revision: 1, since }, None, (creation, 1, by.owner.clone())),
    };
    let (creation, revision, owner) = head;
    let head = DelayedHead { creation, revision, owner, at: marks.now, ..wanted.clone() };
    Decided { verdict, before, head: Some(head) }
}

fn delete(marks: Marks, by: &Author, found: &Found, expect: Expect) -> Decided {
    match found {
        Found::Pending(head) => {
            let refusal = not_his(by, &head.owner)
                .or_else(|| outside(by, head))
                .or_else(|| not_expected(expect, head))
                .or_else(|| may_have_been_sent(marks, head));
            if let Some(refusal) = refusal {
                return refusal.into();
            }
            let (creation, revision) = (head.creation, head.revision);
            // Nothing of it is sent, through whatever instant.
            let verdict = Verdict::Deleted { creation, revision, through: marks.reached };
            Decided { verdict, before: Some(head.key.clone()), head: None }
        }
        Found::Settled(stone) if is_known(marks, stone) => {
            let refusal = not_his(by, &stone.owner);
            refusal.unwrap_or(Refusal::AlreadySettled { due: stone.due }).into()
        }
        _ if matches!(expect, Expect::Revision { .. } | Expect::Present) => {
            Refusal::Stale { revision: None }.into()
        }
        _ => Verdict::GoneAlready.into(),
    }
}

fn may_have_been_sent(marks: Marks, head: &DelayedHead) -> Option<Refusal> {
    let may_have =
        head.key.send <= marks.reached_of(head.creation) && !planted(Fault::ChangeWhatMayHaveBeenSent);
    may_have.then_some(Refusal::MayHaveBeenSent { due: head.due })
}

fn is_known(marks: Marks, stone: &Tombstone) -> bool {
    marks.now.since(stone.at) <= TOMBSTONES_KEPT
}

fn not_his(by: &Author, owner: &Arc<str>) -> Option<Refusal> {
    (!by.is_admin && by.owner != *owner).then(|| Refusal::NotOwner { owner: owner.clone() })
}

/// What goes to a queue is a matter of that queue, whatever its event is called.
fn outside(by: &Author, head: &DelayedHead) -> Option<Refusal> {
    let is_inside = match &head.queue {
        Some(queue) => (by.reaches)(queue),
        None => (by.covers)(&head.event),
    };
    let event = head.queue.as_ref().unwrap_or(&head.event);
    (!is_inside).then(|| Refusal::OutsideDomains { event: event.clone() })
}

fn not_expected(expect: Expect, head: &DelayedHead) -> Option<Refusal> {
    match expect {
        Expect::Any | Expect::Present => None,
        Expect::Absent => Some(Refusal::Exists { revision: head.revision }),
        Expect::Revision { creation, number } => {
            let is_it = (creation, number) == (head.creation, head.revision);
            (!is_it).then_some(Refusal::Stale { revision: Some(head.revision) })
        }
    }
}
