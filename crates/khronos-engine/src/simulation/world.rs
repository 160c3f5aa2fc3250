//! The world around the engine: two clocks, a disk, a broker, an operator, and bad luck.

mod crashing;

use super::{
    auditing::Auditing,
    backfilling::{self, Backfilling},
    boundary::{Boundary, BoundaryFault},
    calendars::{self, Calendaring},
    ceilings::Ceilings,
    commands::Commands,
    evidence::{Arrival, Evidence},
    limits,
    parking::Parking,
    pausing::Pausing,
    random::Random,
    recording::Recording,
    rendering::Rendering,
    reservation::Reservation,
    serving::send_time,
    triggering::{self, Triggering},
    zones::Zones,
};
use crate::{
    Action, ClockRules, Commit, Engine, Handover, Input, Notice, Reading, RecordRow, Revision, Rules,
    Snapshot,
    store::{Limits, Memory, MemoryStore, Store},
    warm::tests::Followed,
};
use khronos_schedule::Definition;
use ponos_event::{EventKind, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// 2026-03-01T00:00:00Z, give or take the seed.
const START: i64 = 1_772_323_200_000;
pub(super) const IN_FLIGHT: usize = 4;

pub(super) struct World {
    pub(super) random: Random,
    pub(super) wall: i64,
    pub(super) boot: i64,
    pub(super) highest: Timestamp,
    pub(super) era: u32,
    pub(super) engine: Engine,
    pub(super) followed: Followed,
    boundary: Boundary,
    pub(super) rules: Rules,
    memory: Memory,
    pub(super) store: MemoryStore,
    /// What was durable in the end.
    pub(super) disk: Snapshot,
    ever: Vec<Revision>,
    pub(super) record: Vec<RecordRow>,
    pub(super) saving: Option<(u64, Commit)>,
    pub(super) recording: Recording,
    pub(super) unanswered: Vec<Handover>,
    /// In which era each was handed over.
    pub(super) eras: HashMap<u64, u32>,
    pub(super) rendering: Rendering,
    pub(super) parking: Parking,
    pub(super) pausing: Pausing,
    pub(super) triggering: Triggering,
    pub(super) backfilling: Backfilling,
    pub(super) zones: Zones,
    pub(super) auditing: Auditing,
    pub(super) reservation: Reservation,
    pub(super) commands: Commands,
    pub(super) calendaring: Calendaring,
    pub(super) ceilings: Ceilings,
    pub(super) arrivals: Vec<Arrival>,
    /// A name of the files has become free.
    pub(super) reads_again: bool,
    pub(super) link: bool,
    held_link: bool,
    /// By the files, and by commands.
    pub(super) files: BTreeMap<&'static str, Definition>,
    pub(super) put: BTreeMap<&'static str, Definition>,
    /// Faults stop towards the end, so that everything can settle.
    pub(super) calm: bool,
    pub(super) most_in_flight: usize,
    pub(super) early: Option<String>,
}

impl World {
    /// `ceilings`: it may be one with rate ceilings.
    pub(super) fn new(seed: u64, fault: Option<BoundaryFault>, ceilings: bool) -> Self {
        let mut random = Random::new(seed);
        let wall = START + random.below(86_400_000);
        let resume_backward = Random::new(seed ^ 0x3C3C_3C3C).chance(30);
        let clock =
            ClockRules { settle: 60_000, max_forward: 60_000, max_backward: 300_000, resume_backward };
        let (piece, record_first) = (*random.pick(&[1, 1, 2, 100]), random.chance(25));
        let mut parking = Parking::new(seed);
        let (parked, resends) = (parking.limit(), parking.resends());
        let keep_finished = *Random::new(seed ^ 0x7777).pick(&[0, 20_000, 86_400_000]);
        let (in_flight, demand) = (IN_FLIGHT, limits::of(seed));
        let rules = Rules { clock, resends, in_flight, piece, parked, record_first, keep_finished, demand };
        let reading = Reading { wall: Timestamp::from_millis(wall), boot: 0 };
        let ceilings = Ceilings::new(seed, ceilings);
        let engine = Engine::start(rules, Snapshot::default(), reading).below(ceilings.all());
        let memory = Memory::default();
        let store = open(&memory);
        let mut world = Self {
            random,
            wall,
            boot: 0,
            highest: reading.wall,
            era: 0,
            engine,
            followed: Followed::default(),
            boundary: Boundary::new(fault),
            rules,
            memory,
            store,
            disk: Snapshot::default(),
            ever: Vec::new(),
            record: Vec::new(),
            saving: None,
            recording: Recording::default(),
            unanswered: Vec::new(),
            eras: HashMap::new(),
            rendering: Rendering::new(seed),
            parking,
            pausing: Pausing::new(seed),
            triggering: Triggering::new(seed),
            backfilling: Backfilling::new(seed),
            zones: Zones::new(seed),
            auditing: Auditing::new(seed),
            reservation: Reservation::new(reading.wall, seed),
            commands: Commands::new(seed),
            calendaring: Calendaring::new(seed),
            calm: ceilings.is_undisturbed(),
            ceilings,
            arrivals: Vec::new(),
            reads_again: false,
            link: false,
            held_link: false,
            files: BTreeMap::new(),
            put: BTreeMap::new(),
            most_in_flight: 0,
            early: None,
        };
        for name in ["a", "b", "c", "d", "e"] {
            if world.random.chance(70) {
                let definition = world.invent(name);
                world.files.insert(name, definition);
            }
        }
        world.load();
        world.link = true;
        world.step(Input::Link(true));
        world
    }

    /// A life of a few dozen events of luck, then calm until all is settled.
    pub(super) fn live(&mut self) {
        let turns = 40 + self.random.below(80);
        let turns = self.pass_undisturbed(turns);
        for _ in 0..turns {
            self.turn();
            self.change_zone_data();
            self.ask_again();
            self.change_calendars();
            self.change_pauses();
            self.trigger();
            self.operate();
            self.reserve_for_delayed();
            self.delayed_take_their_turns();
            if let Some(decision) = self.parking.turn(&self.engine) {
                self.decide(decision);
            }
            if let Some(command) = self.auditing.turn(&self.engine, self.store.written().last_sequence) {
                self.step(Input::Write { command });
            }
        }
        self.be_steady(turns);
        self.lift_ceilings();
        self.calm = true;
        self.end_pauses();
        self.link_up();
        for _ in 0..400 {
            self.pass(self.beat());
            self.serve();
            if self.is_quiet() {
                break;
            }
        }
        self.zones.check(&self.engine, (&self.files, &self.put), self.wall);
        self.check_files();
        self.step(Input::Drain);
        self.serve();
        self.step(Input::Flush);
        self.serve();
        self.check_put();
        self.record = self.store.read(0, usize::MAX).expect("it can be read").rows;
        self.disk = self.store.load().expect("it can be read");
        self.ever = self.commands.all_revisions();
        self.auditing.finish(&self.record);
        self.calendaring.finish(&self.engine);
        self.commands.finish();
    }

    pub(super) fn link_up(&mut self) {
        self.held_link = false;
        if !self.link {
            self.link = true;
            self.step(Input::Link(true));
        }
    }

    fn is_quiet(&self) -> bool {
        self.engine.outstanding() == 0
            && self.unanswered.is_empty()
            && self.commands.all_are_answered()
            && self.calendaring.all_are_answered()
            && self.pausing.all_are_answered()
            && self.triggering.all_are_answered()
            && self.backfilling.is_quiet(&self.engine)
            && self.engine.parked().values().all(|parked| parked.retry_at.is_none())
    }

    fn turn(&mut self) {
        match self.random.below(100) {
            0..45 => {
                let wake = self.engine.next_wakeup().map_or(500, |at| at.millis() - self.wall);
                let late = if self.random.chance(70) { 0 } else { self.random.below(400) };
                self.pass(wake.clamp(0, 2_000) + late);
            }
            45..75 => self.serve_some(),
            75..80 => self.crash(),
            80..85 => {
                self.link = !self.link;
                self.held_link = !self.link;
                if !self.link {
                    self.lose_all();
                }
                self.step(Input::Link(self.link));
            }
            85..90 => self.change_schedules(),
            90..92 => self.sleep(),
            92..94 => self.step_clock(),
            94..96 => self.decide_parked(),
            _ => {
                let pause = self.random.below(5_000);
                self.pass(pause);
            }
        }
    }

    pub(super) fn pass(&mut self, millis: i64) {
        self.wall += millis;
        self.boot += millis;
        self.step(Input::Tick);
    }

    fn reading(&mut self) -> Reading {
        self.boundary.reading(Reading { wall: Timestamp::from_millis(self.wall), boot: self.boot })
    }

    pub(super) fn step(&mut self, input: Input) {
        self.highest = self.highest.max(Timestamp::from_millis(self.wall));
        let (reading, input) = (self.reading(), self.boundary.input(input));
        let actions = self.engine.step(reading, input);
        self.most_in_flight = self.most_in_flight.max(self.engine.in_flight());
        for action in self.boundary.actions(actions, &self.engine) {
            match action {
                Action::Save { ticket, commit } => {
                    assert!(self.saving.is_none(), "two writes at once");
                    self.recording.save(&commit);
                    self.saving = Some((ticket, *commit));
                    self.reservation.begin_write();
                }
                Action::Publish(handovers) => {
                    for handover in &handovers {
                        self.ceilings.check_handover(handover, self.boot);
                        self.eras.insert(handover.token, self.era);
                        self.pausing.check_handover(handover, &self.engine);
                        if handover.kind != EventKind::Occurrence {
                            self.triggering.check_handover(handover);
                            self.backfilling.check_handover(handover);
                            continue;
                        }
                        self.rendering.compare(handover);
                        self.parking.check_handover(handover, &self.engine, self.highest);
                        self.commands.check_handover(handover, &self.engine);
                        self.reservation.check(&handover.schedule.name, send_time(handover));
                        if send_time(handover) > self.highest || handover.lateness < 0 {
                            self.early =
                                Some(format!("{} of {}", handover.schedule.name, handover.stands_for.last));
                        }
                    }
                    self.unanswered.extend(handovers);
                }
                Action::Durable(commands) => {
                    if self.auditing.is_answered(&commands) {
                        while self.recording.write_one(&mut self.store) {}
                        let record = self.store.read(0, usize::MAX).expect("it can be read").rows;
                        self.auditing.read(&record);
                    }
                    let (operations, commands): (Vec<u64>, Vec<u64>) =
                        commands.into_iter().partition(|command| *command > backfilling::COMMANDS);
                    self.backfilling.answer(&operations);
                    self.pausing.answer(&commands, &self.engine);
                }
                Action::Calendars { named, .. } => self.calendaring.named = named,
                Action::Decided(decided) => {
                    let (calendars, decided): (Vec<_>, Vec<_>) =
                        decided.into_iter().partition(|(command, _)| *command > calendars::COMMANDS);
                    self.calendaring.answer(calendars);
                    let (refused, decided): (Vec<_>, Vec<_>) =
                        decided.into_iter().partition(|(command, _)| *command > triggering::COMMANDS);
                    let refused: Vec<u64> = refused.into_iter().map(|(command, _)| command).collect();
                    self.triggering.refuse(&refused);
                    self.note_put(decided);
                }
                Action::Record { rows, complete } => self.recording.append(rows, complete),
                Action::Notice(Notice::ClockResumed { now, .. }) => {
                    self.era += 1;
                    self.reservation.set_back(now);
                    self.parking.set_back(now, &self.engine);
                    self.pausing.set_back(now, self.era);
                }
                Action::Triggered(answers) => self.triggering.answer(&answers),
                Action::TooManyPauses(commands) => self.pausing.leave_out(&commands),
                Action::TooMany(commands) => {
                    self.calendaring.refuse(&commands);
                    let (operations, commands): (Vec<u64>, Vec<u64>) =
                        commands.into_iter().partition(|command| *command > backfilling::COMMANDS);
                    self.backfilling.refuse(&operations);
                    let (triggers, pauses): (Vec<u64>, Vec<u64>) =
                        commands.into_iter().partition(|command| *command > triggering::COMMANDS);
                    self.triggering.refuse(&triggers);
                    self.pausing.refuse(&pauses);
                }
                Action::Declined(declined) => {
                    let commands: Vec<u64> = declined.into_iter().map(|(command, _)| command).collect();
                    self.backfilling.refuse(&commands);
                    self.triggering.refuse(&commands);
                }
                Action::TooManyMessages(commands) => self.commands.refuse(&commands),
                Action::Unread(commands) => self.commands.fail(format!("{commands:?}: files were read")),
                Action::Notice(Notice::NameFree { .. }) => self.reads_again = true,
                Action::Notice(Notice::Paused(pause)) => self.pausing.begin(pause),
                Action::Notice(Notice::PausedByName { schedule, pause, .. }) => {
                    self.pausing.begin_named(&schedule, &pause, &self.engine);
                }
                Action::Notice(_) => {}
            }
        }
        if std::mem::take(&mut self.reads_again) {
            self.load();
        }
        self.parking.check_limit(&self.engine);
        self.rendering.look_ahead(&mut self.engine);
    }

    pub(super) fn write(&mut self, commit: &Commit) {
        self.store.save(0, commit).expect("nothing goes wrong with it");
        self.reservation.written(commit.handed);
        self.parking.written(commit);
        self.commands.written(commit);
        self.calendaring.written(commit);
        self.pausing.written(commit, &self.engine);
        self.triggering.written(commit);
        self.backfilling.written(commit);
    }

    /// All revisions that ever were durable, as they were last.
    pub(super) fn revisions(&self) -> &[Revision] {
        &self.ever
    }

    /// What this life left behind.
    pub(super) fn evidence(&self) -> Evidence<'_> {
        let Self { arrivals, record, disk, ever, parking, era, .. } = self;
        Evidence { arrivals, record, disk, revisions: ever, refused: &parking.refused, era: *era }
    }
}

fn open(memory: &Memory) -> MemoryStore {
    memory.open("khronos", Limits::default()).expect("it can be opened")
}
