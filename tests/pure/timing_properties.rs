//! What holds for every timing: properties over random ones.

use crate::support::{at, build, definition};
use chrono::{DateTime, Utc};
use khronos::schedule::{Definition, DstDefinition, Schedule, Timing};
use ponos::event::Timestamp;
use proptest::prelude::*;

const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Asia/Gaza",
    "America/St_Johns",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "America/Havana",
];

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let item = (low..=high, low..=high, 1..12u32, 0..4u8).prop_map(|(a, b, step, form)| match form {
        0 => a.to_string(),
        1 => format!("{}-{}", a.min(b), a.max(b)),
        2 => format!("{}-{}/{step}", a.min(b), a.max(b)),
        _ => format!("{a}/{step}"),
    });
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (2..9u32).prop_map(|step| format!("*/{step}")),
        4 => proptest::collection::vec(item, 1..4).prop_map(|items| items.join(",")),
    ]
}

fn day_field() -> impl Strategy<Value = String> {
    let special = prop_oneof![
        Just("L".to_owned()),
        Just("LW".to_owned()),
        (1..30u32).prop_map(|n| format!("L-{n}")),
        (1..=31u32).prop_map(|n| format!("{n}W")),
    ];
    prop_oneof![4 => field(1, 31), 1 => special]
}

fn weekday_field() -> impl Strategy<Value = String> {
    let special = prop_oneof![
        (0..=7u32).prop_map(|n| format!("{n}L")),
        (0..=7u32, 1..=5u32).prop_map(|(n, k)| format!("{n}#{k}")),
    ];
    prop_oneof![4 => field(0, 7), 1 => special]
}

fn any_timing() -> impl Strategy<Value = Definition> {
    let cron =
        (field(0, 59), field(0, 59), field(0, 23), day_field(), field(1, 12), weekday_field(), any::<bool>())
            .prop_map(|(s, m, h, d, mo, w, seconds)| {
                let rest = format!("{m} {h} {d} {mo} {w}");
                let cron = Some(if seconds { format!("{s} {rest}") } else { rest });
                Definition { cron, ..definition() }
            });
    let units =
        prop_oneof![Just("ms"), Just("s"), Just("m"), Just("h"), Just("days"), Just("weeks"), Just("months")];
    let every = (units, 1..40u64, 0..24u64, 0..29u64).prop_map(|(unit, n, hours, days)| {
        let elapsed = ["ms", "s", "m", "h"].contains(&unit);
        let phase = (!elapsed && hours > 0).then(|| match unit {
            "months" if days > 0 => format!("{days} days {hours}h"),
            _ => format!("{hours}h"),
        });
        let n = if unit == "ms" { n * 100 } else { n };
        Definition { every: Some(format!("{n} {unit}")), phase, ..definition() }
    });
    let dst = (
        prop_oneof![Just("after"), Just("shift"), Just("skip")],
        prop_oneof![Just("first"), Just("last"), Just("both")],
    );
    (prop_oneof![3 => cron, 1 => every], proptest::sample::select(&ZONES[..]), dst).prop_map(
        |(mut definition, zone, (gap, fold))| {
            definition.time_zone = Some(zone.to_owned());
            definition.dst = Some(DstDefinition { gap: Some(gap.into()), fold: Some(fold.into()) });
            definition
        },
    )
}

