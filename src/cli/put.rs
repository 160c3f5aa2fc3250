//! `khronos put`: creates or changes schedules of a running clock.

mod given;

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use crate::{
    http::client::{Client, Condition, all_faults, encode},
    ops::{OutcomeView, PutView, Tag, export::ExportedCalendar},
    schedule::CalendarForm,
};
use given::{Given, read};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{path::PathBuf, process::ExitCode};

/// Creates or changes schedules of a running clock, as its own: not as those of its files.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Definitions: TOML as schedule files have it, or JSON (one, or a list); or what khronos export wrote; -: standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only if the clock has this revision of it (one schedule): as `get --json` says, or its ETag
    #[arg(long, value_name = "CREATION.REVISION", conflicts_with = "new")]
    if_revision: Option<Tag>,
    /// Only if the clock has none of this name (one schedule)
    #[arg(long)]
    new: bool,
    /// All of them or none (up to 1,000)
    #[arg(long, conflicts_with_all = ["new", "if_revision"])]
    atomic: bool,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Definitions, and about how many bytes of them, in one request.
const AT_ONCE: usize = 1_000;
const BYTES: usize = 3 << 20;

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(put(globals, args))
}

async fn put(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let Given { calendars, definitions } = read(&args.file)?;
    if definitions.is_empty() && calendars.is_empty() {
        output::complain("the export has no schedules: there is nothing to put");
        return Ok(Exit::Done);
    }
    let condition = args.if_revision.map(Condition::Revision).or(args.new.then_some(Condition::Absent));
    if !calendars.is_empty() && (condition.is_some() || args.atomic) {
        return Err(CliError::Usage(format!(
            "{} has calendars, which are put one by one: put it without --new, --if-revision and --atomic",
            args.file.display()
        )));
    }
    let client = args.clock.operate(globals, "put").await?;
    // What a definition names has to be there.
    for calendar in &calendars {
        put_calendar(&client, calendar, args.json).await.inspect_err(|_| {
            output::complain(&format!(
                "the calendar '{}' was not put, nor what comes behind it",
                calendar.name
            ));
        })?;
    }
    if definitions.is_empty() {
        return Ok(Exit::Done);
    }
    if let [definition] = &*definitions
        && let Some(name) = name_of(definition)
    {
        let path = format!("/v1/schedules/{}", encode(&name));
        let answer: PutView = client.put(&path, definition, condition).await?;
        output::print(|out| match args.json {
            true => output::lines(out, &[&answer]),
            false => writeln!(out, "{}", said(&answer)),
        })?;
        return Ok(Exit::Done);
    }
    if condition.is_some() {
        return Err(CliError::Usage(format!(
            "{} has {} schedules; a revision is expected of one, which has a name",
            args.file.display(),
            definitions.len()
        )));
    }
    let mut exit = Exit::Done;
    let mut left = definitions.len();
    for some in requests(&definitions, args.atomic) {
        let refused = put_some(&client, some, args.atomic, args.json).await.inspect_err(|_| {
            output::complain(&format!(
                "of {} schedules, {left} were not put or may not have been",
                definitions.len()
            ));
        })?;
        exit = if refused { Exit::Usage } else { exit };
        left -= some.len();
    }
    Ok(exit)
}

async fn put_calendar(client: &Client, calendar: &ExportedCalendar, as_json: bool) -> Result<(), CliError> {
    let ExportedCalendar { name, form, text } = calendar;
    let kind = match form {
        CalendarForm::Ics => "text/calendar",
        CalendarForm::Toml => "application/toml",
    };
    let path = format!("/v1/calendars/{}", encode(name));
    let change: OutcomeView = client.put_text_patiently(&path, (kind, text)).await?;
    output::print(|out| match as_json {
        true => output::lines(out, &[json!({ "change": change, "problem": null })]),
        false => writeln!(
            out,
            "calendar {name} {}, revision {}",
            change.outcome,
            change.revision.unwrap_or_default()
        ),
    })?;
    Ok(())
}

