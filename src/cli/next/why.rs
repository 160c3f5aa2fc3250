//! Why an occurrence is when it is, and what was left out on the way to the next ones.

use super::Row;
use crate::{
    cli::when,
    schedule::{ClockFate, DayFate, Explained, WallTime},
};
use ponos::event::Timestamp;
use std::collections::BTreeMap;

/// One line: an occurrence, or what was left out.
pub(super) struct Entry<'a> {
    pub(super) row: &'a Row,
    /// The due time; of what is left out, when the first of them would have been.
    pub(super) about: Timestamp,
    /// Whether it is due at all.
    pub(super) due: bool,
    /// How many times of one local day with one reason this is.
    pub(super) times: u64,
    /// What is unusual about it.
    pub(super) why: Vec<Explained>,
}

/// How many schedules are asked for what they leave out; of more, only those that are due are.
const ASKED: usize = 1000;
/// How many times of one schedule are followed.
const FOLLOWED: usize = 200_000;
/// How many lines tell what was left out.
const LEFT_OUT: usize = 200;

/// The due times (with the number of their row) and what the rows left out up to the last of them, in order.
pub(super) fn entries<'a>(rows: &'a [Row], due: &[(usize, Timestamp)], from: Timestamp) -> Vec<Entry<'a>> {
    let Some(last) = due.iter().map(|(_, at)| *at).max() else { return Vec::new() };
    let mut found: BTreeMap<(Timestamp, usize), Entry<'a>> = BTreeMap::new();
    for &(index, at) in due {
        let Some(row) = rows.get(index) else { continue };
        found.insert((at, index), Entry { row, about: at, due: true, times: 1, why: Vec::new() });
    }
    let mut asked: Vec<usize> = due.iter().map(|(index, _)| *index).collect();
    if rows.len() <= ASKED {
        asked = (0..rows.len()).collect();
    }
    asked.sort_unstable();
    asked.dedup();
    let mut left_out = Vec::new();
    for index in asked {
        let Some(row) = rows.get(index) else { continue };
        let mut days: BTreeMap<(String, String), Entry<'a>> = BTreeMap::new();
        for one in row.timing.explain(from, last).take(FOLLOWED).filter(unusual) {
            if let Some(due) = one.due {
                if let Some(entry) = found.get_mut(&(due, index)) {
                    entry.why.push(one);
                }
                continue;
            }
            let day = one.named.to_string().get(..10).unwrap_or_default().to_owned();
            let entry = days.entry((day, reason(&one))).or_insert_with(|| Entry {
                row,
                about: one.about,
                due: false,
                times: 0,
                why: vec![one],
            });
            entry.times += 1;
        }
        left_out.extend(days.into_values());
    }
    left_out.sort_by(|a, b| (a.about, &a.row.name).cmp(&(b.about, &b.row.name)));
    left_out.truncate(LEFT_OUT);
    let mut all: Vec<Entry<'a>> = found.into_values().chain(left_out).collect();
    all.sort_by(|a, b| (a.about, &a.row.name).cmp(&(b.about, &b.row.name)));
    all
}

fn unusual(one: &Explained) -> bool {
    one.due.is_none() || one.day != DayFate::Kept || one.clock != ClockFate::Usual
}

/// In words.
pub(super) fn reason(one: &Explained) -> String {
    let causes = |because: &[_]| {
        let causes: Vec<String> = because.iter().map(ToString::to_string).collect();
        causes.join(", ")
    };
    let mut parts = Vec::new();
    let mut wall = one.named;
    match &one.day {
        DayFate::Kept => {}
        DayFate::LeftOut { because } => parts.push(format!("left out: {}", causes(because))),
        DayFate::Moved { to, because } => {
            wall = *to;
            parts.push(format!("moved from {} ({})", date(one.named), causes(because)));
        }
        DayFate::Stranded { because } => {
            parts.push(format!("left out: {}, and no business day is near", causes(because)));
        }
    }
    let left_out = if one.due.is_none() { "left out: " } else { "" };
    match one.clock {
        ClockFate::Usual | ClockFate::SecondPass => {}
        ClockFate::FirstPass => parts.push("first of two passes".to_owned()),
        ClockFate::Gap => parts.push(format!("{left_out}{} does not exist that day", time(wall))),
        ClockFate::Nowhere => parts.push(format!("{left_out}the calendar there skips that day")),
    }
    parts.join("; ")
}

/// `Sat 2026-12-05`.
fn date(wall: WallTime) -> String {
    let text = wall.to_string();
    let date = text.get(..10).unwrap_or_default();
    format!("{} {date}", when::weekday_of(date))
}

/// `02:30`, with seconds where there are any.
fn time(wall: WallTime) -> String {
    let text = wall.to_string();
    let time = text.get(11..).unwrap_or_default();
    time.strip_suffix(":00").unwrap_or(time).to_owned()
}

/// `Fri 2026-12-25 09:00:00`.
pub(super) fn wall(one: &Explained) -> String {
    let text = one.named.to_string();
    format!("{} {}", when::weekday_of(text.get(..10).unwrap_or_default()), text.replace('T', " "))
}
