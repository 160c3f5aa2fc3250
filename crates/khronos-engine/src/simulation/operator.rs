//! What the operator of the simulated world thinks of.

use super::{
    commands::{Asked, Done},
    logging::DOOR,
    parking::Parking,
    random::Random,
    verdicts::Wanted,
    world::World,
};
use crate::{Author, ChangeRequest, Expect, Input, Message, ReadCalendars, Refusal, ScheduleChange, Verdict};
use khronos_schedule::{CatchUpDefinition, Definition, Packed, TimingDefinition};
use ponos_event::Timestamp;
use std::sync::Arc;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

impl World {
    /// Changes, adds or removes one schedule, by the files or by a command.
    pub(super) fn change_schedules(&mut self) {
        let name = *self.random.pick(&NAMES);
        let wanted = if self.random.chance(25) {
            None
        } else if self.random.chance(40)
            && let Some(mut definition) = self.wanted(name).cloned()
        {
            definition.data = Some(self.random.below(1_000).into());
            (definition.zones, definition.created) = (None, None);
            Some(definition)
        } else {
            Some(self.invent(name))
        };
        let by_files = self.random.chance(50);
        if by_files {
            match wanted {
                Some(wanted) => drop(self.files.insert(name, wanted)),
                None => drop(self.files.remove(name)),
            }
            return self.load();
        }
        let is_reserved = self.commands.random.chance(4);
        let wanted = wanted.map(|mut wanted| {
            if is_reserved {
                wanted.event = Some(format!("time.{name}.passed"));
            }
            self.zones.packed(&wanted)
        });
        self.ask(name, wanted);
    }

    /// Asks for a change of one name, or of several; sometimes as a message, which may come again.
    fn ask(&mut self, name: &'static str, wanted: Option<Packed>) {
        let random = &mut self.commands.random;
        let owner = *random.pick(&["ann", "ann", "ann", "bob"]);
        let (is_admin, is_narrow) = (random.chance(40), random.chance(15));
        let expect = match random.below(10) {
            0 => Expect::Absent,
            1 | 2 => {
                let number = 1 + random.below(3) as u32;
                let there = self.engine.running(name).map(|there| there.revision.definition.creation());
                let creation = there.unwrap_or(1).saturating_sub(u64::from(random.chance(20)));
                Expect::Revision { creation, number }
            }
            _ => Expect::Any,
        };
        let (is_message, atomic) = (random.chance(50), random.chance(50));
        let mut asked = vec![Asked { name, wanted, expect, owner, is_admin, is_narrow }];
        if random.chance(20) {
            let other = *random.pick(&NAMES);
            let wanted = Some(self.invent(other)).filter(|_| self.random.chance(70));
            let wanted = wanted.map(|wanted| self.zones.packed(&wanted));
            asked.push(Asked { name: other, wanted, expect: Expect::Any, owner, is_admin, is_narrow });
        }
        let message = is_message.then(|| self.commands.name_message(&asked, atomic));
        self.request(asked, message, atomic, None);
    }

    /// Somebody does not want a one-shot any more that is about to be due, or is on its way.
    fn delete_what_is_due(&mut self) {
        if !self.commands.random.chance(30) {
            return;
        }
        let soon = self.engine.now().plus(200);
        let is_due = |name: &&&str| {
            let runs = self.engine.running(name).filter(|runs| !runs.finished);
            runs.is_some_and(|runs| {
                let one_shot =
                    runs.revision.definition.is_created() && runs.revision.definition.is_one_shot();
                let due = runs.in_flight.or(runs.next);
                one_shot && (!runs.outstanding.is_empty() || due.is_some_and(|due| due <= soon))
            })
        };
        if let Some(name) = NAMES.iter().find(is_due).copied() {
            let (expect, owner, is_admin, is_narrow) = (Expect::Any, "ann", true, false);
            let asked = Asked { name, wanted: None, expect, owner, is_admin, is_narrow };
            self.request(vec![asked], None, false, None);
        }
    }

    /// A message comes again, whatever happened since; or something else under its id.
    pub(super) fn ask_again(&mut self) {
        self.delete_what_is_due();
        if !self.commands.random.chance(15) {
            return;
        }
        let Some(((message, atomic), asked, answer)) = self.commands.earlier() else { return };
        if self.commands.random.chance(20)
            && let Some(answer) = &answer
        {
            let other = Message { digest: [255; 32], ..message };
            let refused = Wanted::Exactly(Verdict::Refused(Refusal::MessageIdUsed));
            return self.request(asked, Some(other), false, Some(vec![refused; answer.len()]));
        }
        let expected = answer.map(|answer| answer.into_iter().map(Wanted::Exactly).collect());
        // What it was the first time is not known here: nobody expects anything else.
        self.request(asked, Some(message), atomic, expected.or(Some(Vec::new())));
    }

