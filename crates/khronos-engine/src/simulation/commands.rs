//! Schedules that are put and deleted one by one in the simulated world. What must be answered is worked out apart from the
//! engine, from what runs when a change is taken; an answer is given once the disk has what it tells of; and nothing is
//! handed over of a revision that the disk does not have, nor of what was deleted.

use super::{logging::Logging, random::Random, verdicts::Wanted};
use crate::{
    ChangeKind, Commit, Engine, Expect, Handover, Message, Refusal, Revision, Verdict, Version,
    progress::SpanKey,
};
use khronos_schedule::Packed;
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// What somebody wants of one name.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) name: &'static str,
    /// `None`: that it goes.
    pub(super) wanted: Option<Packed>,
    pub(super) expect: Expect,
    pub(super) owner: &'static str,
    pub(super) is_admin: bool,
    /// Whether he may change something about some events alone.
    pub(super) is_narrow: bool,
}

impl Asked {
    /// Whether something of this event is his to change.
    pub(super) fn covers(&self, event: &str) -> bool {
        !self.is_narrow || ["test.a.happened", "test.b.happened"].contains(&event)
    }
}

/// A request that was given.
#[derive(Debug)]
struct Given {
    command: u64,
    asked: Vec<Asked>,
    message: Option<Message>,
    atomic: bool,
    /// What must be answered, as far as that is known.
    expected: Option<Vec<Wanted>>,
    /// The highest creation number on the disk by then.
    floor: u64,
    /// It is a message that was given before.
    is_again: bool,
}

