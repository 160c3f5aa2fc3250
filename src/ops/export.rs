//! What was created at run time, to be put again: as TOML, or as JSON; calendars, and the definitions that name them. What has
//! finished is no part of it: put into another clock, it would be sent again. Whose each was, and what is left of its limit,
//! stands beside it.

use super::{
    Clock, OpsError, Pages, RunningClock,
    schedules::{Schedules, all},
};
use crate::{
    clock_loop::{CalendarStatus, Command},
    engine::ScheduleStatus,
    schedule::{CalendarForm, Definition},
    sources::EXPORTED,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A calendar that is exported.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportedCalendar {
    /// Its name.
    pub name: String,
    /// In which form its text is.
    pub form: CalendarForm,
    /// As it is written.
    pub text: String,
}

/// The calendars that were created at run time, by name.
#[derive(Debug)]
pub struct ExportedCalendars {
    clock: RunningClock,
    /// What is read next begins so, or comes behind it.
    from: String,
}

/// All calendars that were created at run time.
pub fn calendars(clock: RunningClock) -> ExportedCalendars {
    ExportedCalendars { clock, from: String::new() }
}

impl Pages for ExportedCalendars {
    type Item = CalendarStatus;
    type View<'a> = ExportedCalendar;

    async fn next(&mut self) -> Result<Vec<CalendarStatus>, OpsError> {
        let from = self.from.clone();
        let page = self.clock.ask(|reply| Command::Calendars(from, reply)).await?;
        if let Some(last) = page.last() {
            self.from = format!("{}\0", last.calendar.name);
        }
        Ok(page)
    }

    fn view(&self, CalendarStatus { calendar, .. }: &CalendarStatus) -> ExportedCalendar {
        let (form, text) = (calendar.text.form, calendar.text.text.to_string());
        ExportedCalendar { name: calendar.name.to_string(), form, text }
    }
}

/// One `[[calendar]]`, under a line that says whose it was. Its text is one line of TOML, so that no line of it looks like one of the
/// export.
pub fn toml_of_calendar(CalendarStatus { calendar, .. }: &CalendarStatus) -> String {
    // A string of JSON is one of TOML, but for this character.
    let text = Value::from(&*calendar.text.text).to_string().replace('\u{7f}', "\\u007F");
    format!(
        "# owner: {:?}\n[[calendar]]\nname = \"{}\"\nform = \"{}\"\ntext = {text}\n\n",
        calendar.created.owner,
        calendar.name,
        calendar.text.form.word()
    )
}

/// What was created at run time, by name.
#[derive(Debug)]
pub struct Export(Schedules);

/// All schedules that were created at run time and are there.
pub fn export(clock: impl Into<Clock>) -> Export {
    Export(all(clock))
}

impl Pages for Export {
    type Item = Exported;
    type View<'a> = Definition;

    async fn next(&mut self) -> Result<Vec<Exported>, OpsError> {
        loop {
            let page = self.0.next().await?;
            let is_end = page.is_empty();
            let created = page.iter().filter(|status| status.revision.definition.is_created());
            let found: Vec<_> = created.filter(|status| !status.finished).map(Exported::of).collect();
            // An empty page would be the end.
            if is_end || !found.is_empty() {
                return Ok(found);
            }
        }
    }

    fn view(&self, exported: &Exported) -> Definition {
        exported.definition.clone()
    }
}

/// A definition that is exported.
#[derive(Debug)]
pub struct Exported {
    definition: Definition,
    /// What the definition does not say: whose it is, and whether it is paused by its name.
    beside: String,
}

impl Exported {
    /// As somebody wrote it: without what the clock notes by itself.
    fn of(status: &ScheduleStatus) -> Self {
        let definition = status.revision.definition.definition();
        let owner = definition.created.as_ref().map_or("", |created| &*created.owner);
        let mut beside = format!("# owner: {owner:?}");
        if let Some(pause) = &status.paused {
            beside.push_str(&format!("; paused by its name since {}: {:?}", pause.since, &*pause.note));
        }
        if let Some((limit, left)) = definition.limit.zip(left(status)).filter(|(limit, left)| left < limit) {
            beside.push_str(&format!("; {left} left of limit = {limit}, which counts anew in another clock"));
        }
        let definition = Definition { calendars: None, zones: None, created: None, ..definition };
        Self { beside, definition }
    }
}

/// How many are left of a limit that counts since the creation.
fn left(status: &ScheduleStatus) -> Option<u32> {
    let timing = status.revision.timing();
    let next = status.next.filter(|_| timing.is_counted_since_creation())?;
    u32::try_from(timing.count(next.plus(-1), timing.last()?).max(1)).ok()
}

#[derive(Serialize)]
struct File<'a> {
    schedule: [&'a Definition; 1],
}

/// How an export as TOML begins. `khronos check` knows it by that.
pub fn head() -> String {
    format!(
        "{EXPORTED} created at run time, to be put again (khronos put --file); in a schedule file these are other schedules\n\n"
    )
}

/// One that is exported, under a line with what its definition does not say.
pub fn toml_of(Exported { definition, beside }: &Exported) -> String {
    format!("{beside}\n{}", toml(definition))
}

/// One `[[schedule]]` of a file. TOML has no null, and no integers beyond 64 bits with a sign: a definition with such data is
/// left out, with a line that says so.
pub fn toml(definition: &Definition) -> String {
    let text = match definition.data.as_ref().is_none_or(is_toml) {
        true => toml::to_string(&File { schedule: [definition] }).ok(),
        false => None,
    };
    text.map(|text| format!("{text}\n")).unwrap_or_else(|| {
        format!("{LEFT_OUT} '{}': its data can't be written as TOML; export it as JSON\n\n", definition.name)
    })
}

/// How the line of a definition begins that is left out.
pub const LEFT_OUT: &str = "# left out:";

fn is_toml(data: &Value) -> bool {
    match data {
        Value::Null => false,
        Value::Number(number) => number.is_i64() || !number.is_u64(),
        Value::Array(list) => list.iter().all(is_toml),
        Value::Object(object) => object.values().all(is_toml),
        Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{CalendarSource, ScheduleSource},
        diagnostic::Text,
        engine::{CreatedCalendar, Era, Pause, Reached, Sent, Users},
        schedule::{CalendarStore, CalendarText, Calendars, Created, DoorKind, Packed, file},
        sources::GivenFiles,
    };
    use ponos::event::Timestamp;
    use serde_json::json;

    #[test]
    fn what_is_exported_as_a_file_means_the_same_there() {
        for data in [
            None,
            Some(json!({"a": 1, "b": [1.5, "x\n\"'''", {"c": true}], "d": {}, "é": -1})),
            Some(json!({})),
        ] {
            let definition = Definition {
                name: "billing.monthly".into(),
                event: Some("billing.invoice.due".into()),
                cron: Some("0 9 1 * *".into()),
                time_zone: Some("Europe/Paris".into()),
                data,
                ..Definition::default()
            };
            let text = toml(&definition);
            let (read, faults) = file::parse(&Text::new("x.toml", &text), &Calendars::default());
            assert!(faults.errors() == 0 && read.len() == 1, "{text}\n{faults}");
            let found = Definition { calendars: None, zones: None, ..read[0].definition.clone() };
            assert_eq!(found, definition, "{text}");
        }
    }

    #[test]
    fn an_export_among_the_schedule_files_is_said_to_have_other_schedules() {
        let definition = Definition {
            name: "a".into(),
            event: Some("billing.invoice.due".into()),
            every: Some("1 hour".into()),
            ..Definition::default()
        };
        let limits = crate::config::LimitsConfig {
            shortest_interval: std::time::Duration::from_millis(50),
            rate: 1_000,
            schedules: 10,
        };
        for (head, warned) in [(head(), true), (String::new(), false)] {
            let text = format!("{head}{}", toml(&definition));
            let given = GivenFiles::read(&["-".into()], text.as_bytes(), None);
            let (source, calendars) = (ScheduleSource::None, CalendarSource::Beside);
            let now = "2026-12-01T00:30:00Z".parse().unwrap();
            let found = given.judged(&source, &calendars, &CalendarStore::default(), &limits, now);
            let said = found.diagnostics.to_string();
            assert_eq!((found.schedules, found.diagnostics.errors()), (1, 0), "{said}");
            assert_eq!(said.contains("are other schedules"), warned, "{said}");
        }
    }

    /// What `khronos check` says of this text, as standard input and as a file of this name.
    fn checked(text: &str, name: &str) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let limits = crate::config::LimitsConfig {
            shortest_interval: std::time::Duration::from_millis(50),
            rate: 1_000,
            schedules: 10,
        };
        [std::path::PathBuf::from("-"), file].map(|path| {
            let given = GivenFiles::read(&[path], text.as_bytes(), None);
            let (source, calendars) = (ScheduleSource::None, CalendarSource::Beside);
            let now = "2026-12-01T00:30:00Z".parse().unwrap();
            given.judged(&source, &calendars, &CalendarStore::default(), &limits, now).diagnostics.to_string()
        })
    }

    #[test]
    fn an_export_is_known_in_whatever_form_it_is_checked() {
        let json = r#"{"calendars":[{"name":"off"}],"schedules":[{"name":"a","every":"1h"}]}"#;
        for said in checked(json, "copy.json") {
            assert!(said.contains("the clock reads no JSON files") && said.contains("put --file"), "{said}");
            assert!(!said.contains("unknown key"), "{said}");
        }
        for said in checked(r#"{"name":"a","every":"1h"}"#, "one.json") {
            assert!(!said.contains("exported") && !said.is_empty(), "{said}");
        }
        let toml = format!("{}{}", head(), toml_of_calendar(&calendar("dates = []")));
        for said in checked(&toml, "copy.toml") {
            assert!(said.contains("are other schedules") && said.contains("folder of their own"), "{said}");
        }
    }

    fn calendar(text: &str) -> CalendarStatus {
        let text = CalendarText { form: CalendarForm::Toml, text: text.into() };
        let created = Created { number: 7, owner: "billing".into(), door: DoorKind::Http };
        let since = Timestamp::from_millis(0);
        let calendar =
            CreatedCalendar { name: "off".into(), created, revision: 1, since, text, calendar: None };
        CalendarStatus { calendar: calendar.into(), users: Users::default() }
    }

    #[test]
    fn the_text_of_a_calendar_is_exported_as_it_is_and_can_not_pass_for_lines_of_the_export() {
        let all: String = (0..0x250)
            .filter_map(char::from_u32)
            .chain("\u{2028}\u{feff}\u{1f600}\"\"\"\\".chars())
            .collect();
        for text in ["", "dates = [\"2026-12-25\"]\n", "\n# left out: 'a'\n[[schedule]]\n", &all] {
            let written = toml_of_calendar(&calendar(text));
            let read: toml::Table = written.parse().unwrap();
            let found: ExportedCalendar = read["calendar"][0].clone().try_into().unwrap();
            assert_eq!((&*found.name, found.form, &*found.text), ("off", CalendarForm::Toml, text));
            assert_eq!(written.lines().count(), 6, "{written}");
        }
    }

    #[test]
    fn of_a_limit_what_is_left_is_exported_and_whose_it_was() {
        let start: Timestamp = "2026-12-01T00:30:00Z".parse().unwrap();
        let reached = Reached { lately: start, ever: start, set_backs: 0 };
        let hour = |hours: i64| start.plus(-30 * 60_000 + hours * 3_600_000);
        let created = Created { number: 7, owner: "billing".into(), door: DoorKind::Http };
        for (limit, from, had, expected) in [
            (Some(3), None, 0, ""),
            (Some(3), None, 2, "; 1 left of limit = 3"),
            (Some(3), Some("2026-12-01T00:00:00Z"), 2, ""),
            (None, None, 2, ""),
        ] {
            let definition = Definition {
                name: "a".into(),
                every: Some("1 hour".into()),
                limit,
                from: from.map(str::to_owned),
                ..Definition::default()
            };
            let definition = Packed::kept(&definition).created_as(Some(created.clone()));
            let status = ScheduleStatus {
                revision: Era::first(1, start).of(definition),
                next: Some(hour(1 + had)),
                in_flight: None,
                outstanding: vec![],
                sent: Sent::default(),
                refused: None,
                paused: Some(Pause {
                    since: start,
                    by: "ann".into(),
                    note: "x\ny".into(),
                    until: None,
                    reached,
                }),
                finished: false,
            };
            let exported = Exported::of(&status);
            assert_eq!(exported.definition.limit, limit);
            let text = toml_of(&exported);
            let first = text.lines().next().unwrap();
            let said = format!("# owner: \"billing\"; paused by its name since {start}: \"x\\ny\"{expected}");
            assert!(first.starts_with(&said) && first.contains("left of") != expected.is_empty(), "{text}");
            assert!(text.lines().nth(1) == Some("[[schedule]]"), "{text}");
        }
    }

    #[test]
    fn what_is_no_toml_is_left_out_and_said() {
        for data in [json!({"a": null}), json!([1, [null]]), json!({"a": u64::MAX})] {
            let definition = Definition { name: "a".into(), data: Some(data), ..Definition::default() };
            assert!(toml(&definition).starts_with("# left out: 'a'"), "{}", toml(&definition));
        }
    }
}
