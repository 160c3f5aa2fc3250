//! Which skipped times are forgotten: those of which nothing is outstanding, once no name can come back that was away.

use super::super::{
    SkippedPause,
    core::Engine,
    faults::{Fault, planted},
    progress::SpanKey,
    resting::KEPT,
};
use super::Pausing;
use ponos_event::Timestamp;

/// Spans that are looked at in a step, whether they hold any of it; and names.
const LOOKED_AT: usize = if cfg!(test) { 2 } else { 256 };
/// From the end of a look that found something to the next (milliseconds).
const LOOK_AGAIN: i64 = 1_000;

/// A look at all spans, some at a time, for the times of which nothing is outstanding.
#[derive(Debug)]
pub(super) struct Look {
    /// Spans up to this one were looked at.
    after: Option<SpanKey>,
    /// Of these nothing was found so far; W had passed them when it was begun.
    free: Vec<SkippedPause>,
}

impl Pausing {
    /// What lies before W joined the set, or W went back: of any of the times something may be outstanding again.
    pub(in super::super) fn look_anew(&mut self) {
        self.free.clear();
        self.standing.clear();
        self.look = None;
    }
}

impl Engine {
    /// Looks at some spans, for the skipped times of which nothing is outstanding; and forgets those for which no name can come
    /// back any more.
    pub(in super::super) fn forget_skipped(&mut self) {
        let now = self.now();
        let kept_for = if planted(Fault::ForgetWhoMayComeBack) { -1 } else { KEPT };
        self.forget_skipped_of_names(now);
        if self.pausing.look.is_none() && self.pausing.look_again <= now {
            self.begin_look();
        }
        if let Some(under_way) = self.pausing.look.take() {
            self.go_on_looking(under_way, now);
        }
        let Pausing { kept, named, free, .. } = &mut self.pausing;
        let before = (kept.skipped.len(), kept.set_backs.len());
        kept.skipped.retain(|one| now.since(one.through) <= kept_for || !free.contains(one));
        if !kept.is_in_use() && !named.is_in_use() {
            kept.set_backs.clear();
        }
        if (kept.skipped.len(), kept.set_backs.len()) != before {
            free.retain(|one| kept.skipped.contains(one));
            self.write_pauses();
        }
    }

    /// What stands in the span of a name that is paused need not be looked for, as long as that one is.
    fn begin_look(&mut self) {
        let (settled, backlogs) = (self.progress.settled(), &self.outstanding.backlogs);
        let Pausing { kept, named, free, standing, look, .. } = &mut self.pausing;
        standing.retain(|(one, key)| {
            kept.skipped.contains(one) && named.paused(&key.0).is_some() && backlogs.contains(key)
        });
        let is_known = |one: &SkippedPause| free.contains(one) || standing.iter().any(|(of, _)| of == one);
        let passed = kept.skipped.iter().filter(|one| one.through <= settled && !is_known(one));
        let begun = Look { after: None, free: passed.copied().collect() };
        *look = Some(begun).filter(|begun| !begun.free.is_empty());
    }

    fn go_on_looking(&mut self, mut under_way: Look, now: Timestamp) {
        let Pausing { kept, named, free, standing, look, look_again, .. } = &mut self.pausing;
        let spans = self.outstanding.backlogs.after(under_way.after.as_ref()).take(LOOKED_AT);
        let mut looked_at = (0, None);
        for (key, backlog) in spans {
            looked_at = (looked_at.0 + 1, Some(key));
            let held = under_way.free.extract_if(.., |one| one.holds_of(backlog));
            if named.paused(&key.0).is_some() {
                standing.extend(held.map(|one| (one, key.clone())));
            } else {
                held.for_each(drop);
            }
        }
        match looked_at {
            (LOOKED_AT, Some(last)) if !under_way.free.is_empty() => {
                *look = Some(Look { after: Some(last.clone()), ..under_way });
            }
            _ => {
                free.extend(under_way.free.into_iter().filter(|one| kept.skipped.contains(one)));
                *look_again = now.plus(LOOK_AGAIN);
            }
        }
    }

    /// The same of some names. Of one that runs, and ran when the pause ended, nothing comes back.
    fn forget_skipped_of_names(&mut self, now: Timestamp) {
        let kept_for = if planted(Fault::ForgetANameThatMayComeBack) { -1 } else { KEPT };
        if self.pausing.look_at_names > now || self.progress.room_for_pauses(self.rules.piece) == 0 {
            return;
        }
        let after = self.pausing.named_looked_at.take();
        let (mut gone, mut last, mut count) = (Vec::new(), None, 0);
        for (name, skipped) in self.pausing.named.skipped_after(after.as_ref(), LOOKED_AT) {
            let runs = self.schedules.find(name).is_some() || kept_for < 0;
            let of_name = skipped.iter().copied().filter(|one| runs || now.since(one.through) > kept_for);
            gone.extend(of_name.filter(|one| self.is_free(name, one)).map(|one| (name.clone(), one)));
            (last, count) = (Some(name), count + 1);
        }
        match last.filter(|_| count == LOOKED_AT) {
            Some(name) => self.pausing.named_looked_at = Some(name.clone()),
            None => self.pausing.look_at_names = now.plus(LOOK_AGAIN),
        }
        for (name, one) in gone {
            self.pausing.named.forget(&name, |other| *other == one);
            self.write_pauses_of(&name);
        }
    }
}
