use crate::{
    Action, Answer, ClockRules, Engine, Handover, Input, Notice, Outcome, Reading, Resends, Row, Rules,
    Snapshot,
};
use khronos_schedule::{Definition, Packed, ResendsDefinition};
use ponos_event::Timestamp;
use std::sync::Arc;

mod bounds;

const START: i64 = 1_772_323_200_000;
const MINUTE: i64 = 60_000;

fn minutely(name: &str) -> Definition {
    Definition {
        name: name.into(),
        event: Some("test.minute.passed".into()),
        every: Some("1m".into()),
        unrouted: Some("park".into()),
        ..Definition::default()
    }
}

fn refuse(_: &Handover) -> Answer {
    Answer::Refused("full".into())
}

fn reach_nobody(_: &Handover) -> Answer {
    Answer::Confirmed { returned: true }
}

fn accept(_: &Handover) -> Answer {
    Answer::Confirmed { returned: false }
}

/// An engine whose writes and events are answered at once: at first, they reach nobody.
struct Unbound {
    engine: Engine,
    answer: fn(&Handover) -> Answer,
    /// Schedule, due time, and when it was sent.
    sent: Vec<(Arc<str>, i64, i64)>,
    now: i64,
    /// By how much the clock was set back.
    set_back: i64,
    rows: Vec<Row>,
    notices: Vec<Notice>,
    /// Whose events get no answer, and these.
    hold: fn(&Handover) -> bool,
    held: Vec<Handover>,
    /// Writes take for ever.
    holds_writes: bool,
    /// Events of one step, at most.
    most: usize,
}

impl Unbound {
    fn new(parked: usize) -> Self {
        Self::with(parked, 4)
    }

    fn with(parked: usize, in_flight: usize) -> Self {
        let clock =
            ClockRules { settle: 0, max_forward: MINUTE, max_backward: MINUTE, resume_backward: true };
        let resends = Resends { count: 3, over: MINUTE };
        let rules = Rules {
            clock,
            resends,
            in_flight,
            piece: 10_000,
            parked,
            record_first: false,
            keep_finished: 86_400_000,
            demand: crate::core::UNBOUNDED,
        };
        let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        let engine = Engine::start(rules, Snapshot::default(), reading).having_read();
        let mut unbound = Self {
            engine,
            answer: reach_nobody,
            sent: Vec::new(),
            now: START,
            set_back: 0,
            rows: Vec::new(),
            notices: Vec::new(),
            hold: |_| false,
            held: Vec::new(),
            holds_writes: false,
            most: 0,
        };
        unbound.step(Input::Link(true));
        unbound
    }

    fn load(&mut self, schedules: usize) {
        let one = |number: usize| Packed::build(&minutely(&format!("s{number:02}"))).unwrap();
        self.step(Input::Load((0..schedules).map(one).collect()));
    }

    /// One schedule, whose events are sent again so often within ten minutes.
    fn load_one(&mut self, most: u32) {
        let resends = Some(ResendsDefinition { most: Some(most), within: Some("10m".into()) });
        let definition = Definition { resends, ..minutely("a") };
        self.step(Input::Load(vec![Packed::build(&definition).unwrap()]));
    }

    /// What was sent since: due and when, in milliseconds since the start.
    fn sent(&mut self) -> Vec<(i64, i64)> {
        std::mem::take(&mut self.sent).into_iter().map(|(_, due, at)| (due - START, at - START)).collect()
    }

    /// Of each entry: first due minute, last one, how often it was refused, and whether it is sent again by itself.
    fn entries(&self) -> Vec<(i64, i64, u8, bool)> {
        let minute = |due: Timestamp| (due.millis() - START) / MINUTE;
        let entries = self.engine.parked().values().map(|one| {
            let run = one.stands_for;
            (minute(run.first), minute(run.last), one.refused, one.retry_at.is_some())
        });
        entries.collect()
    }

