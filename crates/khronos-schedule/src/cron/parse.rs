//! Text → sets. Strict: ASCII, every item and every bound checked, each fault at its place.
//!
//! ```text
//! expression = macro | [seconds] minute hour day-of-month month day-of-week [year]
//! field      = "?" (alone, in a day field) | item *("," item)
//! item       = "*" ["/" step] | value ["-" value] ["/" step] | special
//! special    = "L" | "L-" n | "LW" | n "W"              in day-of-month
//!            | weekday "L" | weekday "#" k              in day-of-week
//! ```

use super::{Cron, MAX_BYTES, Rare, field::Field};
use crate::fault::{FaultCode, Flaw, floor, shown};

const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

static ALL: [Field; 7] =
    [Field::Second, Field::Minute, Field::Hour, Field::Day, Field::Month, Field::Weekday, Field::Year];

/// A longer list of values is shown as ranges.
const SHORT: usize = 40;

/// One field, as a set of its values; bit 0 is the field's smallest value for years, else bit n is n.
#[derive(Default)]
struct Set {
    values: [u64; 3],
    /// It begins with `*` or `?`.
    star: bool,
}

pub(super) fn expression(text: &str) -> Result<Cron, Flaw> {
    if text.len() > MAX_BYTES {
        let what = format!("the expression has {} bytes; {MAX_BYTES} are allowed", text.len());
        return Err(Flaw::part(floor(text, MAX_BYTES)..text.len(), what));
    }
    if let Some((at, odd)) = text.char_indices().find(|(_, c)| !matches!(c, ' '..='~' | '\t')) {
        let what = format!("'{}' is not allowed in a cron expression", shown(&odd.to_string()));
        let help = "fields are made of printable ASCII, between spaces or tabs";
        return Err(Flaw::part(at..at + odd.len_utf8(), what).help(help));
    }
    if text.trim_ascii_start().starts_with('@')
        && let Some(meaning) = shorthand(text)
    {
        return expression(meaning);
    }
    understood(text, &split(text))
}

/// Whether these are fields that can be read.
pub(crate) fn reads(text: &str) -> bool {
    text.len() <= MAX_BYTES && text.is_ascii() && understood(text, &split(text)).is_ok()
}

fn understood(text: &str, fields: &[(usize, &str)]) -> Result<Cron, Flaw> {
    if text.trim_ascii_start().starts_with('@') {
        let names: Vec<&str> = MACROS.iter().map(|(known, _)| *known).collect();
        return Err(crate::fault::choice(text.trim_ascii(), &names));
    }
    let Some(layout) = layout(fields.len()) else { return Err(field_count(fields, text)) };
    let mut rare = Rare::nothing();
    let mut sets: [Set; 7] = Default::default();
    for (&field, &(at, text)) in layout.iter().zip(fields) {
        sets[field as usize] = read(field, text, at, &mut rare)?;
    }
    let [second, minute, hour, day, month, weekday, year] = sets;
    let (seconds, wild) = if fields.len() == 5 { (1, false) } else { (second.values[0], second.star) };
    let has_year = fields.len() == 7 && year.values != Rare::nothing().years;
    if has_year {
        rare.years = year.values;
    }
    let special = rare != Rare::nothing();
    let sunday = weekday.values[0] >> 7 & 1;
    let cron = Cron {
        seconds,
        minutes: minute.values[0],
        hours: hour.values[0] as u32,
        days: day.values[0] as u32,
        months: month.values[0] as u16,
        weekdays: (weekday.values[0] & 0x7f | sunday) as u8,
        both: day.star || weekday.star,
        wild: wild || minute.star || hour.star,
        rare: special.then(|| Box::new(rare)),
    };
    if cron.next_second(i64::MIN).is_some() {
        return Ok(cron);
    }
    let from = fields.get(fields.len().min(6) - 3).map_or(0, |(at, _)| *at);
    let what = "no day from 1970 to 2099 matches: it never fires";
    let flaw = Flaw::part(from..text.trim_ascii_end().len(), what).code(FaultCode::NeverFires);
    Err(flaw.help("no year has such a date in these months"))
}

/// The layout of an expression with this many fields.
pub(crate) fn layout(fields: usize) -> Option<&'static [Field]> {
    match fields {
        5 => ALL.get(1..6),
        6 => ALL.get(..6),
        7 => Some(&ALL),
        _ => None,
    }
}

