//! What other schedulers would understand and this language says otherwise: recognised, so that the refusal can name the
//! right form. Nothing here gives a meaning to anything; what is shown as the right form can be read (a test holds all of
//! it to that).

use super::instant::{self, Written};
use crate::{
    cron::{Cron, MAX_BYTES, parse},
    duration,
    fault::{Flaw, shown},
    zone::Zone,
};
use ponos_event::duration::WrittenDuration;

/// Shorthands of others, and how they are written here.
const MACROS: [(&str, &str); 8] = [
    ("@minutely", "write '* * * * *', or every = \"1 minute\""),
    ("@every_minute", "write '* * * * *', or every = \"1 minute\""),
    ("@every_second", "write every = \"1 second\""),
    ("@secondly", "write every = \"1 second\""),
    ("@quarterly", "write '0 0 1 */3 *'"),
    ("@weekdays", "write '0 0 * * 1-5'"),
    ("@weekends", "write '0 0 * * 0,6'"),
    ("@reboot", "the clock publishes time only: work at a start belongs in the service that starts"),
];

/// Reads an expression; where it can't be read and is another system's, the refusal says so.
pub(crate) fn parse(text: &str) -> Result<Cron, Flaw> {
    Cron::parse(text).map_err(|flaw| {
        if text.len() > MAX_BYTES || !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return flaw;
        }
        whole(text).or_else(|| line(text, &parse::split(text))).unwrap_or(flaw)
    })
}

/// What is wrong with an expression that is another system's as a whole; `None` if it looks like cron.
fn whole(text: &str) -> Option<Flaw> {
    let bare = text.trim_ascii();
    let lower = bare.to_ascii_lowercase();
    let flaw = |what: &str, help: String| Some(Flaw::whole(what).help(help));
    if let Some(rest) = lower.strip_prefix("@every").filter(|rest| rest.starts_with([' ', '\t'])) {
        return flaw("'@every' is not a shorthand here", every(rest));
    }
    if let Some((name, help)) = MACROS.iter().find(|(name, _)| *name == lower.replace('-', "_")) {
        return flaw(&format!("'{name}' is not a shorthand here"), (*help).to_owned());
    }
    for prefix in ["TZ=", "CRON_TZ="] {
        if let Some((zone, rest)) =
            bare.strip_prefix(prefix).map(|rest| rest.split_once([' ', '\t']).unwrap_or((rest, "")))
        {
            let rest = rest.trim_ascii();
            let right = Zone::parse(zone).is_ok() && (parse::reads(rest) || parse::shorthand(rest).is_some());
            let help = match right {
                true => format!("write time_zone = \"{zone}\" and cron = \"{rest}\""),
                false => "write the zone as the key time_zone, and cron without it".to_owned(),
            };
            return flaw("the time zone is a key of its own", help);
        }
    }
    if let Some((name, inner)) = called(bare) {
        return match name {
            "rate" => flaw("'rate(...)' is EventBridge's", every(inner)),
            "cron" => {
                let help = eventbridge(&parse::split(inner)).unwrap_or_else(|| EXAMPLE.to_owned());
                flaw("'cron(...)' is EventBridge's, with a year in the sixth field", help)
            }
            "at" => flaw("'at(...)' is EventBridge's", at(inner)),
            _ => None,
        };
    }
    if bare.starts_with(['"', '\'']) {
        return flaw("there are quotes within the expression", "leave the inner ones away".to_owned());
    }
    if lower.starts_with("rrule:") || lower.starts_with("freq=") || lower.starts_with("dtstart") {
        return flaw("this is a recurrence rule of iCalendar, not cron", EXAMPLE.to_owned());
    }
    if lower.starts_with("r/") || (lower.starts_with('r') && lower.contains("/p")) {
        let period = lower.rsplit('/').next().unwrap_or_default().to_ascii_uppercase();
        let period = if is_every(&period) { period } else { "PT1H".to_owned() };
        let help = format!("write every = \"{period}\", with anchor or from for its beginning");
        return flaw("this is a repeating interval of ISO 8601, not cron", help);
    }
    if lower.contains("..") || lower.starts_with("*-") {
        return flaw("this is a calendar event of systemd, not cron", EXAMPLE.to_owned());
    }
    words(bare, &lower)
}

const EXAMPLE: &str =
    "minute hour day-of-month month day-of-week: '0 9 * * MON-FRI' is nine o'clock on working days";

