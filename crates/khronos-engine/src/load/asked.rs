//! What somebody asks for who is known: it is done as far as it is his to do, by what runs when it is done; the log of changes
//! says so in the same write; and the message that it came as is answered again as it was. Changes of schedules themselves
//! are in `decide`.

use super::{
    super::{
        Asker, Author, ChangeKind, Input, LoadSummary, LoggedChange, Message, OnResume, Pause, PauseRequest,
        Refusal, Scope, THE_CLOCK, Triggered, Verdict, core::Engine, trigger::TriggerRequest,
    },
    Change,
};
use std::{collections::BTreeSet, sync::Arc};

/// Parked entries that an entry of the log names, at most.
const SHOWN: usize = 100;

impl Change {
    /// The command that waits for its turn; an input that is not a command is given back.
    fn of(input: Input) -> Result<(u64, Self), Box<Input>> {
        Ok(match input {
            Input::Pause { command, scope, request } => (command, Self::Pause(command, scope, request)),
            Input::Resume { command, scope, how } => (command, Self::Resume(command, scope, how)),
            Input::Operate { command, id, operation } => (command, Self::Operate(command, id, operation)),
            Input::Cancel { command, id } => (command, Self::Cancel(command, id)),
            Input::Trigger { command, name, id } => {
                let request = TriggerRequest { schedule: name, command: id, owner: "".into() };
                (command, Self::Trigger(command, request))
            }
            other => return Err(Box::new(other)),
        })
    }

    /// The number of its command.
    fn command(&self) -> u64 {
        match self {
            Self::Schedules(request) => request.command,
            Self::Pause(command, ..)
            | Self::Resume(command, ..)
            | Self::Operate(command, ..)
            | Self::Cancel(command, _)
            | Self::Trigger(command, ..) => *command,
            Self::By(_, change) => change.command(),
        }
    }
}

/// What there was before a command, and what is said of it if it is carried out.
struct Before {
    /// The pause, of everything or of the first name.
    pause: Option<Pause>,
    /// None: it changes nothing.
    entry: Option<LoggedChange>,
    /// What of its answer is known.
    answer: Answer,
}

/// Of what kind the answer of a command is.
enum Answer {
    Pause(Scope),
    Resume(OnResume),
    Trigger,
    Nothing,
}

impl Engine {
    /// A command waits for its turn, if there is room; any other input is taken in at once.
    pub(in super::super) fn take_command_of(&mut self, asker: Option<Box<Asker>>, input: Input) {
        match (Change::of(input), asker) {
            (Ok((command, change)), Some(asker)) => {
                self.take_command(command, Change::By(asker, Box::new(change)));
            }
            (Ok((command, change)), None) => self.take_command(command, change),
            (Err(input), _) => self.take_in(*input),
        }
    }

    /// What somebody asks for who is known.
    pub(in super::super) fn take_in_by(&mut self, asker: Box<Asker>, input: Input) {
        match &input {
            Input::Load(_) | Input::LoadKept | Input::By(..) => self.load_by(asker.by, input),
            Input::Release(numbers) | Input::Drop(numbers) => {
                let is_release = matches!(input, Input::Release(_));
                let what = if is_release { ChangeKind::Released } else { ChangeKind::Dropped };
                let changes = |number: &u64| match is_release {
                    true => !self.is_being_sent(*number),
                    false => self.is_droppable(*number),
                };
                let parked = &self.outstanding.parked;
                let done = numbers.iter().copied().filter(|number| parked.get(*number).is_some());
                let done: Vec<u64> = done.filter(changes).collect();
                self.log_parked(&asker.by, what, &done);
                self.take_in(input);
            }
            _ => self.take_command_of(Some(asker), input),
        }
    }

    /// Several may have asked for one load: each of them stands around it.
    fn load_by(&mut self, first: Author, mut input: Input) {
        let mut all = vec![first];
        while let Input::By(asker, inner) = input {
            all.push(asker.by);
            input = *inner;
        }
        match input {
            Input::Load(wanted) => self.changes.load(Some(wanted), all),
            Input::LoadKept => self.changes.load(None, all),
            _ => {}
        }
    }

