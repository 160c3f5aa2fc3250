use super::*;
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn checked(kind: MessageKind) -> Checked {
    let name = "orders.invoice.print".parse().unwrap();
    Checked { kind, name, body: json!({ "order": 7 }).to_string().into_bytes() }
}

fn resolve(once: &Once, kind: MessageKind, at: i64) -> Result<Resolved, String> {
    let at = Timestamp::from_millis(at);
    once.resolve("orders", &checked(kind), (at, WEEK)).map_err(|why| why.to_string())
}

#[test]
fn the_namespace_is_derived_as_documented() {
    assert_eq!(Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:ponos:once"), NAMESPACE);
}

#[test]
fn a_period_begins_with_its_first_millisecond_and_ends_before_the_next() {
    let id = |once: &Once, at| resolve(once, MessageKind::Task, at).unwrap();
    let (seven, eight) = (Once::per(HOUR).key(7), Once::per(HOUR).key(8));
    let begin = 1_796_119_200_000;
    assert_eq!(id(&seven, begin), id(&seven, begin + 3_599_999));
    assert_ne!(id(&seven, begin), id(&seven, begin - 1));
    assert_ne!(id(&seven, begin), id(&seven, begin + 3_600_000));
    assert_ne!(id(&seven, begin), id(&eight, begin));
    // before 1970 the numbers go on downwards
    assert_ne!(id(&seven, -1), id(&seven, 0));
    assert_eq!(id(&seven, -1), id(&seven, -3_600_000));
}

#[test]
fn without_a_key_all_its_data_are_the_key() {
    let key = payload_key(&json!({ "order": 7 }));
    let kind = MessageKind::Task;
    assert_eq!(resolve(&Once::per(HOUR), kind, 0), resolve(&Once::per(HOUR).key(&key), kind, 0));
    let Resolved::UntilDone(claim) = resolve(&Once::until_done(), kind, 0).unwrap() else {
        panic!("a claim")
    };
    assert_eq!(claim, Claim { key, at_most: WEEK });
}

#[test]
fn what_waits_until_it_is_quiet_has_the_key_of_its_name_and_waits_at_most_ten_times_as_long() {
    let quiet = |once: &Once, kind| match resolve(once, kind, 0).unwrap() {
        Resolved::Debounce(quiet) => quiet,
        other => panic!("{other:?}"),
    };
    let (seven, task) = (Once::debounce(HOUR).key(7), MessageKind::Task);
    let of_seven = quiet(&seven, task);
    assert_eq!((of_seven.quiet, of_seven.at_most), (HOUR, 10 * HOUR));
    assert_eq!(quiet(&seven.clone().at_most(HOUR), task), Quiet { at_most: HOUR, ..of_seven });
    assert_eq!(quiet(&seven, MessageKind::Event), of_seven);
    assert_ne!(quiet(&Once::debounce(HOUR).key(8), task).key, of_seven.key);
    assert_ne!(quiet(&Once::debounce(HOUR), task).key, of_seven.key);
    assert_eq!(quiet(&Once::debounce(LONGEST), task).at_most, LONGEST);
}

#[test]
fn what_can_not_hold_is_refused_with_the_reason() {
    let task = MessageKind::Task;
    let minute = HOUR / 60;
    for (once, kind, part) in [
        (Once::per(Duration::ZERO), task, "1 s is the shortest"),
        (Once::per(WEEK + HOUR), task, "an inbox remembers what was done for 7 days: take a shorter one"),
        (Once::per(HOUR).at_most(HOUR), task, "goes with Once::until_done"),
        (Once::per(HOUR).key(""), task, "has 0 bytes"),
        (Once::until_done().key("k".repeat(KEY + 1)), task, "has 513 bytes, and 1 to 512 are allowed"),
        (Once::until_done(), MessageKind::Event, "is for tasks"),
        (Once::until_done().at_most(Duration::ZERO), task, "1 s to 366 days"),
        (Once::until_done().at_most(LONGEST + HOUR), task, "1 s to 366 days"),
        (Once::debounce(Duration::from_millis(999)), task, "1 s to 366 days"),
        (Once::debounce(LONGEST + HOUR), task, "1 s to 366 days"),
        (Once::debounce(HOUR).at_most(minute), task, "that time to 366 days"),
        (Once::debounce(HOUR).at_most(LONGEST + HOUR), task, "that time to 366 days"),
    ] {
        let refused = resolve(&once, kind, 0).unwrap_err();
        assert!(refused.contains(part) && refused.contains("orders.invoice.print"), "{once:?}: {refused}");
    }
    for once in
        [Once::per(WEEK), Once::per(SHORTEST).key("k".repeat(KEY)), Once::until_done().at_most(LONGEST)]
    {
        assert!(resolve(&once, task, 0).is_ok(), "{once:?}");
    }
    assert!(resolve(&Once::per(HOUR), MessageKind::Event, 0).is_ok());
}
