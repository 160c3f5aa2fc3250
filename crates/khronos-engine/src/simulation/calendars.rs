//! Calendars that are put, changed and deleted in the simulated world, and two schedules of one owner that name one. What must be
//! answered is worked out from what is there when it is asked for; what was answered lies on the disk; what runs names a calendar
//! that is there; and in the end it is due by what that says now.

use super::{random::Random, world::World};
use crate::{
    Author, ChangeRequest, Commit, CreatedCalendar, Engine, Expect, Input, Refusal, Revision, ScheduleChange,
    Verdict, WantedCalendar,
};
use khronos_schedule::{CalendarForm, CalendarText, Calendars, Definition, Packed, ZoneData};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Numbers of commands of others are lower.
pub(super) const COMMANDS: u64 = 1 << 36;
/// Whose these things are.
pub(super) const OWNERS: [&str; 2] = ["carl", "dora"];
const CALENDAR: &str = "off";
const SCHEDULES: [&str; 2] = ["x", "y"];

/// What is asked for.
#[derive(Debug, Clone)]
enum Asked {
    Calendar(Option<CalendarText>),
    Schedule(&'static str, bool),
}

#[derive(Debug)]
struct Given {
    command: u64,
    asked: Asked,
    /// What must be answered, where that is known.
    expected: Option<Verdict>,
}

pub(super) struct Calendaring {
    /// Of its own, so that a seed without calendars goes on as it did.
    random: Random,
    /// Whether anything happens here.
    active: bool,
    last: u64,
    given: Vec<Given>,
    /// What a schedule may name now.
    pub(super) named: Option<Calendars>,
    /// The calendar and the revisions as they are durable, and creation and revision of all calendars that ever were.
    disk: Option<Arc<CreatedCalendar>>,
    ever: HashSet<(u64, u32)>,
    running: BTreeMap<Arc<str>, Revision>,
    /// How many changes of calendars were answered, and how many were refused for schedules use them.
    pub(super) changed: usize,
    pub(super) in_use: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Calendaring {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0xCA1E_CA1E),
            active: seed % 4 == 1,
            last: COMMANDS,
            given: Vec::new(),
            named: None,
            disk: None,
            ever: HashSet::new(),
            running: BTreeMap::new(),
            changed: 0,
            in_use: 0,
            broken: None,
        }
    }

    fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    pub(super) fn restart(&mut self) {
        self.given.clear();
        self.named = None;
    }

    /// What was found is what lies there.
    pub(super) fn compare(&mut self, engine: &Engine) {
        if engine.created_calendar(CALENDAR) != self.disk.as_ref() {
            let what = format!("a restart found {:?}", engine.created_calendar(CALENDAR));
            self.fail(format!("{what}, and not {:?}", self.disk));
        }
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for (_, calendar) in &commit.calendars {
            self.disk.clone_from(calendar);
            self.ever.extend(calendar.as_ref().map(|one| (one.created.number, one.revision)));
        }
        for revision in commit.revisions.iter().filter(|one| SCHEDULES.contains(&one.name())) {
            self.running.remove(revision.name());
            if revision.ended.is_none() {
                self.running.insert(revision.name().into(), revision.clone());
            }
        }
        if self.disk.is_none() && !self.running.is_empty() {
            self.fail(format!("{:?} name a calendar that is gone", self.running.keys()));
        }
    }

    /// What is durable, and what must have been answered.
    pub(super) fn answer(&mut self, decided: Vec<(u64, Vec<Verdict>)>) {
        for (command, verdicts) in decided {
            let Some(at) = self.given.iter().position(|given| given.command == command) else {
                self.fail(format!("request {command} was answered twice"));
                continue;
            };
            let given = self.given.remove(at);
            let verdict = verdicts.into_iter().next().unwrap_or(Verdict::GoneAlready);
            if given.expected.as_ref().is_some_and(|expected| !is(expected, &verdict)) {
                self.fail(format!("{given:?} was answered with {verdict:?}"));
            }
            if matches!(given.asked, Asked::Calendar(_)) {
                self.check(&given, &verdict);
            }
        }
    }

    fn check(&mut self, given: &Given, verdict: &Verdict) {
        let there = self.disk.as_ref().map(|one| one.created.number);
        let is_durable = match *verdict {
            Verdict::Created { creation, revision, .. }
            | Verdict::Changed { creation, revision, .. }
            | Verdict::Unchanged { creation, revision } => self.ever.contains(&(creation, revision)),
            Verdict::Deleted { creation, .. } => there != Some(creation),
            _ => true,
        };
        // Another change of the same write may have taken its place.
        let is_replaced = self.given.iter().any(|later| matches!(later.asked, Asked::Calendar(_)));
        if !is_durable && !is_replaced {
            self.fail(format!("{given:?} was answered with {verdict:?} and is not durable"));
        }
        self.changed += usize::from(verdict.is_change());
        self.in_use += usize::from(matches!(verdict, Verdict::Refused(Refusal::InUse { .. })));
    }

    /// Nothing became of these.
    pub(super) fn refuse(&mut self, commands: &[u64]) {
        self.given.retain(|given| !commands.contains(&given.command));
    }

    pub(super) fn all_are_answered(&self) -> bool {
        self.given.is_empty()
    }

    /// In the end what runs is due by what the calendar says.
    pub(super) fn finish(&mut self, engine: &Engine) {
        self.compare(engine);
        for name in SCHEDULES {
            let Some(running) = engine.running(name).map(|running| running.revision.definition) else {
                continue;
            };
            let read = self.named.as_ref().and_then(|named| packed(named, name));
            if read.is_none_or(|read| !running.means_the_same(&read)) {
                self.fail(format!("{name} runs by another calendar than there is: {running:?}"));
            }
        }
    }

    fn invent(&mut self, wall: i64) -> Asked {
        match self.random.below(10) {
            0..4 => {
                let day = wall.div_euclid(86_400_000) + self.random.below(3);
                let date = Timestamp::from_millis(day * 86_400_000).to_string();
                let text = format!("dates = [\"{}\"]", date.split('T').next().unwrap_or_default()).into();
                Asked::Calendar(Some(CalendarText { form: CalendarForm::Toml, text }))
            }
            4 | 5 => Asked::Calendar(None),
            one => {
                let schedule = *self.random.pick(&SCHEDULES);
                Asked::Schedule(schedule, one > 6)
            }
        }
    }
}

