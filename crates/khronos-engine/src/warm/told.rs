//! What a clock that follows tells of the schedules that it holds, as an engine tells it that runs: as of W, and of what was kept. What
//! of a schedule is not made ahead comes from whoever holds the rest.
//!
//! Absent: what the leader alone knows: what is in flight, and what the broker refuses.

use super::Warm;
use crate::{Pause, Revision, ScheduleStatus, Span, slots::SlotId};
use khronos_schedule::Packed;
use std::{collections::BTreeMap, sync::Arc};

/// Schedules that are looked at beyond those that are wanted, at most: some of the soonest are not due, for their names are paused.
const SPARE: usize = 1_000;

/// What else is kept of a name.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// What is outstanding of its revisions, the oldest first.
    pub spans: Vec<Span>,
    /// The present pause of it.
    pub paused: Option<Pause>,
}

impl Warm {
    /// See [`Engine::running`](crate::Engine::running).
    pub fn running_as_kept(&self, name: &str, beside: impl Fn(&str) -> Beside) -> Option<ScheduleStatus> {
        self.schedules.find(name).map(|id| self.status(id, beside(name)))
    }

    /// See [`Engine::running_after`](crate::Engine::running_after).
    pub fn running_as_kept_after<'a>(
        &'a self,
        name: Option<&str>,
        beside: impl Fn(&str) -> Beside + 'a,
    ) -> impl Iterator<Item = ScheduleStatus> + 'a {
        self.schedules
            .after(name)
            .map(move |id| self.status(id, beside(self.schedules[id].definition.name())))
    }

    /// See [`Engine::soonest`](crate::Engine::soonest). Where very many of the soonest are paused by their names there are fewer than
    /// were asked for.
    pub fn soonest_as_kept(&self, most: usize, beside: impl Fn(&str) -> Beside) -> Vec<ScheduleStatus> {
        let all = self.schedules.soonest(most.saturating_add(SPARE)).into_iter();
        let with = all.map(|id| (id, beside(self.schedules[id].definition.name())));
        let due =
            with.filter(|(_, beside)| beside.paused.is_none() && !beside.spans.iter().any(Span::is_open));
        due.take(most).map(|(id, beside)| self.status(id, beside)).collect()
    }

    /// See [`Engine::neighbours`](crate::Engine::neighbours).
    pub fn neighbours(&self, name: &str, most: usize) -> impl Iterator<Item = &Packed> {
        self.schedules.neighbours(name, most).into_iter().map(|id| &self.schedules[id].definition)
    }

    /// A revision, as long as it is kept.
    pub fn revision(&self, name: &str, number: u32) -> Option<Revision> {
        let running = self.schedules.find(name).filter(|id| self.schedules[*id].number() == number);
        let resting = || self.resting.get(&(name.into(), number)).cloned();
        running.map(|id| self.schedules[id].revision()).or_else(resting)
    }

    /// All revisions of a name that are kept, the oldest first.
    pub fn revisions_of(&self, name: &str) -> Vec<Revision> {
        let of: Arc<str> = name.into();
        let resting =
            self.resting.range((of.clone(), 0)..=(of, u32::MAX)).map(|(_, revision)| revision.clone());
        let running = self.schedules.find(name).map(|id| self.schedules[id].revision());
        let all = resting.chain(running).map(|revision| (revision.number, revision));
        all.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    fn status(&self, id: SlotId, Beside { spans, paused }: Beside) -> ScheduleStatus {
        let slot = &self.schedules[id];
        let (timing, settled) = (slot.timing(), self.settled());
        let closed = |span: &Span| {
            let other = || self.resting.get(&(slot.name(), span.revision)).map(Revision::timing);
            let of = if span.revision == slot.number() { None } else { other() };
            let of = of.as_ref().unwrap_or(&timing);
            span.closed(of, of.due_by(settled))
        };
        let outstanding: Vec<Span> = spans.iter().map(closed).collect();
        let next = slot.next();
        let is_over = next.is_none() && !timing.is_out_of_days(settled);
        ScheduleStatus {
            revision: slot.revision(),
            next,
            in_flight: None,
            finished: outstanding.is_empty() && is_over,
            outstanding,
            sent: slot.sent,
            refused: None,
            paused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{at, revision},
        *,
    };
    use crate::{ClockRules, Engine, Reached, Reading, Resends, Rules, Snapshot};
    use khronos_schedule::{ADay, Demand};
    use ponos_event::Timestamp;

    fn rules() -> Rules {
        let minute = 60_000;
        Rules {
            clock: ClockRules {
                settle: 0,
                max_forward: minute,
                max_backward: minute,
                resume_backward: false,
            },
            resends: Resends { count: 3, over: minute },
            in_flight: 100,
            piece: 100,
            parked: 100,
            record_first: false,
            keep_finished: 86_400_000,
            demand: Demand { schedules: 100, often: ADay::of_a_second(100) },
        }
    }

    fn snapshot() -> Snapshot {
        let ended = Revision { ended: Some(at(30)), ..revision("b", 1, 0) };
        let revisions = vec![revision("a", 1, 0), ended, revision("b", 2, 0), revision("c", 1, 7)];
        let (settled, handed) = (Some(at(90)), Some(at(90)));
        Snapshot { settled, handed, reached: handed, revisions, ..Snapshot::default() }
    }

    fn warm() -> Warm {
        Warm::of(&mut snapshot(), at(90))
    }

    fn nothing(_: &str) -> Beside {
        Beside::default()
    }

    fn shown(all: impl Iterator<Item = ScheduleStatus>) -> Vec<String> {
        all.map(|status| format!("{status:?}")).collect()
    }

    #[test]
    fn what_is_told_of_schedules_of_which_nothing_is_outstanding_is_what_an_engine_tells() {
        let engine = Engine::start(rules(), snapshot(), Reading { wall: at(90), boot: 0 });
        let warm = warm();
        assert_eq!(shown(warm.running_as_kept_after(None, nothing)), shown(engine.running_after(None)));
        assert_eq!(
            shown(warm.running_as_kept_after(Some("a"), nothing)),
            shown(engine.running_after(Some("a")))
        );
        let (told, known) = (warm.running_as_kept("b", nothing), engine.running("b"));
        assert_eq!(format!("{told:?}"), format!("{known:?}"));
        assert!(warm.running_as_kept("d", nothing).is_none());
        assert_eq!(shown(warm.soonest_as_kept(2, nothing).into_iter()), shown(engine.soonest(2)));
        let names = |all: Vec<&Packed>| all.into_iter().map(Packed::name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(warm.neighbours("b", 2).collect()), names(engine.neighbours("b", 2).collect()));
        let numbers = warm.revisions_of("b").iter().map(|one| one.number).collect::<Vec<_>>();
        assert_eq!((numbers, warm.revisions_of("d").len()), (vec![1, 2], 0));
        for number in 1..=3 {
            assert_eq!(warm.revision("b", number), engine.revision(&("b".into(), number)), "{number}");
        }
    }

    #[test]
    fn what_is_outstanding_or_paused_by_its_name_comes_from_beside() {
        let reached = Reached { lately: at(60), ever: at(60), set_backs: 0 };
        let pause = Pause { since: at(60), by: "ann".into(), note: "".into(), until: None, reached };
        let open =
            Span { revision: 1, after: at(0), through: Timestamp::HORIZON, handed: at(0), coalesced: None };
        let beside = |name: &str| match name {
            "a" => Beside { spans: vec![open.clone()], paused: Some(pause.clone()) },
            _ => Beside::default(),
        };
        let warm = warm();
        let told = warm.running_as_kept("a", beside).unwrap();
        assert_eq!((told.paused, told.outstanding[0].through), (Some(pause.clone()), at(60)));
        let due = warm.soonest_as_kept(9, beside);
        assert_eq!(due.iter().map(|one| one.revision.name()).collect::<Vec<_>>(), ["b", "c"]);
    }
}
