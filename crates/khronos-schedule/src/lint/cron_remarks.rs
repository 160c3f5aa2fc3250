//! What is valid in an expression, and yet seldom what was meant: steps that are uneven, days that months lack.

use crate::{
    Timing,
    cron::{Cron, field::Field, parse},
    fault::Flaw,
};

impl Cron {
    /// What a reader of `text` (of which this was read) would be surprised by, each at its place.
    pub(crate) fn remarks(&self, text: &str) -> Vec<Flaw> {
        let fields = parse::split(text);
        let mut found = Vec::new();
        let Some(layout) = parse::layout(fields.len()) else { return found };
        for (&field, &(at, text)) in layout.iter().zip(&fields) {
            let mut start = at;
            for item in text.split(',') {
                found.extend(step(field, item, start));
                if field == Field::Day {
                    found.extend(self.lacking(item, start));
                }
                start += item.len() + 1;
            }
        }
        found.extend(quartz_weekday(layout, &fields));
        let named: Vec<_> = layout.iter().copied().zip(fields).collect();
        found.extend(every_one(&named));
        found
    }

    /// Days of the month that some of the months lack.
    fn lacking(&self, item: &str, at: usize) -> Option<Flaw> {
        let first = item.trim_end_matches(['w', 'W']).split('-').next()?;
        let day = first.parse::<u32>().ok().filter(|day| (29..=31).contains(day) && !item.contains('/'))?;
        // What begins earlier, as 28-31 does, reaches the end of each month.
        if self.days >> (day - 1) & 1 == 1 {
            return None;
        }
        let missing = |month: u32| match month {
            2 => day >= 29,
            4 | 6 | 9 | 11 => day == 31,
            _ => false,
        };
        let months: Vec<&str> = (1..=12)
            .filter(|&month| self.months >> month & 1 == 1 && missing(month))
            .filter_map(|month| MONTHS.get(month as usize - 1).copied())
            .collect();
        let what = match (day, months.as_slice()) {
            (_, []) => return None,
            (29, _) => "29 February exists only in leap years: in other years it is left out".to_owned(),
            (_, [one]) => format!("{one} has no day {day}: there it is left out"),
            (_, several) => format!("{} have no day {day}: there it is left out", several.join(", ")),
        };
        let flaw = Flaw::part(at..at + item.len(), what);
        Some(match day {
            31 => flaw.help("'L' is the last day of every month"),
            _ => flaw.help(format!(
                "every = \"1 month\" with phase = \"{} days\" takes a shorter month's last day instead",
                day - 1
            )),
        })
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The unit that a field counts, and how many of them it holds.
fn unit(field: Field) -> Option<(&'static str, u32)> {
    Some(match field {
        Field::Second => ("second", 60),
        Field::Minute => ("minute", 60),
        Field::Hour => ("hour", 24),
        Field::Day => ("day", 31),
        Field::Month => ("month", 12),
        Field::Weekday => ("day", 7),
        Field::Year => return None,
    })
}

/// A step that does not come out even where the field begins again.
fn step(field: Field, item: &str, at: usize) -> Option<Flaw> {
    let (span, step) = item.split_once('/')?;
    let (step, (unit, size)) = (step.parse::<u32>().ok()?, unit(field)?);
    let (low, _) = field.bounds();
    let high = low + size - 1;
    let (first, last) = match span.split_once('-') {
        None if span == "*" => (low, high),
        None => (field.value(span, 0).ok()?, high),
        Some((first, last)) => (field.value(first, 0).ok()?, field.value(last, 0).ok()?),
    };
    // A range that ends early, and a start beyond the first step, are meant to be bounds.
    if last < high || first >= low + step.min(size) || step == 1 {
        return None;
    }
    let even = format!("{step} {unit}s");
    let even =
        Timing::from_every(&even, None).is_ok().then(|| format!("every = \"{even}\" has even intervals"));
    let flaw = |what| {
        let flaw = Flaw::part(at..at + item.len(), what);
        Some(match &even {
            Some(even) => flaw.help(even),
            None => flaw,
        })
    };
    if step >= size {
        // As long as the field itself it is odd, and right.
        let what = format!("the step {step} is longer than the field: only {first} matches");
        return if step == size { None } else { flaw(what) };
    }
    let final_one = first + (high - first) / step * step;
    let rest = size - final_one + first;
    let what = match field {
        Field::Day => format!("'{item}' starts over each month: after day {final_one} comes day {first}"),
        _ if rest == step => return None,
        _ => {
            let unit = if rest == 1 { unit.to_owned() } else { format!("{unit}s") };
            format!(
                "'{item}' is uneven: after {final_one} comes {first} again, {rest} {unit} later, not {step}"
            )
        }
    };
    flaw(what)
}

/// Numbers of weekdays in an expression that looks like Quartz, where 1 is Sunday.
fn quartz_weekday(layout: &[Field], fields: &[(usize, &str)]) -> Option<Flaw> {
    let marked = fields.iter().any(|(_, text)| *text == "?");
    let (_, &(at, text)) = layout.iter().zip(fields).find(|(field, _)| **field == Field::Weekday)?;
    let bare = text.split(['/', '#']).next().unwrap_or_default();
    let digit = bare.bytes().find(|byte| byte.is_ascii_digit()).filter(|_| marked && fields.len() > 5)?;
    let name = DAYS.get(usize::from(digit - b'0'))?;
    let what = format!(
        "{} is {name} here; Quartz, whose '?' this has, begins its week with 1 for Sunday",
        char::from(digit)
    );
    Some(Flaw::part(at..at + text.len(), what).help("names leave no doubt: MON, TUE-FRI, FRI#2"))
}

const DAYS: [&str; 8] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// `* 9 * * *` is sixty times from nine to ten, where once at nine was meant.
fn every_one(fields: &[(Field, (usize, &str))]) -> Option<Flaw> {
    let text = |field| fields.iter().find(|(one, _)| *one == field).map(|&(_, part)| part);
    let single = |field| text(field).filter(|(_, text)| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (coarse, fine, unit, above) = match text(Field::Second) {
        Some((at, "*")) => (single(Field::Minute)?, at, "second", "minute"),
        _ => {
            let (at, _) = text(Field::Minute).filter(|(_, text)| *text == "*")?;
            (single(Field::Hour)?, at, "minute", "hour")
        }
    };
    let what = format!("it is due in every {unit} of {above} {}, sixty times", coarse.1);
    Some(Flaw::part(fine..fine + 1, what).help("write '0' for once, '0-59' if every one is intended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remarks(text: &str) -> Vec<(String, String)> {
        let found = Cron::parse(text).unwrap().remarks(text);
        let faults = found.into_iter().map(|flaw| flaw.of("cron"));
        faults.map(|fault| (text[fault.at.clone().unwrap()].to_owned(), fault.what)).collect()
    }

    #[test]
    fn what_surprises_is_pointed_at() {
        for (text, part, what) in [
            ("*/7 * * * *", "*/7", "after 56 comes 0 again, 4 minutes later, not 7"),
            ("5-59/25 * * * *", "5-59/25", "after 55 comes 5 again, 10 minutes later"),
            ("*/45 * * * *", "*/45", "after 45 comes 0 again, 15 minutes later"),
            ("*/90 * * * *", "*/90", "only 0 matches"),
            ("0 */5 * * *", "*/5", "after 20 comes 0 again, 4 hours later, not 5"),
            ("0 0 */2 * *", "*/2", "after day 31 comes day 1"),
            ("0 0 1 */5 *", "*/5", "after 11 comes 1 again, 2 months later"),
            ("0 0 * * */2", "*/2", "after 6 comes 0 again, 1 day later, not 2"),
            ("*/40 * * * * *", "*/40", "20 seconds later"),
            ("0 0 31 * *", "31", "February, April, June, September, November have no day 31"),
            ("0 0 15,30 * *", "30", "February has no day 30"),
            ("0 0 29 * *", "29", "only in leap years"),
            ("0 0 29-31 * *", "29-31", "only in leap years"),
            ("0 0 31W * *", "31W", "no day 31"),
            ("0 0 31 1,4 *", "31", "April has no day 31"),
            ("0 0 12 ? * 2#1 *", "2#1", "2 is Tuesday here; Quartz"),
            ("* 9 * * *", "*", "every minute of hour 9, sixty times"),
            ("* 30 9 * * *", "*", "every second of minute 30, sixty times"),
        ] {
            let found = remarks(text);
            let [(at, said)] = &found[..] else { panic!("{text}: {found:?}") };
            assert!(at == part && said.contains(what), "{text}: {found:?}");
        }
    }

    #[test]
    fn the_length_of_time_that_is_offered_instead_can_be_read() {
        let mut offered = 0;
        for field in 0..6 {
            for step in ["2", "7", "25", "40", "90", "1201", "9999"] {
                let mut fields = ["0", "0", "0", "*", "*", "*"].map(str::to_owned);
                fields[field] = format!("*/{step}");
                let text = fields.join(" ");
                for flaw in Cron::parse(&text).unwrap().remarks(&text) {
                    let help = flaw.of("cron").help.unwrap_or_default();
                    let Some((_, every)) = help.split_once("every = \"") else { continue };
                    let every = every.split('"').next().unwrap();
                    assert!(Timing::from_every(every, None).is_ok(), "{text}: {help}");
                    offered += 1;
                }
            }
        }
        assert!(offered > 20, "{offered}");
    }

    #[test]
    fn what_is_usual_is_left_alone() {
        for text in [
            "*/5 * * * *",
            "*/15 9-17 * * 1-5",
            "5/20 * * * *",
            "10-40/7 * * * *",
            "30/20 * * * *",
            "*/60 * * * *",
            "0 */6 * * *",
            "0 9-17/3 * * *",
            "0 0 1 */3 *",
            "0 0 28-31 * *",
            "0 0 31 1,3,5 *",
            "0 0 L * *",
            "0 0 1-31 * *",
            "0-59 9 * * *",
            "* * * * *",
            "* 9-10 * * *",
            "@monthly",
            "0 0 12 ? * MON#1 *",
            "0 12 ? * 1-5",
            "0 0 0 1 1 ? 2027/3",
        ] {
            assert_eq!(remarks(text), [], "{text}");
        }
    }
}
