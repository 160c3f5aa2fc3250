//! A naive walk: every day of a few months, one after the other, through the rules as they are written.

use super::{calendars, schedule, timing};
use khronos::{
    diagnostic::Text,
    schedule::{Timing, file},
};
use ponos::event::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeSet;

const DAY: i64 = 86_400_000;
/// 2026-01-01.
const FIRST: i64 = 20_454;
const MANY: i64 = 500;

#[derive(Debug, Clone)]
struct Case {
    keys: &'static str,
    zone: &'static str,
    dst: &'static str,
    /// Days from `FIRST` on.
    excluded: BTreeSet<i64>,
    only: Option<BTreeSet<i64>>,
    shift: Option<i64>,
}

fn date(day: i64) -> String {
    Timestamp::from_millis(day * DAY).to_string()[..10].to_owned()
}

fn list(days: &BTreeSet<i64>) -> String {
    format!("dates = [{}]", days.iter().map(|day| format!("\"{}\",", date(FIRST + day))).collect::<String>())
}

impl Case {
    fn timing(&self) -> Option<Timing> {
        let only = self.only.clone().unwrap_or_default();
        let named = calendars(&[("excluded", &list(&self.excluded)), ("only", &list(&only))]);
        let mut toml = format!(
            "[[schedule]]\nname = \"a\"\nevent = \"a.b.passed\"\n{}\ntime_zone = \"{}\"\nexclude = [\"excluded\"]\n",
            self.keys, self.zone
        );
        if !self.is_elapsed() {
            toml.push_str(self.dst);
        }
        if self.only.is_some() {
            toml.push_str("only = [\"only\"]\n");
        }
        if let Some(shift) = self.shift {
            let which = if shift > 0 { "next" } else { "previous" };
            toml.push_str(&format!("move = \"{which}-business-day\"\n"));
        }
        file::parse(&Text::new("f.toml", &toml), &named).0.pop().map(|entry| entry.schedule.timing)
    }

    /// Then `dst` and `move` are refused.
    fn is_elapsed(&self) -> bool {
        self.keys.starts_with("every = \"7h")
    }

    fn keeps(&self, day: i64) -> bool {
        let weekend = matches!((day + 4).rem_euclid(7), 0 | 6);
        let within = match &self.only {
            Some(only) => only.contains(&(day - FIRST)),
            None => self.shift.is_none() || !weekend,
        };
        within && !self.excluded.contains(&(day - FIRST))
    }

    fn target(&self, day: i64) -> Option<i64> {
        match self.shift {
            _ if self.keeps(day) => Some(day),
            None => None,
            Some(step) => (1..=366).map(|n| day + n * step).find(|&day| self.keeps(day)),
        }
    }

    /// What is due between two days of the walk, and well inside of what it knows.
    fn walk(&self, from: Timestamp, through: Timestamp) -> BTreeSet<i64> {
        let mut due = BTreeSet::new();
        if self.is_elapsed() {
            let all = timing(&format!("{}\ntime_zone = \"{}\"", self.keys, self.zone));
            let mut at = from;
            while let Some(next) = all.after(at).filter(|&next| next <= through) {
                let local: Timestamp = format!("{}Z", all.local(next).unwrap().time).parse().unwrap();
                if self.keeps(local.millis().div_euclid(DAY)) {
                    due.insert(next.millis());
                }
                at = next;
            }
            return due;
        }
        // The times on the wall are those of the same timing in UTC; each is placed in the zone on its own.
        let wall = timing(&format!("{}\ntime_zone = \"UTC\"", self.keys));
        let mut at = Timestamp::from_millis((FIRST - 400) * DAY);
        while let Some(next) = wall.after(at).filter(|next| next.millis() < (FIRST + MANY + 800) * DAY) {
            at = next;
            let (day, time) = (next.millis().div_euclid(DAY), next.millis().rem_euclid(DAY));
            let Some(target) = self.target(day) else { continue };
            let local = target * DAY + time;
            if (local - from.millis()).abs() > 500 * DAY
                || local > through.millis() + 2 * DAY
                || local < from.millis() - 2 * DAY
            {
                continue;
            }
            let text = Timestamp::from_millis(local).to_string();
            let cron = format!(
                "cron = \"{} {} {} {} {} ? {}\"\ntime_zone = \"{}\"\n{}",
                &text[17..19],
                &text[14..16],
                &text[11..13],
                &text[8..10],
                &text[5..7],
                &text[..4],
                self.zone,
                self.dst
            );
            let Ok(schedule) = schedule(&cron) else { continue };
            let mut placed = Timestamp::EPOCH;
            while let Some(one) = schedule.timing.after(placed) {
                if one > from && one <= through {
                    due.insert(one.millis());
                }
                placed = one;
            }
        }
        due
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let keys = prop::sample::select(vec![
        "cron = \"30 2 * * *\"",
        "cron = \"0,30 0,2,23 * * *\"",
        "cron = \"0 9 1 * *\"",
        "cron = \"0 9 * * FRI#3\"",
        "cron = \"15 2 L * *\"",
        "every = \"1 day\"",
        "every = \"5 days\"\nphase = \"2 days 02:30\"",
        "every = \"1 month\"\nphase = \"30 days 23:30\"",
        "every = \"7h\"",
    ]);
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Paris",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Havana",
    ]);
    let dst = prop::sample::select(vec![
        "",
        "dst = { gap = \"shift\", fold = \"last\" }\n",
        "dst = { gap = \"skip\", fold = \"both\" }\n",
    ]);
    let days = |most: usize| prop::collection::btree_set(0..MANY, 0..most);
    let shift = prop::sample::select(vec![None, Some(1), Some(-1)]);
    (keys, zone, dst, days(250), prop::option::of(days(400)), shift).prop_map(
        |(keys, zone, dst, excluded, only, shift)| {
            let case = Case { keys, zone, dst, excluded, only, shift };
            Case { shift: case.shift.filter(|_| !case.is_elapsed()), ..case }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn days_agree_with_a_naive_walk(case in cases(), start in 0..MANY, span in 1..120_i64) {
        let Some(timing) = case.timing() else { return Ok(()) };
        let (from, through) = (
            Timestamp::from_millis((FIRST + start) * DAY + 3_600_000),
            Timestamp::from_millis((FIRST + start + span) * DAY + 7_200_000),
        );
        let expected: Vec<_> = case.walk(from, through).into_iter().collect();
        let forwards: Vec<_> = std::iter::successors(timing.after(from), |&due| timing.after(due))
            .take_while(|due| *due <= through).map(Timestamp::millis).collect();
        prop_assert_eq!(&forwards, &expected);
        let mut backwards: Vec<_> = std::iter::successors(timing.before(through.plus(1)), |&due| timing.before(due))
            .take_while(|due| *due > from).map(Timestamp::millis).collect();
        backwards.reverse();
        prop_assert_eq!(&backwards, &expected);
        prop_assert_eq!(timing.count(from, through), expected.len() as u64);
        let explained: BTreeSet<_> = timing.explain(from, through).filter_map(|one| one.due).map(Timestamp::millis).collect();
        prop_assert_eq!(explained.into_iter().collect::<Vec<_>>(), expected);
    }
}
