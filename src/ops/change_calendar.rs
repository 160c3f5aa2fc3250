//! A calendar is put or deleted at run time.

use super::{
    OpsError, RunningClock,
    change::{kept, told},
    message::Asked,
    run_blocking,
};
use crate::{
    authority::{Caller, Role},
    clock_loop::{ChangesAsked, Command},
    diagnostic::{Diagnostic, Diagnostics, Severity},
    engine::{Expect, Message, Refusal, ScheduleChange, Verdict, WantedCalendar},
    schedule::{
        Calendar, CalendarId, CalendarText, FaultCode, ZoneData,
        file::{FieldFault, FieldFaults},
        is_name,
    },
};
use std::sync::Arc;
use tokio::time::Instant;

/// A change of a calendar that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarChange {
    /// The calendar.
    pub name: String,
    /// How it is to be written; `None`: it is to go.
    pub wanted: Option<CalendarText>,
    /// What has to be there.
    pub expect: Expect,
    /// The id of the message that asks for it, where it came as one.
    pub message: Option<String>,
}

/// Makes it. Done when that is durable. What was seldom meant in the text is said.
///
/// # Errors
/// [`OpsError::Definition`] with all that is wrong with the text, each with its line and column;
/// [`OpsError::CalendarUnchanged`] where it is refused; [`OpsError::Denied`]; [`OpsError::Parameter`]; [`OpsError::TooMany`] and
/// [`OpsError::Unavailable`]: nothing changed; [`OpsError::Unknown`]: it may have changed.
pub async fn change(
    clock: &RunningClock,
    caller: &Caller,
    asked: CalendarChange,
) -> Result<(Verdict, Vec<FieldFault>), OpsError> {
    let message = message(&asked);
    let CalendarChange { name, wanted, expect, .. } = asked;
    if let Some(verdict) = clock.answered(caller, message.as_ref(), 1).await?.and_then(|mut all| all.pop()) {
        return done(&name, verdict, None).map(|verdict| (verdict, Vec::new()));
    }
    caller.may(Role::Write, "change calendars")?;
    if wanted.is_some() {
        check_name(&name)?;
    }
    caller.take_puts(1, Instant::now())?;
    let (zones, named): (_, Arc<str>) = (clock.zone_data(), name.as_str().into());
    let read = run_blocking(move || read(named, wanted, expect, &zones)).await?;
    let Read { change, faults, remarks } = read;
    let asked = ChangesAsked { by: caller.author(), message, atomic: false, changes: vec![change] };
    let mut verdicts = clock.ask_to_change(|reply| Command::Change(asked, reply)).await??;
    let verdict = verdicts.pop().ok_or(OpsError::Defect)?;
    done(&name, verdict, faults).map(|verdict| (verdict, remarks))
}

/// Periods of a calendar that are no whole days: each is looked at for each zone of a schedule that names it.
const PERIODS: usize = 20_000;

/// A change as it was read.
struct Read {
    change: ScheduleChange,
    faults: Option<FieldFaults>,
    remarks: Vec<FieldFault>,
}

fn read(name: Arc<str>, wanted: Option<CalendarText>, expect: Expect, zones: &ZoneData) -> Read {
    let Some(text) = wanted else {
        // What can't be a name is nobody's.
        let name = if is_name(&name) { name } else { "".into() };
        let change = ScheduleChange::Calendar { name, wanted: None, expect };
        return Read { change, faults: None, remarks: Vec::new() };
    };
    match understand(&name, &text, zones) {
        Ok((calendar, remarks)) => {
            let wanted = Some(Box::new(WantedCalendar { text, calendar }));
            let change = ScheduleChange::Calendar { name, wanted, expect };
            Read { change, faults: None, remarks }
        }
        Err(faults) => {
            let change = ScheduleChange::Invalid { name, faults: kept(&faults) };
            Read { change, faults: Some(faults), remarks: Vec::new() }
        }
    }
}

