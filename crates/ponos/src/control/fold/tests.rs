//! What counts of the records, in whatever order they were written anew.

use super::*;
use crate::{
    broker::DeliveryTag,
    event::{
        Message,
        control::{CONTROL_OPENED, ControlRate, Setting},
    },
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn at(secs: i64) -> Timestamp {
    NOW.plus(secs * 1_000)
}

fn pause(queue: &str) -> Key {
    Key::Pause { queue: queue.into() }
}

fn change(key: Key, value: Option<Setting>, until: Timestamp) -> Change {
    let service = "shop".to_owned();
    Change { service, key, value, until, by: "alice".into(), why: "slow".into(), folded_from: None }
}

fn delivery(place: u64, name: &str, data: &str) -> Delivery {
    let event = Event::new("1".parse().unwrap(), "/ops", name.parse().unwrap(), data);
    let mut message: Message = event.into_message();
    message.headers.set("x-stream-offset", place as i64);
    let tag = DeliveryTag { generation: 1, tag: 1 };
    Delivery { message, exchange: "ponos.control".into(), redelivered: false, tag }
}

fn record(place: u64, change: &Change) -> Record {
    Record::of(&delivery(place, CONTROL_CHANGED, &serde_json::to_string(change).unwrap()))
}

fn folded(scope: Scope, changes: &[Change]) -> Fold {
    let mut fold = Fold::new(scope);
    for (place, change) in (0..).zip(changes) {
        fold.take(record(place, change), NOW);
    }
    fold
}

fn steered(fold: &Fold, queue: &str, now: Timestamp) -> (bool, Option<Limit>) {
    let Steered { paused, limit } = fold.steered(&Arc::from(queue), now);
    (paused.is_some(), limit)
}

#[test]
fn the_last_record_of_a_key_counts_until_its_end() {
    let limit = Setting { concurrency: Some(2), rate: Some(ControlRate { tasks: 10, per_ms: 1_000 }) };
    let fold = folded(
        Scope::All,
        &[
            change(pause("shop.a"), Some(Setting::default()), at(10)),
            change(pause("shop.b"), Some(Setting::default()), at(10)),
            change(pause("shop.b"), None, at(600)),
            change(Key::Limit { queue: "shop.a".into() }, Some(limit), at(20)),
            change(pause("shop.c"), Some(Setting::default()), at(5)),
            change(pause("shop.c"), Some(Setting::default()), at(30)),
        ],
    );
    let limit = Limit::of(&limit);
    assert_eq!(steered(&fold, "shop.a", NOW), (true, limit));
    assert_eq!(steered(&fold, "shop.b", NOW), (false, None));
    assert_eq!(fold.next_end(NOW), Some(at(10)));
    assert_eq!(steered(&fold, "shop.a", at(10)), (false, limit), "its end is not part of it");
    assert_eq!(fold.next_end(at(10)), Some(at(20)));
    assert_eq!(steered(&fold, "shop.c", at(29)), (true, None));
    assert_eq!((steered(&fold, "shop.a", at(30)), fold.next_end(at(30))), ((false, None), None));
    let paused = fold.steered(&Arc::from("shop.a"), NOW).paused.unwrap().to_string();
    assert_eq!(paused, "shop.a is paused by alice until 1970-01-01T00:16:50.000Z: slow");
}

#[test]
fn a_worker_keeps_what_is_said_of_its_own_queues() {
    let scope = Scope::Queues(vec![Arc::from("shop.a")]);
    let all =
        ["shop.b", "shop.a", "shop.a.b"].map(|queue| change(pause(queue), Some(Setting::default()), at(1)));
    let fold = folded(scope, &all);
    assert_eq!(fold.entries.len(), 1);
    assert!(steered(&fold, "shop.a", NOW).0);
}

#[test]
fn what_is_not_understood_is_left_out_and_does_no_harm() {
    let good = serde_json::to_string(&change(pause("shop.a"), None, at(1))).unwrap();
    let long = good.replace("slow", &"x".repeat(RECORD));
    let nameless = good.replace("shop.a", &"q".repeat(NAME + 1));
    let no_limit = good.replace("\"pause\"", "\"limit\"").replace("null", "{}");
    let nested = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
    for (name, data) in [
        (CONTROL_OPENED, "{}"),
        ("order.parcel.made", good.as_str()),
        (CONTROL_CHANGED, "{"),
        (CONTROL_CHANGED, "{}"),
        (CONTROL_CHANGED, &long),
        (CONTROL_CHANGED, &nameless),
        (CONTROL_CHANGED, &no_limit),
        (CONTROL_CHANGED, &nested),
    ] {
        assert_eq!(Record::of(&delivery(1, name, data)), Record::Other, "{name} {:.60}", data);
    }
    let mut placeless = delivery(1, CONTROL_CHANGED, &good);
    placeless.message.headers.set("x-stream-offset", "first");
    assert_eq!(Record::of(&placeless), Record::Other);
    assert!(matches!(Record::of(&delivery(1, CONTROL_CHANGED, &good)), Record::Changed(_)));
    let wordy = good.replace("slow", &"x".repeat(2_000)).replace("alice", &"y".repeat(2_000));
    let Record::Changed(entry) = Record::of(&delivery(1, CONTROL_CHANGED, &wordy)) else { panic!() };
    assert!(entry.change.why.chars().count() <= WHY + 1 && entry.change.by.chars().count() <= BY + 1);
    let lines = good.replace("slow", "slow\\n\\u001b[2Jall is well");
    let Record::Changed(entry) = Record::of(&delivery(1, CONTROL_CHANGED, &lines)) else { panic!() };
    assert_eq!(entry.change.why, "slow  [2Jall is well");
}

#[test]
fn a_record_can_not_stand_behind_itself() {
    // or it would outlive all that is said later
    let mut forged = change(pause("shop.a"), Some(Setting::default()), at(60));
    forged.folded_from = Some(1_000_000);
    let fold = folded(Scope::All, &[forged, change(pause("shop.a"), None, at(60))]);
    assert!(!steered(&fold, "shop.a", NOW).0);
}

#[test]
fn what_is_kept_has_a_bound_and_what_is_over_makes_room() {
    let mut fold = Fold::new(Scope::All);
    let of =
        |number: usize, until| change(pause(&format!("shop.q{number}")), Some(Setting::default()), until);
    for number in 0..KEYS {
        let until = if number == 0 { at(1) } else { at(60) };
        assert!(fold.take(record(number as u64, &of(number, until)), NOW));
    }
    let more = |fold: &mut Fold, number, now| fold.take(record(KEYS as u64, &of(number, at(60))), now);
    assert!(!more(&mut fold, KEYS, NOW), "there is no room");
    assert!(more(&mut fold, 5, NOW), "a known one is changed all the same");
    assert!(more(&mut fold, KEYS, at(1)), "one is over");
    assert_eq!(fold.entries.len(), KEYS);
    assert_eq!(fold.bytes, fold.entries.values().map(|entry| entry.bytes).sum::<usize>());
}

fn cancelled(ids: &[&str], queue: Option<&str>) -> Cancellation {
    Cancellation {
        service: "shop".into(),
        queue: queue.map(str::to_owned),
        name: None,
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        until: at(60),
        by: "alice".into(),
        why: "sent twice".into(),
        folded: false,
    }
}

fn cancelling(cancellation: &Cancellation) -> Record {
    Record::of(&delivery(1, CONTROL_CANCELLED, &serde_json::to_string(cancellation).unwrap()))
}

#[test]
fn a_worker_keeps_what_is_cancelled_in_its_own_queues() {
    let found = |scope: Scope, cancellation: &Cancellation| {
        let mut fold = Fold::new(scope);
        let is_new = fold.take(cancelling(cancellation), NOW);
        assert_eq!(is_new, fold.next_end(NOW).is_some());
        is_new
    };
    let queues = |queue: &str| Scope::Queues(vec![Arc::from(queue)]);
    let (all, one) = (cancelled(&["1"], None), cancelled(&["1"], Some("shop.a")));
    for scope in [Scope::All, queues("shop.a")] {
        assert!(found(scope.clone(), &all) && found(scope, &one));
    }
    assert!(found(queues("shop.b"), &all) && !found(queues("shop.b"), &one));
    assert!(!found(queues("shopping.a"), &all));
}

#[test]
fn a_cancellation_that_is_not_understood_is_left_out() {
    let good = serde_json::to_string(&cancelled(&["1"], None)).unwrap();
    let long = good.replace("sent twice", &"x".repeat(RECORD));
    let nameless = good.replace("shop", &"s".repeat(NAME + 1));
    for data in ["{}", "[1]", &long, &nameless, &good.replace("[\"1\"]", "1")] {
        assert_eq!(Record::of(&delivery(1, CONTROL_CANCELLED, data)), Record::Other, "{data:.60}");
    }
    let lines = good.replace("sent twice", "sent\\n\\u001b[2Jtwice");
    let Record::Cancelled(ids, false) = Record::of(&delivery(1, CONTROL_CANCELLED, &lines)) else { panic!() };
    assert_eq!(ids.said.why, "sent  [2Jtwice");
}

#[test]
fn many_ids_in_a_record_count_as_several_until_the_state_is_written_anew() {
    let ids: Vec<String> = (0..250).map(|number| format!("{number:036}")).collect();
    let all = cancelled(&ids.iter().map(String::as_str).collect::<Vec<_>>(), None);
    let mut fold = Fold::new(Scope::All);
    fold.take(cancelling(&all), NOW);
    assert_eq!(fold.since_written(), 3, "9,000 bytes");
    let anew = fold.cancelled().to_write(NOW);
    assert_eq!(anew.len(), 1);
    fold.take(cancelling(&anew[0]), NOW);
    assert_eq!((fold.since_written(), fold.cancelled().to_write(NOW)), (0, anew));
}

#[test]
fn records_are_counted_until_the_state_is_written_anew() {
    let held = change(pause("shop.a"), Some(Setting::default()), at(60));
    let mut fold = folded(Scope::All, &[held.clone(), held.clone(), held]);
    fold.take(Record::Other, NOW);
    assert_eq!(fold.since_written(), 4);
    let written = fold.to_write(NOW);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].change.folded_from, Some(2));
    fold.take(record(4, &written[0].change), NOW);
    assert_eq!(fold.since_written(), 0);
}