    fn request(
        &mut self,
        asked: Vec<Asked>,
        message: Option<Message>,
        atomic: bool,
        expected: Option<Vec<Wanted>>,
    ) {
        // Whether the clock is believed now.
        self.step(Input::Tick);
        let at_once = self.engine.changes.is_idle() && !self.engine.full().of_changes;
        let clear = self.engine.is_steady() && at_once && self.commands.all_are_answered();
        let now = self.engine.now();
        let expected = expected.or_else(|| {
            let one = asked.first().filter(|_| clear && asked.len() == 1)?;
            let runs = self.engine.running(one.name);
            let is_parked = self.engine.parked().values().any(|parked| *parked.schedule == *one.name);
            let of_files = self.files.contains_key(one.name);
            let wanted = self.commands.expect(one, (runs.as_ref(), is_parked, of_files), now)?;
            Some(vec![self.held_to_limits(one, wanted)])
        });
        let by = asked.first().map_or(Author::admin("ann", DOOR), |one| Author {
            is_admin: one.is_admin,
            ..Author::admin(one.owner, DOOR)
        });
        let by = match asked.first().cloned() {
            Some(one) => Author { covers: Arc::new(move |event| one.covers(event)), ..by },
            None => by,
        };
        let changes = asked.iter().map(|one| match one.wanted.clone() {
            Some(definition) => ScheduleChange::Put { definition, expect: one.expect },
            None => ScheduleChange::Delete { name: one.name.into(), expect: one.expect },
        });
        let changes = changes.collect();
        let command = self.commands.give(asked, (message.clone(), atomic), expected);
        self.step(Input::Change(Box::new(ChangeRequest { command, by, message, atomic, changes })));
    }

    /// Now and then there is another release.
    pub(super) fn change_zone_data(&mut self) {
        if self.zones.turn() {
            self.load();
        }
    }

    /// A schedule that suits the moment.
    pub(super) fn invent(&mut self, name: &str) -> Definition {
        let mut definition = definition(&mut self.random, self.wall, name);
        self.parking.furnish(&mut definition);
        self.zones.furnish(&mut definition);
        definition
    }

    /// Something that is wanted of a name, or was.
    fn wanted(&self, name: &str) -> Option<&Definition> {
        self.put.get(name).or_else(|| self.files.get(name))
    }

    pub(super) fn load(&mut self) {
        let (files, anew) = (self.zones.calendars(), Vec::new());
        self.step(Input::Calendars(ReadCalendars { files, anew }));
        let wanted = self.files.values().map(|wanted| self.zones.packed(wanted)).collect();
        self.step(Input::Load(wanted));
    }

    /// The process died: what was put is what the disk has.
    pub(super) fn find_put(&mut self) {
        self.put.clear();
        NAMES.into_iter().for_each(|name| self.find_one(name));
    }

    fn find_one(&mut self, name: &'static str) {
        let running = self.engine.running(name).map(|running| running.revision);
        match running.filter(|revision| revision.definition.is_created()) {
            Some(revision) => drop(self.put.insert(name, revision.definition.definition())),
            None => drop(self.put.remove(name)),
        }
    }

    /// What was answered is what is wanted from now on.
    pub(super) fn note_put(&mut self, decided: Vec<(u64, Vec<Verdict>)>) {
        let done: Vec<Done> = self.commands.answer(decided);
        for (name, wanted) in done {
            match wanted {
                Some(Some(wanted)) => drop(self.put.insert(name, wanted.definition())),
                Some(None) => drop(self.put.remove(name)),
                None => self.find_one(name),
            }
        }
    }

    /// Whatever the files said since, what was put runs; but what had finished may have gone.
    pub(super) fn check_put(&mut self) {
        for (name, definition) in &self.put {
            let running = self.engine.running(name).map(|running| running.revision.definition);
            let wanted = self.zones.packed(definition);
            // A file may have the name since.
            let went = running.as_ref().is_none_or(|running| !running.is_created());
            if went && wanted.timing().last().is_some() && self.rules.keep_finished < 1_000_000 {
                continue;
            }
            // Its zones are looked at apart.
            let has_zones = wanted.zone_rules().next().is_some();
            if running.is_none_or(|running| !has_zones && !running.means_the_same(&wanted)) {
                let runs = self.engine.running(name);
                let what = format!("{name} was put as {wanted:?}, and does not run as it was: {runs:?}");
                self.commands.broken.get_or_insert(what);
            }
        }
    }

