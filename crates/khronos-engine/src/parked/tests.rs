use crate::{
    Action, Answer, ClockRules, Engine, Handover, Input, Notice, Outcome, Reading, Resends, Row, Rules,
    Snapshot,
};
use khronos_schedule::{Definition, Packed};
use ponos_event::Timestamp;

const START: i64 = 1_772_323_200_000;
const MINUTE: i64 = 60_000;

/// An engine whose writes succeed at once, and whose events are all answered alike: at first, they reach nobody.
struct Unbound {
    engine: Engine,
    answer: Answer,
    now: i64,
    rows: Vec<Row>,
    notices: Vec<Notice>,
}

impl Unbound {
    fn new(parked: usize) -> Self {
        let clock =
            ClockRules { settle: 0, max_forward: MINUTE, max_backward: MINUTE, resume_backward: false };
        let resends = Resends { count: 3, over: MINUTE };
        let rules = Rules { clock, resends, in_flight: 4, piece: 100, parked, record_first: false };
        let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        let engine = Engine::start(rules, Snapshot::default(), reading);
        let mut unbound = Self {
            engine,
            answer: Answer::Confirmed { returned: true },
            now: START,
            rows: Vec::new(),
            notices: Vec::new(),
        };
        unbound.step(Input::Link(true));
        unbound
    }

    fn load(&mut self, schedules: usize) {
        let one = |number: usize| Definition {
            name: format!("s{number:02}"),
            event: Some("test.minute.passed".into()),
            every: Some("1m".into()),
            unrouted: Some("park".into()),
            ..Definition::default()
        };
        self.step(Input::Load((0..schedules).map(|number| Packed::build(&one(number)).unwrap()).collect()));
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let reading = Reading { wall: Timestamp::from_millis(self.now), boot: self.now - START };
            for action in self.engine.step(reading, input) {
                match action {
                    Action::Save { ticket, commit } => {
                        self.rows.extend(commit.rows);
                        inputs.push(Input::Saved(ticket));
                    }
                    Action::Publish(handovers) => {
                        for Handover { schedule, stands_for, .. } in &handovers {
                            let Some(running) = self.engine.running(&schedule.name) else { continue };
                            assert!(running.next > Some(stands_for.last), "{running:?} after {stands_for:?}");
                        }
                        let answer = self.answer.clone();
                        inputs.extend(
                            handovers.iter().map(|one| Input::Settled(vec![(one.token, answer.clone())])),
                        );
                    }
                    Action::Notice(notice) => self.notices.push(notice),
                    Action::Durable(_) | Action::TooMany(_) | Action::Record { .. } => {}
                }
            }
        }
    }

    fn pass(&mut self, span: i64) {
        let end = self.now + span;
        while self.now < end {
            let wish = self.engine.next_wakeup().map_or(i64::MAX, Timestamp::millis);
            self.now = wish.clamp(self.now + 1, end);
            self.step(Input::Tick);
        }
    }
}

#[test]
fn neighbours_are_one_entry_which_is_parked_again_while_nobody_is_bound() {
    let mut unbound = Unbound::new(100);
    unbound.load(2);
    unbound.pass(3 * MINUTE);
    let counts = |unbound: &Unbound| -> Vec<(u64, u64)> {
        let entries = unbound.engine.parked().iter();
        entries.map(|(number, parked)| (*number, parked.stands_for.count)).collect()
    };
    assert_eq!(counts(&unbound), [(1, 3), (2, 3)]);
    assert_eq!(unbound.engine.parked_events(), 6);
    unbound.step(Input::Release(vec![1]));
    let first = &unbound.engine.parked()[&1];
    assert!(!first.released && first.reason.contains("no queue is bound"), "{first:?}");
    assert_eq!(counts(&unbound), [(1, 3), (2, 3)]);
    unbound.pass(MINUTE);
    assert_eq!(unbound.engine.parked_events(), 8);
    let settled = unbound.rows.iter().filter(|row| !matches!(row.outcome, Outcome::Parked(_))).count();
    assert_eq!(settled, 0, "{:?}", unbound.rows);
}

