//! What must become of a change, worked out apart from the engine: from what runs when it is taken, and from what was handed
//! over.

use super::commands::{Asked, Commands};
use crate::{Expect, Refusal, ScheduleStatus, Span, Verdict, forgetting::HOUR};
use khronos_schedule::{Packed, Past};
use ponos_event::Timestamp;
use std::sync::Arc;

/// A verdict that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Exactly(Verdict),
    Created,
    Changed { creation: u64, revision: u32 },
    Deleted { creation: u64, revision: u32 },
}

impl Wanted {
    pub(super) fn is(&self, verdict: &Verdict) -> bool {
        match (self, verdict) {
            (Self::Exactly(wanted), verdict) => wanted == verdict,
            (Self::Created, Verdict::Created { .. }) => true,
            (Self::Changed { creation, revision }, Verdict::Changed { creation: c, revision: r, .. }) => {
                (creation, revision + 1) == (c, *r)
            }
            (Self::Deleted { creation, revision }, Verdict::Deleted { creation: c, revision: r, .. }) => {
                (creation, revision) == (c, r)
            }
            _ => false,
        }
    }
}

impl Commands {
    /// What must become of one change, given what runs.
    pub(super) fn expect(
        &self,
        asked: &Asked,
        (runs, is_parked, of_files): (Option<&ScheduleStatus>, bool, bool),
        now: Timestamp,
    ) -> Option<Wanted> {
        let refused = |refusal| Some(Wanted::Exactly(Verdict::Refused(refusal)));
        let is_past = |wanted: &Packed| {
            let at_once = wanted.is_one_shot() && wanted.conduct().past == Past::Send;
            !at_once && wanted.timing().after(now).is_none()
        };
        if let Some(wanted) = &asked.wanted {
            let event: Arc<str> = wanted.event().into();
            if event.starts_with("time.") {
                return refused(Refusal::ReservedEvent { event });
            }
            if !asked.covers(&event) {
                return refused(Refusal::OutsideDomains { event });
            }
        }
        let Some(ScheduleStatus { revision, next, in_flight, outstanding, sent, .. }) = runs else {
            // Not taken in yet, or kept out by a creation that is gone.
            if of_files {
                return refused(Refusal::FileOwned);
            }
            if asked.expect == Expect::Present {
                return refused(Refusal::Stale { revision: None });
            }
            let Some(wanted) = &asked.wanted else { return Some(Wanted::Exactly(Verdict::GoneAlready)) };
            return match asked.expect {
                Expect::Revision { .. } => refused(Refusal::Stale { revision: None }),
                // What was settled a moment ago, and went, may be asked for again.
                _ if self.had_a_one_shot(asked) => None,
                _ if is_past(wanted) => refused(Refusal::NeverDue),
                _ => Some(Wanted::Created),
            };
        };
        let Some(created) = revision.definition.created() else { return refused(Refusal::FileOwned) };
        // What was created before a crash, and never answered, only the engine knows.
        let owner = self.owners.get(&created.number).copied().unwrap_or(&created.owner);
        if !asked.is_admin && owner != asked.owner {
            return refused(Refusal::NotOwner { owner: owner.into() });
        }
        let event = revision.definition.event();
        if !asked.covers(event) {
            return refused(Refusal::OutsideDomains { event: event.into() });
        }
        let (creation, number) = (created.number, revision.number);
        match asked.expect {
            Expect::Absent => return refused(Refusal::Exists { revision: number }),
            Expect::Revision { creation: of, number: other } if (of, other) != (creation, number) => {
                return refused(Refusal::Stale { revision: Some(number) });
            }
            _ => {}
        }
        if let Some(wanted) = &asked.wanted {
            if revision.definition.means_the_same(wanted) {
                return Some(Wanted::Exactly(Verdict::Unchanged { creation, revision: number }));
            }
            // Other data may say the same, or another thing, from a month ago on.
            if !wanted.definition().zones.unwrap_or_default().is_empty() {
                return None;
            }
            if is_past(wanted) {
                return refused(Refusal::NeverDue);
            }
        }
        // A span that has nothing left is only still known; one of an earlier revision is of another schedule.
        let is_left = |span: &Span| span.revision == number && span.after < span.through;
        let settled = (next, in_flight) == (&None, &None) && !outstanding.iter().any(is_left);
        if revision.definition.is_one_shot() && settled && is_parked {
            // It may be sent again or not.
            return None;
        }
        if revision.definition.is_one_shot() && settled {
            let due = revision.timing().after(Timestamp::EPOCH.plus(-1))?;
            let ends = [Some(revision.timing().send_time(due)), sent.last()];
            let same = asked.wanted.as_ref().and_then(once) == Some(due);
            if same || ends.into_iter().flatten().max().is_some_and(|end| now.since(end) < HOUR) {
                return refused(Refusal::AlreadySettled { due });
            }
        }
        if let Some(due) = asked.wanted.as_ref().and_then(once)
            && self.may_have_been_due(revision.name(), creation, due)
        {
            // Nothing would be sent of it, if it was.
            return None;
        }
        if revision.definition.is_one_shot() && !settled {
            let due = revision.timing().after(Timestamp::EPOCH.plus(-1))?;
            if self.handed.contains(&(revision.name().into(), creation, number, due)) {
                return refused(Refusal::MayHaveBeenSent { due });
            }
            // Whether it may have been sent the engine knows alone, where the clock was set back or died.
            return None;
        }
        Some(match asked.wanted {
            Some(_) => Wanted::Changed { creation, revision: number },
            None => Wanted::Deleted { creation, revision: number },
        })
    }
    /// Whether the owner's latest creation of a name was due once.
    fn had_a_one_shot(&self, asked: &Asked) -> bool {
        let of_name = self.ever.iter().filter(|((name, _), _)| **name == *asked.name);
        let latest = of_name.flat_map(|(_, all)| all).max_by_key(|one| one.definition.creation());
        latest.is_some_and(|one| {
            let is_his = one.definition.created().is_some_and(|created| created.owner == asked.owner);
            is_his && one.definition.is_one_shot()
        })
    }

    /// Whether a revision of a creation, one that is forgotten included, may have been due at an instant.
    fn may_have_been_due(&self, name: &str, creation: u64, due: Timestamp) -> bool {
        let of_it = self.ever.iter().filter(|((of, _), _)| **of == *name).flat_map(|(_, all)| all);
        let mut of_it = of_it.filter(|one| one.definition.creation() == creation);
        of_it.any(|one| one.timing().after(due.plus(-1)) == Some(due) || due <= one.effective_from)
    }
}

/// When something is due that is due once.
fn once(wanted: &Packed) -> Option<Timestamp> {
    wanted.timing().after(Timestamp::EPOCH.plus(-1)).filter(|_| wanted.is_one_shot())
}