proptest! {
    /// Somebody reads up to any place, others write on, and then the state as it was is written anew: whoever reads all, or only from
    /// any place on behind which all that holds was written anew, finds what the changes alone say.
    #[test]
    fn writing_the_state_anew_changes_nothing(
        changes in prop::collection::vec((0_usize..3, any::<bool>()), 1..20),
        read in 0_usize..20,
    ) {
        let changes: Vec<Change> = changes
            .into_iter()
            .map(|(queue, held)| change(pause(&format!("shop.q{queue}")), held.then(Setting::default), at(60)))
            .collect();
        let wanted = folded(Scope::All, &changes);
        let before = folded(Scope::All, &changes[..read.min(changes.len())]);
        let mut all = changes.clone();
        all.extend(before.to_write(NOW).into_iter().map(|entry| entry.change));
        let mut fold = folded(Scope::All, &all);
        // and once more, by one who has read all: what stood before may go now
        let anew = fold.to_write(NOW);
        let cut = all.len();
        for (place, entry) in (cut as u64..).zip(&anew) {
            fold.take(record(place, &entry.change), NOW);
        }
        let mut late = Fold::new(Scope::All);
        for (place, entry) in (cut as u64..).zip(&anew) {
            late.take(record(place, &entry.change), NOW);
        }
        for queue in ["shop.q0", "shop.q1", "shop.q2"] {
            let said = steered(&wanted, queue, NOW);
            prop_assert_eq!(steered(&fold, queue, NOW), said);
            prop_assert_eq!(steered(&late, queue, NOW), said);
        }
    }
}
