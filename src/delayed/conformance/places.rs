//! What is read: by time, by place, by name.

use super::*;

pub(super) fn what_is_due_comes_in_the_order_of_time_and_name(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("b", 10), put("c", 5), put("a", 10), put("ab", 10), put("z", 4)]);
    assert_eq!(pending(&*store), ["z", "c", "a", "ab", "b"]);
}

pub(super) fn what_is_due_is_read_page_by_page(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, (0..100).map(|n| put(&name_of(n), 10 + n as i64 / 30)).collect());
    for most in [1, 7, 100, 1000] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = store.reader().due(t(0)..t(100), after.as_ref(), most).unwrap();
            after = page.last().map(|event| event.key.clone()).or(after);
            let is_last = page.len() < most;
            read.extend(page.into_iter().map(|event| event.key.name));
            if is_last {
                break;
            }
        }
        assert!(read.into_iter().eq((0..100).map(name_of)), "{most} at a time");
    }
    let behind = key("zzz", 10);
    let page = store.reader().due(t(0)..t(100), Some(&behind), 1).unwrap();
    assert_eq!(page[0].key, key(&name_of(30), 11), "behind a place where nothing is");
}

pub(super) fn the_end_of_a_range_is_exclusive(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 11), put("c", 12)]);
    let reader = store.reader();
    let due = |from, to, after: Option<&DelayedKey>| {
        let due = reader.due(t(from)..t(to), after, 9).unwrap();
        due.into_iter().map(|event| event.key.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(due(10, 12, None), ["a", "b"]);
    assert_eq!(due(11, 11, None), [] as [&str; 0]);
    assert_eq!(due(12, 11, None), [] as [&str; 0]);
    assert_eq!(due(11, 13, Some(&key("a", 5))), ["b", "c"], "behind a place that is before the range");
    assert_eq!(due(10, 12, Some(&key("a", 12))), [] as [&str; 0], "behind a place that is behind it");
    assert!(reader.due(t(10)..t(12), None, 0).unwrap().is_empty());
}

pub(super) fn times_before_the_epoch_and_at_the_horizon_have_their_place(disk: &impl Disk) {
    let times = [i64::MIN, -1, 0, 1, Timestamp::HORIZON.millis(), i64::MAX - 1];
    let mut store = disk.open();
    let at = |n: usize| {
        let mut event = event(&name_of(n), 0);
        let send = Timestamp::from_millis(times[n]);
        event.head.key.send = send;
        event.head.due = send;
        event
    };
    write(&mut *store, 0, [3, 1, 5, 0, 2, 4].map(|n| DelayedStep::Put(Box::new(at(n)))).into());
    assert!(pending(&*store).into_iter().eq((0..6).map(|n| name_of(n).to_string())));
    for n in 0..6 {
        assert_eq!(store.reader().events(&[at(n).head.key]).unwrap(), [Some(at(n))]);
    }
}

pub(super) fn names_that_begin_with_another_name_stay_apart(disk: &impl Disk) {
    let names = ["a", "a-b", "a.b", "a0", "ab", "", "a\u{0}", "é"];
    let mut store = disk.open();
    write(&mut *store, 0, names.iter().map(|name| put(name, 10)).collect());
    for name in names {
        assert_eq!(find(&*store, name), Found::Pending(Box::new(event(name, 10).head)));
    }
    write(&mut *store, 1, vec![DelayedStep::Cancel("a".into()), settle("ab", 10)]);
    let mut left = vec!["a-b", "a.b", "a0", "", "a\u{0}", "é"];
    left.sort_unstable();
    assert_eq!(pending(&*store), left);
}

pub(super) fn content_of_any_bytes_and_any_length_is_kept(disk: &impl Disk) {
    let mut random = fastrand::Rng::with_seed(3);
    let lengths = [0, 1, 100, 4_095, 4_096, 4_097, 70_000, 256 << 10];
    let events: Vec<_> = (0..lengths.len())
        .map(|n| {
            let mut event = event(&name_of(n), 10);
            let data: Vec<u8> = (0..lengths[n]).map(|_| random.u8(..)).collect();
            event.content.data = data.into();
            event
        })
        .collect();
    let mut store = disk.open();
    write(&mut *store, 0, events.iter().map(|event| DelayedStep::Put(Box::new(event.clone()))).collect());
    // What is small comes and goes beside it.
    write(&mut *store, 1, (100..300).map(|n| put(&name_of(n), 10)).collect());
    write(&mut *store, 2, (100..300).step_by(2).map(|n| settle(&name_of(n), 10)).collect());
    drop(store);
    let store = disk.open();
    for event in events {
        let found = store.reader().events(std::slice::from_ref(&event.head.key)).unwrap();
        assert!(found == [Some(event)]);
    }
}

pub(super) fn events_that_are_gone_are_none(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, vec![put("a", 10), put("b", 10), put("c", 10)]);
    write(&mut *store, 1, vec![settle("b", 10)]);
    let keys = ["c", "b", "x", "a"].map(|name| key(name, 10));
    let expected = [Some(event("c", 10)), None, None, Some(event("a", 10))];
    assert_eq!(store.reader().events(&keys).unwrap(), expected);
}