/// The fields with their places.
pub(crate) fn split(text: &str) -> Vec<(usize, &str)> {
    let mut fields = Vec::new();
    let mut start = None;
    for (at, byte) in text.bytes().enumerate() {
        match (matches!(byte, b' ' | b'\t'), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                fields.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        fields.push((from, &text[from..]));
    }
    fields
}

fn field_count(fields: &[(usize, &str)], text: &str) -> Flaw {
    let found = fields.len();
    if found == 0 {
        return Flaw::whole("the expression is empty; five fields are needed").help("as in '0 9 * * 1-5'");
    }
    let what = format!(
        "{found} {} found; 5 are allowed (minute hour day-of-month month day-of-week), \
         6 (seconds first) or 7 (year last)",
        if found == 1 { "field" } else { "fields" }
    );
    let bare = text.trim_ascii().to_ascii_lowercase();
    match fields.get(7) {
        Some(&(eighth, _)) => Flaw::part(eighth..text.len(), what),
        None => match MACROS.iter().find(|(name, _)| name[1..] == bare) {
            Some((name, _)) => Flaw::whole(what).help(format!("write '{name}'")),
            None => Flaw::whole(what).help("as in '0 9 * * 1-5'"),
        },
    }
}

/// What a macro stands for.
pub(crate) fn shorthand(text: &str) -> Option<&'static str> {
    let name = text.trim_ascii();
    MACROS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, meaning)| *meaning)
}

fn read(field: Field, text: &str, at: usize, rare: &mut Rare) -> Result<Set, Flaw> {
    let star = text.starts_with('*') || (field.is_day() && text == "?");
    let mut set = Set { star, ..Set::default() };
    if field.is_day() && text == "?" {
        set.add(field, field.bounds().0, field.bounds().1, 1);
        return Ok(set);
    }
    if let Some(mark) = text.find('?') {
        let what = format!("'?' is not allowed here in the {} field", field.name());
        return Err(Flaw::part(at + mark..at + mark + 1, what)
            .help("'?' must stand alone, in day-of-month or day-of-week; '*' means any value"));
    }
    let mut start = at;
    for item in text.split(',') {
        if item.is_empty() {
            let what = format!("an item is missing beside a comma in the {} field", field.name());
            let flaw = Flaw::part(start..start, what);
            // At an end of the field, what is missing probably stands beyond a space.
            let inside = start > at && start < at + text.len();
            return Err(if inside { flaw } else { flaw.help("a list has no spaces: '0,15,30'") });
        }
        if !special(field, item, start, rare)? {
            plain(field, item, start, &mut set)?;
        }
        start += item.len() + 1;
    }
    Ok(set)
}

/// `*`, values, ranges and steps.
fn plain(field: Field, item: &str, at: usize, set: &mut Set) -> Result<(), Flaw> {
    let (span, step) = match item.split_once('/') {
        Some((span, step)) => (span, Some(step_size(field, step, at + span.len() + 1)?)),
        None => (item, None),
    };
    let (low, high) = field.bounds();
    if span == "*" {
        // As a whole week 7 would repeat 0, and `*/7` would mean two Sundays.
        let high = if field == Field::Weekday { 6 } else { high };
        set.add(field, low, high, step.unwrap_or(1));
        return Ok(());
    }
    let Some((from, to)) = span.split_once('-') else {
        let from = field.value(span, at)?;
        set.add(field, from, if step.is_some() { high } else { from }, step.unwrap_or(1));
        return Ok(());
    };
    let (first, last) = (field.value(from, at)?, field.value(to, at + from.len() + 1)?);
    if first > last {
        let what = format!("the range '{}' runs backwards in the {} field", shown(span), field.name());
        let flaw = Flaw::part(at..at + span.len(), what);
        return Err(flaw.help(wrapped(field, first, last, step)));
    }
    set.add(field, first, last, step.unwrap_or(1));
    Ok(())
}