/// Durations, instants, times of day and sentences where fields should be.
fn words(bare: &str, lower: &str) -> Option<Flaw> {
    if parse::layout(parse::split(bare).len()).is_some() && !lower.starts_with("every ") {
        return None;
    }
    if let Some(rest) = lower.strip_prefix("every ").or_else(|| lower.strip_prefix("each ")) {
        return Some(Flaw::whole("this is a sentence, not cron").help(every(rest)));
    }
    if WrittenDuration::parse(bare).is_ok() {
        return Some(Flaw::whole("this is a duration, not cron").help(every(bare)));
    }
    if instant::read(bare).is_ok() {
        return Some(Flaw::whole("this is an instant, not cron").help(at(bare)));
    }
    if let Ok(time) = instant::time_of_day(bare) {
        let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
        let what = "this is a time of day, not cron";
        return Some(Flaw::whole(what).help(format!("write '{minute} {hour} * * *' for every day")));
    }
    None
}

/// `name(inner)`.
fn called(text: &str) -> Option<(&str, &str)> {
    let (name, inner) = text.strip_suffix(')')?.split_once('(')?;
    Some((name.trim_ascii(), inner.trim_ascii()))
}

/// How a length of time is written as a schedule's own key.
fn every(text: &str) -> String {
    let text = text.trim_ascii();
    let one = format!("1 {text}");
    match [text, &one].into_iter().find(|text| is_every(text)) {
        Some(text) => format!("write every = \"{text}\" instead of cron"),
        None => "write a length of time as every = \"5 minutes\" instead of cron".to_owned(),
    }
}

fn is_every(text: &str) -> bool {
    duration::every(text).is_ok()
}

/// How an instant is written as a schedule's own key.
fn at(text: &str) -> String {
    match instant::read(text) {
        Ok(Written::Instant(_)) => format!("write at = \"{text}\""),
        Ok(Written::Local(_)) => format!("write at = \"{text}\" and time_zone = \"UTC\", or another zone"),
        Err(_) => "write an instant as at = \"2026-12-01T09:00:00Z\"".to_owned(),
    }
}

/// The fields of EventBridge (minute to day of week, then a year), as they are written here.
fn eventbridge(fields: &[(usize, &str)]) -> Option<String> {
    let fields: Vec<&str> = fields.iter().map(|(_, field)| *field).collect();
    let (five, year) = match fields.as_slice() {
        [five @ .., year] if five.len() == 5 => (five, *year),
        five if five.len() == 5 => (five, "*"),
        _ => return None,
    };
    let (written, others) = five.split_last()?;
    let weekday = named(written)?;
    let five = format!("{} {weekday}", others.join(" "));
    let whole = if year == "*" { five } else { format!("0 {five} {year}") };
    let named = if weekday == *written { "" } else { ": there 1 is Sunday, here 1 is Monday" };
    parse::reads(&whole).then(|| format!("write '{whole}'{named}"))
}

/// A field of EventBridge's weekdays by their names; `None` where that would say something else.
fn named(field: &str) -> Option<String> {
    const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let mut text = String::new();
    // The number behind '#' counts weeks.
    let mut counts = false;
    for (at, c) in field.char_indices() {
        let alone = field.as_bytes().get(at + 1).is_none_or(|next| !next.is_ascii_digit());
        match c {
            '/' if !field.starts_with('*') => return None,
            '0'..='9' if !counts && !field.contains('/') => {
                let day = (c as usize).checked_sub('1' as usize).filter(|_| alone)?;
                text.push_str(DAYS.get(day)?);
            }
            _ => text.push(c),
        }
        counts = c == '#';
    }
    Some(text)
}

/// What may help with a line of fields: it is EventBridge's, or a crontab's.
fn line(text: &str, fields: &[(usize, &str)]) -> Option<Flaw> {
    bare_eventbridge(fields).or_else(|| crontab(text, fields))
}

/// `15 10 ? * 6L 2026-2028`, which stands within 'cron(...)' elsewhere.
fn bare_eventbridge(fields: &[(usize, &str)]) -> Option<Flaw> {
    let (_, year) = fields.get(5).filter(|_| fields.len() == 6)?;
    let is_year = |item: &str| item.len() >= 4 && item.starts_with(|c: char| c.is_ascii_digit());
    if *year != "*" && !year.split(',').all(is_year) {
        return None;
    }
    let help = eventbridge(fields)?;
    Some(Flaw::whole("this is EventBridge's form, with a year in the sixth field").help(help))
}

/// What may help with a line of a crontab: the fields are followed by a user, a command or a comment.
fn crontab(text: &str, fields: &[(usize, &str)]) -> Option<Flaw> {
    let &(at, sixth) = fields.get(5)?;
    let letters = sixth.bytes().take_while(u8::is_ascii_alphabetic).count();
    if letters < 4 && !sixth.starts_with(['#', '/', '.', '$', '&', '~']) {
        return None;
    }
    let five: Vec<&str> = fields.iter().take(5).map(|(_, field)| *field).collect();
    let five = five.join(" ");
    if !parse::reads(&five) {
        return None;
    }
    let what = format!("'{}' is not a field", shown(text.get(at..).unwrap_or_default()));
    let help = format!("give only the times here: '{five}'; what to do is up to the subscriber");
    Some(Flaw::part(at..text.len(), what).help(help))
}