/// A text as it is read, and what in it is seldom meant; or all that is wrong with it.
fn understand(
    name: &str,
    text: &CalendarText,
    zones: &ZoneData,
) -> Result<(Calendar, Vec<FieldFault>), FieldFaults> {
    let (calendar, warnings) = text.read(name, zones).map_err(|found| located(&found))?;
    let periods = calendar.periods();
    if periods <= PERIODS {
        return Ok((calendar, located(&warnings).list));
    }
    let mut faults = FieldFaults::default();
    faults.add(FieldFault {
        pointer: String::new(),
        code: FaultCode::InvalidValue,
        detail: format!(
            "it covers {periods} periods of hours, minutes and seconds; at run time {PERIODS} at most"
        ),
        expected: None,
        suggestion: Some("write whole days, or put it into the folder of calendars".to_owned()),
    });
    Err(faults)
}

/// What was found in a text, by lines and columns: it has no pointers.
fn located(found: &Diagnostics) -> FieldFaults {
    let mut faults = FieldFaults::default();
    // What is only odd does not stand among what is wrong.
    let is_error = |one: &&Diagnostic| found.errors() == 0 || one.severity == Severity::Error;
    for one in found.list().iter().filter(is_error) {
        let place = match (one.line, one.column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: "),
            (Some(line), None) => format!("line {line}: "),
            _ => String::new(),
        };
        let is_odd = one.severity == Severity::Warning;
        let code = one.code.unwrap_or(if is_odd { FaultCode::SeldomMeant } else { FaultCode::InvalidValue });
        faults.add(FieldFault {
            pointer: String::new(),
            code,
            detail: format!("{place}{}", one.message),
            expected: None,
            suggestion: one.help.clone(),
        });
    }
    faults.more += found.errors().saturating_sub(faults.list.len() + faults.more);
    faults
}

/// A name that files may have, too, and that is no id of days.
fn check_name(name: &str) -> Result<(), OpsError> {
    if !is_name(name) {
        let what = "1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
        return Err(OpsError::parameter("name", FaultCode::InvalidValue, what));
    }
    if name.parse::<CalendarId>().is_ok() {
        let what = "this is the form of the ids of days: take another name";
        return Err(OpsError::parameter("name", FaultCode::InvalidValue, what));
    }
    Ok(())
}

fn done(name: &str, verdict: Verdict, faults: Option<FieldFaults>) -> Result<Verdict, OpsError> {
    match verdict {
        Verdict::Refused(Refusal::Invalid { faults: said }) => match faults.or_else(|| told(&said)) {
            Some(faults) => Err(OpsError::Definition(faults)),
            None => Err(unchanged(name, Refusal::Invalid { faults: said })),
        },
        Verdict::Refused(refusal) => Err(unchanged(name, refusal)),
        verdict => Ok(verdict),
    }
}

fn unchanged(name: &str, refusal: Refusal) -> OpsError {
    OpsError::CalendarUnchanged { name: name.to_owned(), refusal }
}

fn message(asked: &CalendarChange) -> Option<Message> {
    let CalendarChange { name, wanted, expect, message } = asked;
    let id = message.clone()?;
    let parts = match wanted {
        Some(CalendarText { form, text }) => Asked::default()
            .part(b"calendar-put")
            .part(name.as_bytes())
            .part(form.word().as_bytes())
            .part(text.as_bytes()),
        None => Asked::default().part(b"calendar-delete").part(name.as_bytes()),
    };
    parts.expecting(*expect).message(Some(id))
}

