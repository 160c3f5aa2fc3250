//! What was made ahead is what a start from everything would make: the simulations hold it to that wherever they start an
//! engine, by a [`Followed`].

use super::Warm;
use crate::{
    Engine, Era, Outcome, Reading, Revision, Row, Rules, Sent, Snapshot,
    faults::is_any_planted,
    place::{Where, Which},
};
use khronos_schedule::{Created, Definition, DoorKind, Packed};
use ponos_event::{EventKind, Timestamp};
use std::{collections::BTreeMap, sync::Arc};

/// What was kept when an engine was started last, and what was made of it.
#[derive(Default)]
pub(crate) struct Followed(Option<(Snapshot, Warm)>);

impl Followed {
    /// Starts an engine from what was made ahead and what has changed since; it is the same as one that is started from all.
    pub(crate) fn start(&mut self, rules: Rules, snapshot: Snapshot, reading: Reading) -> Engine {
        let engine = Engine::start(rules, snapshot.clone(), reading);
        if is_any_planted() {
            return engine;
        }
        let ahead = self.0.take().map(|(before, mut warm)| {
            catch_up(&mut warm, &before, &snapshot);
            let rest = Snapshot {
                revisions: Vec::new(),
                one_shots: Vec::new(),
                sent: BTreeMap::new(),
                ..snapshot.clone()
            };
            Engine::take_over(rules, warm, rest, reading)
        });
        if let Some(settled) = snapshot.settled {
            let warm = Warm::of(&mut snapshot.clone(), settled);
            self.0 = Some((snapshot, warm));
        }
        let Some(ahead) = ahead else { return engine };
        assert_eq!(shown(&ahead), shown(&engine));
        ahead
    }
}

/// As a follower does, in the order of keys: the revisions first.
fn catch_up(warm: &mut Warm, before: &Snapshot, after: &Snapshot) {
    let keyed = |all: &Snapshot| -> BTreeMap<(Arc<str>, u32), Revision> {
        let all = all.revisions.iter();
        all.map(|one| ((one.name().into(), one.number), one.clone())).collect()
    };
    let (old, new) = (keyed(before), keyed(after));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
        match new.get(key) {
            Some(revision) => warm.put(revision.clone()),
            None => warm.forget(&key.0, key.1),
        }
    }
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.one_shots.iter().cloned().collect(), after.one_shots.iter().cloned().collect());
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    for name in names.filter(|name| old.get(*name) != new.get(*name)) {
        warm.put_one_shot(name.clone(), new.get(name).copied());
    }
    // The rows are not in here; `rows_count_for_…` is about them.
    for id in warm.schedules.ids().filter(|id| warm.schedules[*id].runs()).collect::<Vec<_>>() {
        warm.schedules[id].sent = Sent::of(&after.sent, &warm.schedules[id].definition);
    }
    warm.sent.clear();
    for definition in warm.resting.values().map(|revision| &revision.definition) {
        let runs = warm.running(definition.name(), definition.creation()).is_some();
        let sent = Sent::of(&after.sent, definition);
        if !runs && sent != Sent::default() {
            warm.sent.insert((&*super::sent_key(definition)).into(), sent);
        }
    }
    if let Some(settled) = after.settled {
        warm.move_on(settled);
    }
}

/// All that a start decides, whatever the ids of slots are.
fn shown(engine: &Engine) -> Vec<String> {
    let running = engine.schedules.after(None).map(|id| {
        let slot = &engine.schedules[id];
        let queue = match engine.schedules.place(id) {
            Where::Head(which) | Where::Heap(which, _) => Some(which),
            Where::Nowhere => None,
        };
        let (next, standing) = (slot.next(), engine.schedules.is_standing(id));
        format!("{:?} {:?} {queue:?} {standing} {:?}", slot.revision(), next, slot.sent)
    });
    let mut all: Vec<String> = running.collect();
    let backlogs = engine.outstanding.backlogs.iter();
    all.extend(backlogs.map(|(key, one)| format!("{key:?} {:?} {:?} {:?}", one.span, one.era, one.state)));
    let order = engine.schedules.soonest(usize::MAX);
    all.extend(order.into_iter().map(|id| engine.schedules[id].definition.name().to_owned()));
    all.extend([Which::Due, Which::Paused].map(|which| engine.schedules.waiting(which).to_string()));
    all.push(format!("{:?}", engine.resting));
    all.push(format!("{:?}", engine.schedules.tallies.demand()));
    all.push(format!("{:?}", engine.schedules.tallies.created_demand()));
    all.push(format!("{:?}", engine.going.by_time()));
    all.push(format!("{:?}", engine.out.notices));
    all
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_772_323_200_000 + second * 1_000)
}