/// What became of a definition among others.
#[derive(Debug, Deserialize)]
struct Item {
    index: usize,
    #[serde(flatten)]
    change: OutcomeView,
    problem: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    results: Vec<Item>,
}

/// Whether some were refused.
async fn put_some(
    client: &Client,
    some: &[Box<RawValue>],
    atomic: bool,
    as_json: bool,
) -> Result<bool, CliError> {
    let path = format!("/v1/schedules:batch?atomic={atomic}");
    let Answer { results } = client.post_patiently(&path, &some).await?;
    output::print(|out| {
        for item in results.iter().filter(|item| as_json || item.problem.is_none()) {
            let OutcomeView { name, outcome, revision, .. } = &item.change;
            match (as_json, revision) {
                (true, _) => {
                    output::lines(out, &[json!({ "change": item.change, "problem": item.problem })])?
                }
                (false, Some(revision)) => writeln!(out, "{name} {outcome}, revision {revision}")?,
                (false, None) => writeln!(out, "{name} {outcome}")?,
            }
        }
        Ok(())
    })?;
    for item in &results {
        let Some(problem) = &item.problem else { continue };
        let what = all_faults(&problem["errors"]).or(problem["detail"].as_str().map(str::to_owned));
        let name = Some(item.change.name.as_str()).filter(|name| !name.is_empty());
        let name = name.map_or_else(|| format!("definition {}", item.index + 1), |name| format!("'{name}'"));
        output::complain(&format!("error: {name} is refused: {}", what.unwrap_or_default()));
    }
    Ok(results.iter().any(|item| item.problem.is_some()))
}

/// As many in each as a clock takes; those that are all or nothing are in one.
fn requests(definitions: &[Box<RawValue>], atomic: bool) -> Vec<&[Box<RawValue>]> {
    if atomic {
        return vec![definitions];
    }
    let mut bytes = 0;
    let mut starts = vec![0];
    for (at, definition) in definitions.iter().enumerate() {
        let (size, first) = (definition.get().len(), starts.last().copied().unwrap_or_default());
        if at > first && (at - first == AT_ONCE || bytes + size > BYTES) {
            starts.push(at);
            bytes = 0;
        }
        bytes += size;
    }
    let ends = starts.iter().skip(1).copied().chain([definitions.len()]);
    starts.iter().zip(ends).filter_map(|(from, to)| definitions.get(*from..to)).collect()
}

fn said(answer: &PutView) -> String {
    let OutcomeView { name, outcome, revision, .. } = &answer.change;
    let left = match (answer.occurrences_left, answer.next_due_at.first()) {
        (Some(0), _) => "nothing of it is due any more".to_owned(),
        (_, None) => "khronos get says when it is due".to_owned(),
        (Some(count), Some(next)) => format!("{count} occurrences left, the next one at {next}"),
        (None, Some(next)) => format!("next due at {next}"),
    };
    let paused = answer.paused.as_ref().map_or(String::new(), |pause| format!("; paused: {pause}"));
    let remarks = answer.change.remarks.iter().map(|remark| format!("\nwarning: {}", remark.detail));
    format!(
        "{name} {outcome}, revision {}; {left}{paused}{}",
        revision.unwrap_or_default(),
        remarks.collect::<String>()
    )
}

/// The name that a definition says of itself, where it says one.
fn name_of(definition: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_str(definition.get()).ok().map(|Named { name }| name)
}

#[cfg(test)]
mod tests {
    use super::{
        given::{of_json, of_toml},
        *,
    };
    use serde_json::value::to_raw_value;