/// How to write a range that was meant to wrap around.
fn wrapped(field: Field, first: u32, last: u32, step: Option<u32>) -> String {
    let (low, high) = if field == Field::Weekday { (0, 6) } else { field.bounds() };
    let stepped = |a: u32, b: u32| match step {
        _ if a == b => a.to_string(),
        Some(step) => format!("{a}-{b}/{step}"),
        None => format!("{a}-{b}"),
    };
    match (field, step) {
        // Years come but once.
        (Field::Year, _) => format!("write '{}'", stepped(last, first)),
        // 7 is Sunday, and so is 0.
        (Field::Weekday, _) if first == 7 => format!("write '{}'", stepped(0, last)),
        (Field::Weekday, None) if last == 0 => format!("write '{}'", stepped(first, 7)),
        (_, None) => format!("write '{},{}'", stepped(first, high), stepped(low, last)),
        (_, Some(step)) => {
            let size = high - low + 1;
            let values = (first..=last + size).step_by(step as usize).map(|value| low + (value - low) % size);
            let mut list = values.map(|value| value.to_string()).collect::<Vec<_>>().join(",");
            if list.len() > SHORT {
                // The first value after the field began again.
                let next = first + ((high - first) / step + 1) * step - size;
                list = stepped(first, high);
                if next <= last {
                    list.push_str(&format!(",{}", stepped(next, last)));
                }
            }
            format!("ranges do not wrap around: write '{list}'")
        }
    }
}

fn step_size(field: Field, text: &str, at: usize) -> Result<u32, Flaw> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(step) if digits && text.len() <= 4 && step > 0 => Ok(step),
        _ => {
            let what = format!(
                "the step in the {} field is '{}'; a number from 1 to 9999 is allowed",
                field.name(),
                shown(text)
            );
            let help = if text.contains('/') { "an item has one step" } else { "as in '*/5'" };
            Err(Flaw::part(at..at + text.len(), what).help(help))
        }
    }
}

/// `L`, `W` and `#`; false where the item has none of these forms.
fn special(field: Field, item: &str, at: usize, rare: &mut Rare) -> Result<bool, Flaw> {
    let range = at..at + item.len();
    let upper = item.to_ascii_uppercase();
    match field {
        Field::Day if upper == "L" => rare.before_last |= 1,
        Field::Day if upper == "LW" => rare.last_workday = true,
        Field::Day if upper.starts_with("L-") => {
            let days = &item[2..];
            let digits = !days.is_empty() && days.bytes().all(|byte| byte.is_ascii_digit());
            match days.parse::<u32>() {
                Ok(days @ 1..=30) if digits && item.len() <= 4 => rare.before_last |= 1 << days,
                _ => {
                    let what = format!("'{}' is not 'L-' and a number of days from 1 to 30", shown(item));
                    return Err(Flaw::part(range, what));
                }
            }
        }
        Field::Day if upper.ends_with('W') => {
            let day = field.value(&item[..item.len() - 1], at).map_err(|flaw| {
                flaw.help("'W' follows one day of the month, as in '15W', or 'L', as in 'LW'")
            })?;
            rare.nearest |= 1 << day;
        }
        Field::Weekday if upper == "L" => {
            let what = "'L' needs a weekday before it in the day-of-week field";
            return Err(Flaw::part(range, what).help("write '5L' for the last Friday, '6' for Saturday"));
        }
        Field::Weekday if upper.ends_with('L') && !upper.contains('#') => {
            let day = field.value(&item[..item.len() - 1], at).map_err(|flaw| {
                flaw.help("'L' follows one weekday, as in '5L' or 'FRIL': the last one of the month")
            })?;
            rare.last |= 1 << (day % 7);
        }
        Field::Weekday if item.contains('#') => {
            let (day, which) = item.split_once('#').unwrap_or((item, ""));
            let number = field.value(day, at)?;
            match which.as_bytes() {
                [k @ b'1'..=b'5'] => rare.nth[usize::from(k - b'1')] |= 1 << (number % 7),
                _ => {
                    let what = format!("'#{}' is not '#' and a number from 1 to 5", shown(which));
                    let flaw = Flaw::part(range.end - which.len() - 1..range.end, what);
                    let last = which.eq_ignore_ascii_case("L");
                    return Err(flaw.help(match last {
                        true => format!("write '{day}L' for the last one of the month"),
                        false => {
                            format!("write '{day}#2' for the second one of the month, '{day}L' for the last")
                        }
                    }));
                }
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

impl Set {
    fn add(&mut self, field: Field, first: u32, last: u32, step: u32) {
        let base = if field == Field::Year { field.bounds().0 } else { 0 };
        let mut value = first;
        while value <= last {
            let bit = (value - base) as usize;
            self.values[bit / 64] |= 1 << (bit % 64);
            value += step;
        }
    }
}

impl Rare {
    /// No special day, and every year.
    fn nothing() -> Self {
        let years = [u64::MAX, u64::MAX, 0b11];
        Self { before_last: 0, nearest: 0, last_workday: false, nth: [0; 5], last: 0, years }
    }
}