    /// Does what somebody asks for, unless it came before or is not his to do.
    pub(super) fn carry_out(&mut self, Asker { by, message, whole }: Asker, mut change: Change) {
        let number = change.command();
        let key = message.as_ref().map(|message| (by.owner.clone(), message.id.clone()));
        let before = message.as_ref().and_then(|it| self.answer_again(&by.owner, it, 1));
        if let Some(verdicts) = before {
            return self.progress.promise_verdicts(number, verdicts);
        }
        if let Some((owner, _)) = &key
            && !self.has_room_for_message(owner, 1)
        {
            return self.out.too_many_messages.push(number);
        }
        if let Change::Trigger(_, request) = &mut change {
            request.owner = by.owner.clone();
        }
        if key.is_some() {
            // Also of what changes nothing: the answer is durable with it.
            self.progress.change();
            self.progress.urge();
        }
        let verdict = match self.refusal(&by, whole, &change) {
            Some(refusal) => {
                let verdict = Verdict::Refused(refusal);
                self.progress.promise_verdicts(number, vec![verdict.clone()]);
                Some(verdict)
            }
            None => {
                let before = self.before(&by, &change);
                let (refused, without_room) = (self.out.refused(), self.out.too_many_pauses.len());
                self.take_change(change);
                if self.out.refused() > refused {
                    return;
                }
                let left_out = self.out.too_many_pauses.get(without_room..).unwrap_or_default();
                let left_out: BTreeSet<_> = left_out.iter().flat_map(|(_, names)| names).cloned().collect();
                let command = message.as_ref().map(|message| message.id.clone());
                if let Some(entry) = before.entry.clone().and_then(|entry| entry.without(&left_out)) {
                    let command = command.or(entry.command.clone());
                    self.progress.log(LoggedChange { command, ..entry });
                }
                self.verdict(number, before)
            }
        };
        if let (Some(key), Some(Message { digest, .. }), Some(verdict)) = (key, message, verdict) {
            self.keep_answer(key, digest, &[verdict]);
        }
        self.forget_messages();
    }

    /// The event of a name, and whether it runs; none: it is not known.
    fn event_of(&self, name: &str) -> Option<(String, bool)> {
        if let Some(id) = self.schedules.find(name) {
            return Some((self.schedules[id].definition.event().to_owned(), true));
        }
        let last = self.resting.of(name).next_back()?;
        Some((last.definition.event().to_owned(), false))
    }

    /// Why a command is not his to give, by what runs now.
    fn refusal(&self, by: &Author, whole: bool, change: &Change) -> Option<Refusal> {
        let outside =
            |event: String| (!(by.covers)(&event)).then(|| Refusal::OutsideDomains { event: event.into() });
        match change {
            Change::Pause(_, Scope::Named(names), _) | Change::Resume(_, Scope::Named(names), _) => {
                let pauses = matches!(change, Change::Pause(..));
                names.iter().find_map(|name| {
                    let Some((event, runs)) = self.event_of(name) else {
                        return match (whole, names.len()) {
                            (true, _) => Some(Refusal::NotAsCounted { name: name.clone() }),
                            (false, 1) => Some(Refusal::NoSuchSchedule { name: name.clone() }),
                            (false, _) => None,
                        };
                    };
                    if whole && (!runs || (!pauses && self.paused_by_name(name).is_none())) {
                        return Some(Refusal::NotAsCounted { name: name.clone() });
                    }
                    // What does not run may come back as another's, and would be paused from its birth.
                    if pauses && !runs && !by.is_of_everything {
                        return Some(Refusal::OutsideDomains { event: event.into() });
                    }
                    outside(event)
                })
            }
            Change::Trigger(_, request) => match self.schedules.find(&request.schedule) {
                Some(id) => outside(self.schedules[id].definition.event().to_owned()),
                None if self.triggered_before(request).is_some() => None,
                None => Some(Refusal::NoSuchSchedule { name: request.schedule.clone() }),
            },
            Change::Operate(_, _, operation) => {
                self.event_of(&operation.schedule).and_then(|(event, _)| outside(event))
            }
            Change::Cancel(_, id) => {
                // Whoever has its schedule's name now: it may be another one.
                let (operation, _) =
                    self.operation(id).filter(|(operation, _)| operation.owner != by.owner)?;
                let revision = self.revision(&(operation.schedule.clone(), operation.revision))?;
                outside(revision.definition.event().to_owned())
            }
            _ => None,
        }
    }

