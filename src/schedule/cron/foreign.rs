//! What other schedulers would understand and this language says otherwise: recognised, so that the refusal can name the
//! right form. Nothing here gives a meaning to anything.

use super::parse;
use crate::schedule::{
    definition::{Flaw, shown},
    duration::Duration,
    instant,
};

/// Shorthands of others, and how they are written here.
const MACROS: [(&str, &str); 8] = [
    ("@minutely", "write '* * * * *', or every = \"1 minute\""),
    ("@every_minute", "write '* * * * *', or every = \"1 minute\""),
    ("@every_second", "write every = \"1 second\""),
    ("@secondly", "write every = \"1 second\""),
    ("@quarterly", "write '0 0 1 */3 *'"),
    ("@weekdays", "write '0 0 * * 1-5'"),
    ("@weekends", "write '0 0 * * 0,6'"),
    (
        "@reboot",
        "the clock knows nothing but time: what is to be done at a start belongs to the service that starts",
    ),
];

/// What is wrong with an expression that is another system's as a whole; `None` if it looks like cron.
pub(super) fn whole(text: &str) -> Option<Flaw> {
    let bare = text.trim_ascii();
    let lower = bare.to_ascii_lowercase();
    let flaw = |what: &str, help: String| Some(Flaw::whole(what).help(help));
    if let Some(rest) = lower.strip_prefix("@every").filter(|rest| rest.starts_with([' ', '\t'])) {
        return flaw("'@every' is no shorthand here", every(rest));
    }
    if let Some((name, help)) = MACROS.iter().find(|(name, _)| *name == lower.replace('-', "_")) {
        return flaw(&format!("there is no '{name}'"), (*help).to_owned());
    }
    for prefix in ["TZ=", "CRON_TZ="] {
        if let Some((zone, rest)) =
            bare.strip_prefix(prefix).map(|rest| rest.split_once([' ', '\t']).unwrap_or((rest, "")))
        {
            let help =
                format!("write time_zone = \"{}\" and cron = \"{}\"", shown(zone), shown(rest.trim_ascii()));
            return flaw("the time zone is a key of its own", help);
        }
    }
    if let Some((name, inner)) = called(bare) {
        return match name {
            "rate" => flaw("'rate(...)' is EventBridge's", every(inner)),
            "cron" => {
                flaw("'cron(...)' is EventBridge's, with a year in the sixth field", eventbridge(inner))
            }
            "at" => flaw("'at(...)' is EventBridge's", format!("write at = \"{}\"", shown(inner))),
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
        let help = format!("write every = \"{}\", with anchor or from for its beginning", shown(&period));
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
    if Duration::parse(bare).is_ok() {
        return Some(Flaw::whole("this is a duration, not cron").help(every(bare)));
    }
    if instant::read(bare).is_ok() {
        return Some(Flaw::whole("this is an instant, not cron").help(format!("write at = \"{bare}\"")));
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
    match [text, &one].into_iter().find(|text| Duration::parse(text).is_ok()) {
        Some(text) => format!("write every = \"{text}\" instead of cron"),
        None => "a length of time is written every = \"5 minutes\" instead of cron".to_owned(),
    }
}

fn eventbridge(inner: &str) -> String {
    let fields = parse::split(inner);
    let five: Vec<&str> = fields.iter().take(5).map(|(_, field)| *field).collect();
    let numbered = five.get(4).is_some_and(|field| field.bytes().any(|byte| byte.is_ascii_digit()));
    let weekday = if numbered { "; weekdays by name, since 1 is Sunday there and Monday here" } else { "" };
    match (fields.len(), fields.get(5)) {
        (6, Some((_, "*"))) | (5, _) => format!("write '{}'{weekday}", shown(&five.join(" "))),
        (6, Some((_, year))) => format!("write '0 {} {}'{weekday}", shown(&five.join(" ")), shown(year)),
        _ => EXAMPLE.to_owned(),
    }
}

/// What may help with a line of a crontab: the fields are followed by a user, a command or a comment.
pub(super) fn crontab(text: &str, fields: &[(usize, &str)]) -> Option<Flaw> {
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
    let what = format!("'{}' is no field", shown(text.get(at..).unwrap_or_default()));
    let help =
        format!("only the times stand here: '{}'; what is to be done is the subscriber's", shown(&five));
    Some(Flaw::part(at..text.len(), what).help(help))
}