fn is(expected: &Verdict, verdict: &Verdict) -> bool {
    match (expected, verdict) {
        (Verdict::Created { .. }, Verdict::Created { .. })
        | (Verdict::Refused(Refusal::InUse { .. }), Verdict::Refused(Refusal::InUse { .. })) => true,
        (
            Verdict::Changed { creation, revision, .. },
            Verdict::Changed { creation: other, revision: number, .. },
        )
        | (
            Verdict::Deleted { creation, revision, .. },
            Verdict::Deleted { creation: other, revision: number, .. },
        ) => (creation, revision) == (other, number),
        (expected, verdict) => expected == verdict,
    }
}

/// A schedule that names the calendar, read with these.
fn packed(named: &Calendars, name: &str) -> Option<Packed> {
    let mut definition = Definition {
        name: name.into(),
        event: Some(format!("test.{name}.happened")),
        every: Some("3s".into()),
        exclude: Some(vec![CALENDAR.into()]),
        ..Definition::default()
    };
    named.pin(&mut definition).ok()?;
    Packed::build_with(&definition, named.store()).ok()
}

impl World {
    /// Somebody puts or deletes the calendar, or one of the schedules that name it.
    pub(super) fn change_calendars(&mut self) {
        if !self.calendaring.active || !self.calendaring.random.chance(30) {
            return;
        }
        let asked = self.calendaring.invent(self.wall);
        let owner = *self.calendaring.random.pick(&[OWNERS[0], OWNERS[0], OWNERS[1]]);
        // Whether the clock is believed now.
        self.step(Input::Tick);
        let change = match &asked {
            Asked::Calendar(text) => {
                let read = |text: &CalendarText| {
                    let (calendar, _) = text.read(CALENDAR, &ZoneData::bundled()).expect("it is valid");
                    Box::new(WantedCalendar { text: text.clone(), calendar })
                };
                let wanted = text.as_ref().map(read);
                ScheduleChange::Calendar { name: CALENDAR.into(), wanted, expect: Expect::Any }
            }
            Asked::Schedule(name, true) => {
                let Some(named) = &self.calendaring.named else { return };
                let Some(definition) = packed(named, name) else { return };
                ScheduleChange::Put { definition, expect: Expect::Any }
            }
            Asked::Schedule(name, false) => {
                ScheduleChange::Delete { name: (*name).into(), expect: Expect::Any }
            }
        };
        let at_once = self.engine.changes.is_idle() && !self.engine.full().of_changes;
        let clear = self.engine.is_steady() && at_once && self.calendaring.given.is_empty();
        let expected = match &asked {
            Asked::Calendar(wanted) if clear => Some(self.expected(wanted.as_ref(), owner)),
            _ => None,
        };
        self.calendaring.last += 1;
        let command = self.calendaring.last;
        self.calendaring.given.push(Given { command, asked, expected });
        let by = Author::owner(owner, "sim");
        let request = ChangeRequest { command, by, message: None, atomic: false, changes: vec![change] };
        self.step(Input::Change(Box::new(request)));
    }

    /// What must become of a change of the calendar.
    fn expected(&self, wanted: Option<&CalendarText>, owner: &str) -> Verdict {
        let now = self.engine.now();
        let Some(there) = self.engine.created_calendar(CALENDAR) else {
            return match wanted {
                Some(_) => Verdict::Created { creation: 0, revision: 1, since: now },
                None => Verdict::GoneAlready,
            };
        };
        let (creation, revision) = (there.created.number, there.revision);
        if there.created.owner != owner {
            return Verdict::Refused(Refusal::NotOwner { owner: there.created.owner.as_str().into() });
        }
        let uses = |name: &&str| {
            let running = self.engine.running(name).map(|running| running.revision.definition);
            running.is_some_and(|running| running.calendar_names().any(|name| **name == *CALENDAR))
        };
        match wanted {
            Some(wanted) if *wanted == there.text => Verdict::Unchanged { creation, revision },
            Some(_) => Verdict::Changed { creation, revision: revision + 1, since: now },
            None if SCHEDULES.iter().any(uses) => {
                Verdict::Refused(Refusal::InUse { first: Vec::new(), count: 0 })
            }
            None => Verdict::Deleted { creation, revision, through: now },
        }
    }
}
