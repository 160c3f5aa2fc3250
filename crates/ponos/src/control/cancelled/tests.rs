//! What is cancelled, in whatever order it is read, and how much of it.

use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const QUEUE: (&str, &str) = ("shop.order.made", "order.parcel.made");

fn said(why: &str) -> Said {
    Said {
        until: end(NOW),
        service: "shop".into(),
        queue: None,
        name: None,
        by: "alice".into(),
        why: why.into(),
    }
}

fn of(ids: &[&str], said: Said) -> CancelledIds {
    CancelledIds { ids: ids.iter().map(|id| Arc::from(*id)).collect(), said: Arc::new(said) }
}

fn cancelled(all: &[CancelledIds]) -> Cancellations {
    let mut cancellations = Cancellations::default();
    for one in all {
        assert!(cancellations.add(one, NOW));
    }
    cancellations
}

fn again(record: &Cancellation) -> CancelledIds {
    let Cancellation { service, queue, name, ids, until, by, why, folded } = record.clone();
    assert!(folded);
    let said = Arc::new(Said { until, service, queue, name, by, why });
    CancelledIds { ids: ids.iter().map(|id| Arc::from(id.as_str())).collect(), said }
}

#[test]
fn an_id_is_cancelled_in_the_queues_of_its_service_or_where_it_is_said_until_its_end() {
    let queue = Said { queue: Some("shop.order.made".into()), ..said("queue") };
    let name = Said { name: Some("order.parcel.made".into()), ..said("name") };
    let all = cancelled(&[of(&["all"], said("all")), of(&["queue"], queue), of(&["name"], name)]);
    let found = |id: &str, place| all.find(id, place, NOW).map(|said| said.why.as_str());
    let (elsewhere, foreign) =
        (("shop.audit", "order.parcel.lost"), ("shop2.order.made", "order.parcel.made"));
    for (id, here, there) in [
        ("all", Some("all"), Some("all")),
        ("queue", Some("queue"), None),
        ("name", Some("name"), None),
        ("another", None, None),
    ] {
        assert_eq!((found(id, QUEUE), found(id, elsewhere), found(id, foreign)), (here, there, None), "{id}");
    }
    assert_eq!(found("name", ("shop.audit", "order.parcel.made")), Some("name"), "in any queue");
    let over = end(NOW);
    assert!(all.find("all", QUEUE, over.plus(-1)).is_some() && all.find("all", QUEUE, over).is_none());
    assert_eq!((all.next_end(NOW), all.next_end(over)), (Some(over), None));
    let (left, rest) = (over.since(NOW) - 8 * 24 * HOUR, over.millis() % HOUR);
    assert!((1..=HOUR).contains(&left) && rest == 0, "8 days, and up to the end of the hour");
    assert_eq!(said("").to_string(), "cancelled by alice");
    assert_eq!(said("sent twice").to_string(), "cancelled by alice: sent twice");
}

#[test]
fn what_is_said_twice_is_kept_once_and_holds_for_as_long_as_either() {
    let later = Said { until: end(NOW).plus(-HOUR), ..said("z") };
    let all = cancelled(&[of(&["1"], later), of(&["1"], said("a")), of(&["1"], said("a"))]);
    assert_eq!((all.kept, all.said.len()), (1, 1));
    assert_eq!(all.find("1", QUEUE, end(NOW).plus(-1)).map(|said| said.why.as_str()), Some("a"));
    assert_eq!(all.bytes, said("a").weight() + weight("1"));
    let queue = Said { queue: Some("shop.order.made".into()), ..said("a") };
    let both = cancelled(&[of(&["1"], queue.clone()), of(&["1"], said("a"))]);
    assert_eq!(both, cancelled(&[of(&["1"], queue), of(&["1"], said("a"))]));
    assert_eq!(both.kept, 2, "the one does not stand for the other");
}

#[test]
fn a_stranger_can_not_cancel_for_longer() {
    let far = Timestamp::from_millis(i64::MAX / 2);
    let all = cancelled(&[
        of(&["1"], Said { until: far, ..said("") }),
        of(&["2"], Said { until: NOW, ..said("") }),
    ]);
    assert_eq!((all.next_end(NOW), all.kept), (Some(end(NOW)), 1), "and what is over is not kept");
}

