//! What a load says that it changed, and what is shown of a name that returns.

use super::*;
use crate::{ChangeKind, Notice, Version, occurrence_event};
use khronos_schedule::CatchUpDefinition;
use std::collections::VecDeque;

#[test]
fn a_name_that_returns_is_shown_with_what_was_sent_of_it_before() {
    let mut seen = Seen::of(100);
    let load = |often: &[&str]| {
        Input::Load(often.iter().map(|often| Packed::build(&every("a", often)).unwrap()).collect())
    };
    let put = Input::put(1, Packed::build(&every("a", "3s")).unwrap());
    let confirmed = |seen: &Seen| seen.engine.running("a").unwrap().sent.confirmed;
    seen.step(Input::Link(true));
    seen.step(load(&["1s"]));
    seen.pass(3_000, MINUTE);
    assert_eq!(confirmed(&seen), 3);
    // With its definition, with another one; and after somebody else had the name, with figures of his own.
    for (command, back) in [(None, "1s"), (None, "2s"), (Some(put), "3s")] {
        seen.step(load(&[]));
        assert!(seen.engine.running("a").is_none());
        if let Some(put) = command {
            seen.step(put);
            assert_eq!(confirmed(&seen), 0);
            seen.step(Input::delete(2, "a"));
        }
        seen.step(load(&[back]));
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

/// The ids and bodies of what is sent of one schedule within ten minutes, of which the broker is away for some; with what is said
/// of it edited meanwhile, or not. By a command, or by the files.
fn sent_of(definition: &Definition, edited: bool, by_files: bool) -> Vec<(String, Vec<u8>)> {
    let mut engine = Seen::engine(100, false);
    let wanted = |command: i64, number: i64| {
        let labels = Some([("n".to_owned(), number.to_string())].into());
        let definition = Definition { labels, description: Some("x".into()), ..definition.clone() };
        let packed = Packed::build(&definition).unwrap();
        if by_files { Input::Load(vec![packed]) } else { Input::put(command.unsigned_abs(), packed) }
    };
    let mut sent = Vec::new();
    for second in 0..600 {
        let reading = Reading { wall: Timestamp::from_millis(START + second * 1_000), boot: second * 1_000 };
        let mut inputs = vec![match second {
            0 => wanted(1, 0),
            1 | 240 => Input::Link(true),
            130 => Input::Link(false),
            150 | 210 | 300 if edited => wanted(second, second),
            _ => Input::Tick,
        }];
        while let Some(input) = inputs.pop() {
            for action in engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => inputs.push(Input::Saved(ticket)),
                    Action::Publish(all) => inputs.extend(all.into_iter().map(|one| {
                        let event = occurrence_event("c", one.era, &one.schedule, one.stands_for);
                        sent.push((event.id.to_string(), event.data));
                        Input::Settled(vec![(one.token, Answer::Confirmed { returned: false })])
                    })),
                    _ => {}
                }
            }
        }
    }
    let revision = engine.running("a").unwrap().revision.number;
    assert_eq!(revision, if edited { 4 } else { 1 }, "each edit is one");
    sent.sort();
    sent
}

#[test]
fn an_edit_of_what_is_said_of_a_schedule_changes_no_event() {
    let all = Some(CatchUpDefinition { policy: Some("all".into()), ..CatchUpDefinition::default() });
    let often = Definition { catch_up: all.clone(), ..every("a", "1m") };
    let limited = Definition { limit: Some(7), catch_up: all.clone(), ..every("a", "1m") };
    let spread = Definition { jitter: Some("30s".into()), catch_up: all, ..every("a", "1m") };
    for (definition, count) in [(often, 9), (limited, 7), (spread, 9)] {
        for by_files in [false, true] {
            let plain = sent_of(&definition, false, by_files);
            assert_eq!(plain.len(), count);
            assert_eq!(sent_of(&definition, true, by_files), plain, "{definition:?} {by_files}");
        }
    }
}

#[test]
fn an_edit_of_what_is_said_of_a_schedule_is_logged_and_another_revision() {
    let mut seen = Seen::of(100);
    let said = |text: &str| {
        let definition = Definition { description: Some(text.into()), ..every("a", "1m") };
        Packed::build(&definition).unwrap()
    };
    for (command, text) in [(1, "one"), (2, "two"), (3, "two")] {
        seen.step(Input::put(command, said(text)));
    }
    let described = |version: &Option<Version>| {
        version.as_ref().and_then(|version| version.definition()?.description().map(str::to_owned))
    };
    let logged: Vec<_> =
        seen.changes.iter().map(|one| (one.what, described(&one.before), described(&one.after))).collect();
    let (one, two) = (Some("one".to_owned()), Some("two".to_owned()));
    assert_eq!(logged, [(ChangeKind::Created, None, one.clone()), (ChangeKind::Changed, one, two)]);
    assert_eq!(seen.engine.running("a").unwrap().revision.number, 2);
}
