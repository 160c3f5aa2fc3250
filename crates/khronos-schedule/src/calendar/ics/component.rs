//! The text as components within components. Of their properties only those are kept that can say something about days,
//! so that what is kept stays small however much the text carries along.

use super::{line::Line, refusal::Refusal, unfolded::Unfolded};
use crate::{diagnostic::is_one_edit, fault::shown};
use std::ops::Range;

/// Components within components.
const DEEPEST: usize = 16;
/// Properties that are kept of one file.
const MOST: usize = 400_000;

/// Properties that say on which days an event is.
const OF_DAYS: [&str; 9] =
    ["DTSTART", "DTEND", "DURATION", "RRULE", "EXRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "STATUS"];
/// Properties that say which event it is, and what zone.
const OF_IDENTITY: [&str; 10] = [
    "UID",
    "SEQUENCE",
    "DTSTAMP",
    "LAST-MODIFIED",
    "METHOD",
    "TZID",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "X-WR-TIMEZONE",
    "X-LIC-LOCATION",
];
/// Texts for people.
const TEXTS: [&str; 5] = ["SUMMARY", "DESCRIPTION", "LOCATION", "COMMENT", "CATEGORIES"];
const LINES: &str = "each line is NAME:VALUE, and what belongs to the line before begins with a space";

/// A component: `BEGIN:NAME` to `END:NAME`.
#[derive(Debug)]
pub(super) struct Component<'a> {
    name: &'a str,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) parts: Vec<Component<'a>>,
    unfolded: &'a Unfolded,
}

impl<'a> Component<'a> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first property of this name.
    pub(super) fn line(&self, name: &str) -> Option<&Line<'a>> {
        self.lines.iter().find(|line| line.is(name))
    }

    /// Where its name stands.
    pub(super) fn place(&self) -> Range<usize> {
        self.unfolded.place(self.name)
    }
}

/// What a property is to the days.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Kept,
    /// A text for people, or something that nobody here knows: it says nothing of days.
    Other,
}

/// The components of the text; refused is what is not one.
pub(super) fn tree(unfolded: &Unfolded) -> Result<Vec<Component<'_>>, Refusal> {
    let (mut roots, mut open): (Vec<Component<'_>>, Vec<Component<'_>>) = (Vec::new(), Vec::new());
    let (mut before, mut kept) = (Role::Other, 0);
    for text in unfolded.lines() {
        let refused = |what: String, help: &str| Err(Refusal::new(unfolded.place(text), what).help(help));
        let Some(line) = Line::read(text, unfolded) else {
            // A text that was cut into lines without being folded, or one of these with a slip: it is not about days.
            if !open.is_empty() && (before == Role::Other || is_text(text)) {
                continue;
            }
            let help = if text.trim_start().starts_with('<') {
                "this looks like a web page: download the calendar itself (its address often ends in .ics)"
            } else {
                LINES
            };
            return refused("this is not a line of iCalendar".to_owned(), help);
        };
        let value = line.value.trim();
        if line.is("BEGIN") {
            if open.len() == DEEPEST {
                let help = "remove what is nested: days are in VEVENT alone";
                return refused("components are nested deeper than iCalendar allows".to_owned(), help);
            }
            if value.eq_ignore_ascii_case("VEVENT") && open.last().is_some_and(|outer| outer.is("VEVENT")) {
                let help = "end the event before it with END:VEVENT";
                return refused("BEGIN:VEVENT within an event that has no END:VEVENT".to_owned(), help);
            }
            open.push(Component { name: value, lines: Vec::new(), parts: Vec::new(), unfolded });
            before = Role::Other;
        } else if line.is("END") {
            let Some(done) = open.pop() else {
                return refused(format!("END:{} without BEGIN", shown(value)), "remove this line");
            };
            if !done.is(value) {
                let what = format!("END:{} found where END:{} is expected", shown(value), shown(done.name));
                return refused(what, "end each component that is begun; the file may be cut off");
            }
            open.last_mut().map_or(&mut roots, |outer| &mut outer.parts).push(done);
            before = Role::Other;
        } else if let Some(component) = open.last_mut() {
            before = role(&line, component)?;
            if before == Role::Kept {
                kept += 1;
                component.lines.push(line);
            }
            if kept > MOST {
                return refused("this calendar has too many properties".to_owned(), "split it into several");
            }
        } else if is_kept(&line.name.to_ascii_uppercase()) {
            let help = "a calendar begins with BEGIN:VCALENDAR and ends with END:VCALENDAR";
            return refused("this is outside of BEGIN:VCALENDAR and END:VCALENDAR".to_owned(), help);
        }
    }
    if let Some(begun) = open.pop() {
        let what = format!("BEGIN:{} has no END:{0}", shown(begun.name));
        return Err(Refusal::of(&begun, what).help("the file may be cut off: fetch or export it again"));
    }
    if roots.is_empty() {
        let help = "a calendar begins with BEGIN:VCALENDAR and ends with END:VCALENDAR";
        return Err(Refusal::new(0..0, "this file holds no calendar").help(help));
    }
    Ok(roots)
}

/// What the property is, or that it is a misspelt one.
fn role(line: &Line<'_>, component: &Component<'_>) -> Result<Role, Refusal> {
    let name = line.name.to_ascii_uppercase();
    if is_kept(&name) {
        return Ok(Role::Kept);
    }
    let misspelt = OF_DAYS.into_iter().find(|known| component.is("VEVENT") && is_one_edit(&name, known));
    match misspelt {
        None => Ok(Role::Other),
        Some(known) => {
            let what =
                format!("'{}' is not a property of iCalendar, and might change the days", shown(&name));
            Err(line
                .out_of_place(what)
                .help(format!("did you mean '{known}'? Else name it X-{}", shown(&name))))
        }
    }
}

fn is_kept(name: &str) -> bool {
    OF_DAYS.contains(&name) || OF_IDENTITY.contains(&name)
}

/// Whether a line that is not a valid property is meant for people, or for some other program: `SUMMARY=a day off`.
fn is_text(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default().trim().to_ascii_uppercase();
    name.starts_with("X-") || TEXTS.contains(&&*name)
}
