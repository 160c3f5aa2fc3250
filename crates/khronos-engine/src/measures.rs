//! What is measured of the engine: how many schedules there are by state, and how far it is behind. Only for people, and
//! cheap: what grows with the number of spans is given in pages.

use super::{
    Coalesced,
    backlog::{Backlog, State},
    core::Engine,
    place::Which,
    progress::SpanKey,
};
use ponos_event::Timestamp;

/// So many spans say whether there is work.
const LOOKED_AT: usize = 100;

/// Schedules by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct States {
    /// Something of them is to be sent.
    pub active: usize,
    /// What is due of them is skipped.
    pub paused: usize,
    /// Nothing more falls due of them. What fell due before may be outstanding still, in a span.
    pub finished: usize,
}

impl States {
    /// All of them.
    pub fn all(self) -> usize {
        self.active + self.paused + self.finished
    }
}

/// A part of what is due and not settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldestPage {
    /// The last span that was looked at; `None`: there was none.
    pub last: Option<SpanKey>,
    /// When the oldest occurrence of this part was to be sent.
    pub oldest: Option<Timestamp>,
}

impl Engine {
    /// How many schedules there are, by state. What was put and is not durable yet counts as active.
    pub fn states(&self) -> States {
        let waiting = |which| self.schedules.waiting(which);
        let in_queues = waiting(Which::Due) + waiting(Which::Deferred) + waiting(Which::Gated);
        let active = in_queues + self.outstanding.in_flight.on_time();
        let paused = waiting(Which::Paused) + self.schedules.standing();
        States { active, paused, finished: self.schedules.len().saturating_sub(active + paused) }
    }

    /// When the oldest occurrence was to be sent that is due, and neither settled nor part of a span.
    fn late_since(&self) -> Option<Timestamp> {
        let queues = [Which::Due, Which::Deferred, Which::Gated];
        let waiting = queues.into_iter().filter_map(|which| self.schedules.first_send(which));
        let due = waiting.filter(|send| *send <= self.now());
        due.chain(self.outstanding.in_flight.lowest()).min()
    }

    /// Whether something is to be sent now, and is not confirmed: a leader that gets nothing confirmed for long leads in vain. Nothing
    /// is to be sent while the clock is not believed, or is being set back. Of the spans the first ones are looked at.
    pub fn has_work(&self) -> bool {
        let is_due = |send: Timestamp| send <= self.now();
        let spans = self.outstanding.backlogs.iter().take(LOOKED_AT);
        let mut going = spans.filter(|(key, _)| !self.pausing.is_paused(&key.0));
        self.would_hand_over()
            && (self.late_since().is_some_and(is_due)
                || going.any(|(_, backlog)| next_event(backlog).is_some_and(is_due)))
    }

    /// The oldest occurrence that is due, and neither settled nor parked: of all that stand in no span and the first spans, at
    /// most so many; or of the next spans after this one.
    pub fn oldest_after(&self, after: Option<&SpanKey>, most: usize) -> OldestPage {
        let mut page = OldestPage { last: None, oldest: self.late_since().filter(|_| after.is_none()) };
        for (key, backlog) in self.outstanding.backlogs.after(after).take(most) {
            // What rests is not late, whatever it waits for.
            if !self.pausing.is_paused(&key.0) {
                page.oldest = [page.oldest, first(backlog)].into_iter().flatten().min();
            }
            page.last = Some(key.clone());
        }
        page
    }
}

/// When the first occurrence of a span was to be sent, if one is left.
fn first(backlog: &Backlog) -> Option<Timestamp> {
    send_time(backlog, |run| run.first)
}

/// When the next event of a span is to be sent, if one is left. One that stands for several is sent when the last of them is: that
/// lies ahead where it was decided by a clock that was ahead. What is behind an older revision of its schedule waits for that.
fn next_event(backlog: &Backlog) -> Option<Timestamp> {
    send_time(backlog, |run| run.last).filter(|_| backlog.state != State::Behind)
}