    /// What the files want runs in the end, where nobody created another one of its name.
    pub(super) fn check_files(&mut self) {
        for (name, definition) in &self.files {
            let running = self.engine.running(name).map(|running| running.revision.definition);
            let wanted = self.zones.packed(definition);
            let has_zones = wanted.zone_rules().next().is_some();
            let is_wanted = |runs: &Packed| runs.is_created() || has_zones || runs.means_the_same(&wanted);
            let runs = running.as_ref().is_some_and(is_wanted);
            if !runs {
                self.commands.fail(format!("the files want {wanted:?}, and {running:?} runs"));
            }
        }
    }

    /// Most of a life of luck the clock is not believed, for it was set or slept, and nothing is sent. So for a while
    /// nothing but queues and crashes is bad luck, and people leave most to the clock.
    pub(super) fn be_steady(&mut self, turns: i64) {
        if self.ceilings.is_undisturbed() {
            return;
        }
        self.link_up();
        self.pass(self.rules.clock.settle);
        for _ in 0..turns {
            match self.random.below(100) {
                0..50 => {
                    let wake = self.engine.next_wakeup().map_or(500, |at| at.millis() - self.wall);
                    self.pass(wake.clamp(0, 2_000));
                }
                50..99 => self.serve_some(),
                _ => self.crash(),
            }
            if self.random.chance(30)
                && let Some(decision) = self.parking.turn(&self.engine)
            {
                self.decide(decision);
            }
        }
    }

    /// The machine sleeps: both clocks go on.
    pub(super) fn sleep(&mut self) {
        let nap = *self.random.pick(&[40_000, 200_000, 600_000]);
        self.pass(nap);
    }

    pub(super) fn step_clock(&mut self) {
        let by = *self.random.pick(&[-20_000, -1_000, 2_000, 45_000, 900_000, -400_000]);
        self.wall += by;
        self.step(Input::Tick);
    }

    pub(super) fn decide_parked(&mut self) {
        let numbers: Vec<u64> = self.engine.parked().keys().copied().collect();
        let input = if self.random.chance(50) { Input::Release(numbers) } else { Input::Drop(numbers) };
        self.decide(input);
    }

    pub(super) fn decide(&mut self, decision: Input) {
        let before = Parking::on_their_way(&self.engine, &self.unanswered);
        self.step(decision);
        self.parking.compare(&before, &self.engine);
    }
}

/// A schedule that suits the moment `wall`.
pub(super) fn definition(random: &mut Random, wall: i64, name: &str) -> Definition {
    let policy = *random.pick(&["latest", "all", "none"]);
    let catch_up = CatchUpDefinition {
        policy: Some(policy.into()),
        grace: Some((*random.pick(&["1s", "30s"])).into()),
        within: random.chance(20).then(|| "150s".into()),
        most: Some(5),
    };
    let mut definition = Definition {
        name: name.into(),
        event: Some(format!("test.{name}.happened")),
        catch_up: Some(catch_up),
        ..Definition::default()
    };
    match random.below(10) {
        0..6 => definition.every = Some((*random.pick(&["500ms", "900ms", "3s", "50s"])).into()),
        6 => {
            let every = |every: &str| TimingDefinition { every: Some(every.into()), ..Default::default() };
            definition.timings = Some(vec![every("2s"), every("7s")]);
        }
        7 => definition.cron = Some((*random.pick(&["*/2 * * * * *", "*/3 * * * *"])).into()),
        _ => {
            definition.at = Some(Timestamp::from_millis(wall + random.below(20_000)).to_string());
            definition.past = Some("send".into());
        }
    }
    if random.chance(35) {
        let interval = definition.every.as_deref().or(definition.cron.as_deref());
        let jitter = match interval {
            Some("500ms" | "900ms") => "450ms",
            Some("3s") => "2900ms",
            Some("50s") => "40s",
            Some("*/3 * * * *") => "100s",
            _ => "900ms",
        };
        definition.jitter = Some(jitter.into());
    }
    if definition.at.is_none() && random.chance(15) {
        definition.limit = Some(*random.pick(&[3, 12, 40]));
    }
    if random.chance(10) {
        definition.paused = Some(true);
    }
    definition
}
