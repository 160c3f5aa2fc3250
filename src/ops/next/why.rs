//! Why an occurrence is when it is, and what was left out on the way to the next ones.

use super::Timed;
use crate::schedule::{ClockFate, DayFate, Explained, WallTime};
use chrono::{Datelike, NaiveDate};
use ponos::event::Timestamp;
use std::collections::BTreeMap;

/// One line: an occurrence, or what was left out.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Of what.
    pub row: &'a Timed,
    /// The due time; of what is left out, when the first of them would have been.
    pub about: Timestamp,
    /// Whether it is due at all.
    pub due: bool,
    /// How many times that were left out with one reason this is.
    pub times: u64,
    /// What is unusual about it.
    pub why: Vec<Explained>,
    /// The last of several times that were left out.
    pub last: Option<Explained>,
}

/// Which times that are left out with the same reason are one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Those between two occurrences.
    Neighbours,
    /// Those of one local day.
    Days,
}

/// How many schedules are asked for what they leave out; of more, only those that are due are.
const ASKED: usize = 1000;
/// How many times of one schedule are followed.
const FOLLOWED: usize = 200_000;
/// How many lines tell what was left out.
const LEFT_OUT: usize = 200;

/// The due times (with the number of their row) and what the rows left out up to the last of them, in order; and whether
/// more was left out than these say.
pub(super) fn entries<'a>(
    rows: &'a [Timed],
    due: &[(usize, Timestamp)],
    from: Timestamp,
    fold: Fold,
) -> (Vec<Entry<'a>>, bool) {
    let Some(last) = due.iter().map(|(_, at)| *at).max() else { return (Vec::new(), false) };
    let mut found: BTreeMap<(Timestamp, usize), Entry<'a>> = BTreeMap::new();
    for &(index, at) in due {
        let Some(row) = rows.get(index) else { continue };
        let entry = Entry { row, about: at, due: true, times: 1, why: Vec::new(), last: None };
        found.insert((at, index), entry);
    }
    let mut asked: Vec<usize> = due.iter().map(|(index, _)| *index).collect();
    if rows.len() <= ASKED {
        asked = (0..rows.len()).collect();
    }
    asked.sort_unstable();
    asked.dedup();
    let (mut left_out, mut is_cut): (Vec<Entry<'a>>, bool) = (Vec::new(), false);
    for index in asked {
        let Some(row) = rows.get(index) else { continue };
        // The lines that a further time may join.
        let mut open: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut explained = row.timing.explain_some(from, last, FOLLOWED);
        for one in &mut explained {
            if let Some(due) = one.due {
                if fold == Fold::Neighbours {
                    open.clear();
                }
                if unusual(&one)
                    && let Some(entry) = found.get_mut(&(due, index))
                {
                    entry.why.push(one);
                }
                continue;
            }
            let day = match fold {
                Fold::Days => one.named.to_string().get(..10).unwrap_or_default().to_owned(),
                Fold::Neighbours => String::new(),
            };
            // What two clocks show at one time is two times.
            let reason = format!("{} {}", one.zone, same_reason(&one, fold));
            let known = *open.entry((day, reason)).or_insert(left_out.len());
            match left_out.get_mut(known) {
                Some(entry) => {
                    entry.times += 1;
                    entry.last = Some(one);
                }
                None => {
                    let about = one.about;
                    left_out.push(Entry { row, about, due: false, times: 1, why: vec![one], last: None });
                }
            }
        }
        is_cut |= explained.is_cut();
    }
    left_out.sort_by(|a, b| (a.about, &a.row.name).cmp(&(b.about, &b.row.name)));
    is_cut |= left_out.len() > LEFT_OUT;
    left_out.truncate(LEFT_OUT);
    let mut all: Vec<Entry<'a>> = found.into_values().chain(left_out).collect();
    all.sort_by(|a, b| (a.about, &a.row.name).cmp(&(b.about, &b.row.name)));
    (all, is_cut)
}

/// What times that are left out have in common which are one line: of those that the clocks skip, not the time.
fn same_reason(one: &Explained, fold: Fold) -> String {
    match one.clock {
        ClockFate::Gap if fold == Fold::Neighbours => format!("{} {:?}", date(one.named), one.day),
        _ => reason(one, None),
    }
}

fn unusual(one: &Explained) -> bool {
    one.due.is_none() || one.day != DayFate::Kept || one.clock != ClockFate::Usual
}

/// In words, of this one or of all through `last`.
pub fn reason(one: &Explained, last: Option<&Explained>) -> String {
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
        ClockFate::Gap => {
            let wall_of = |one: &Explained| match one.day {
                DayFate::Moved { to, .. } => to,
                _ => one.named,
            };
            parts.push(match last {
                None => format!("{left_out}{} does not exist that day", time(wall)),
                Some(last) => {
                    format!("{left_out}{} to {} do not exist that day", time(wall), time(wall_of(last)))
                }
            });
        }
        ClockFate::Nowhere => parts.push(format!("{left_out}the calendar there skips that day")),
    }
    parts.join("; ")
}

/// `Sat 2026-12-05`.
fn date(wall: WallTime) -> String {
    let text = wall.to_string();
    let date = text.get(..10).unwrap_or_default();
    format!("{} {date}", weekday_of(date))
}

/// `02:30`, with seconds where there are any.
fn time(wall: WallTime) -> String {
    let text = wall.to_string();
    let time = text.get(11..).unwrap_or_default();
    time.strip_suffix(":00").unwrap_or(time).to_owned()
}

/// `Mon`, of a date such as `2026-11-23`.
pub(crate) fn weekday_of(date: &str) -> String {
    date.parse::<NaiveDate>().map_or_else(|_| String::new(), |date| date.weekday().to_string())
}

/// `Fri 2026-12-25 09:00:00`; through another one of that day `Fri 2026-12-25 09:00:00 – 17:00:00`, of another
/// `Fri 2026-12-25 – Sat 2026-12-26`.
pub fn wall(one: &Explained, last: Option<&Explained>) -> String {
    let text = one.named.to_string();
    let single = format!("{} {}", weekday_of(text.get(..10).unwrap_or_default()), text.replace('T', " "));
    let Some(last) = last else { return single };
    let through = last.named.to_string();
    match (text.get(..10) == through.get(..10), through.get(11..)) {
        (true, Some(time)) => format!("{single} – {time}"),
        _ => format!("{} – {}", date(one.named), date(last.named)),
    }
}
