//! One of several clocks on one store goes back only when it is told that no other lives.

use super::*;

#[test]
fn one_of_several_clocks_waits_until_its_time_comes_again_or_no_other_lives() {
    for is_alone in [false, true] {
        let mut clock = Clock::new();
        clock.put("a", 1);
        clock.step(Input::Others(true));
        clock.pass(30 * MINUTE);
        let (there, sent) = (clock.wall, clock.sent.len());
        clock.wall -= 20 * MINUTE;
        clock.pass(MINUTE);
        assert_eq!((clock.engine.clock(), clock.sent.len()), (ClockState::Behind, sent));
        assert!(!clock.engine.may_hand_over() && clock.memory.handed().is_some_and(|h| h.millis() >= there));
        if is_alone {
            clock.step(Input::Others(false));
            clock.pass(MINUTE);
        } else {
            clock.pass(20 * MINUTE);
        }
        assert_eq!(clock.engine.clock(), ClockState::Steady);
        let due = clock.due("a", sent);
        assert!(!due.is_empty() && due.iter().all(|due| is_alone == (*due < there)), "{due:?} of {there}");
    }
}
