//! What is parked in the simulated world: queues that are unbound or full for a while, an operator who releases and drops,
//! and what must hold meanwhile.

use super::random::Random;
use crate::{Answer, Commit, Engine, Handover, Input, Parked, Resends};
use khronos_schedule::{Definition, ResendsDefinition, Unrouted, jitter_offset};
use ponos_event::{EventKind, Timestamp};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// Runs of a schedule that are sent again by themselves.
const MOST_RETRIED: usize = 8;

pub(super) struct Parking {
    /// Of its own, so that what is parked changes nothing else.
    random: Random,
    /// Nobody is bound at present.
    unbound: bool,
    /// A queue that is bound to some of the events is full.
    full: bool,
    /// Entries of several events that were released.
    pub(super) runs: usize,
    /// Events that were sent again by themselves.
    pub(super) resent: usize,
    /// What was ever refused: by schedule and due time.
    pub(super) refused: HashSet<(Arc<str>, Timestamp)>,
    /// What is backfilled goes to a queue that is full.
    refuses_backfills: bool,
    /// Occurrences that were sent again by themselves before the last step, how often each was refused, and why.
    tried: BTreeMap<u64, (u8, String)>,
    /// As it is durable.
    disk: BTreeMap<u64, Parked>,
    /// What was parked when the clock was set back.
    set_back: Vec<SetBack>,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Parking {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed ^ 0x5A5A_5A5A),
            unbound: false,
            full: false,
            runs: 0,
            resent: 0,
            refused: HashSet::new(),
            refuses_backfills: seed % 10 == 4,
            tried: BTreeMap::new(),
            disk: BTreeMap::new(),
            set_back: Vec::new(),
            broken: None,
        }
    }

    /// How many entries are kept.
    pub(super) fn limit(&mut self) -> usize {
        *self.random.pick(&[3, 1_000])
    }

    /// How often, and within what time, what was refused is sent again.
    pub(super) fn resends(&mut self) -> Resends {
        Resends { count: *self.random.pick(&[1, 3]), over: *self.random.pick(&[2_000, 20_000]) }
    }

    /// For some schedules somebody must be bound, and some say how often what was refused is sent again.
    pub(super) fn furnish(&mut self, definition: &mut Definition) {
        if self.random.chance(30) {
            definition.unrouted = Some("park".into());
        }
        if self.random.chance(20) {
            let most = Some(*self.random.pick(&[0, 2, 7]));
            definition.resends = Some(ResendsDefinition { most, within: Some("5s".into()) });
        }
    }

    /// People bind their queues and unbind them, or let them run full; and one decides about what is parked.
    pub(super) fn turn(&mut self, engine: &Engine) -> Option<Input> {
        self.full = if self.full { self.random.chance(85) } else { self.random.chance(5) };
        self.unbound = if self.unbound { self.random.chance(80) } else { self.random.chance(10) };
        self.random.chance(15).then(|| self.decide(engine))
    }

    fn decide(&mut self, engine: &Engine) -> Input {
        let all: Vec<u64> = engine.parked().keys().copied().collect();
        let numbers: Vec<u64> = all.into_iter().filter(|_| self.random.chance(70)).collect();
        let release = self.random.chance(65);
        if release {
            let events = |number: &u64| engine.parked().get(number).map_or(0, Parked::events);
            self.runs += numbers.iter().filter(|number| events(number) > 1).count();
        }
        if release { Input::Release(numbers) } else { Input::Drop(numbers) }
    }

    /// What the broker says to a publishing, as luck (0 to 99) will have it, and whether it arrives.
    pub(super) fn answer(&self, luck: i64, calm: bool, handover: &Handover) -> (Answer, bool) {
        let is_full = self.full && &*handover.schedule.name < "c";
        let is_unbound = self.unbound && handover.schedule.unrouted == Unrouted::Park;
        let is_refused_backfill = self.refuses_backfills && matches!(handover.kind, EventKind::Backfill(_));
        match luck {
            _ if is_refused_backfill && !calm => (Answer::Refused("a full queue".into()), false),
            // Others may have it.
            _ if is_full && !calm => (Answer::Refused("a full queue".into()), luck % 2 == 0),
            0..6 => (Answer::Refused("a full queue".into()), false),
            6..9 => (Answer::Refused("one of two queues was full".into()), true),
            9..15 => (Answer::Lost, luck >= 12),
            _ => (Answer::Confirmed { returned: (luck % 10 == 0 || is_unbound) && !calm }, true),
        }
    }

    /// Before a decision: the entries of which something is on its way.
    pub(super) fn on_their_way(engine: &Engine, unanswered: &[Handover]) -> BTreeMap<u64, Parked> {
        let is_sent = |(number, parked): &(&u64, &Parked)| {
            engine.is_being_sent(**number) && unanswered.iter().any(|handover| is_of(handover, parked))
        };
        engine.parked().iter().filter(is_sent).map(|(number, parked)| (*number, parked.clone())).collect()
    }

    /// After it: nothing of that is gone.
    pub(super) fn compare(&mut self, before: &BTreeMap<u64, Parked>, engine: &Engine) {
        for (number, parked) in before {
            if engine.parked().get(number) != Some(parked) {
                self.broken = Some(format!("{parked:?} was dropped while it was sent"));
            }
        }
    }

    /// What is handed over and stands parked is the first of its entry. A person has released that, durably; or it is the oldest
    /// of its schedule that is sent again by itself, and its time has come. What was
    /// parked when the clock was set back to before its send time is due once more, as all that lies above the reading, and the
    /// entry stays. What lies below, or is parked since, has no such excuse.
    pub(super) fn check_handover(&mut self, handover: &Handover, engine: &Engine, now: Timestamp) {
        let (name, due) = (&handover.schedule.name, handover.stands_for.last);
        // Where a clock was set back, one due time may stand in two entries: it is of the one whose event this is.
        let its_own = |(number, one): (&u64, &Parked)| {
            (is_of(handover, one) && one.first() == handover.stands_for).then_some(*number)
        };
        let mut its_own: Vec<u64> = engine.parked().iter().filter_map(its_own).collect();
        // Of several it is of one that may be sent.
        let may_go = |number: &u64| {
            let released = |all: &BTreeMap<u64, Parked>| all.get(number).is_some_and(|one| one.released);
            let by_itself = engine.parked().get(number).is_some_and(|one| one.retry_at.is_some());
            by_itself || released(engine.parked()) && released(&self.disk)
        };
        if its_own.iter().any(may_go) {
            its_own.retain(may_go);
        }
        let is_parked = |(number, parked): &(&u64, &Parked)| {
            let may_be = self.set_back.is_empty() || its_own.is_empty() || its_own.contains(number);
            // What was created anew is another event, though it is due at the same instant.
            let creation = engine.creation_of(&(parked.schedule.clone(), parked.revision));
            let is_its = is_of(handover, parked) && creation == handover.schedule.creation;
            is_its && may_be && !is_called_again(&self.set_back, **number, handover)
        };
        let by_itself = |parked: &Parked| parked.retry_at.is_some();
        let unreleased = |(_, parked): &(&u64, &Parked)| !parked.released && !by_itself(parked);
        if let Some((number, _)) = self.disk.iter().filter(is_parked).find(unreleased) {
            self.broken = Some(format!("{name} of {due} was sent before its release ({number}) was durable"));
        }
        let Some((number, parked)) = engine.parked().iter().find(is_parked) else {
            if let Some(kept) = self.disk.iter().find(is_parked) {
                self.broken = Some(format!("{name} of {due} was sent as if it stood not in {kept:?}"));
            }
            return;
        };
        let of_schedule =
            |(_, one): &(&u64, &Parked)| one.schedule == *name && by_itself(one) && !one.is_asked_for();
        let oldest = engine.parked().iter().filter(of_schedule).find(|(_, one)| !is_ahead(one, engine));
        let is_its_turn = parked.retry_at.is_some_and(|at| at <= now) && oldest == Some((number, parked));
        self.resent += usize::from(is_its_turn);
        if handover.stands_for.first != parked.stands_for.first || !(parked.released || is_its_turn) {
            self.broken =
                Some(format!("{name} of {due} was sent at {now}, and stands in {number}: {parked:?}"));
        }
    }

    /// What is refused stands parked at once, and in no span: nothing waits behind it. What is called for again since the
    /// clock was set back stands in both, and the span passes it.
    pub(super) fn check_refused(&mut self, handover: &Handover, engine: &Engine) {
        let (name, due) = (&handover.schedule.name, handover.stands_for.last);
        self.refused.insert((name.clone(), due));
        let is_dropped = engine.parked_waiting() >= engine.most_parked();
        if !is_dropped && !engine.parked().values().any(|parked| is_of(handover, parked)) {
            self.broken = Some(format!("{name} of {due} was refused, and is not parked"));
        }
        let mut its_own = engine.parked().iter().filter(|(_, parked)| is_of(handover, parked));
        if its_own.any(|(number, _)| is_called_again(&self.set_back, *number, handover)) {
            return;
        }
        let running = engine.running(name).map(|running| running.outstanding).unwrap_or_default();
        let mut spans = running.iter().filter(|span| span.revision == handover.era.number);
        if let Some(span) = spans.find(|span| span.after < due && due <= span.through) {
            self.broken = Some(format!("{name} of {due} was refused, and is held back in {span:?}"));
        }
    }

    pub(super) fn set_back(&mut self, to: Timestamp, engine: &Engine) {
        let all = self.disk.iter().chain(engine.parked());
        let last = all.map(|(number, parked)| (*number, parked.stands_for.last));
        self.set_back.push(SetBack { to, last: last.collect() });
    }

    pub(super) fn written(&mut self, commit: &Commit) {
        for (number, parked) in &commit.parked {
            match parked {
                Some(parked) => drop(self.disk.insert(*number, parked.clone())),
                None => drop(self.disk.remove(number)),
            }
        }
    }

    pub(super) fn check_limit(&mut self, engine: &Engine) {
        let waits = |(number, parked): &(&u64, &Parked)| {
            parked.retry_at.is_none() && !parked.released && engine.is_droppable(**number)
        };
        let kept = engine.parked().iter().filter(waits).count();
        if kept > engine.most_parked() {
            self.broken = Some(format!("{kept} are parked"));
        }
        let retried = |name: &str, asked_for: bool| {
            let of = engine.parked().values().filter(|parked| *parked.schedule == *name);
            of.filter(|one| one.retry_at.is_some() && one.is_asked_for() == asked_for).count()
        };
        for (name, asked_for) in ["a", "b", "c", "d", "e"].map(|name| [(name, false), (name, true)]).concat()
        {
            let count = retried(name, asked_for);
            if count > MOST_RETRIED {
                self.broken = Some(format!("{count} runs of {name} are sent again by themselves"));
            }
        }
        for (number, (refused, reason)) in std::mem::take(&mut self.tried) {
            let left = engine.parked().get(&number).filter(|one| {
                one.retry_at.is_none() && !one.released && (one.refused, &one.reason) == (refused, &reason)
            });
            if let Some(left) = left.filter(|left| retried(&left.schedule, false) < MOST_RETRIED) {
                self.broken = Some(format!("{left:?} is left to people, and few are tried beside it"));
            }
        }
        let tried = engine.parked().iter().filter(|(_, one)| one.retry_at.is_some() && !one.is_asked_for());
        self.tried = tried.map(|(number, one)| (*number, (one.refused, one.reason.clone()))).collect();
    }
}

