//! A calendar in TOML: `dates`, `weekdays` and `yearly`, each a list of texts; a day belongs to the calendar when any
//! of them names it. What it costs to be read grows with its text alone: what is named often is looked at once.

use super::{Days, date};
use crate::{
    FaultCode,
    diagnostic::{Diagnostics, Text, did_you_mean, toml_table},
    fault::{Flaw, shown},
    months::{FIRST_YEAR, MONTHS, day_number, weekday},
    toml_tree::{position, value},
};
use std::collections::BTreeSet;
use toml::{Spanned, de::DeValue};

const KEYS: [&str; 3] = ["dates", "weekdays", "yearly"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Whether the text is a calendar rather than schedules, by its keys: it names days, and no `schedule`.
pub fn names_days(text: &Text<'_>) -> bool {
    let table = toml_table(text, &mut Diagnostics::default());
    let has = |key: &str| table.as_ref().is_some_and(|table| table.get_ref().contains_key(key));
    KEYS.into_iter().any(has) && !has("schedule")
}

/// The days that the text names; what is wrong is added to `faults`.
pub(super) fn parse(text: &Text<'_>, faults: &mut Diagnostics) -> Days {
    let mut named = Named::default();
    let Some(table) = toml_table(text, faults) else { return Days::none() };
    if table.get_ref().is_empty() {
        let help = "as in dates = [\"2026-12-25\"], weekdays = [\"SAT\", \"SUN\"], yearly = [\"12-25\"]";
        let fault = text.error(0..0, "this calendar names no days").code(FaultCode::MissingKey);
        faults.push(fault.help(help));
    }
    for (name, list) in table.get_ref() {
        let Some(key) = KEYS.into_iter().find(|key| key == name.get_ref()) else {
            let what = format!("unknown key '{}' in a calendar", name.get_ref());
            let fault = text.error(name.span(), what).code(FaultCode::UnknownKey);
            faults.push(fault.help(did_you_mean(name.get_ref(), KEYS)));
            continue;
        };
        let DeValue::Array(items) = list.get_ref() else {
            let what = format!("{key} must be a list of texts, not {}", value::type_name(list.get_ref()));
            let help = text.as_str().get(list.span()).map(|written| format!("write [{written}]"));
            faults.push(text.error(list.span(), what).code(FaultCode::WrongType).maybe_help(help));
            continue;
        };
        items.iter().for_each(|item| add(text, key, item, &mut named, faults));
    }
    named.days()
}

/// What the lists have.
#[derive(Default)]
struct Named {
    /// First and last days.
    spans: Vec<(i32, i32)>,
    weekdays: [bool; 7],
    /// Months and days.
    yearly: BTreeSet<(u32, u32)>,
}

impl Named {
    fn days(mut self) -> Days {
        let of_week = |day: i32| usize::try_from(weekday(day)).ok().and_then(|day| self.weekdays.get(day));
        let mut days = match self.weekdays.contains(&true) {
            true => Days::matching(|day| of_week(day).copied().unwrap_or_default()),
            false => Days::none(),
        };
        self.spans.sort_unstable();
        let mut behind = i32::MIN;
        for (first, last) in self.spans {
            (first.max(behind)..=last).for_each(|day| days.insert(day));
            behind = behind.max(last.saturating_add(1));
        }
        for (month, day) in self.yearly {
            let years = FIRST_YEAR..FIRST_YEAR + MONTHS / 12;
            years.filter_map(|year| day_number(year, month, day)).for_each(|day| days.insert(day));
        }
        days
    }
}

fn add(text: &Text<'_>, key: &str, item: &Spanned<DeValue<'_>>, named: &mut Named, faults: &mut Diagnostics) {
    let DeValue::String(written) = item.get_ref() else {
        let what = format!("{key} holds texts in quotes, not {}", value::type_name(item.get_ref()));
        let help = text.as_str().get(item.span()).map(|written| format!("write \"{written}\""));
        faults.push(text.error(item.span(), what).code(FaultCode::WrongType).maybe_help(help));
        return;
    };
    let added = match key {
        "dates" => date::span(written).map(|span| named.spans.push(span)),
        "weekdays" => weekdays(written).map(|day| named.weekdays[day] = true),
        _ => date::yearly(written).map(|day| {
            named.yearly.insert(day);
        }),
    };
    if let Err(flaw) = added {
        let fault = flaw.of("");
        let span = fault.at.map_or(item.span(), |at| position::within(text.as_str(), &item.span(), at));
        let found = text.error(span, format!("{key}: {}", fault.what)).code(fault.code);
        faults.push(found.maybe_help(fault.help));
    }
}

fn weekdays(text: &str) -> Result<usize, Flaw> {
    let upper = text.to_ascii_uppercase();
    WEEKDAYS.iter().position(|name| *name == upper).ok_or_else(|| {
        Flaw::whole(format!("'{}' is not a day of the week", shown(text)))
            .help("allowed are MON, TUE, WED, THU, FRI, SAT, SUN")
    })
}

#[cfg(test)]
mod tests {
    use crate::{calendar, diagnostic::Text, months::day_number};

    fn faults(text: &str) -> Vec<String> {
        let faults = calendar::parse(&Text::new("c.toml", text), false).unwrap_err();
        faults.list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn dates_ranges_weekdays_and_days_of_the_year_are_put_together() {
        let text =
            "dates = [\"2026-12-25\", \"2026-12-24/2027-01-02\"]\nweekdays = [\"sat\"]\nyearly = [\"02-29\"]";
        let (calendar, _) = calendar::parse(&Text::new("c.toml", text), false).unwrap();
        let days = calendar.days_in(&crate::Zone::UTC);
        let has = |year, month, day| days.contains(day_number(year, month, day).unwrap());
        assert!(has(2026, 12, 24) && has(2026, 12, 31) && has(2027, 1, 2));
        assert!(!has(2026, 12, 23) && !has(2027, 1, 3));
        // 2026-11-21 is a Saturday; 2028 and 2096 are leap years, and 2100 is none.
        assert!(has(2026, 11, 21) && !has(2026, 11, 22));
        assert!(has(2028, 2, 29) && has(2096, 2, 29) && !has(2027, 3, 1) && !has(2100, 3, 1));
    }

    #[test]
    fn days_that_are_named_often_are_the_same_days() {
        let text = "dates = [\"2026-12-20/2027-01-02\", \"2026-12-25\", \"2026-12-24/2026-12-26\", \"2027-01-02/2027-01-04\", \"2026-12-20\"]\n\
                    weekdays = [\"MON\", \"mon\"]\nyearly = [\"06-01\", \"06-01\"]";
        let read = |text: &str| calendar::parse(&Text::new("c.toml", text), false).unwrap().0;
        let once = "dates = [\"2026-12-20/2027-01-04\"]\nweekdays = [\"MON\"]\nyearly = [\"06-01\"]";
        assert_eq!(read(text), read(once));
    }

    /// Some megabytes of it, each word of which is looked at; but not each of its days for each.
    #[test]
    fn what_is_named_very_often_takes_no_longer_than_its_text() {
        let dates = "\"1970-01-01/2099-12-31\",".repeat(20_000);
        let weekdays = "\"SUN\",".repeat(20_000);
        let text = format!("dates = [{dates}]\nweekdays = [{weekdays}]");
        let read = |text: &str| calendar::parse(&Text::new("c.toml", text), false).unwrap().0;
        assert_eq!(read(&text), read("dates = [\"1970-01-01/2099-12-31\"]\nweekdays = [\"SUN\"]"));
    }

    #[test]
    fn what_is_wrong_is_found_at_its_place() {
        let text = "dates = [\"2026-02-29\", \"2026-12-24/2026-12-01\", 2026-12-25, \"24/12/2026\"]\nweekday = []\n\
                    weekdays = [\"SATURDAY\"]\nyearly = [\"02-30\", \"2026-12-25\", 1225]\n";
        assert_eq!(
            faults(text),
            [
                "c.toml:1:11: dates: there is no date 2026-02-29, or it is not between 1970 and 2099",
                "c.toml:1:36: dates: the last day of '2026-12-24/2026-12-01' is before its first",
                "c.toml:1:49: dates holds texts in quotes, not a bare date; write \"2026-12-25\"",
                "c.toml:1:62: dates: '24' is not a date; as in \"2026-12-25\", or \"2026-12-24/2027-01-02\" from the first through the last day",
                "c.toml:2:1: unknown key 'weekday' in a calendar; did you mean 'weekdays'?",
                "c.toml:3:13: weekdays: 'SATURDAY' is not a day of the week; allowed are MON, TUE, WED, THU, FRI, SAT, SUN",
                "c.toml:4:11: yearly: no year has a day 02-30",
                "c.toml:4:20: yearly: '2026-12-25' is not a day of the year; month and day, as in \"12-25\"; a date of one year belongs in 'dates'",
                "c.toml:4:34: yearly holds texts in quotes, not a number; write \"1225\"",
            ]
        );
        assert!(faults("# nothing\n")[0].starts_with("c.toml:1:1: this calendar names no days"));
        assert!(faults("dates = \"2026-12-25\"")[0].contains("write [\"2026-12-25\"]"));
        assert!(faults("dates = [")[0].contains("this is not valid TOML"));
    }
}
