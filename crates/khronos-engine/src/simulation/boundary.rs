//! The boundary between the engine and its simulated world. What goes in and what comes out passes here, and a fault that
//! is planted here distorts it: what then happens is what happens if the engine has the fault. So the engine itself
//! needs no line for it.

use super::late::Late;
use crate::{
    Action, Answer, Commit, Engine, Input, Outcome, Parked, Pauses, Reading, Row, SkipReason, Snapshot, Span,
};
use khronos_schedule::Created;
use ponos_event::Timestamp;
use std::sync::Arc;

/// One way in which the engine could be wrong, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoundaryFault {
    /// Waking up a little early counts as due.
    FireEarly,
    /// After a step back the time goes on from the highest reading instead of waiting for it.
    RunOnAfterAStepBack,
    /// What is refused is taken for confirmed.
    ForgetRefused,
    /// An audit is told that the record is complete before it is.
    AnswerBeforeRowsAreDurable,
    /// Rows written behind count as given before the broker has confirmed what they are about.
    CompleteWhatIsInFlight,
    /// A restart says nothing of details that may be lost above W.
    LeaveLostDetailsUnmarked,
    /// A one-shot's row goes when it is confirmed, and the record has it only later.
    RecordOneShotsBehind,
    /// Occurrences of a paused schedule leave no row.
    PauseWithoutRecord,
    /// That a one-shot is pending is not kept.
    LoseOneShot,
    /// W passes what is in flight.
    SettleWhatIsInFlight,
    /// What is handed over does not lie below a durable H.
    HandOverAboveTheReservation,
    /// R goes back with H when the clock was set back.
    ForgetHowFarItReached,
    /// A restart coalesces what may have been sent.
    CoalesceWhatMayHaveBeenSent,
    /// An event that stands for several is sent before that is durable.
    SendBeforeTheSpanIsSaved,
    /// A finished span is removed before W has passed it.
    CloseBeforeTheMark,
    /// What a load wants is handed over before the store knows the revision.
    SendBeforeTheRevisionIsSaved,
    /// A command is answered before what it wanted is durable.
    AnswerOneTicketEarly,
    /// A release is handed over before it is durable.
    ReleaseBeforeItIsSaved,
    /// W passes what is refused, and the write does not have it.
    PassWhatIsRefused,
    /// A restart takes what was refused, and is sent again by itself, for what got no answer.
    TakeRunsForSpans,
    /// A restart does not know that all is paused.
    ForgetThePause,
    /// A restart does not know what a pause skipped.
    ForgetWhatIsSkipped,
    /// A restart does not know which names are paused.
    ForgetThePausesByName,
    /// A restart does not know what pauses by name skipped.
    ForgetWhatIsSkippedByName,
    /// A pause by name, or its end, is answered before it is durable.
    AnswerThePauseByNameEarly,
    /// What rests of names is not written.
    ForgetWhatStandsOpen,
    /// What is triggered is handed over before it is durable.
    TriggerBeforeItIsSaved,
    /// A restart does not know what was triggered before.
    ForgetWhatWasTriggered,
    /// A restart does not know which operations run.
    ForgetTheOperations,
    /// A restart during a pause coalesces what may have been sent before it.
    CoalesceAfterAPause,
    /// A pause, or its end, is answered before it is durable.
    AnswerThePauseEarly,
    /// A restart counts creations from 1.
    CountCreationsAnew,
    /// A restart does not know which messages were answered.
    ForgetTheMessages,
    /// What was answered to a message is kept one write late.
    MessageOneWriteLate,
    /// A calendar that was put, or deleted, is written one write late.
    CalendarOneWriteLate,
    /// A restart does not know which calendars were created.
    ForgetTheCalendars,
    /// A restart does not know who created what.
    ForgetTheOwner,
    /// A change is made, and the log says nothing of it.
    ChangeWithoutLog,
    /// Runs of one schedule are one, whatever was accepted between them.
    MergeAcrossWhatWasAccepted,
}

use BoundaryFault as Is;

impl BoundaryFault {
    /// Everything arrives all the same; only the record can tell.
    pub(super) fn is_of_the_record(self) -> bool {
        matches!(
            self,
            Is::AnswerBeforeRowsAreDurable
                | Is::CompleteWhatIsInFlight
                | Is::LeaveLostDetailsUnmarked
                | Is::RecordOneShotsBehind
        )
    }
}

pub(super) struct Boundary {
    fault: Option<BoundaryFault>,
    /// The latest reading, and by how much the engine's clock is ahead of the world's.
    last: Option<Reading>,
    ahead: i64,
    /// A command that the engine was not told of, to be answered at once.
    kept_back: Option<u64>,
    late: Late,
}

impl Boundary {
    pub(super) fn new(fault: Option<BoundaryFault>) -> Self {
        let ahead = if fault == Some(Is::FireEarly) { 3 } else { 0 };
        Self { fault, last: None, ahead, kept_back: None, late: Late::default() }
    }