pub(super) fn revision(name: &str, number: u32, creation: u64) -> Revision {
    let created =
        (creation > 0).then(|| Created { number: creation, owner: "billing".into(), door: DoorKind::Http });
    let definition = Definition {
        name: name.into(),
        event: Some("test.minute.passed".into()),
        every: Some("1m".into()),
        created,
        ..Definition::default()
    };
    Era::first(number, at(0)).of(Packed::build(&definition).unwrap())
}

fn row(name: &str, creation: u64, second: i64) -> Row {
    Row {
        at: at(second),
        schedule: name.into(),
        revision: 1,
        first: at(second),
        last: at(second),
        count: 1,
        outcome: Outcome::Confirmed { sent_at: at(second), lateness: 0, returned: second % 2 == 0 },
        kind: EventKind::Occurrence,
        creation,
        queue: None,
    }
}

#[test]
fn rows_count_for_the_creation_that_they_are_about_as_long_as_a_revision_of_it_is_kept() {
    let mut warm = Warm::new(at(0));
    let rows = [row("a", 0, 1), row("a", 0, 2), row("b", 7, 3), row("gone", 9, 4)];
    ["a", "b"].into_iter().zip([0, 7]).for_each(|(name, creation)| warm.put(revision(name, 1, creation)));
    rows.iter().for_each(|row| warm.note_row(row));
    let confirmed = |warm: &Warm, name: &str| {
        let id = warm.schedules.find(name).unwrap();
        (warm.schedules[id].sent.confirmed, warm.schedules[id].sent.returned)
    };
    assert_eq!((confirmed(&warm, "a"), confirmed(&warm, "b")), ((2, 1), (1, 0)));
    assert!(warm.sent.is_empty(), "nothing is kept of what nobody knows");
    // An edit goes on counting, and so does what ended, until it is forgotten; another creation begins anew.
    warm.put(Revision { ended: Some(at(9)), ..revision("a", 1, 0) });
    warm.note_row(&row("a", 0, 9));
    assert_eq!(warm.sent.values().map(|sent| sent.confirmed).collect::<Vec<_>>(), [3]);
    warm.put(revision("a", 2, 0));
    assert_eq!(confirmed(&warm, "a"), (3, 1));
    warm.put(Revision { ended: Some(at(10)), ..revision("b", 1, 7) });
    warm.put(revision("b", 2, 8));
    warm.note_row(&row("b", 7, 11));
    assert_eq!(confirmed(&warm, "b"), (0, 0));
    warm.forget("b", 1);
    assert!(warm.sent.is_empty());
    // As the record tells it.
    let mut told = BTreeMap::new();
    rows.iter().chain([&row("a", 0, 9)]).for_each(|row| Sent::note_row(&mut told, row));
    let mut whole = Snapshot {
        sent: told,
        revisions: vec![revision("a", 2, 0), revision("b", 2, 8)],
        ..Snapshot::default()
    };
    let whole = Warm::of(&mut whole, at(0));
    assert_eq!((confirmed(&whole, "a"), confirmed(&whole, "b")), ((3, 1), (0, 0)));
    assert!(whole.sent.is_empty());
}

#[test]
fn w_that_moves_on_and_back_has_each_wait_for_what_follows() {
    let mut warm = Warm::new(at(0));
    (0..100).for_each(|number| warm.put(revision(&format!("{number:03}"), 1, 0)));
    let next = |warm: &Warm| {
        let all = warm.schedules.after(None).map(|id| warm.schedules[id].next().unwrap());
        let mut all: Vec<_> = all.collect();
        all.dedup();
        all
    };
    for (settled, due) in [(0, 60), (59, 60), (60, 120), (3_601, 3_660), (30, 60)] {
        warm.move_on(at(settled));
        assert_eq!((next(&warm), warm.settled()), (vec![at(due)], at(settled)));
    }
    assert_eq!(warm.len(), 100);
}
