//! Jitter: when occurrences are sent, and what is refused.

use khronos::schedule::{Definition, Fault, Schedule, Timing, TimingDefinition, jitter_offset};
use ponos::event::Timestamp;
use proptest::prelude::*;

fn definition(jitter: &str) -> Definition {
    Definition {
        name: "case".into(),
        event: Some("test.case.passed".into()),
        jitter: Some(jitter.into()),
        ..Definition::default()
    }
}

fn build(definition: &Definition) -> Result<Timing, Vec<Fault>> {
    Schedule::build(definition).map(|schedule| schedule.timing)
}

#[test]
fn a_send_time_is_the_due_time_plus_an_offset_that_anyone_can_compute() {
    let timing = build(&Definition { every: Some("1h".into()), ..definition("5m") }).unwrap();
    let due: Timestamp = "2026-12-01T09:00:00.000Z".parse().unwrap();
    assert_eq!(timing.send_time(due), due.plus(jitter_offset("case", due, 300_000)));
    assert_eq!(timing.jitter(), 300_000);
    let without = build(&Definition { every: Some("1h".into()), jitter: None, ..definition("") }).unwrap();
    assert_eq!((without.send_time(due), without.due_by(due)), (due, due));
    assert_ne!(timing, without);
    assert!(timing.is_due_as(&without), "jitter does not change what it is due for");
}

#[test]
fn a_jitter_that_reaches_the_next_occurrence_is_refused_with_the_numbers() {
    let every = |every: &str, jitter: &str| Definition { every: Some(every.into()), ..definition(jitter) };
    let cron = |cron: &str, jitter: &str| Definition { cron: Some(cron.into()), ..definition(jitter) };
    for (definition, numbers) in [
        (
            every("5m", "5m"),
            "5 minutes (300000 ms) is not shorter than the schedule's shortest interval (300000 ms)",
        ),
        (cron("*/7 * * * *", "5m"), "(240000 ms)"),
        (cron("0 9,17 * * *", "9h"), "(28800000 ms)"),
        (
            Definition {
                timings: Some(
                    ["1h", "7h"]
                        .map(|e| TimingDefinition {
                            every: Some(e.into()),
                            phase: (e == "7h").then(|| "90m".into()),
                            ..TimingDefinition::default()
                        })
                        .to_vec(),
                ),
                ..definition("30m")
            },
            "(1800000 ms)",
        ),
    ] {
        let faults = build(&definition).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].key == "jitter" && faults[0].what.contains(numbers),
            "{faults:?}"
        );
    }
    for wrong in ["soon", "0s", "1 month"] {
        assert_eq!(build(&every("1 year", wrong)).unwrap_err()[0].key, "jitter");
    }
    let expires = Definition { expires: Some("1m".into()), ..every("1h", "5m") };
    assert_eq!(build(&expires).unwrap_err()[0].key, "expires");
    assert!(build(&Definition { at: Some("2026-12-01T09:00Z".into()), ..definition("1 day") }).is_ok());
}

#[test]
fn a_change_of_the_clocks_does_not_change_the_order() {
    // In Paris 02:10 and 02:50 fall into the gap and come at 03:00; 03:10 follows ten minutes later instead of twenty.
    let mut near = 0;
    for n in 0..200 {
        let timing = build(&Definition {
            name: format!("case-{n}"),
            cron: Some("10,50 2,3 * * *".into()),
            time_zone: Some("Europe/Paris".into()),
            ..definition("19m")
        });
        let timing = timing.unwrap();
        let due: Timestamp = "2026-03-29T01:00:00Z".parse().unwrap();
        let next = timing.after(due).unwrap();
        assert_eq!(next.since(due), 600_000);
        assert!(timing.send_time(due) < next);
        near += usize::from(timing.send_time(due) == next.plus(-1));
    }
    assert!(near > 50, "the offset is cut where it would reach the next one: {near}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn send_times_keep_the_order_and_are_found_again(
        name in "[a-z]{1,8}", minute in 0..60u32, step in 1..40u32, cron in any::<bool>(),
        jitter in 1..60_000i64, start in 0..4_000_000_000_000i64,
    ) {
        let timing = build(&Definition {
            name,
            cron: cron.then(|| format!("{minute},{} 1-5 * * *", (minute + step) % 60)),
            every: (!cron).then(|| format!("{step} minutes")),
            time_zone: Some("Europe/Paris".into()),
            ..definition(&format!("{} ms", jitter.min(i64::from(step) * 60_000 - 1)))
        });
        let Ok(timing) = timing else { return Ok(()) };
        let mut due = Timestamp::from_millis(start);
        for _ in 0..20 {
            let Some(next) = timing.after(due) else { break };
            let (send, after) = (timing.send_time(next), timing.after(next));
            prop_assert!(send >= next && send.since(next) < timing.jitter());
            prop_assert!(after.is_none_or(|after| send < after));
            // What is to be sent by its send time is due by it; a millisecond before, it is not.
            prop_assert!(timing.due_by(send) >= next);
            prop_assert!(timing.due_by(send.plus(-1)) < next);
            prop_assert!(after.is_none_or(|after| timing.due_by(send) < after));
            due = next;
        }
    }
}