    fn said_parked(&self) -> usize {
        self.notices.iter().filter(|notice| matches!(notice, Notice::Parked { .. })).count()
    }

    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let boot = self.now - START + self.set_back;
            let reading = Reading { wall: Timestamp::from_millis(self.now), boot };
            for action in self.engine.step(reading, input) {
                match action {
                    Action::Triggered(_) | Action::Calendars { .. } => {}
                    Action::Save { ticket, commit } => {
                        self.rows.extend(commit.rows);
                        if !self.holds_writes {
                            inputs.push(Input::Saved(ticket));
                        }
                    }
                    Action::Publish(handovers) => {
                        self.most = self.most.max(handovers.len());
                        for Handover { schedule, stands_for, .. } in &handovers {
                            let Some(running) = self.engine.running(&schedule.name) else { continue };
                            assert!(running.next > Some(stands_for.last), "{running:?} after {stands_for:?}");
                        }
                        let (held, answered): (Vec<_>, Vec<_>) = handovers.into_iter().partition(self.hold);
                        self.held.extend(held);
                        for one in answered {
                            let (schedule, due) = (one.schedule.name.clone(), one.stands_for.last.millis());
                            self.sent.push((schedule, due, one.sent_at.millis()));
                            inputs.push(Input::Settled(vec![(one.token, (self.answer)(&one))]));
                        }
                    }
                    Action::Notice(notice) => self.notices.push(notice),
                    Action::Durable(_)
                    | Action::Decided(_)
                    | Action::TooMany(_)
                    | Action::TooManyPauses(_)
                    | Action::TooManyMessages(_)
                    | Action::Unread(_)
                    | Action::Declined(_)
                    | Action::Record { .. } => {}
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
    unbound.answer = accept;
    unbound.step(Input::Release(vec![1]));
    unbound.pass(2_000);
    let confirmed = unbound.rows.iter().filter(|row| matches!(row.outcome, Outcome::Confirmed { .. }));
    assert_eq!(confirmed.map(|row| row.count).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(unbound.engine.parked().is_empty());
}

#[test]
fn what_are_no_neighbours_are_two_entries() {
    let mut unbound = Unbound::new(100);
    unbound.load(1);
    for returned in [true, false, true] {
        unbound.answer = if returned { reach_nobody } else { accept };
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
    unbound.pass(MINUTE + 2_000);
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
    unbound.answer = refuse;
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
    unbound.answer = accept;
    unbound.pass(2 * MINUTE);
    assert_eq!(unbound.engine.refused().len(), 0);
}

#[test]
fn what_is_refused_holds_nothing_back_and_the_first_of_its_run_is_sent_again_until_it_is_given_up() {
    let mut clock = Unbound::new(100);
    clock.answer = refuse;
    clock.load_one(5);
    clock.pass(5 * MINUTE);
    assert_eq!(clock.entries(), [(1, 5, 5, true)]);
    let again = [1_759, 1_759 + 7_038, 36_949, 149_558].map(|after| (MINUTE, MINUTE + after));
    let on_time = (1..=5).map(|minute| (minute * MINUTE, minute * MINUTE));
    let sent = |clock: &mut Unbound| {
        let mut sent = clock.sent();
        sent.sort_unstable();
        sent
    };
    let mut expected: Vec<_> = on_time.chain(again).collect();
    expected.sort_unstable();
    assert_eq!(sent(&mut clock), expected);
    assert_eq!(clock.said_parked(), 0);
    clock.pass(10 * MINUTE);
    assert_eq!(clock.entries(), [(1, 15, 6, false)], "what follows joins it, and is not sent again");
    let last = [(MINUTE, MINUTE + 599_997)];
    let on_time = (6..=15).map(|minute| (minute * MINUTE, minute * MINUTE));
    assert_eq!(sent(&mut clock), last.into_iter().chain(on_time).collect::<Vec<_>>());
    assert_eq!(clock.said_parked(), 1);
    clock.answer = accept;
    clock.pass(MINUTE);
    assert_eq!(clock.entries(), [(1, 15, 6, false)], "a person decides");
    clock.step(Input::Release(vec![1]));
    assert_eq!(clock.entries(), []);
    assert_eq!(clock.rows.iter().filter(|row| matches!(row.outcome, Outcome::Parked(_))).count(), 15);
}

#[test]
fn once_the_first_of_a_run_is_accepted_the_rest_follows_in_order() {
    let mut clock = Unbound::new(100);
    clock.answer = refuse;
    clock.load_one(5);
    clock.pass(3 * MINUTE);
    assert_eq!(clock.entries(), [(1, 3, 4, true)]);
    clock.sent();
    // The third is refused once more: it is the first of what is left, and waits as long as the first did.
    clock.answer = |one| match one.sent_at.millis() < START + 4 * MINUTE
        && one.stands_for.last.millis() > START + 2 * MINUTE
    {
        true => refuse(one),
        false => accept(one),
    };
    clock.pass(35_000);
    let tried = MINUTE + 149_558;
    assert_eq!(
        clock.sent(),
        [(MINUTE, tried), (2 * MINUTE, tried), (3 * MINUTE, tried), (3 * MINUTE, tried + 1_759)]
    );
    assert_eq!(clock.entries(), [(3, 3, 2, true)]);
    clock.pass(MINUTE);
    assert_eq!(clock.entries(), []);
    let taken: Vec<i64> = clock
        .rows
        .iter()
        .filter(|row| matches!(row.outcome, Outcome::Confirmed { .. }))
        .map(|row| (row.first.millis() - START) / MINUTE)
        .collect();
    assert_eq!(taken, [1, 2, 3]);
}

#[test]
fn runs_are_not_merged_across_what_was_accepted_and_the_eight_newest_are_sent_again() {
    let mut clock = Unbound::new(100);
    clock.answer =
        |one| if one.stands_for.last.millis() / MINUTE % 2 == 1 { refuse(one) } else { accept(one) };
    clock.load_one(100);
    clock.pass(20 * MINUTE);
    let odd: Vec<_> = (0..10).map(|run| 2 * run + 1).collect();
    let entries = clock.entries();
    assert_eq!(
        entries.iter().map(|(first, last, ..)| (*first, *last)).collect::<Vec<_>>(),
        odd.iter().map(|minute| (*minute, *minute)).collect::<Vec<_>>()
    );
    assert_eq!(
        entries.iter().map(|(.., again)| *again).collect::<Vec<_>>(),
        [[false; 2].as_slice(), &[true; 8]].concat()
    );
    // Of those only the oldest.
    assert!(entries[3..].iter().all(|(.., refused, _)| *refused == 1), "{entries:?}");
    clock.answer = accept;
    clock.sent();
    clock.pass(10 * MINUTE);
    let late: Vec<_> =
        clock.sent().into_iter().filter(|(due, at)| due != at).map(|(due, _)| due / MINUTE).collect();
    assert_eq!(late, odd[2..]);
    assert_eq!(clock.entries().len(), 2);
}

#[test]
fn a_schedule_may_leave_what_is_refused_to_people_at_once() {
    let mut clock = Unbound::new(100);
    clock.answer = refuse;
    clock.load_one(0);
    clock.pass(3 * MINUTE);
    assert_eq!(clock.entries(), [(1, 3, 1, false)]);
    assert_eq!((clock.sent().len(), clock.said_parked()), (3, 1));
}
