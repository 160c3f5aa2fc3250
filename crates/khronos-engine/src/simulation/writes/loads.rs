//! What a load says that it changed, and what is shown of a name that returns.

use super::*;
use crate::Notice;
use std::collections::VecDeque;

#[test]
fn a_name_that_returns_is_shown_with_what_was_sent_of_it_before() {
    let mut seen = Seen::of(100);
    let packed = |often: &str| Packed::build(&every("a", often)).unwrap();
    let put = |command, often| Input::Put { command, definition: packed(often) };
    let confirmed = |seen: &Seen| seen.engine.running("a").unwrap().sent.confirmed;
    seen.step(Input::Link(true));
    seen.step(put(1, "1s"));
    seen.pass(3_000, MINUTE);
    assert_eq!(confirmed(&seen), 3);
    // With its definition, with another one, and from the files.
    for (command, back) in [(2, put(3, "1s")), (4, put(5, "2s")), (6, Input::Load(vec![packed("3s")]))] {
        seen.step(Input::Remove { command, name: "a".into() });
        assert!(seen.engine.running("a").is_none());
        seen.step(back);
        assert_eq!(confirmed(&seen), 3);
    }
    seen.pass(3_000, MINUTE);
    assert_eq!(confirmed(&seen), 4);
}

#[test]
fn a_load_that_replaces_another_says_what_that_had_changed() {
    let mut engine = Seen::engine(1, false);
    let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
    let load = |names: &[&str]| {
        Input::Load(names.iter().map(|name| Packed::build(&every(name, "1m")).unwrap()).collect())
    };
    let (mut said, mut saved) = (Vec::new(), VecDeque::new());
    let mut inputs = VecDeque::from([load(&["a", "b"]), load(&["a", "b", "c"])]);
    while let Some(input) = inputs.pop_front().or_else(|| saved.pop_front()) {
        for action in engine.step(reading, input) {
            match action {
                Action::Save { ticket, .. } => saved.push_back(Input::Saved(ticket)),
                Action::Notice(Notice::Loaded(summary)) => said.push(summary.to_string()),
                _ => {}
            }
        }
    }
    assert_eq!(said, ["3 schedules are loaded: 3 added (a, b, c)"]);
}