    /// What the engine reads.
    pub(super) fn reading(&mut self, now: Reading) -> Reading {
        let last = self.last.replace(now).unwrap_or(now);
        if self.fault == Some(Is::RunOnAfterAStepBack) {
            let back = (now.boot - last.boot) - now.wall.since(last.wall);
            self.ahead += back.max(0);
        }
        Reading { wall: now.wall.plus(self.ahead), ..now }
    }

    /// What the engine is told.
    pub(super) fn input(&mut self, input: Input) -> Input {
        match (self.fault, input) {
            (Some(Is::ForgetRefused), Input::Settled(answers)) => {
                let taken = |answer| match answer {
                    Answer::Refused(_) => Answer::Confirmed { returned: false },
                    answer => answer,
                };
                Input::Settled(answers.into_iter().map(|(token, answer)| (token, taken(answer))).collect())
            }
            (Some(Is::AnswerBeforeRowsAreDurable), Input::Write { command }) => {
                self.kept_back = Some(command);
                Input::Tick
            }
            (_, input) => input,
        }
    }

    /// What a restart finds.
    pub(super) fn snapshot(&mut self, kept: Snapshot) -> Snapshot {
        self.late.restart(&kept);
        match self.fault {
            Some(Is::CoalesceWhatMayHaveBeenSent) => {
                Snapshot { handed: kept.settled, reached: kept.settled, ..kept }
            }
            Some(Is::TakeRunsForSpans) => take_runs_for_spans(kept),
            Some(Is::ForgetThePause) => {
                Snapshot { pauses: Pauses { paused: None, ..kept.pauses.clone() }, ..kept }
            }
            Some(Is::CountCreationsAnew) => Snapshot { created: 0, ..kept },
            Some(Is::ForgetTheOwner) => forget_the_owner(kept),
            Some(Is::ForgetTheMessages) => Snapshot { messages: Vec::new(), ..kept },
            Some(Is::ForgetTheCalendars) => Snapshot { calendars: Vec::new(), ..kept },
            Some(Is::ForgetWhatIsSkipped) => {
                Snapshot { pauses: Pauses { skipped: Vec::new(), ..kept.pauses.clone() }, ..kept }
            }
            Some(Is::ForgetThePausesByName) => forget_of_names(kept, |pauses| pauses.paused = None),
            Some(Is::ForgetWhatIsSkippedByName) => forget_of_names(kept, |pauses| pauses.skipped.clear()),
            Some(Is::ForgetWhatWasTriggered) => Snapshot { triggers: Vec::new(), ..kept },
            Some(Is::ForgetTheOperations) => Snapshot { operations: Vec::new(), ..kept },
            Some(Is::CoalesceAfterAPause) if kept.pauses.paused.is_some() => {
                Snapshot { handed: kept.settled, reached: kept.settled, ..kept }
            }
            _ => kept,
        }
    }

    /// What the engine wants to be done.
    pub(super) fn actions(&mut self, mut actions: Vec<Action>, engine: &Engine) -> Vec<Action> {
        let mut more = Vec::new();
        for action in &mut actions {
            match action {
                Action::Save { commit, .. } => {
                    let (rows, complete) = (self.commit(commit, engine), commit.settled);
                    more.extend((!rows.is_empty()).then_some(Action::Record { rows, complete }));
                }
                Action::Record { complete, .. } if self.fault == Some(Is::CompleteWhatIsInFlight) => {
                    *complete = engine.now();
                }
                _ => {}
            }
        }
        more.extend(self.kept_back.take().map(|command| Action::Durable(vec![command])));
        actions.extend(more);
        actions
    }