#[test]
fn a_run_is_released_event_by_event() {
    let mut unbound = Unbound::new(100);
    unbound.load(1);
    unbound.pass(3 * MINUTE);
    unbound.answer = Answer::Confirmed { returned: false };
    unbound.step(Input::Release(vec![1]));
    let confirmed = unbound.rows.iter().filter(|row| matches!(row.outcome, Outcome::Confirmed { .. }));
    assert_eq!(confirmed.map(|row| row.count).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(unbound.engine.parked().is_empty());
}

#[test]
fn what_are_no_neighbours_are_two_entries() {
    let mut unbound = Unbound::new(100);
    unbound.load(1);
    for returned in [true, false, true] {
        unbound.answer = Answer::Confirmed { returned };
        unbound.pass(MINUTE);
    }
    let counts = unbound.engine.parked().values().map(|parked| parked.stands_for.count);
    assert_eq!(counts.collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_release_is_sent_once_it_is_durable_and_what_is_being_sent_is_not_dropped() {
    let mut unbound = Unbound::new(100);
    unbound.load(1);
    unbound.pass(MINUTE);
    let reading = Reading { wall: Timestamp::from_millis(unbound.now), boot: unbound.now - START };
    let actions = unbound.engine.step(reading, Input::Release(vec![1]));
    let is_sent = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Publish(_)));
    assert!(!is_sent(&actions), "{actions:?}");
    let ticket = actions.iter().find_map(|action| match action {
        Action::Save { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let actions = unbound.engine.step(reading, Input::Saved(ticket.unwrap()));
    assert!(is_sent(&actions), "{actions:?}");
    let _ = unbound.engine.step(reading, Input::Drop(vec![1]));
    assert_eq!(unbound.engine.parked_events(), 1);
}

#[test]
fn when_too_many_are_parked_the_oldest_are_dropped_and_the_alarm_began_at_a_tenth() {
    let mut unbound = Unbound::new(20);
    unbound.load(1);
    unbound.pass(MINUTE);
    let alarms = |unbound: &Unbound| -> Vec<usize> {
        let counts = unbound.notices.iter().filter_map(|notice| match notice {
            Notice::ManyParked { count, most: 20 } => Some(*count),
            _ => None,
        });
        counts.collect()
    };
    assert_eq!(alarms(&unbound), [0_usize; 0]);
    unbound.load(30);
    unbound.pass(MINUTE);
    assert_eq!(alarms(&unbound), [2]);
    assert_eq!(unbound.engine.parked().len(), 20);
    let dropped: Vec<&Row> =
        unbound.rows.iter().filter(|row| row.outcome == Outcome::DroppedAtLimit).collect();
    let oldest = unbound.engine.parked().keys().next();
    assert_eq!(oldest, Some(&(dropped.len() as u64 + 1)), "{dropped:?}");
    let gone: u64 = dropped.iter().map(|row| row.count).sum();
    assert_eq!(gone + unbound.engine.parked_events(), 31);
}

#[test]
fn the_first_refusal_is_said_at_once_the_others_now_and_then_and_all_are_shown_until_something_is_taken() {
    let mut unbound = Unbound::new(100);
    unbound.answer = Answer::Refused("full".into());
    unbound.load(30);
    unbound.pass(MINUTE);
    let said = |unbound: &Unbound| {
        unbound.notices.iter().filter(|notice| matches!(notice, Notice::Refused { .. })).count()
    };
    assert_eq!(said(&unbound), 1);
    assert_eq!(unbound.engine.refused().len(), 30);
    let refused = unbound.engine.running("s07").unwrap().refused.unwrap();
    assert_eq!((&*refused.event, &*refused.reason), ("test.minute.passed", "full"));
    unbound.pass(MINUTE);
    assert!((2..=7).contains(&said(&unbound)), "{} notices", said(&unbound));
    // What goes is not refused any more; nor is what was taken.
    unbound.load(20);
    assert_eq!(unbound.engine.refused().len(), 20);
    unbound.answer = Answer::Confirmed { returned: false };
    unbound.pass(2 * MINUTE);
    assert_eq!(unbound.engine.refused().len(), 0);
}
