//! Requests for changes of schedules: each change is decided when it is taken, against all that was decided before it,
//! and answered once that is durable.
//!
//! A request goes down in one write, with the answer to the message that it came as and with what the log of changes says
//! of it: a crash leaves all of it or nothing. What is created has a number that nothing else ever has; names of files and
//! of what was created never meet. A name is its owner's as long as its schedule is there.

use super::{
    Author, ChangeKind, ChangeRequest, Digest, LoggedChange, Message, MessageKey, Notice, Refusal,
    ScheduleChange, Verdict, Version,
    core::Engine,
    faults::{Fault, planted},
    forgetting::LOOKED_AT,
    judge::Step,
    slot::Slot,
    slots::SlotId,
};
use khronos_schedule::{Created, Packed};
use std::{collections::HashSet, sync::Arc};

/// Whose request is carried out, and as which message it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) by: &'a Author,
    pub(super) command: Option<&'a Arc<str>>,
    pub(super) note: &'a str,
    /// All that is asked for at once is within the clock's limits.
    pub(super) is_within: bool,
}

impl Engine {
    /// Decides a request, unless it came before.
    pub(super) fn decide(&mut self, request: ChangeRequest) {
        let ChangeRequest { command, by, message, atomic, changes } = request;
        let key = message.as_ref().map(|message| (by.owner.clone(), message.id.clone()));
        let before = message.as_ref().and_then(|it| self.answer_again(&by.owner, it, changes.len()));
        if let Some(verdicts) = before {
            return self.progress.promise_verdicts(command, verdicts);
        }
        if !self.changes.were_read() && self.creates(&changes) {
            return self.out.unread.push(command);
        }
        if let Some((owner, _)) = &key
            && !self.has_room_for_message(owner, changes.len())
        {
            return self.out.too_many_messages.push(command);
        }
        let changes: Vec<_> = changes.into_iter().map(|change| self.as_of_now(change)).collect();
        let is_one = atomic && !planted(Fault::HalfOfAnAtomicRequest);
        let refused = if is_one { self.refuse_together(&by, &changes) } else { None };
        let command_id = key.as_ref().map(|(_, id)| id);
        let asked = Asked { by: &by, command: command_id, note: "", is_within: is_one };
        let verdicts = refused.unwrap_or_else(|| {
            changes.into_iter().map(|change| self.change_schedule(asked, change)).collect()
        });
        if let Some((key, Message { digest, .. })) = key.zip(message) {
            // Also of what changed nothing: the answer is durable with it.
            self.progress.change();
            self.keep_answer(key, digest, &verdicts);
        }
        self.forget_messages();
        self.progress.promise_verdicts(command, verdicts);
    }

    /// Whether some of these would be new, or might be.
    fn creates(&self, changes: &[ScheduleChange]) -> bool {
        let mut gone = HashSet::new();
        changes.iter().any(|change| match change {
            ScheduleChange::Put { definition, .. } => {
                let name = definition.name();
                let is_there = self.schedules.find(name).is_some() || self.resting_unknown(name).is_some();
                !is_there || gone.contains(name)
            }
            ScheduleChange::Delete { name, .. } => {
                gone.insert(&**name);
                false
            }
            // Whether the files have its name.
            ScheduleChange::Calendar { wanted, .. } => wanted.is_some(),
            ScheduleChange::Invalid { .. } => false,
        })
    }

    /// Whether the answer to one more message of this owner can be kept, once those are forgotten that can be.
    pub(super) fn has_room_for_message(&mut self, owner: &str, changes: usize) -> bool {
        while !self.messages.has_room(owner, changes) {
            if !self.forget_messages() {
                return false;
            }
        }
        true
    }

    /// In how many milliseconds there may be room for the answer to a message again, where there was none; none: no answer is kept.
    pub fn message_room_in(&self) -> Option<i64> {
        self.messages.room_in(self.now())
    }

    /// Whether there were some that are old enough.
    pub(super) fn forget_messages(&mut self) -> bool {
        let forgotten = self.messages.forget(self.now());
        let any = !forgotten.is_empty();
        for key in forgotten {
            self.progress.message(key, None);
        }
        any
    }

    /// What is answered to a message, from now on.
    pub(super) fn keep_answer(&mut self, key: MessageKey, digest: Digest, verdicts: &[Verdict]) {
        let answered = self.messages.insert(key.clone(), digest, verdicts.to_vec(), self.now());
        self.progress.message(key, Some(answered));
    }

    /// What is answered to a message of this owner that asks for so many changes, if it came before: maybe that is not durable
    /// yet.
    pub fn answer_again(&self, owner: &Arc<str>, message: &Message, changes: usize) -> Option<Vec<Verdict>> {
        let answered = self.messages.get(&(owner.clone(), message.id.clone()))?;
        if planted(Fault::CarryOutWhatComesAgain) {
            return None;
        }
        Some(match message.digest == answered.digest {
            true => answered.verdicts.clone(),
            false => vec![Verdict::Refused(Refusal::MessageIdUsed); changes],
        })
    }