    /// What there is before a command is carried out.
    fn before(&self, by: &Author, change: &Change) -> Before {
        let entry = |what| LoggedChange::new(self.now(), by, what);
        let about = |name: &Arc<str>, entry: LoggedChange| LoggedChange {
            name: name.clone(),
            creation: self.creation(name),
            ..entry
        };
        let named = |names: Vec<Arc<str>>, entry: LoggedChange| {
            let mut names = names.into_iter();
            let first = names.next()?;
            Some(LoggedChange { others: names.collect(), ..about(&first, entry) })
        };
        let first = |scope: &Scope| match scope {
            Scope::All => self.paused().cloned(),
            Scope::Named(names) => names.first().and_then(|name| self.paused_by_name(name)).cloned(),
        };
        let (pause, entry, answer) = match change {
            Change::Pause(_, scope, PauseRequest { by: signed, note, until }) => {
                let mut said = format!("by {signed}: {note}");
                if let Some(end) = until {
                    said.push_str(&format!(" (until {}; what falls due {})", end.at, end.on_resume));
                }
                let entry = LoggedChange { note: said.into(), ..entry(ChangeKind::Paused) };
                let entry = match scope {
                    Scope::All => Some(entry),
                    Scope::Named(names) => {
                        let known = names.iter().filter(|name| self.event_of(name).is_some());
                        named(known.cloned().collect(), entry)
                    }
                };
                (first(scope), entry, Answer::Pause(scope.clone()))
            }
            Change::Resume(_, scope, how) => {
                let entry = LoggedChange {
                    note: format!("what fell due {how}").into(),
                    ..entry(ChangeKind::Resumed)
                };
                let entry = match scope {
                    Scope::All => self.paused().map(|_| entry),
                    Scope::Named(names) => {
                        let paused = names.iter().filter(|name| self.paused_by_name(name).is_some());
                        named(paused.cloned().collect(), entry)
                    }
                };
                (first(scope), entry, Answer::Resume(*how))
            }
            Change::Trigger(_, request) => {
                let entry = self.triggered_before(request).is_none().then(|| {
                    let command = Some(request.command.to_string().into());
                    about(&request.schedule, LoggedChange { command, ..entry(ChangeKind::Triggered) })
                });
                (None, entry, Answer::Trigger)
            }
            Change::Operate(_, id, operation) => {
                let entry = self.operation(id).is_none().then(|| {
                    let note =
                        format!("operation {id}: {} events at {} a second", operation.count, operation.rate);
                    let entry = LoggedChange { note: note.into(), ..entry(ChangeKind::Backfilled) };
                    about(&operation.schedule, entry)
                });
                (None, entry, Answer::Nothing)
            }
            Change::Cancel(_, id) => {
                let running = self.operation(id).filter(|(operation, _)| operation.ended.is_none());
                let entry = running.map(|(operation, _)| {
                    let note = format!("operation {id}: {} events were not made yet", operation.left());
                    let entry = LoggedChange { note: note.into(), ..entry(ChangeKind::Cancelled) };
                    about(&operation.schedule, entry)
                });
                (None, entry, Answer::Nothing)
            }
            Change::Schedules(_) | Change::By(..) => (None, None, Answer::Nothing),
        };
        Before { pause, entry, answer }
    }

    /// What is answered of a command that was carried out; none of what has no message.
    fn verdict(&self, command: u64, Before { pause, answer, .. }: Before) -> Option<Verdict> {
        Some(match answer {
            Answer::Pause(scope) => {
                let now = match &scope {
                    Scope::All => self.paused(),
                    Scope::Named(names) => names.first().and_then(|name| self.paused_by_name(name)),
                };
                Verdict::Paused { pause: now?.clone(), was_paused: pause.is_some() }
            }
            Answer::Resume(how) => Verdict::Resumed { pause, through: self.now(), how },
            Answer::Trigger => {
                let Triggered { due, creation } = self.triggers.told(command)?;
                Verdict::Triggered { due, creation }
            }
            Answer::Nothing => return None,
        })
    }

    /// Somebody had the files read, and this came of it; where it was the clock itself, that is said if something changed.
    pub(super) fn log_load(&mut self, by: &Author, summary: &LoadSummary) {
        if *by.owner == *THE_CLOCK && !summary.is_change() {
            return;
        }
        let entry = LoggedChange::new(self.now(), by, ChangeKind::Reloaded);
        self.progress.log(LoggedChange { note: summary.to_string().into(), ..entry });
    }

    /// Somebody releases or drops these parked entries.
    fn log_parked(&mut self, by: &Author, what: ChangeKind, numbers: &[u64]) {
        let parked =
            |number: &u64| self.outstanding.parked.get(*number).map(|parked| parked.schedule.clone());
        let mut names: Vec<Arc<str>> = numbers.iter().filter_map(parked).collect();
        names.sort_unstable();
        names.dedup();
        let mut names = names.into_iter();
        let Some(name) = names.next() else { return };
        let shown = numbers.iter().take(SHOWN).map(u64::to_string).collect::<Vec<_>>().join(", ");
        let more = match numbers.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let note = format!("numbers {shown}{more}").into();
        let entry = LoggedChange::new(self.now(), by, what);
        self.progress.log(LoggedChange { name, others: names.collect(), note, ..entry });
    }
}