fn send_time(backlog: &Backlog, of_several: fn(Coalesced) -> Timestamp) -> Option<Timestamp> {
    let (span, timing) = (&backlog.span, &backlog.schedule.timing);
    let due = match span.coalesced {
        Some(run) => of_several(run),
        None => timing.after(span.after).filter(|due| *due <= span.through)?,
    };
    Some(timing.send_time(due))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action, Answer, ClockRules, Input, Reading, Resends, Rules, Snapshot, Span,
        core::new_span,
        store::{Limits, Memory, MemoryStore, Store},
    };
    use khronos_schedule::{Definition, Packed};

    const START: i64 = 1_772_323_200_000;
    const SECOND: i64 = 1_000;

    /// An engine whose writes are durable at once, and the tokens of what it handed over.
    struct Driven {
        engine: Engine,
        handed: Vec<u64>,
        store: MemoryStore,
    }

    impl Driven {
        fn step(&mut self, second: i64, input: Input) {
            self.step_at((second, second), input);
        }

        fn step_at(&mut self, (wall, boot): (i64, i64), input: Input) {
            let wall = Timestamp::from_millis(START + wall * SECOND);
            let reading = Reading { wall, boot: boot * SECOND };
            let mut inputs = vec![input];
            while let Some(input) = inputs.pop() {
                for action in self.engine.step(reading, input) {
                    match action {
                        Action::Save { ticket, commit } => {
                            self.store.save(0, &commit).unwrap();
                            inputs.push(Input::Saved(ticket));
                        }
                        Action::Publish(all) => self.handed.extend(all.iter().map(|one| one.token)),
                        _ => {}
                    }
                }
            }
        }

        fn states(&self) -> (usize, usize, usize) {
            let States { active, paused, finished } = self.engine.states();
            (active, paused, finished)
        }

        /// Since how many seconds after the start something is late, page by page.
        fn oldest(&self, most: usize) -> Option<i64> {
            let (mut after, mut oldest) = (None, Vec::new());
            loop {
                let page = self.engine.oldest_after(after.as_ref(), most);
                oldest.extend(page.oldest);
                after = page.last;
                if after.is_none() {
                    return oldest.into_iter().min().map(|at| (at.millis() - START) / SECOND);
                }
            }
        }
    }

    fn schedule(name: &str, change: impl FnOnce(&mut Definition)) -> Packed {
        let every = Some("10s".into());
        let event = Some("test.often.passed".into());
        let mut definition = Definition { name: name.into(), event, every, ..Definition::default() };
        change(&mut definition);
        Packed::build(&definition).unwrap()
    }

    fn rules() -> Rules {
        let minute = 60 * SECOND;
        Rules {
            clock: ClockRules {
                settle: 0,
                max_forward: minute,
                max_backward: minute,
                resume_backward: false,
            },
            resends: Resends { count: 3, over: minute },
            in_flight: 100,
            piece: 1_000,
            parked: 100,
            record_first: false,
            keep_finished: 86_400_000,
            demand: crate::core::UNBOUNDED,
        }
    }

    fn driven(schedules: Vec<Packed>) -> Driven {
        let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        let engine = Engine::start(rules(), Snapshot::default(), reading).having_read();
        let store = Memory::default().open("khronos", Limits::default()).unwrap();
        let mut driven = Driven { engine, handed: Vec::new(), store };
        driven.step(0, Input::Load(schedules));
        driven
    }

    #[test]
    fn schedules_are_counted_by_state_also_while_something_is_in_flight() {
        let once = |one: &mut Definition| one.limit = Some(1);
        let paused = |one: &mut Definition| one.paused = Some(true);
        let mut driven = driven(vec![schedule("a", |_| ()), schedule("b", once), schedule("c", paused)]);
        assert_eq!(driven.states(), (2, 1, 0));
        driven.step(0, Input::Link(true));
        driven.step(10, Input::Tick);
        assert_eq!((driven.handed.len(), driven.states()), (2, (2, 1, 0)));
        let answers = driven.handed.iter().map(|token| (*token, Answer::Confirmed { returned: false }));
        let answers = answers.collect();
        driven.step(10, Input::Settled(answers));
        assert_eq!(driven.states(), (1, 1, 1));
    }

    #[test]
    fn a_schedule_of_which_only_a_span_is_left_is_finished() {
        let mut driven = driven(vec![schedule("a", |one| one.limit = Some(1))]);
        driven.step(0, Input::Link(true));
        driven.step(10, Input::Tick);
        let token = driven.handed[0];
        driven.step(10, Input::Settled(vec![(token, Answer::Lost)]));
        assert_eq!((driven.states(), driven.engine.outstanding()), ((0, 0, 1), 1));
    }

    #[test]
    fn what_is_due_and_not_settled_is_late_since_it_was_to_be_sent() {
        let mut driven = driven(vec![schedule("a", |_| ()), schedule("b", |one| one.paused = Some(true))]);
        driven.step(9, Input::Tick);
        assert_eq!(driven.oldest(9), None);
        // Without a link it waits; what is paused does not count.
        driven.step(25, Input::Tick);
        assert_eq!(driven.oldest(9), Some(10));
        driven.step(25, Input::Link(true));
        assert_eq!((driven.handed.len(), driven.oldest(9)), (1, Some(10)), "it is in flight");
        let token = driven.handed[0];
        driven.step(26, Input::Settled(vec![(token, Answer::Lost)]));
        assert_eq!((driven.oldest(9), driven.engine.outstanding()), (Some(10), 1));
    }

    #[test]
    fn a_leader_whose_clock_is_not_believed_has_no_work_though_a_span_is_kept() {
        let mut driven = driven(vec![schedule("a", |_| ())]);
        driven.step(0, Input::Link(true));
        driven.step(10, Input::Tick);
        let token = driven.handed[0];
        driven.step(10, Input::Settled(vec![(token, Answer::Lost)]));
        assert!(driven.engine.has_work(), "a span that nobody confirmed");
        // A reading that goes back too far: what is due waits until the time comes again.
        driven.step_at((-100, 11), Input::Tick);
        assert_eq!((driven.engine.clock(), driven.engine.outstanding()), (crate::ClockState::Behind, 1));
        assert!(!driven.engine.has_work());
        driven.step_at((12, 123), Input::Tick);
        assert!(driven.engine.has_work());
    }

    #[test]
    fn what_a_leader_finds_days_after_the_last_one_is_no_work_until_its_clock_is_believed() {
        let mut first = driven(vec![schedule("a", |_| ())]);
        first.step(0, Input::Link(true));
        first.step(10, Input::Tick);
        let token = first.handed[0];
        first.step(10, Input::Settled(vec![(token, Answer::Lost)]));
        let rules = Rules { clock: ClockRules { settle: 60 * SECOND, ..rules().clock }, ..rules() };
        let days = 2 * 86_400;
        let reading = Reading { wall: Timestamp::from_millis(START + days * SECOND), boot: days * SECOND };
        let kept = first.store.load().unwrap();
        let mut second = Driven { engine: Engine::start(rules, kept, reading), ..driven(Vec::new()) };
        second.step(days, Input::Link(true));
        assert_eq!(second.engine.outstanding(), 1);
        for after in 0..59 {
            second.step(days + after, Input::Tick);
            assert!(!second.engine.has_work() && second.handed.is_empty(), "{after}");
        }
        second.step(days + 61, Input::Tick);
        assert!(second.engine.has_work(), "now it may be sent, and is to be confirmed");
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(START + second * SECOND)
    }

    /// One that finds these spans too, 12 seconds after the start. A leader whose clock was ahead decided that of the first revision,
    /// and ended before it handed the event over.
    fn taken_over(mut first: Driven, others: Vec<Span>) -> Driven {
        let mut kept = first.store.load().unwrap();
        let coalesced = Some(Coalesced { first: at(10), last: at(30), count: 3 });
        let decided = Span { coalesced, ..new_span(1, at(9), at(30), at(30)) };
        kept.spans.extend([decided].into_iter().chain(others).map(|span| ("a".into(), span)));
        let reading = Reading { wall: at(12), boot: 12 * SECOND };
        let mut second = Driven { engine: Engine::start(rules(), kept, reading), ..driven(Vec::new()) };
        second.step(12, Input::Link(true));
        second
    }

    #[test]
    fn what_stands_for_several_is_no_work_before_the_last_of_them_is_due() {
        let mut driven = taken_over(driven(vec![schedule("a", |_| ())]), Vec::new());
        for now in 12..30 {
            driven.step(now, Input::Tick);
            assert!(!driven.engine.has_work() && driven.handed.is_empty(), "{now}");
            assert_eq!(driven.oldest(9), Some(10), "it is late all the same");
        }
        driven.step(30, Input::Tick);
        assert!(driven.engine.has_work() && driven.handed.len() == 1, "now it is to be confirmed");
    }

    #[test]
    fn what_is_behind_an_older_revision_is_no_work_before_that_one_is() {
        let mut first = driven(vec![schedule("a", |_| ())]);
        first.step(0, Input::Load(vec![schedule("a", |one| one.every = Some("5s".into()))]));
        let mut driven = taken_over(first, vec![new_span(2, at(14), at(20), at(20))]);
        assert_eq!(driven.engine.outstanding(), 2);
        for now in 12..30 {
            driven.step(now, Input::Tick);
            assert!(!driven.engine.has_work() && driven.handed.is_empty(), "{now}");
        }
        driven.step(30, Input::Tick);
        assert!(driven.engine.has_work() && driven.handed.len() == 1, "now it is to be confirmed");
    }

    #[test]
    fn what_somebody_paused_by_its_name_is_not_late_whether_or_not_its_span_had_a_turn() {
        let mut driven = driven(vec![schedule("a", |_| ())]);
        driven.step(0, Input::Link(true));
        driven.step(10, Input::Tick);
        driven.step(10, Input::Link(false));
        let token = driven.handed[0];
        driven.step(10, Input::Settled(vec![(token, Answer::Lost)]));
        driven.step(25, Input::Tick);
        assert_eq!(driven.oldest(9), Some(10));
        let request = crate::PauseRequest { by: "ann".into(), note: "x".into(), until: None };
        let scope = crate::Scope::Named(["a".into()].into());
        driven.step(25, Input::Pause { command: 1, scope: scope.clone(), request });
        assert_eq!(driven.oldest(9), None);
        let how = crate::OnResume::CatchUp;
        driven.step(26, Input::Resume { command: 2, scope, how });
        assert_eq!(driven.oldest(9), Some(10));
    }

    #[test]
    fn the_oldest_is_found_in_whichever_span_it_is() {
        let names = ["a", "b", "c", "d", "e"];
        let mut driven = driven(names.iter().map(|name| schedule(name, |_| ())).collect());
        driven.step(0, Input::Link(true));
        driven.step(10, Input::Tick);
        let tokens = driven.handed.clone();
        let lost = |tokens: &[u64]| tokens.iter().map(|token| (*token, Answer::Lost)).collect();
        // That of the last one is older.
        let confirmed = tokens[..4].iter().map(|token| (*token, Answer::Confirmed { returned: false }));
        driven.step(10, Input::Settled(confirmed.collect()));
        driven.step(10, Input::Settled(lost(&tokens[4..])));
        driven.step(10, Input::Link(false));
        driven.step(20, Input::Tick);
        driven.step(20, Input::Link(true));
        let tokens = driven.handed[5..].to_vec();
        driven.step(20, Input::Settled(lost(&tokens)));
        assert_eq!(driven.engine.outstanding(), 5);
        for most in [1, 2, 3, 9] {
            assert_eq!(driven.oldest(most), Some(10), "{most} at a time");
        }
    }
}
