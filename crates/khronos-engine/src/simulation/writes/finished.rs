//! What is said of schedules that are due no more.

use super::*;
use crate::Notice;
use khronos_schedule::Ending;

/// Which schedules are said to be finished, why, how many events of each were sent, and how many others there are; how often.
type Said = Vec<(String, Ending, u32, usize)>;

/// Lets `minutes` pass for these, whose events are answered so.
fn said(all: &[Definition], answer: &Answer, minutes: i64) -> (Said, Engine) {
    let mut engine = Seen::engine(100, false);
    let mut said = Said::new();
    let all = all.iter().map(|one| Packed::build(one).unwrap()).collect();
    let mut inputs = vec![Input::Link(true), Input::Load(all)];
    for turn in 0..minutes * 60 {
        let reading = Reading { wall: Timestamp::from_millis(START + turn * 1_000), boot: turn * 1_000 };
        inputs.push(Input::Tick);
        while let Some(input) = inputs.pop() {
            for action in engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => inputs.push(Input::Saved(ticket)),
                    Action::Publish(all) => {
                        let answers = all.iter().map(|one| (one.token, answer.clone())).collect();
                        inputs.push(Input::Settled(answers));
                    }
                    Action::Notice(Notice::Finished { schedule, ending, last, sent, others }) => {
                        assert!(last <= reading.wall);
                        said.push((schedule.to_string(), ending, sent, others));
                    }
                    _ => {}
                }
            }
        }
    }
    (said, engine)
}

fn ending(name: &str) -> Definition {
    let at = |second: i64| Some(Timestamp::from_millis(START + second * 1_000).to_string());
    let common = every(name, "1s");
    match name {
        "limit" => Definition { limit: Some(3), ..common },
        "once" => Definition { every: None, at: at(25), ..common },
        "paused" => Definition { paused: Some(true), limit: Some(2), ..common },
        "until" => Definition { until: at(45), from: at(41), ..common },
        _ => common,
    }
}

#[test]
fn a_schedule_whose_last_occurrence_is_settled_is_said_to_be_finished_once() {
    let all = ["endless", "limit", "once", "paused", "until"].map(ending);
    let (mut told, engine) = said(&all, &Answer::Confirmed { returned: false }, 3);
    told.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let expected = [
        ("limit", Ending::Limit(3), 3),
        ("once", Ending::Once, 1),
        ("paused", Ending::Limit(2), 0),
        ("until", Ending::Until, 4),
    ];
    let expected = expected.map(|(name, ending, sent)| (name.to_owned(), ending, sent, 0));
    assert_eq!(told, expected);
    for one in engine.running_after(None) {
        assert_eq!(one.finished, one.revision.name() != "endless", "{one:?}");
    }
}

#[test]
fn what_is_refused_at_last_is_settled_and_what_gets_no_answer_is_not() {
    let (told, engine) = said(&[ending("limit")], &Answer::Refused("full".into()), 1);
    assert_eq!(told, [("limit".into(), Ending::Limit(3), 0, 0)]);
    assert_eq!(engine.parked_events(), 3);
    let (told, engine) = said(&[ending("limit")], &Answer::Lost, 1);
    assert_eq!(told, []);
    assert!(!engine.running("limit").unwrap().finished);
}

#[test]
fn of_many_that_finish_at_once_one_is_named_with_how_many_others() {
    let many = (0..50).map(|number| Definition { name: format!("m{number}"), ..ending("once") });
    let (told, _) = said(&many.collect::<Vec<_>>(), &Answer::Confirmed { returned: false }, 1);
    let lines: usize = told.iter().map(|(.., others)| others + 1).sum();
    assert_eq!((lines, told.len()), (50, 2), "{told:?}");
}

#[test]
fn at_the_end_it_is_said_of_those_too_that_were_kept_back() {
    let at = Some(Timestamp::from_millis(START + 57_000).to_string());
    let many =
        (0..50).map(|number| Definition { name: format!("m{number}"), at: at.clone(), ..ending("once") });
    let (told, mut engine) = said(&many.collect::<Vec<_>>(), &Answer::Confirmed { returned: false }, 1);
    let before: usize = told.iter().map(|(.., others)| others + 1).sum();
    assert!(before < 50, "{told:?}");
    let reading = Reading { wall: Timestamp::from_millis(START + 60_000), boot: 60_000 };
    let last = engine.step(reading, Input::Flush).into_iter().find_map(|action| match action {
        Action::Notice(Notice::Finished { others, .. }) => Some(others + 1),
        _ => None,
    });
    assert_eq!(last, Some(50 - before));
}
