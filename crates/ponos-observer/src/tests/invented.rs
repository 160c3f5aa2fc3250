//! No miss is invented: services that handle every event in time, whose reports get lost, whose workers are killed and started, and
//! an observer that loses its connection. And none is lost where nothing else is.

use super::*;
use proptest::prelude::*;

/// Within what time events are to be handled.
const WITHIN: i64 = 20 * SECOND;
/// How often workers declare.
const REPEATS: i64 = 30 * SECOND;

#[derive(Debug, Clone)]
enum Step {
    /// An event is sent, and handled by one of the workers that run; whether its report arrives.
    Event {
        by: u8,
        arrives: bool,
    },
    Start,
    /// Without a word.
    Kill(u8),
    Stop(u8),
    /// It loses its connection for reports, and works as ever.
    Mute(u8),
    Interrupt,
    Listen,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), prop::bool::weighted(0.7)).prop_map(|(by, arrives)| Step::Event { by, arrives }),
        1 => Just(Step::Start),
        1 => any::<u8>().prop_map(Step::Kill),
        1 => any::<u8>().prop_map(Step::Stop),
        1 => any::<u8>().prop_map(Step::Mute),
        1 => Just(Step::Interrupt),
        2 => Just(Step::Listen),
        8 => (0..15_000_u16).prop_map(Step::Wait),
    ]
}

/// A service with its workers as they are, and what an observer makes of it.
struct World {
    bus: Bus,
    is_up: bool,
    running: Vec<(Speaker, Timestamp)>,
    mute: Vec<String>,
    started: u64,
    sent: u64,
}

impl World {
    fn new() -> Self {
        let mut world =
            Self { bus: Bus::new(), is_up: true, running: Vec::new(), mute: Vec::new(), started: 0, sent: 0 };
        world.start();
        world
    }

    fn start(&mut self) {
        self.started += 1;
        let instance = self.started.to_string();
        let by = Instance { service: "shop".into(), instance, sequence: 0, dropped: 0, waiting: 0 };
        let handlers = vec![handler("shop", NAME, Some(WITHIN))];
        let mut speaker = Speaker { by, handlers, repeats_ms: REPEATS as u64 };
        self.declare(&mut speaker, DeclaredState::Running);
        self.running.push((speaker, self.bus.now));
    }

    fn declare(&mut self, speaker: &mut Speaker, state: DeclaredState) {
        let declaration = speaker.declaration(self.bus.now, state);
        if self.is_up && !self.mute.contains(&speaker.by.instance) {
            self.bus.observer.declaration(self.bus.now, declaration);
        }
    }

    fn take_out(&mut self, which: u8) -> Option<Speaker> {
        let at = usize::from(which).checked_rem(self.running.len())?;
        Some(self.running.remove(at).0)
    }

    fn event(&mut self, by: u8, arrives: bool) {
        let Some(at) = usize::from(by).checked_rem(self.running.len()) else { return };
        self.sent += 1;
        let id = self.sent.to_string();
        let report = self.running[at].0.report(Done, delivery(&id, NAME));
        let arrives = arrives && !self.mute.contains(&report.by.instance);
        if self.is_up {
            self.bus.event(&id, NAME);
            if arrives {
                self.bus.observer.report(self.bus.now, &report);
            }
        }
    }

    /// What was missed meanwhile.
    fn wait(&mut self, millis: i64) -> Vec<Miss> {
        let missed = self.bus.after(millis);
        let now = self.bus.now;
        let mut running = std::mem::take(&mut self.running);
        for (speaker, declared_at) in &mut running {
            if now.since(*declared_at) >= REPEATS {
                *declared_at = now;
                self.declare(speaker, DeclaredState::Running);
            }
        }
        self.running = running;
        missed
    }

    fn take(&mut self, step: Step) -> Vec<Miss> {
        match step {
            Step::Event { by, arrives } => self.event(by, arrives),
            Step::Start if self.running.len() < 4 => self.start(),
            Step::Start => {}
            Step::Kill(which) => drop(self.take_out(which)),
            Step::Stop(which) => {
                if let Some(mut speaker) = self.take_out(which) {
                    self.declare(&mut speaker, DeclaredState::Stopped);
                }
            }
            Step::Mute(which) => {
                let at = usize::from(which).checked_rem(self.running.len());
                self.mute.extend(at.map(|at| self.running[at].0.by.instance.clone()));
            }
            Step::Interrupt => {
                self.is_up = false;
                self.bus.observer.interrupted(self.bus.now);
            }
            Step::Listen => {
                self.is_up = true;
                self.bus.observer.listening(self.bus.now);
            }
            Step::Wait(millis) => return self.wait(millis.into()),
        }
        Vec::new()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_was_handled_in_time_is_never_missed(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            let missed = world.take(step);
            prop_assert!(missed.is_empty(), "{missed:?}");
        }
        for _ in 0..40 {
            let missed = world.wait(15 * SECOND);
            prop_assert!(missed.is_empty(), "{missed:?}");
        }
    }

    #[test]
    fn where_nothing_is_lost_all_that_was_not_handled_is_missed_and_nothing_else(
        handled in proptest::collection::vec(any::<(bool, u8)>(), 1..60),
        workers in 1..4_u8,
    ) {
        let mut world = World::new();
        for _ in 1..workers {
            world.start();
        }
        let (mut lacking, mut missed) = (Vec::new(), Vec::new());
        for (is_handled, by) in handled {
            if is_handled {
                world.event(by, true);
            } else {
                world.sent += 1;
                let id = world.sent.to_string();
                world.bus.event(&id, NAME);
                lacking.push(id);
            }
            missed.extend(world.wait(i64::from(by) * 40));
        }
        for _ in 0..20 {
            missed.extend(world.wait(5 * SECOND));
        }
        let mut missed: Vec<String> = missed.into_iter().map(|miss| miss.event_id).collect();
        missed.sort_by_key(|id| id.parse::<u64>().unwrap());
        prop_assert_eq!(missed, lacking);
        prop_assert_eq!(world.bus.doubts(), Vec::<&str>::new());
    }
}
