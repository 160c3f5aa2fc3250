//! What delayed events are told of a clock that was set back.

use super::*;
use crate::delayed::SinceSetBack;

#[test]
fn what_is_created_since_counts_from_what_was_reached_since_and_what_was_before_from_all() {
    let mut clock = Clock::new();
    clock.put("a", 1);
    clock.pass(MINUTE);
    assert_eq!(clock.engine.marks().since, None);
    clock.engine.created_delayed(40);
    let there = clock.wall;
    clock.wall = FAR;
    clock.pass(2 * MINUTE);
    assert!(clock.engine.marks().reached.millis() >= FAR);
    clock.wall = there;
    clock.pass(MINUTE);
    let SinceSetBack { created, reached } = clock.engine.marks().since.unwrap();
    let marks = clock.engine.marks();
    assert_eq!(created, 40);
    assert!(marks.handed <= reached && reached < marks.now.plus(MINUTE), "{marks:?}");
    assert!(marks.reached.millis() >= FAR);
    // What is created now is new, but for what was before a restart: that it is new is not kept.
    clock.engine.created_delayed(50);
    assert_eq!(clock.engine.marks().since.map(|since| since.created), Some(40));
    clock.put("b", 1);
    clock.pass(SECOND);
    clock.crash();
    assert!(clock.engine.marks().since.is_some_and(|since| since.created >= 50));
}

#[test]
fn once_the_clock_has_passed_what_was_reached_nothing_is_told_of_it() {
    let mut clock = Clock::new();
    clock.put("a", 1);
    clock.pass(20 * MINUTE);
    clock.wall -= 10 * MINUTE;
    clock.pass(MINUTE);
    let is_set_back = |clock: &Clock| clock.engine.marks().since.is_some();
    assert!(is_set_back(&clock));
    clock.pass(10 * MINUTE);
    assert!(!is_set_back(&clock));
}