    /// Of a request that is all or nothing: why it is nothing, if it is.
    fn refuse_together(&self, by: &Author, changes: &[ScheduleChange]) -> Option<Vec<Verdict>> {
        let mut names = HashSet::new();
        // How many of them are new: one by one, each might have room.
        let mut new = 0;
        let judged: Vec<Result<Step, Refusal>> = changes
            .iter()
            .map(|change| {
                match change.name().is_empty() || names.insert((change.is_of_calendar(), change.name())) {
                    // Of several without a name each has faults of its own.
                    true => match self.judge(by, change)? {
                        step @ Step::Put { before: None } => {
                            new += 1;
                            self.too_many(by, new).map_or(Ok(step), Err)
                        }
                        step => Ok(step),
                    },
                    false => Err(Refusal::Twice),
                }
            })
            .collect();
        let beyond = self.beyond_together(changes.iter().zip(&judged));
        let refusals: Vec<Option<Refusal>> =
            judged.into_iter().zip(beyond).map(|(judged, beyond)| judged.err().or(beyond)).collect();
        let any = refusals.iter().any(Option::is_some);
        any.then(|| {
            let all = refusals.into_iter().map(|refusal| refusal.unwrap_or(Refusal::Another));
            all.map(Verdict::Refused).collect()
        })
    }

    fn change_schedule(&mut self, asked: Asked, change: ScheduleChange) -> Verdict {
        let judged = self.judge(asked.by, &change).and_then(|step| match self.beyond(&change, &step) {
            Some(refusal) if !asked.is_within => Err(refusal),
            _ => Ok(step),
        });
        match (judged, change) {
            (Err(refusal), _) => Verdict::Refused(refusal),
            (Ok(Step::Nothing(verdict)), _) => verdict,
            (Ok(_), ScheduleChange::Calendar { name, wanted, .. }) => {
                self.change_calendar(asked, &name, wanted.map(|wanted| *wanted))
            }
            (Ok(Step::Calendar), _) => Verdict::GoneAlready,
            (Ok(Step::Put { before }), ScheduleChange::Put { definition, .. }) => {
                self.put(asked, definition, before)
            }
            (Ok(Step::Put { .. }), _) => Verdict::GoneAlready,
            (Ok(Step::Delete { id }), change) => self.delete(asked, change.name(), id, ChangeKind::Deleted),
        }
    }

    fn put(
        &mut self,
        Asked { by, command, note, .. }: Asked,
        wanted: Packed,
        before: Option<(Option<SlotId>, Created)>,
    ) -> Verdict {
        let name: Arc<str> = wanted.name().into();
        let id = before.as_ref().and_then(|(id, _)| *id);
        let was = id.map(|id| version(&self.schedules[id]));
        let is_new = before.is_none();
        let created = before.map_or_else(
            || Created { number: self.next_creation(), owner: by.owner.to_string(), door: by.door_kind },
            |(_, created)| created,
        );
        let creation = created.number;
        let gate = self.progress.change();
        self.change_all([(id, Some(wanted.created_as(Some(created))))], gate);
        self.forget_old(LOOKED_AT);
        self.forget_edits(&name, creation);
        let Some(id) = self.schedules.find(&name) else {
            // What is understood runs.
            return Verdict::Refused(Refusal::NeverDue);
        };
        let slot = &self.schedules[id];
        let (revision, since) = (slot.number(), slot.era().effective_from);
        let after = Some(version(slot));
        self.await_going(id);
        let what = if is_new { ChangeKind::Created } else { ChangeKind::Changed };
        let (command, note) = (command.cloned(), note.into());
        let entry = LoggedChange::new(self.now(), by, what);
        self.progress.log(LoggedChange { name, creation, before: was, after, command, note, ..entry });
        match is_new {
            true => Verdict::Created { creation, revision, since },
            false => Verdict::Changed { creation, revision, since },
        }
    }

    fn next_creation(&mut self) -> u64 {
        self.progress.next_creation()
    }

    pub(super) fn delete(
        &mut self,
        Asked { by, command, note, .. }: Asked,
        name: &str,
        id: Option<SlotId>,
        what: ChangeKind,
    ) -> Verdict {
        let name: Arc<str> = name.into();
        let was = id.map(|id| version(&self.schedules[id]));
        let gate = self.progress.change();
        match id {
            Some(id) => self.change_all([(Some(id), None)], gate),
            None => self.end_resting(&name),
        }
        self.forget_old(LOOKED_AT);
        self.note_confirmation(&name);
        if self.changes.is_taken(&name) {
            self.out.notices.push(Notice::NameFree { schedule: name.clone() });
        }
        let last = self.resting.of(&name).next_back();
        let (revision, creation) = last.map_or((0, 0), |last| (last.number, last.definition.creation()));
        let through = last.and_then(|last| last.ended).unwrap_or(self.now());
        self.let_edits_go(&name, creation);
        self.going.remove(&name);
        let (command, note) = (command.cloned(), note.into());
        let entry = LoggedChange::new(self.now(), by, what);
        self.progress.log(LoggedChange { name, creation, before: was, command, note, ..entry });
        Verdict::Deleted { creation, revision, through }
    }

    /// What does not run because this version does not understand it would run again under another one.
    fn end_resting(&mut self, name: &str) {
        let Some(last) = self.resting_unknown(name).cloned() else { return };
        let ended = self.moment(last.set_backs);
        self.end_unknown(last, ended);
    }
}

fn version(slot: &Slot) -> Version {
    Version::of_schedule(slot.number(), &slot.definition)
}
