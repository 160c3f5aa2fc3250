//! The world around it: what is asked for is done at some later moment, in any order, and told at another.

mod clients;

use super::{Did, below::Below, promises::Promises};
use crate::{
    Answer, Outcome,
    delayed::{
        DelayedAction, DelayedAnswer, DelayedBatch, DelayedEvent, DelayedInput, DelayedLimits, DelayedMemory,
        DelayedReader, DelayedRules, DelayedStep, DelayedStore, DueEvent, Marks, MemoryDelayed, ParkedHead,
        Sending, SinceSetBack,
    },
};
use clients::Wanted;
use khronos_schedule::Unrouted;
use ponos_event::Timestamp;
use std::{collections::HashMap, sync::Arc};

/// Milliseconds of a life.
const LIFE: i64 = 12_000;

pub(super) struct World {
    random: fastrand::Rng,
    now: Timestamp,
    /// H, and R: durable; and what is asked to be.
    handed: Timestamp,
    wanted: Timestamp,
    /// The highest that was ever durable.
    reached: Timestamp,
    /// The highest creation number when the clock was set back last, or the process began.
    created_before: u64,
    /// The highest that the clock ever showed.
    highest: Timestamp,
    disk: DelayedMemory,
    store: MemoryDelayed,
    sending: Sending,
    /// What is to be done.
    tasks: Vec<DelayedAction>,
    /// What was done and is to be told.
    told: Vec<DelayedInput>,
    /// Messages that were sent before, which may come again.
    messages: Vec<(String, Vec<Wanted>, bool)>,
    /// By token, the creation of what is handed over.
    in_flight: HashMap<u64, u64>,
    commands: u64,
    crashes: usize,
    below: Below,
    pub(super) promises: Promises,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let disk = DelayedMemory::forgetful();
        let (store, sending) = started(&disk);
        let now = Timestamp::from_millis(1_764_547_200_000);
        Self {
            random: fastrand::Rng::with_seed(seed),
            now,
            handed: now,
            wanted: now,
            reached: now,
            created_before: 0,
            highest: now,
            disk,
            store,
            sending,
            tasks: Vec::new(),
            told: Vec::new(),
            messages: Vec::new(),
            in_flight: HashMap::new(),
            commands: 0,
            crashes: 0,
            below: Below::new(seed),
            promises: Promises::default(),
        }
    }

    pub(super) fn did(&self) -> Did {
        let [arrivals, repeated, changed, deleted, released, dropped] = self.promises.did();
        let late = self.below.delayed;
        [arrivals, repeated, self.crashes, changed, deleted, self.parked(), released, dropped, late]
    }

    pub(super) fn reader(&self) -> Arc<dyn DelayedReader> {
        self.store.reader()
    }

    pub(super) fn counted_as_parked(&self) -> u64 {
        self.sending.parked()
    }

    fn parked(&self) -> usize {
        let rows = self.reader().read(0, usize::MAX).map(|page| page.rows).unwrap_or_default();
        rows.iter().filter(|row| matches!(row.row.outcome, Outcome::Parked(_))).count()
    }

    /// A life, and then an end in which everything comes to rest.
    pub(super) fn live(&mut self) -> Result<(), String> {
        let end = self.now.plus(LIFE);
        self.step(DelayedInput::Link(true))?;
        while self.now < end {
            match self.random.u8(0..100) {
                0..35 => self.perform()?,
                35..65 => self.tell()?,
                65..84 => {
                    let millis = self.random.i64(1..120);
                    self.pass_time(millis)?;
                }
                84..95 => self.ask()?,
                95..98 => self.ask_about_parked()?,
                98 if self.random.bool() => self.step(DelayedInput::Link(false))?,
                98 => self.step(DelayedInput::Link(true))?,
                _ if self.random.u8(0..4) == 0 => self.set_back()?,
                _ => self.crash()?,
            }
        }
        self.step(DelayedInput::Link(true))?;
        for _ in 0..4_000 {
            if self.tasks.is_empty() && self.told.is_empty() {
                let balance = self.disk.balance();
                // Schedules never leave a ceiling alone.
                self.below.schedules_take_all();
                let Some(at) = self.sending.next_wakeup(self.marks(), &self.below.ceilings) else { break };
                // What is being decided goes on at once.
                let is_over = balance.pending == 0 && self.sending.released() == 0 && at > self.now;
                if is_over && self.sending.in_flight() == 0 || at.since(self.now) > 100_000 {
                    break;
                }
                self.pass_time(at.since(self.now).max(1))?;
            }
            self.perform()?;
            self.tell()?;
        }
        Ok(())
    }

    fn marks(&self) -> Marks {
        let (reached, lately) = (self.reached.max(self.wanted), self.wanted.max(self.handed));
        let since = SinceSetBack { created: self.created_before, reached: lately };
        let since = (reached > lately).then_some(since);
        Marks { now: self.now, handed: self.handed, reached, created: 0, since }
    }

    fn step(&mut self, input: DelayedInput) -> Result<(), String> {
        let marks = self.marks();
        self.below.schedules(&mut self.random);
        let actions = self.sending.step(marks, &mut self.below.ceilings, input);
        self.below.check(&self.sending)?;
        for action in actions {
            match action {
                DelayedAction::Decided(answers) => {
                    let marks = self.marks();
                    answers.into_iter().try_for_each(|(command, verdicts)| {
                        self.promises.answered(command, &verdicts, marks)
                    })?;
                }
                DelayedAction::TooMany(command) | DelayedAction::NotFound(command) => {
                    self.promises.refused(command);
                }
                DelayedAction::Unparked(command, unparked) => self.promises.unparked(command, &unparked)?,
                DelayedAction::Reserve(send) => {
                    self.wanted = self.wanted.max(send);
                    self.tasks.push(DelayedAction::Reserve(send));
                }
                DelayedAction::Publish(events) => {
                    let wrong = events.iter().find(|(_, event)| event.key.send > self.handed);
                    if let Some((_, event)) = wrong {
                        return Err(format!("{event:?} is handed over above H"));
                    }
                    for (token, event) in &events {
                        if self.in_flight.values().any(|creation| *creation == event.creation) {
                            return Err(format!("{event:?} is handed over twice at a time"));
                        }
                        self.in_flight.insert(*token, event.creation);
                        // What is not there is seen when it is published.
                        if let Some(found) = self.find(event)? {
                            self.below.handed(event, &found.head.event)?;
                        }
                    }
                    self.tasks.extend(events.into_iter().map(|event| DelayedAction::Publish(vec![event])));
                }
                other => self.tasks.push(other),
            }
        }
        Ok(())
    }

    fn pass_time(&mut self, millis: i64) -> Result<(), String> {
        self.now = self.now.plus(millis);
        self.highest = self.highest.max(self.now);
        self.below.pass(millis);
        self.step(DelayedInput::Tick)?;
        self.what_is_said_to_be_settled_is()
    }

    /// What is still in the store before that is being written.
    fn what_is_said_to_be_settled_is(&self) -> Result<(), String> {
        let before = self.sending.settled_before();
        let range = Timestamp::from_millis(i64::MIN)..before;
        let left = self.reader().due(range, None, usize::MAX).map_err(|error| error.to_string())?;
        let left = left.iter().find(|event| !self.sending.is_being_written(&event.key));
        left.map_or(Ok(()), |left| {
            Err(format!("{left:?} is left, and all before {before} is said to be settled"))
        })
    }

    /// The clock goes on from an earlier reading.
    fn set_back(&mut self) -> Result<(), String> {
        self.reached = self.reached.max(self.wanted);
        self.created_before = self.sending.created();
        self.promises.set_back(self.commands);
        self.now = self.now.plus(-self.random.i64(1..2_000));
        self.handed = self.handed.min(self.now);
        self.wanted = self.wanted.min(self.now);
        self.step(DelayedInput::Tick)
    }

    /// Does one of the things that are to be done.
    fn perform(&mut self) -> Result<(), String> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let index = self.random.usize(0..self.tasks.len());
        let broken = |error: crate::store::StoreError| error.to_string();
        let reader = self.store.reader();
        let done = match self.tasks.swap_remove(index) {
            DelayedAction::Find { ticket, names, messages } => {
                let found = reader.find(&names).map_err(broken)?;
                let answered = reader.answers(&messages).map_err(broken)?;
                DelayedInput::Found { ticket, found, answered }
            }
            DelayedAction::Load { ticket, range, after, most } => {
                let events = reader.due(range, after.as_ref(), most).map_err(broken)?;
                DelayedInput::Due { ticket, events }
            }
            DelayedAction::FindParked { ticket, creations } => {
                let find = |creation| Ok(reader.parked_as(creation)?.as_ref().map(ParkedHead::from));
                let found = creations.into_iter().map(find).collect::<Result<_, _>>().map_err(broken)?;
                DelayedInput::FoundParked { ticket, found }
            }
            DelayedAction::LoadParked { ticket, after, most } => {
                let parked = reader.parked(after, most).map_err(broken)?;
                DelayedInput::Parked { ticket, heads: parked.iter().map(ParkedHead::from).collect() }
            }
            DelayedAction::Write { ticket, batch } => {
                self.write(&batch)?;
                DelayedInput::Written(ticket)
            }
            DelayedAction::Reserve(send) => {
                // A clock that was set back meanwhile took the wish back.
                self.handed = self.handed.max(send.min(self.wanted));
                self.reached = self.reached.max(send);
                DelayedInput::Tick
            }
            DelayedAction::Publish(events) => {
                let sent_at = self.now;
                let answers = events.into_iter().map(|(token, event)| {
                    let answer = self.publish(&event)?;
                    Ok(DelayedAnswer { token, answer, sent_at, unrouted: Unrouted::Park })
                });
                DelayedInput::Settled(answers.collect::<Result<_, String>>()?)
            }
            DelayedAction::Decided(_)
            | DelayedAction::Unparked(..)
            | DelayedAction::TooMany(_)
            | DelayedAction::NotFound(_) => DelayedInput::Tick,
        };
        self.told.push(done);
        Ok(())
    }

    fn write(&mut self, batch: &DelayedBatch) -> Result<(), String> {
        let put = batch.steps.iter().filter_map(|step| match step {
            DelayedStep::Put(event) => Some(&**event),
            _ => None,
        });
        self.promises.written(put)?;
        let written = self.store.write(0, batch).map_err(|error| error.to_string())?;
        if !written.balance.is_right() || self.random.u8(0..4) == 0 && self.store.flush(0).is_err() {
            return Err(format!("{:?} is wrong", written.balance));
        }
        Ok(())
    }

    /// What the store has of it.
    fn find(&self, event: &DueEvent) -> Result<Option<DelayedEvent>, String> {
        let reader = self.reader();
        let found = match event.is_parked {
            true => reader
                .parked_as(event.creation)
                .map(|parked| parked.filter(|parked| parked.released).map(|parked| parked.event)),
            false => reader.events(std::slice::from_ref(&event.key)).map(|mut all| all.pop().flatten()),
        };
        found.map_err(|error| error.to_string())
    }

    fn publish(&mut self, event: &DueEvent) -> Result<Answer, String> {
        let Some(found) = self.find(event)? else {
            return Err(format!("{event:?} is handed over and not in the store"));
        };
        let answer = match self.random.u8(0..20) {
            0 => return Ok(Answer::Lost),
            1 => return Ok(Answer::Refused("full".into())),
            5 if self.random.bool() => return Ok(Answer::Confirmed { returned: true }),
            2..5 => Answer::Lost,
            _ => Answer::Confirmed { returned: false },
        };
        self.promises.arrived(&found, self.highest)?;
        Ok(answer)
    }

    /// Tells one of the things that were done.
    fn tell(&mut self) -> Result<(), String> {
        if self.told.is_empty() {
            return Ok(());
        }
        let index = self.random.usize(0..self.told.len());
        let told = self.told.swap_remove(index);
        if let DelayedInput::Settled(answers) = &told {
            self.in_flight.retain(|token, _| answers.iter().all(|answer| answer.token != *token));
        }
        self.step(told)
    }

    /// The process ends, maybe the machine with it, and starts again.
    fn crash(&mut self) -> Result<(), String> {
        self.crashes += 1;
        if self.random.bool() {
            self.disk.crash();
        }
        self.tasks.clear();
        self.told.clear();
        self.in_flight.clear();
        self.wanted = self.handed;
        (self.store, self.sending) = started(&self.disk);
        self.created_before = self.sending.created();
        self.below.restart();
        if !self.disk.balance().is_right() {
            return Err(format!("{:?} is wrong", self.disk.balance()));
        }
        self.promises.crashed();
        self.step(DelayedInput::Link(true))
    }
}

fn started(disk: &DelayedMemory) -> (MemoryDelayed, Sending) {
    let mut store = disk.open("khronos", DelayedLimits::default()).unwrap();
    let kept = store.load().unwrap();
    (store, Sending::new(DelayedRules::of_simulations(), &kept))
}