    /// What the disk gets; gives rows that are written behind instead.
    fn commit(&mut self, commit: &mut Commit, engine: &Engine) -> Vec<Row> {
        let Some(fault) = self.fault else { return Vec::new() };
        match fault {
            Is::LeaveLostDetailsUnmarked => commit.rows.retain(|row| row.outcome != Outcome::DetailsLost),
            Is::PauseWithoutRecord => {
                commit.rows.retain(|row| row.outcome != Outcome::Skipped(SkipReason::Paused));
            }
            Is::RecordOneShotsBehind => {
                let is_confirmed = |row: &Row| matches!(row.outcome, Outcome::Confirmed { .. });
                let is_one_shot = |row: &Row| {
                    let revision = engine.revision(&(row.schedule.clone(), row.revision));
                    revision.is_some_and(|revision| revision.timing().is_one_shot())
                };
                return commit.rows.extract_if(.., |row| is_confirmed(row) && is_one_shot(row)).collect();
            }
            Is::ForgetWhatStandsOpen => {
                commit.spans.retain(|(.., span)| span.as_ref().is_none_or(|span| !span.is_open()));
            }
            Is::LoseOneShot => commit.one_shots.retain(|(_, pending)| pending.is_none()),
            Is::SettleWhatIsInFlight => {
                let queued = engine.schedules.lowest().unwrap_or(Timestamp::HORIZON);
                commit.settled = commit.settled.max(engine.now().min(queued.plus(-1)));
                commit.handed = commit.handed.max(commit.settled);
            }
            Is::HandOverAboveTheReservation => commit.handed = commit.settled,
            Is::ForgetHowFarItReached => commit.reached = commit.handed,
            Is::SendBeforeTheSpanIsSaved => self.late.coalesced(commit),
            Is::CloseBeforeTheMark => {
                let spans = commit.spans.iter_mut().map(|(.., span)| span);
                spans.for_each(|span| *span = span.take().filter(|span| span.after < span.through));
            }
            Is::SendBeforeTheRevisionIsSaved => {
                self.late.revisions(commit, |one| !one.definition.is_created());
            }
            Is::AnswerOneTicketEarly => self.late.revisions(commit, |one| one.definition.is_created()),
            Is::ReleaseBeforeItIsSaved => self.late.parked(commit, |parked| parked.released),
            Is::PassWhatIsRefused => self.late.parked(commit, |parked| parked.retry_at.is_some()),
            Is::AnswerThePauseEarly => self.late.pauses(commit),
            Is::TriggerBeforeItIsSaved => self.late.parked(commit, |parked| parked.is_asked_for()),
            Is::AnswerThePauseByNameEarly => self.late.named_pauses(commit),
            Is::MessageOneWriteLate => self.late.messages(commit),
            Is::CalendarOneWriteLate => self.late.calendars(commit),
            Is::ChangeWithoutLog => commit.changes.clear(),
            Is::MergeAcrossWhatWasAccepted => merge_runs(&mut commit.parked, engine),
            Is::FireEarly
            | Is::RunOnAfterAStepBack
            | Is::ForgetRefused
            | Is::AnswerBeforeRowsAreDurable
            | Is::CompleteWhatIsInFlight
            | Is::TakeRunsForSpans
            | Is::CountCreationsAnew
            | Is::ForgetTheMessages
            | Is::ForgetTheCalendars
            | Is::ForgetTheOwner
            | Is::ForgetThePause
            | Is::ForgetWhatIsSkipped
            | Is::ForgetThePausesByName
            | Is::ForgetWhatWasTriggered
            | Is::ForgetTheOperations
            | Is::ForgetWhatIsSkippedByName
            | Is::CoalesceAfterAPause
            | Is::CoalesceWhatMayHaveBeenSent => {}
        }
        Vec::new()
    }
}

/// What was created is nobody's.
fn forget_the_owner(mut kept: Snapshot) -> Snapshot {
    for revision in &mut kept.revisions {
        let nobodys = revision.definition.created().map(|one| Created { owner: String::new(), ..one });
        if nobodys.is_some() {
            revision.definition = revision.definition.clone().created_as(nobodys);
        }
    }
    kept
}

/// Something of the pauses by name is not found.
fn forget_of_names(mut kept: Snapshot, forget: impl Fn(&mut Pauses)) -> Snapshot {
    kept.named_pauses.iter_mut().for_each(|(_, pauses)| forget(pauses));
    kept
}

/// What is sent again by itself is a span after a restart, and no run.
fn take_runs_for_spans(mut kept: Snapshot) -> Snapshot {
    for (_, Parked { schedule, revision, stands_for: run, .. }) in
        kept.parked.extract_if(.., |(_, parked)| parked.retry_at.is_some())
    {
        let is_its = |(name, span): &&mut (Arc<str>, Span)| *name == schedule && span.revision == revision;
        let (after, through) = (run.first.plus(-1), run.last);
        match kept.spans.iter_mut().find(is_its) {
            Some((_, span)) => span.after = span.after.min(after),
            None => {
                let span = Span { revision, after, through, handed: through, coalesced: None };
                kept.spans.push((schedule, span));
            }
        }
    }
    kept
}

/// A run that begins goes on with the one before it, though that ended.
fn merge_runs(parked: &mut Vec<(u64, Option<Parked>)>, engine: &Engine) {
    for at in 0..parked.len() {
        let (number, Some(run)) = &parked[at] else { continue };
        let joins = |earlier: &Parked| {
            earlier.schedule == run.schedule
                && earlier.revision == run.revision
                && earlier.singly
                && run.singly
        };
        let mut before = engine.parked().range(..*number).rev();
        if let Some((earlier, one)) = before.find(|(_, one)| joins(one)) {
            let mut one = one.clone();
            one.stands_for.last = run.stands_for.last;
            one.stands_for.count += run.stands_for.count;
            parked[at].1 = None;
            parked.push((*earlier, Some(one)));
        }
    }
}