#[test]
fn what_is_kept_has_a_bound_and_what_is_over_makes_room() {
    let mut all = Cancellations::default();
    let ids: Vec<String> = (0..KEPT).map(|number| format!("{number:036}")).collect();
    let soon = Said { until: NOW.plus(1), ..said("") };
    assert!(all.add(&of(&["soon"], soon), NOW));
    for ids in ids.chunks(200) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let fits = all.add(&of(&ids, said("all of them")), NOW);
        assert_eq!(fits, ids.last() != Some(&format!("{:036}", KEPT - 1).as_str()), "{}", all.kept);
    }
    assert_eq!(all.kept, KEPT);
    assert!(!all.add(&of(&["more"], said("")), NOW));
    assert!(all.add(&of(&[&ids[0]], said("said again")), NOW), "a known one changes all the same");
    let last = format!("{:036}", KEPT - 1);
    assert!(all.add(&of(&[&last], said("all of them")), NOW.plus(1)), "one is over");
    // as many ids of the usual length are few records, which the stream has room for several times
    let records = all.to_write(NOW.plus(1));
    assert!(records.len() <= 420, "{}", records.len());
    let bytes: usize = records.iter().map(|record| serde_json::to_vec(record).unwrap().len() + 500).sum();
    assert!(bytes <= BYTES, "{bytes}");
    assert_eq!(records.iter().map(|record| record.ids.len()).sum::<usize>(), KEPT);
    // and each with a reason of its own are fewer
    let mut each = Cancellations::default();
    let mut count = 0;
    while each.add(&of(&[&format!("{count:036}")], said(&format!("ticket {count}"))), NOW) {
        count += 1;
    }
    assert!((3_000..6_000).contains(&count) && each.bytes <= BYTES, "{count}");
}

#[test]
fn records_are_short_whatever_the_ids_are() {
    let quotes = "\"".repeat(255);
    let ids: Vec<String> = (0..200).map(|number| format!("{number}{}", &quotes[..250])).collect();
    let all = cancelled(&[of(&ids.iter().map(String::as_str).collect::<Vec<_>>(), said(&"ü".repeat(500)))]);
    let records = all.to_write(NOW);
    assert_eq!(records.iter().map(|record| record.ids.len()).sum::<usize>(), 200);
    for record in &records {
        assert!(serde_json::to_vec(record).unwrap().len() < 16 << 10);
    }
    assert_eq!(cancelled(&records.iter().map(again).collect::<Vec<_>>()), all);
}

#[test]
fn who_works_sees_what_is_new_and_nothing_of_what_is_over() {
    let shared = Cancelled::default();
    let find = |id: &str, now| shared.find(id, QUEUE, || now).map(|said| said.to_string());
    assert_eq!(shared.find("1", QUEUE, || unreachable!("nothing is cancelled")), None);
    let mut changes = shared.changes();
    shared.add(&of(&["1"], said("")), NOW);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!(find("1", NOW).as_deref(), Some("cancelled by alice"));
    shared.replace(&cancelled(&[of(&["2"], said(""))]), NOW);
    assert!(changes.has_changed().unwrap() && find("1", NOW).is_none() && find("2", NOW).is_some());
    shared.replace(&cancelled(&[of(&["2"], said(""))]), end(NOW));
    assert_eq!(shared.find("2", QUEUE, || unreachable!("all are over")), None);
}

proptest! {
    /// Whatever was read, in whatever order, in part written anew and read again: the same is cancelled.
    #[test]
    fn order_and_repetition_change_nothing(
        said_of in prop::collection::vec((0_usize..4, 0_usize..3, 0_i64..3), 1..20),
        read in 0_usize..20,
    ) {
        let all: Vec<CancelledIds> = said_of
            .iter()
            .map(|(id, why, hours)| {
                let queue = (*why == 2).then(|| "shop.order.made".to_owned());
                let until = end(NOW).plus(-hours * HOUR);
                of(&[&id.to_string()], Said { until, queue, ..said(&why.to_string()) })
            })
            .collect();
        let sorted = |cancellations: &Cancellations| cancellations.to_write(NOW);
        let wanted = sorted(&cancelled(&all));
        let backwards: Vec<CancelledIds> = all.iter().rev().cloned().collect();
        prop_assert_eq!(sorted(&cancelled(&backwards)), wanted.clone());
        let before = sorted(&cancelled(&all[..read.min(all.len())]));
        let with: Vec<CancelledIds> = all.iter().cloned().chain(before.iter().map(again)).collect();
        prop_assert_eq!(sorted(&cancelled(&with)), wanted.clone());
        let alone: Vec<CancelledIds> = wanted.iter().map(again).collect();
        prop_assert_eq!(sorted(&cancelled(&alone)), wanted);
    }
}