/// The names listed, and behind which name to go on.
fn listed(
    store: &dyn DelayedStore,
    prefix: &str,
    after: Option<&str>,
    most: usize,
    looked_at: usize,
) -> (Vec<String>, Option<String>) {
    let listed = store.reader().list(prefix, after, &|_| true, most, looked_at).unwrap();
    let names = listed.heads.iter().map(|head| head.key.name.to_string()).collect();
    (names, listed.next.map(|name| name.to_string()))
}

pub(super) fn a_list_is_of_a_prefix_and_goes_on_behind_a_name(disk: &impl Disk) {
    let mut store = disk.open();
    let names = ["b", "ab", "a", "aa", "c", "ac"];
    write(&mut *store, 0, names.iter().zip(1..).map(|(name, send)| put(name, send)).collect());
    let none = Vec::<String>::new();
    assert_eq!(
        listed(&*store, "", None, 9, 9),
        (["a", "aa", "ab", "ac", "b", "c"].map(Into::into).into(), None)
    );
    assert_eq!(listed(&*store, "a", None, 2, 9), (["a", "aa"].map(Into::into).into(), Some("aa".into())));
    assert_eq!(listed(&*store, "a", Some("aa"), 2, 9), (["ab", "ac"].map(Into::into).into(), None));
    assert_eq!(listed(&*store, "a", Some("aba"), 9, 9), (vec!["ac".into()], None), "which is not there");
    assert_eq!(listed(&*store, "b", Some("a"), 9, 9), (vec!["b".into()], None), "before the prefix");
    assert_eq!(listed(&*store, "a", Some("b"), 9, 9), (none.clone(), None), "behind it");
    assert_eq!(listed(&*store, "x", None, 9, 9), (none, None));
}

pub(super) fn a_list_looks_at_no_more_than_it_may(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, (0..100).map(|n| put(&name_of(n), 10)).collect());
    let last = |head: &DelayedHead| *head.key.name == *name_of(99);
    let (mut after, mut calls) = (None, 0);
    let found = loop {
        let listed = store.reader().list("", after.as_deref(), &last, 9, 30).unwrap();
        calls += 1;
        after = listed.next;
        if after.is_none() {
            break listed.heads;
        }
        assert!(listed.heads.is_empty());
    };
    assert_eq!((calls, found.len()), (4, 1));
    assert_eq!(listed(&*store, "", None, 9, 0).0.len(), 1, "it always goes on");
}

pub(super) fn a_list_has_what_matches(disk: &impl Disk) {
    let mut store = disk.open();
    let of = |n: usize| {
        let mut event = event(&name_of(n), 10);
        event.head.owner = ["billing", "ops"][n % 2].into();
        DelayedStep::Put(Box::new(event))
    };
    write(&mut *store, 0, (0..20).map(of).collect());
    let listed = store.reader().list("n", None, &|head| &*head.owner == "ops", 4, 100).unwrap();
    let names: Vec<_> = listed.heads.into_iter().map(|head| head.key.name).collect();
    assert_eq!(names, [1, 3, 5, 7].map(name_of));
    assert_eq!(listed.next, Some(name_of(7)));
}

pub(super) fn what_is_pending_is_counted_by_name_in_portions(disk: &impl Disk) {
    let mut store = disk.open();
    write(&mut *store, 0, (0..7).map(|number| put(&name_of(number), 10)).collect());
    let balance = write(&mut *store, 11, vec![settle(&name_of(3), 10)]);
    let reader = store.reader();
    let name = |number| Some(name_of(number));
    for (after, most, count, next) in [
        (None, 9, 6, None),
        (None, 6, 6, None),
        (None, 4, 4, name(4)),
        (name(2), 2, 2, name(5)),
        (name(3), 3, 3, None),
        (name(6), 3, 0, None),
        (name(4), 1, 1, name(5)),
    ] {
        let counted = reader.count(after.as_deref(), most).unwrap();
        assert_eq!(counted, Counted { count, next, places: 6, balance }, "{most} after {after:?}");
    }
}
