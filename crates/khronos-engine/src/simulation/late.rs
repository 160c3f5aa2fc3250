//! What a planted fault keeps from one write comes with the next: it is durable one write late. So only what happens in
//! between can tell, and only a world that has such a time catches the fault.

use crate::{
    Answered, Coalesced, Commit, CreatedCalendar, MessageKey, Parked, Pauses, Revision, Snapshot, Span,
    progress::SpanKey,
};
use std::{
    collections::BTreeMap,
    mem::{replace, take},
    sync::Arc,
};

/// For the next write.
#[derive(Default)]
pub(super) struct Late {
    revisions: Vec<Revision>,
    parked: Vec<(u64, Option<Parked>)>,
    spans: Vec<(Arc<str>, u32, Option<Span>)>,
    pauses: Option<Pauses>,
    named_pauses: Vec<(Arc<str>, Option<Pauses>)>,
    messages: Vec<(MessageKey, Option<Answered>)>,
    calendars: Vec<(Arc<str>, Option<Arc<CreatedCalendar>>)>,
    /// The events of spans that stand for several, as they are durable or will be with the next write.
    fixed: BTreeMap<SpanKey, Coalesced>,
}

impl Late {
    /// At a restart, which forgets what was for the next write.
    pub(super) fn restart(&mut self, kept: &Snapshot) {
        let fixed = |(name, span): &(Arc<str>, Span)| Some(((name.clone(), span.revision), span.coalesced?));
        *self = Self { fixed: kept.spans.iter().filter_map(fixed).collect(), ..Self::default() };
    }

    /// Keeps these revisions for the next write.
    pub(super) fn revisions(&mut self, commit: &mut Commit, is_late: impl Fn(&Revision) -> bool) {
        let late = commit.revisions.extract_if(.., |one| is_late(one)).collect();
        let mut before = replace(&mut self.revisions, late);
        let key = |one: &Revision| (Arc::from(one.name()), one.number);
        before.retain(|one| {
            let later = commit.revisions.iter().any(|later| key(later) == key(one));
            !later && !commit.forgotten.contains(&key(one))
        });
        commit.revisions.extend(before);
    }

    /// Keeps these entries for the next write.
    pub(super) fn parked(&mut self, commit: &mut Commit, is_late: impl Fn(&Parked) -> bool) {
        let late = commit.parked.extract_if(.., |(_, one)| one.as_ref().is_some_and(&is_late)).collect();
        let mut before = replace(&mut self.parked, late);
        before.retain(|(number, _)| !commit.parked.iter().any(|(later, _)| later == number));
        commit.parked.extend(before);
    }

    /// Keeps what is said of pauses for the next write.
    pub(super) fn pauses(&mut self, commit: &mut Commit) {
        let late = commit.pauses.take();
        commit.pauses = replace(&mut self.pauses, late);
    }

    /// The same of pauses by name.
    pub(super) fn named_pauses(&mut self, commit: &mut Commit) {
        let late = take(&mut commit.named_pauses);
        commit.named_pauses = replace(&mut self.named_pauses, late);
    }

    /// Keeps what was answered to messages for the next write.
    pub(super) fn messages(&mut self, commit: &mut Commit) {
        let late = take(&mut commit.messages);
        commit.messages = replace(&mut self.messages, late);
    }

    /// Keeps calendars for the next write.
    pub(super) fn calendars(&mut self, commit: &mut Commit) {
        let late = take(&mut commit.calendars);
        commit.calendars = replace(&mut self.calendars, late);
    }

    /// Keeps what events stand for for the next write.
    pub(super) fn coalesced(&mut self, commit: &mut Commit) {
        let mut before = take(&mut self.spans);
        for (name, number, span) in &mut commit.spans {
            let key = (name.clone(), *number);
            before.retain(|(name, number, _)| (name, number) != (&key.0, &key.1));
            let Some(run) = span.as_ref().and_then(|span| span.coalesced) else {
                self.fixed.remove(&key);
                continue;
            };
            if self.fixed.insert(key, run) != Some(run) {
                self.spans.push((name.clone(), *number, span.clone()));
                if let Some(span) = span {
                    span.coalesced = None;
                }
            }
        }
        commit.spans.extend(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Era;
    use khronos_schedule::{Definition, Packed};
    use ponos_event::Timestamp;

    #[test]
    fn what_is_kept_from_a_write_comes_with_the_next_unless_that_knows_better() {
        let at = Timestamp::from_millis;
        let run = Coalesced { first: at(1), last: at(2), count: 2 };
        let name: Arc<str> = "a".into();
        let revision =
            Era::first(1, at(0)).of(Packed::kept(&Definition { name: "a".into(), ..Definition::default() }));
        let parked = Parked {
            schedule: name.clone(),
            revision: 1,
            stands_for: run,
            reason: String::new(),
            at: at(3),
            released: true,
            singly: true,
            refused: 1,
            retry_at: None,
            kind: ponos_event::EventKind::Occurrence,
        };
        let span = Span { revision: 1, after: at(0), through: at(2), handed: at(0), coalesced: Some(run) };
        let wanted = Commit {
            revisions: vec![revision],
            parked: vec![(7, Some(parked))],
            spans: vec![(name.clone(), 1, Some(span.clone()))],
            ..Commit::default()
        };
        let bare = Commit {
            spans: vec![(name.clone(), 1, Some(Span { coalesced: None, ..span }))],
            ..Commit::default()
        };
        let gone = Commit {
            forgotten: vec![(name.clone(), 1)],
            parked: vec![(7, None)],
            spans: vec![(name, 1, None)],
            ..Commit::default()
        };
        let writes = |late: &mut Late, mut commit: Commit| {
            late.revisions(&mut commit, |_| true);
            late.parked(&mut commit, |parked| parked.released);
            late.coalesced(&mut commit);
            commit
        };
        let mut late = Late::default();
        assert_eq!(writes(&mut late, wanted.clone()), bare);
        assert_eq!(writes(&mut late, Commit::default()), wanted);
        assert_eq!(writes(&mut late, Commit::default()), Commit::default());
        assert_eq!(writes(&mut late, wanted.clone()).spans, wanted.spans, "it is durable");
        assert_eq!(writes(&mut late, gone.clone()), gone);
        assert_eq!(writes(&mut late, Commit::default()), Commit::default());
        assert_eq!(writes(&mut late, wanted), bare);
        late.restart(&Snapshot::default());
        assert_eq!(writes(&mut late, Commit::default()), Commit::default());
    }
}