/// The clock was set back.
struct SetBack {
    to: Timestamp,
    /// The last due time of each entry then: what joined it later was parked later.
    last: BTreeMap<u64, Timestamp>,
}

impl SetBack {
    fn calls_again(&self, number: u64, handover: &Handover) -> bool {
        let due = handover.stands_for.last;
        let was_parked = self.last.get(&number).is_some_and(|last| due <= *last);
        was_parked && handover.schedule.timing.send_time(due) > self.to
    }
}

/// Whether what stands in this entry is due once more.
fn is_called_again(set_back: &[SetBack], number: u64, handover: &Handover) -> bool {
    set_back.iter().any(|before| before.calls_again(number, handover))
}

/// Whether the clock was set back to before its send time.
fn is_ahead(parked: &Parked, engine: &Engine) -> bool {
    let revision = engine.revision(&(parked.schedule.clone(), parked.revision));
    let jitter = revision.map_or(0, |revision| revision.timing().jitter());
    let due = if parked.singly { parked.stands_for.first } else { parked.stands_for.last };
    due.plus(jitter_offset(&parked.schedule, due, jitter)) > engine.now()
}

fn is_of(handover: &Handover, parked: &Parked) -> bool {
    let due = handover.stands_for.last;
    !parked.is_asked_for()
        && parked.schedule == handover.schedule.name
        && parked.revision == handover.era.number
        && (parked.stands_for.first..=parked.stands_for.last).contains(&due)
}