/// Builds, leaving `dst` out where it is refused; `None` for what never fires.
fn lenient(mut definition: Definition) -> Option<Timing> {
    match build(definition.clone()) {
        Ok(timing) => Some(timing),
        Err(faults) if faults.iter().all(|fault| fault.key == "dst") => {
            definition.dst = None;
            build(definition).ok()
        }
        Err(faults) => {
            assert!(
                faults.iter().all(|fault| fault.what.contains("never fires")),
                "{definition:?} {faults:?}"
            );
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn after_and_before_are_each_others_inverse_and_count_agrees(
        definition in any_timing(),
        start in 0..4_102_444_800_000i64,
        exact in any::<bool>(),
    ) {
        let Some(timing) = lenient(definition) else { return Ok(()) };
        let start = Timestamp::from_millis(if exact { start / 1000 * 1000 } else { start });
        let mut at = start;
        let mut found = 0;
        while let Some(next) = timing.after(at).filter(|_| found < 60) {
            prop_assert!(next > at);
            if found > 0 {
                prop_assert_eq!(timing.before(next), Some(at));
            }
            if found > 0 && timing.zone().name() == "UTC" {
                prop_assert!(next.since(at) >= timing.shortest_interval().unwrap());
            }
            prop_assert_eq!(timing.before(next.plus(1)), Some(next));
            prop_assert_eq!(timing.after(next.plus(-1)), Some(next));
            found += 1;
            prop_assert_eq!(timing.count(start, next), found);
            prop_assert_eq!(timing.count(start, next.plus(-1)), found - 1);
            at = next;
        }
        match timing.before(start) {
            Some(previous) => {
                prop_assert!(previous < start);
                let next = timing.after(previous);
                prop_assert!(next.is_none_or(|next| next >= start));
                prop_assert_eq!(timing.count(previous, start.plus(-1)), 0);
            }
            None => prop_assert_eq!(timing.count(Timestamp::from_millis(-1), start.plus(-1)), 0),
        }
    }

    #[test]
    fn each_change_of_clocks_is_crossed_the_same_in_both_directions(
        definition in any_timing(),
        year in 1970..2099i32,
    ) {
        // The weeks of March and October, where most changes are, counted as a whole and one by one.
        let Some(timing) = lenient(definition) else { return Ok(()) };
        for month in [3, 10] {
            let from = at(&format!("{year}-{month:02}-20T00:00:00Z"));
            let through = from.plus(8 * 86_400_000);
            let total = timing.count(from, through);
            if total < 3000 {
                let mut forwards = Vec::new();
                let mut t = from;
                while let Some(next) = timing.after(t).filter(|&next| next <= through) {
                    forwards.push(next);
                    t = next;
                }
                let mut backwards = Vec::new();
                let mut t = through.plus(1);
                while let Some(previous) = timing.before(t).filter(|&previous| previous > from) {
                    backwards.push(previous);
                    t = previous;
                }
                backwards.reverse();
                prop_assert_eq!(&forwards, &backwards);
                prop_assert_eq!(forwards.len() as u64, total);
            }
        }
    }

    #[test]
    fn in_utc_the_cron_crate_agrees_where_it_means_the_same(
        second in field(0, 59), minute in field(0, 59), hour in field(0, 23),
        day in field(1, 31), month in field(1, 12), weekday in field(0, 6), by_day in any::<bool>(),
        start in 0..4_000_000_000i64,
    ) {
        // One day field only: it ands them. Its weekdays count from 1 for Sunday, so they are spelled out as names.
        let names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
        let weekday = if by_day || weekday.contains(['-', '/', '*']) { "*".to_owned() } else {
            weekday.split(',').map(|n| names[n.parse::<usize>().unwrap()]).collect::<Vec<_>>().join(",")
        };
        let day = if by_day { day } else { "*".to_owned() };
        let expression = format!("{second} {minute} {hour} {day} {month} {weekday}");
        let oracle: cron::Schedule = expression.parse().unwrap();
        let from = DateTime::<Utc>::from_timestamp(start, 0).unwrap();
        let theirs: Vec<_> = oracle.after(&from).take(20).map(Timestamp::from)
            .take_while(|&due| due < Timestamp::HORIZON).collect();
        match Timing::from_cron(&expression, None) {
            Ok(timing) => {
                let mut at = Timestamp::from(from);
                for &due in &theirs {
                    prop_assert_eq!(timing.after(at), Some(due), "{}", expression);
                    at = due;
                }
                prop_assert!(theirs.len() == 20 || timing.after(at).is_none());
            }
            Err(fault) => {
                prop_assert!(fault.what.contains("never fires"), "{expression}: {fault:?}");
                prop_assert!(theirs.is_empty());
            }
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in "[-0-9*/,?LW#@A-Za-z :.TZ+]{0,40}|\\PC{0,20}") {
        for key in 0..8 {
            let mut definition = Definition { name: text.clone(), ..definition() };
            let value = Some(text.clone());
            match key {
                0 => definition.cron = value,
                1 => definition.every = value,
                2 => definition.at = value,
                3 => definition.event = value,
                4 => (definition.every, definition.phase) = (Some("1 month".into()), value),
                5 => (definition.every, definition.anchor) = (Some("1 month".into()), value),
                6 => definition.time_zone = value,
                _ => (definition.every, definition.from) = (Some("1 s".into()), value),
            }
            for fault in Schedule::build(&definition).err().into_iter().flatten() {
                if let Some(range) = fault.at {
                    prop_assert!(text.get(range.clone()).is_some(), "{}: {:?} in {:?}", fault.key, range, text);
                }
            }
        }
    }
}