/// Why a calendar was not changed, and what to do.
pub(super) fn said_of_calendar(refusal: &Refusal) -> String {
    match refusal {
        Refusal::FileOwned => {
            "it lies in the folder of calendars, and is changed there; or take another name".into()
        }
        Refusal::Invalid { .. } => "its text can't be used".into(),
        Refusal::InUse { first, count } => {
            let named = first.join(", ");
            let more = match usize::try_from(*count).unwrap_or(usize::MAX).saturating_sub(first.len()) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let uses = if *count == 1 { "a schedule uses it" } else { "schedules use it" };
            format!("{uses}: {named}{more}; delete or change what uses it, and then it can go")
        }
        Refusal::LeavesNothingDue { some } => {
            // No more than these are looked for.
            let others = if some.len() > 1 { ", and maybe of others" } else { "" };
            format!(
                "nothing would be due any more of {}{others}, which it leaves no day; give it days on which that is due, or delete or change that first",
                some.join(", ")
            )
        }
        Refusal::TooManyCalendars { most } => format!(
            "its owner has as many calendars as he leaves to all others, of {most} in all; delete some"
        ),
        Refusal::TooManyCalendarBytes { most } => format!(
            "the calendars of its owner are as large, in text, in the periods that they cover and in what their rules cost to be followed, as he leaves to all others, of {} MiB in all; delete some",
            most >> 20
        ),
        other => super::error::said(other, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::CalendarForm;

    fn text(form: CalendarForm, text: &str) -> CalendarText {
        CalendarText { form, text: text.into() }
    }

    fn faults(form: CalendarForm, written: &str) -> Vec<(String, FaultCode, String)> {
        let read = read("off".into(), Some(text(form, written)), Expect::Any, &ZoneData::bundled());
        assert!(matches!(read.change, ScheduleChange::Invalid { .. }), "{written}");
        let faults = read.faults.unwrap_or_default().list.into_iter();
        faults.map(|fault| (fault.pointer, fault.code, fault.detail)).collect()
    }

    #[test]
    fn all_that_is_wrong_with_a_text_is_said_by_line_and_column() {
        let found = faults(CalendarForm::Toml, "dates = [\"2026-02-30\"]\nweekday = []\n");
        let said: Vec<_> = found.iter().map(|(pointer, _, detail)| (&**pointer, &**detail)).collect();
        assert_eq!(
            said,
            [
                (
                    "",
                    "line 1, column 11: dates: there is no date 2026-02-30, or it is not between 1970 and 2099"
                ),
                ("", "line 2, column 1: unknown key 'weekday' in a calendar"),
            ]
        );
        assert_eq!(found[1].1, FaultCode::UnknownKey);
        let found = faults(
            CalendarForm::Ics,
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:never\nEND:VEVENT\nEND:VCALENDAR\n",
        );
        assert!(found[0].2.starts_with("line 3"), "{found:?}");
    }

    #[test]
    fn little_text_that_covers_very_much_is_refused() {
        let often = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20260101T000000Z\nDURATION:PT1S\nRRULE:FREQ=HOURLY;COUNT=20001\nEND:VEVENT\nEND:VCALENDAR\n";
        let found = faults(CalendarForm::Ics, often);
        assert!(found.len() == 1 && found[0].2.starts_with("it covers 20001 periods"), "{found:?}");
    }

    #[test]
    fn what_is_right_and_seldom_meant_is_a_remark() {
        let odd = "BEGIN:VCALENDAR\nEND:VCALENDAR\n";
        let wanted = Some(text(CalendarForm::Ics, odd));
        let read = read("off".into(), wanted, Expect::Any, &ZoneData::bundled());
        assert!(read.faults.is_none() && matches!(read.change, ScheduleChange::Calendar { .. }));
        assert!(
            !read.remarks.is_empty() && read.remarks.iter().all(|one| one.code == FaultCode::SeldomMeant)
        );
    }

    #[test]
    fn a_name_is_one_that_a_file_may_have_and_no_id() {
        assert!(check_name("holidays-fr").is_ok() && check_name("0").is_ok());
        for wrong in ["", "A", "a/b", "53508b14-b68a-5c78-94e6-99de12b6a40d", &"x".repeat(129)] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_uses_a_calendar_is_named_and_how_many_more_there_are() {
        let said = |first: &[&str], count| {
            let first = first.iter().map(|name| (*name).into()).collect();
            said_of_calendar(&Refusal::InUse { first, count })
        };
        assert!(said(&["a"], 1).starts_with("a schedule uses it: a;"));
        assert!(said(&["a", "b"], 9).starts_with("schedules use it: a, b and 7 more;"));
        let left = |some: &[&str]| {
            let some = some.iter().map(|name| (*name).into()).collect();
            said_of_calendar(&Refusal::LeavesNothingDue { some })
        };
        assert!(left(&["a"]).starts_with("nothing would be due any more of a, which"));
        assert!(left(&["a", "b"]).starts_with("nothing would be due any more of a, b, and maybe of others,"));
    }
}
