//! What a paused schedule costs: it is often due, and yet there is seldom anything to do.

use super::super::{
    Action, ClockRules, Engine, Input, Outcome, Reading, Resends, Row, Rules, SkipReason, Snapshot,
};
use crate::schedule::{Definition, Packed};
use ponos::event::Timestamp;

const START: i64 = 1_772_323_200_000;
const MINUTE: i64 = 60_000;

/// What was seen of an engine that runs alone, and whose writes succeed at once.
struct Seen {
    engine: Engine,
    now: i64,
    wakeups: usize,
    saves: usize,
    rows: Vec<Row>,
}

impl Seen {
    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let reading = Reading { wall: Timestamp::from_millis(self.now), boot: self.now - START };
            for action in self.engine.step(reading, input) {
                if let Action::Save { ticket, commit } = action {
                    self.saves += 1;
                    self.rows.extend(commit.rows);
                    inputs.push(Input::Saved(ticket));
                }
            }
        }
    }

    /// Lets so many milliseconds pass; the engine is woken when it wants to be, and at least every `beat`.
    fn pass(&mut self, span: i64, beat: i64) {
        let end = self.now + span;
        while self.now < end {
            let wish = self.engine.next_wakeup().map_or(i64::MAX, Timestamp::millis);
            self.now = wish.clamp(self.now + 1, (self.now + beat).min(end));
            self.wakeups += 1;
            self.step(Input::Tick);
        }
    }
}

#[test]
fn a_paused_schedule_that_is_often_due_is_recorded_without_many_writes() {
    let clock = ClockRules { settle: 0, max_forward: MINUTE, max_backward: MINUTE, resume_backward: false };
    let resends = Resends { count: 3, over: MINUTE };
    let rules = Rules { clock, resends, in_flight: 4, piece: 100, record_first: false };
    let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
    for beat in [1_000, MINUTE] {
        let engine = Engine::start(rules, Snapshot::default(), reading);
        let mut seen = Seen { engine, now: START, wakeups: 0, saves: 0, rows: Vec::new() };
        let often = Definition {
            name: "often".into(),
            event: Some("test.often.passed".into()),
            every: Some("100ms".into()),
            paused: Some(true),
            ..Definition::default()
        };
        seen.step(Input::Load(vec![Packed::build(&often).unwrap()]));
        seen.step(Input::Link(true));
        seen.pass(MINUTE, beat);
        let (wakeups, saves) = (seen.wakeups, seen.saves);
        seen.pass(10 * MINUTE, beat);
        let beats = usize::try_from(10 * MINUTE / beat).unwrap();
        assert!(seen.saves - saves <= 61, "{} writes in ten minutes", seen.saves - saves);
        assert!(seen.wakeups - wakeups <= beats + 130, "{} wake-ups", seen.wakeups - wakeups);
        // And yet all of it stands there, one run after the other, up to a moment ago.
        assert!(seen.rows.iter().all(|row| row.outcome == Outcome::Skipped(SkipReason::Paused)));
        assert!(seen.rows.windows(2).all(|pair| pair[1].first.since(pair[0].last) == 100), "{:?}", seen.rows);
        let last = seen.rows.last().unwrap().last;
        assert!(seen.now - last.millis() <= 11_000, "{} behind", seen.now - last.millis());
        let count: u64 = seen.rows.iter().map(|row| row.count).sum();
        let first = seen.rows[0].first;
        assert_eq!(i64::try_from(count).unwrap(), last.since(first) / 100 + 1);
    }
}
