//! `exclude`, `only` and `move` → rules about days.

use super::Definition;
use crate::{
    calendar_store::CalendarStore,
    fault::{Fault, FaultCode, Flaw, choice, shown},
    timing::day_rules::{DayRules, Move, Named},
};
use std::sync::Arc;

/// Reads `exclude`, `only` and `move`; `None` where there is none of them, or a fault.
pub(crate) fn day_rules(
    definition: &Definition,
    calendars: &CalendarStore,
    faults: &mut Vec<Fault>,
) -> Option<Arc<DayRules>> {
    let before = faults.len();
    let shift = match definition.move_to.as_deref() {
        None => None,
        Some("next-business-day") => Some(Move::Next),
        Some("previous-business-day") => Some(Move::Previous),
        Some(other) => {
            faults.push(choice(other, &["next-business-day", "previous-business-day"]).of("move"));
            None
        }
    };
    let mut named =
        |key, list: &Option<Vec<String>>| named(key, list.as_deref(), definition, calendars, faults);
    let (exclude, only) = (named("exclude", &definition.exclude), named("only", &definition.only));
    let any = shift.is_some() || definition.exclude.is_some() || definition.only.is_some();
    (any && faults.len() == before).then(|| calendars.rules(only, exclude, shift))
}

fn named(
    key: &'static str,
    list: Option<&[String]>,
    definition: &Definition,
    store: &CalendarStore,
    faults: &mut Vec<Fault>,
) -> Vec<Named> {
    let mut calendars = Vec::new();
    if list.is_some_and(<[String]>::is_empty) {
        let what = "it names no calendar";
        let flaw = Flaw::whole(what).code(FaultCode::OutOfRange);
        faults.push(flaw.help("leave it out, or as in [\"holidays-fr\"]").of(key));
    }
    for (index, name) in list.into_iter().flatten().enumerate() {
        let id = definition.calendars.as_ref().and_then(|ids| ids.get(name)).copied();
        match id.and_then(|id| Some((id, store.days(id)?))) {
            Some((id, days)) => calendars.push(Named { name: name.as_str().into(), id, days }),
            None => {
                let what = format!("the days of the calendar '{}' are not known here", shown(name));
                faults.push(Flaw::whole(what).code(FaultCode::UnknownCalendar).of_item(key, index));
            }
        }
    }
    calendars
}