/// A name, and what is wanted of it now.
pub(super) type Done = (&'static str, Option<Option<Packed>>);

/// A message that was given before, whether all or nothing was asked for, what that was, and what was answered.
pub(super) type Earlier = ((Message, bool), Vec<Asked>, Option<Vec<Verdict>>);

/// A message that was given.
#[derive(Debug)]
struct Known {
    message: Message,
    asked: Vec<Asked>,
    atomic: bool,
    /// The highest creation number on the disk by then.
    floor: u64,
    given: bool,
    /// What was answered first.
    answer: Option<Vec<Verdict>>,
}

pub(super) struct Commands {
    /// Of its own.
    pub(super) random: Random,
    last: u64,
    given: Vec<Given>,
    /// Revisions as they are durable, and as they ever were.
    disk: BTreeMap<SpanKey, Revision>,
    pub(super) ever: HashMap<SpanKey, Vec<Revision>>,
    highest: u64,
    log: Logging,
    /// By creation number, who created it.
    pub(super) owners: HashMap<u64, &'static str>,
    /// Messages that were given.
    messages: Vec<Known>,
    /// One-shots that may have been sent: by name, creation, revision and due time.
    pub(super) handed: HashSet<(Arc<str>, u64, u32, Timestamp)>,
    /// One-shots that were deleted, or changed, before they were due: by name, creation and revision.
    gone: HashSet<(Arc<str>, u64, u32)>,
    /// How many were answered, created, refused, and answered again.
    pub(super) answered: usize,
    pub(super) created: usize,
    pub(super) refused: usize,
    pub(super) again: usize,
    /// How many that had finished went.
    pub(super) went: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Commands {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x0F0F_0F0F),
            last: 0,
            given: Vec::new(),
            disk: BTreeMap::new(),
            ever: HashMap::new(),
            highest: 0,
            log: Logging::default(),
            owners: HashMap::new(),
            messages: Vec::new(),
            handed: HashSet::new(),
            gone: HashSet::new(),
            answered: 0,
            created: 0,
            refused: 0,
            again: 0,
            went: 0,
            broken: None,
        }
    }

    pub(super) fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// A request that is given: its number. What must be answered is given where it is known.
    pub(super) fn give(
        &mut self,
        asked: Vec<Asked>,
        (message, atomic): (Option<Message>, bool),
        expected: Option<Vec<Wanted>>,
    ) -> u64 {
        self.last += 1;
        let command = self.last;
        let known = message.as_ref().and_then(|message| self.known(message));
        let floor = known.map_or(self.highest, |known| known.floor);
        let is_again = self.given_before(message.as_ref());
        self.given.push(Given { command, asked, message, atomic, expected, floor, is_again });
        command
    }

    fn given_before(&mut self, message: Option<&Message>) -> bool {
        let known = self.messages.iter_mut().find(|known| Some(&known.message) == message);
        known.is_some_and(|known| std::mem::replace(&mut known.given, true))
    }

    fn known(&self, message: &Message) -> Option<&Known> {
        self.messages.iter().find(|known| known.message == *message)
    }

    /// A message for what is asked.
    pub(super) fn name_message(&mut self, asked: &[Asked], atomic: bool) -> Message {
        let number = self.messages.len();
        let message = Message { id: format!("m{number}").into(), digest: [number as u8; 32] };
        let (asked, floor) = (asked.to_vec(), self.highest);
        self.messages.push(Known {
            message: message.clone(),
            asked,
            atomic,
            floor,
            given: false,
            answer: None,
        });
        message
    }

    /// A message that was given before, with what it asked for and what was answered, as far as it was.
    pub(super) fn earlier(&mut self) -> Option<Earlier> {
        let most = self.messages.len().min(6);
        let at = self.messages.len().checked_sub(1 + self.random.below(most as i64) as usize)?;
        let Known { message, atomic, asked, answer, .. } = self.messages.get(at)?;
        Some(((message.clone(), *atomic), asked.clone(), answer.clone()))
    }

    /// Nobody waits for an answer of a process that died.
    pub(super) fn restart(&mut self) {
        self.given.clear();
        self.log.restart();
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for revision in &commit.revisions {
            let key = (revision.name().into(), revision.number);
            self.highest = self.highest.max(revision.definition.creation());
            self.ever.entry(key.clone()).or_default().push(revision.clone());
            self.disk.insert(key, revision.clone());
        }
        for key in &commit.forgotten {
            self.disk.remove(key);
        }
        self.log.written(commit);
        for change in &commit.changes {
            if change.what == ChangeKind::Finished {
                self.went += 1;
                let before = change.before.as_ref().and_then(Version::definition);
                let due = before.and_then(|before| before.timing().after(change.at));
                if let Some(due) = due {
                    self.fail(format!("{} went as finished, and is due at {due}", change.name));
                }
            }
        }
    }

    /// On the disk stands what each of these tells of, and it is what it has to be. Gives what was put, and what was deleted,
    /// as far as that is known.
    pub(super) fn answer(&mut self, decided: Vec<(u64, Vec<Verdict>)>) -> Vec<Done> {
        let mut all = Vec::new();
        for (command, verdicts) in decided {
            let Some(at) = self.given.iter().position(|given| given.command == command) else {
                self.fail(format!("request {command} was answered twice"));
                continue;
            };
            let given = self.given.remove(at);
            self.answered += 1;
            if verdicts.len() != given.asked.len() {
                self.fail(format!("{given:?} was answered with {verdicts:?}"));
            }
            let is_again = self.compare_with_the_first(&given, &verdicts);
            self.check_all_or_nothing(&given, &verdicts);
            let matches = |expected: &Vec<Wanted>| {
                expected.iter().zip(&verdicts).all(|(expected, verdict)| expected.is(verdict))
            };
            if given.expected.as_ref().is_some_and(|expected| !matches(expected)) {
                self.fail(format!("{given:?} was answered with {verdicts:?}"));
            }
            for (asked, verdict) in given.asked.iter().zip(&verdicts) {
                self.check_verdict(&given, asked, verdict, is_again);
                if !is_again && verdict.is_change() {
                    let is_logged = self.log.tell(asked, given.message.as_ref(), verdict);
                    // What was given before a crash may have been done then.
                    if !is_logged && !given.is_again {
                        self.fail(format!("{given:?} was answered with {verdict:?} and is not logged"));
                    }
                    // Of what was given before a crash nobody knows when it was done.
                    let wanted = (!given.is_again).then(|| asked.wanted.clone());
                    all.push((asked.name, wanted));
                }
            }
        }
        all
    }

    /// A message that came again is answered as it was the first time. Whether this one did.
    fn compare_with_the_first(&mut self, given: &Given, verdicts: &[Verdict]) -> bool {
        let Some(message) = &given.message else { return false };
        let Some(known) = self.messages.iter_mut().find(|known| known.message == *message) else {
            return false;
        };
        let first = &mut known.answer;
        match first {
            None => {
                *first = Some(verdicts.to_vec());
                false
            }
            Some(first) if *first == verdicts => {
                self.again += 1;
                true
            }
            Some(first) => {
                let what = format!("{given:?} was answered with {first:?}, and then with {verdicts:?}");
                self.fail(what);
                true
            }
        }
    }

    /// All of it, or nothing; and no name twice.
    fn check_all_or_nothing(&mut self, given: &Given, verdicts: &[Verdict]) {
        let refused = |verdict: &&Verdict| matches!(verdict, Verdict::Refused(_));
        let count = verdicts.iter().filter(refused).count();
        if given.atomic && ![0, verdicts.len()].contains(&count) {
            self.fail(format!("half of {given:?} was made: {verdicts:?}"));
        }
        let is_twice = matches!(&given.asked[..], [one, other] if one.name == other.name);
        let says_so = verdicts.last() == Some(&Verdict::Refused(Refusal::Twice));
        let is_used = verdicts.last() == Some(&Verdict::Refused(Refusal::MessageIdUsed));
        if !is_used && says_so != (given.atomic && is_twice) {
            self.fail(format!("{given:?} was answered with {verdicts:?}"));
        }
    }

    fn check_verdict(&mut self, given: &Given, asked: &Asked, verdict: &Verdict, is_again: bool) {
        let key = |revision: u32| -> SpanKey { (asked.name.into(), revision) };
        let was = |this: &Self, revision: u32, is: &dyn Fn(&Revision) -> bool| {
            this.ever.get(&key(revision)).is_some_and(|ever| ever.iter().any(is))
        };
        let is_wanted = |creation: u64| {
            move |revision: &Revision| {
                let same = asked.wanted.as_ref().is_some_and(|wanted| {
                    // Newer data that says the same changes nothing.
                    revision.definition.means_the_same(wanted)
                        || !wanted.definition().zones.unwrap_or_default().is_empty()
                });
                same && revision.definition.creation() == creation
            }
        };
        let holds = match *verdict {
            Verdict::Created { creation, revision, .. } => {
                if !is_again {
                    self.created += 1;
                    self.owners.insert(creation, asked.owner);
                }
                if !is_again && creation <= given.floor {
                    self.fail(format!("{given:?}: the number of {verdict:?} was given before"));
                }
                was(self, revision, &is_wanted(creation))
            }
            Verdict::Changed { creation, revision, .. } => {
                if !is_again {
                    self.gone.insert((asked.name.into(), creation, revision - 1));
                }
                was(self, revision, &is_wanted(creation))
            }
            Verdict::Unchanged { creation, revision } => was(self, revision, &is_wanted(creation)),
            Verdict::Deleted { creation, revision, through } => {
                if !is_again {
                    self.gone.insert((asked.name.into(), creation, revision));
                }
                was(self, revision, &|one: &Revision| {
                    one.ended == Some(through) && one.definition.creation() == creation
                })
            }
            Verdict::GoneAlready => true,
            Verdict::Refused(_) => {
                self.refused += 1;
                true
            }
            // None of them is asked for so.
            Verdict::Paused { .. }
            | Verdict::Resumed { .. }
            | Verdict::Triggered { .. }
            | Verdict::Settled { .. } => false,
        };
        if !holds {
            self.fail(format!("{given:?} was answered with {verdict:?} and is not durable"));
        }
    }

    /// What is handed over is called for by what stands on the disk.
    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine) {
        let (name, number, due) = (&handover.schedule.name, handover.era.number, handover.stands_for.last);
        let kept = self.disk.get(&(name.clone(), number));
        let is_its = |revision: &Revision| {
            revision.definition.creation() == handover.schedule.creation
                && revision.ended.is_none_or(|ended| due <= ended)
        };
        if !kept.is_some_and(is_its) {
            self.fail(format!("{name} of {due} was sent before its revision {number} was durable"));
        }
        if handover.schedule.timing.is_one_shot() {
            let of = (name.clone(), handover.schedule.creation, number);
            self.handed.insert((of.0.clone(), of.1, of.2, due));
            let is_released = engine
                .parked()
                .values()
                .any(|parked| parked.released && parked.schedule == *name && parked.revision == number);
            if self.gone.contains(&of) && !is_released {
                self.fail(format!("{name} of {due} was sent after its revision {number} was deleted"));
            }
        }
    }

    /// Nothing became of these.
    pub(super) fn refuse(&mut self, commands: &[u64]) {
        self.given.retain(|given| !commands.contains(&given.command));
    }

    /// All revisions that ever were durable, as they were last: by name, creation and number.
    pub(super) fn all_revisions(&self) -> Vec<Revision> {
        let mut all = BTreeMap::new();
        for revision in self.ever.values().flatten() {
            all.insert((revision.name(), revision.definition.creation(), revision.number), revision);
        }
        all.into_values().cloned().collect()
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.given.is_empty()
    }

    /// In the end every command was answered.
    pub(super) fn finish(&mut self) {
        if let Some(given) = self.given.first() {
            let what = format!("{given:?} was never answered");
            self.fail(what);
        }
        if let Some(untold) = self.log.untold() {
            let what = format!("{untold:?} is logged, and nobody was told of it");
            self.fail(what);
        }
    }
}