    #[test]
    fn definitions_are_read_as_files_and_programs_write_them() {
        let toml = "[[schedule]]\nname = \"a\"\ndata = { x = [1, 1.5, true], at = 2026-12-01T09:00:00Z }\n[[schedule]]\nname = \"b\"\n";
        let found: Vec<Value> = of_toml(toml)
            .unwrap()
            .definitions
            .iter()
            .map(|one| serde_json::from_str(one.get()).unwrap())
            .collect();
        assert_eq!(
            found,
            [
                json!({"name": "a", "data": {"x": [1, 1.5, true], "at": "2026-12-01T09:00:00Z"}}),
                json!({"name": "b"})
            ]
        );
        for (wrong, said) in [
            ("schedule = 7", "two pairs of brackets"),
            ("[schedules]", "unknown key 'schedules'"),
            ("[[calendar]]\nname = \"a\"\nform = \"xml\"\ntext = \"\"", "a [[calendar]]: unknown variant"),
            ("[calendar]", "[[calendar]], in two pairs"),
            ("[[schedule]]\ndata = { x = nan }", "is no number of JSON"),
            ("[[schedule]", "TOML parse error"),
        ] {
            assert!(of_toml(wrong).unwrap_err().contains(said), "{wrong}: {:?}", of_toml(wrong));
        }
        let (one, list) = (json!({"name": "a"}), json!([{"name": "a"}]));
        for text in [one.to_string(), list.to_string(), json!({ "schedules": list }).to_string()] {
            let found = of_json(&text).unwrap().definitions;
            assert_eq!(found.iter().map(|one| one.get()).collect::<Vec<_>>(), [r#"{"name":"a"}"#], "{text}");
        }
        // What the clock is to refuse gets there as it is written.
        for text in [
            r#"{"name":"a","every":"1h","every":"2h"}"#,
            r#"{"name":"a","data":12345678901234567890123}"#,
            r#"{"name":"a","name":"b"}"#,
        ] {
            assert_eq!(of_json(text).unwrap().definitions[0].get(), text);
        }
        for (wrong, said) in [
            (r#"{"schedules":[],"holidays":[]}"#, "unknown field `holidays`"),
            (r#"{"schedules":[],"calendars":[{"name":"a","text":""}]}"#, "missing field `form`"),
            (r#"{"schedules":7}"#, "invalid type"),
            (r#"{"name":"a""#, "EOF"),
        ] {
            assert!(of_json(wrong).unwrap_err().contains(said), "{wrong}: {:?}", of_json(wrong));
        }
    }

    #[test]
    fn an_export_has_calendars_besides() {
        let toml = "[[calendar]]\nname = \"off\"\nform = \"ics\"\ntext = \"BEGIN\\n\"\n\n[[schedule]]\nname = \"a\"\n";
        let json = json!({
            "calendars": [{ "name": "off", "form": "ics", "text": "BEGIN\n" }], "schedules": [{ "name": "a" }]
        });
        for given in [of_toml(toml).unwrap(), of_json(&json.to_string()).unwrap()] {
            let ExportedCalendar { name, form, text } = &given.calendars[0];
            assert_eq!((&**name, *form, &**text), ("off", CalendarForm::Ics, "BEGIN\n"));
            assert_eq!((given.calendars.len(), given.definitions[0].get()), (1, r#"{"name":"a"}"#));
        }
    }

    #[test]
    fn a_request_has_no_more_than_a_clock_takes() {
        let raw = |value: &Value| to_raw_value(value).unwrap();
        let small = vec![raw(&json!({"name": "a"})); 2_500];
        let sizes = |some: Vec<&[Box<RawValue>]>| some.iter().map(|some| some.len()).collect::<Vec<_>>();
        assert_eq!(sizes(requests(&small, false)), [1_000, 1_000, 500]);
        assert_eq!(sizes(requests(&small, true)), [2_500]);
        let large = vec![raw(&json!({"data": "x".repeat(BYTES / 3)})); 5];
        assert_eq!(sizes(requests(&large, false)), [2, 2, 1]);
        assert_eq!(sizes(requests(&[], false)), [0]);
    }

    #[test]
    fn an_export_of_nothing_can_be_put_and_an_empty_file_can_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("copy.toml");
        for (text, is_right) in [
            (crate::ops::export::head(), true),
            ("{\"schedules\":[]}".to_owned(), true),
            (String::new(), false),
            ("[]".to_owned(), false),
            ("# nothing".to_owned(), false),
        ] {
            std::fs::write(&file, &text).unwrap();
            let is_nothing = |found: Given| found.definitions.is_empty() && found.calendars.is_empty();
            assert_eq!(read(&file).is_ok_and(is_nothing), is_right, "{text}");
        }
    }
}
