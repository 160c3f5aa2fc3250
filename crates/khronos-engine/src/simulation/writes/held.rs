//! What has ended and can't be forgotten, for something refers to it: it takes no room from what can.

use super::{
    commands::{ask, once, put_of},
    lives::{ann, delete},
    *,
};
use crate::{Author, Verdict};

/// As long as a payload may be.
fn long(name: &str) -> Definition {
    Definition { data: Some("x".repeat(60_000).into()), ..every(name, "1m") }
}

/// The payloads of what ann leaves behind are more than there is room for, and all of it is parked.
#[test]
fn what_is_parked_and_gone_does_not_have_others_forgotten_early() {
    let mut seen = Seen::of(100);
    seen.refuses = |one| one.schedule.name.starts_with('p');
    seen.step(Input::Link(true));
    seen.engine.rules.keep_finished = 0;
    let names: Vec<String> = (0..20).map(|number| format!("p{number:02}")).collect();
    ask(&mut seen, ann(), names.iter().map(|name| put_of(long(name))).collect());
    seen.pass(MINUTE + 5_000, 1_000);
    assert_eq!(seen.engine.parked().len(), 20);
    ask(&mut seen, ann(), names.iter().map(|name| delete(name)).collect());
    let bob = || Author::owner("bob", "a test");
    let asked = || put_of(once("x", START + MINUTE + 10_000));
    ask(&mut seen, bob(), vec![asked()]);
    seen.pass(7_000, 1_000);
    assert!(seen.sent["x"] == 1 && seen.engine.running("x").is_none());
    // Others end meanwhile, and so it is looked at what can be forgotten.
    for _ in 0..5 {
        ask(&mut seen, bob(), vec![put_of(every("y", "10m"))]);
        ask(&mut seen, bob(), vec![delete("y")]);
        seen.pass(1_000, 500);
    }
    let again = ask(&mut seen, bob(), vec![asked()]);
    assert!(matches!(again[..], [Verdict::Unchanged { .. }]), "{again:?}");
    assert_eq!(seen.sent["x"], 1);
    // Once nobody refers to them, they go as all do.
    let parked: Vec<u64> = seen.engine.parked().keys().copied().collect();
    seen.step(Input::Drop(parked));
    seen.pass(5 * MINUTE, 1_000);
    assert_eq!(seen.engine.resting.iter().count(), 0);
    assert!(seen.engine.next_wakeup().is_some_and(|at| at > seen.engine.now()));
}
