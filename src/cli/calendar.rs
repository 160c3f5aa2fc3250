//! `khronos calendar`: calendars of a running clock, created, changed, shown and deleted at run time.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    table,
};
use crate::{
    http::client::{Client, Condition, encode},
    ops::{CalendarList, NamedCalendarView, OutcomeView, Tag},
    schedule::CalendarText,
};
use ponos::{files, terminal::line};
use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Creates, shows, lists and deletes calendars of a running clock, as its own: not as those of its folder.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Creates or changes a calendar; schedules that were created at run time may name it.
    Put(PutArgs),
    /// Writes one calendar's text.
    Get(GetArgs),
    /// Lists the calendars that a schedule may name.
    List(ListArgs),
    /// Deletes calendars that were created at run time and that no schedule uses.
    Delete(DeleteArgs),
}

#[derive(Debug, clap::Args)]
struct PutArgs {
    /// Its name
    name: String,
    /// Its text, as calendar files have it: iCalendar if the file ends with .ics or begins with BEGIN:VCALENDAR,
    /// else TOML; -: standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only if the clock has this revision of it: as `calendar get --json` says, or its ETag
    #[arg(long, value_name = "CREATION.REVISION", conflicts_with = "new")]
    if_revision: Option<Tag>,
    /// Only if the clock has none of this name
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct GetArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object: whose it is, and who uses it, too
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// Their names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Only if the clock has this revision of it (one calendar)
    #[arg(long, value_name = "CREATION.REVISION")]
    if_revision: Option<Tag>,
    #[command(flatten)]
    clock: ClockArgs,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    match args.verb {
        Verb::Put(args) => finish(put(globals, args)),
        Verb::Get(args) => finish(get(globals, args)),
        Verb::List(args) => finish(list(globals, args)),
        Verb::Delete(args) => finish(delete(globals, args)),
    }
}

fn path_of(name: &str) -> String {
    format!("/v1/calendars/{}", encode(name))
}

async fn put(globals: &Globals, args: PutArgs) -> Result<Exit, CliError> {
    let text = read(&args.file)?;
    let condition = args.if_revision.map(Condition::Revision).or(args.new.then_some(Condition::Absent));
    let client = args.clock.operate(globals, "calendar put").await?;
    let kind = if is_ics(&args.file, &text) { "text/calendar" } else { "application/toml" };
    let answer: OutcomeView = client.put_text(&path_of(&args.name), (kind, text), condition).await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &[&answer]);
        }
        let OutcomeView { name, outcome, revision, remarks, .. } = &answer;
        writeln!(out, "{name} {outcome}, revision {}", revision.unwrap_or_default())?;
        remarks.iter().try_for_each(|remark| writeln!(out, "warning: {}", line(&remark.detail)))
    })?;
    Ok(Exit::Done)
}

/// As bytes: iCalendar has other encodings, too, which the clock knows.
fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let wrong = |what: String| CliError::Usage(format!("{}: {what}", file.display()));
    let longest = CalendarText::LONGEST as u64;
    if file.as_os_str() != "-" {
        return files::read(file, longest).map_err(|error| wrong(error.to_string()));
    }
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(longest + 1).read_to_end(&mut text);
    read.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > longest {
        return Err(wrong(format!("it has more than {longest} bytes")));
    }
    Ok(text)
}

fn is_ics(file: &Path, text: &[u8]) -> bool {
    let named = file.extension().and_then(|extension| extension.to_str());
    match named {
        Some(named) if named.eq_ignore_ascii_case("ics") => true,
        Some(named) if named.eq_ignore_ascii_case("toml") => false,
        _ => {
            let start = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
            start.get(..15).is_some_and(|start| start.eq_ignore_ascii_case(b"BEGIN:VCALENDAR"))
        }
    }
}

async fn get(globals: &Globals, args: GetArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "calendar get").await?;
    let found: NamedCalendarView = client.get(&path_of(&args.name)).await?;
    if !args.json && found.text.is_none() {
        let what =
            format!("the calendar '{}' lies in the clock's folder of calendars: look there", found.name);
        return Err(CliError::Usage(what));
    }
    output::print(|out| match &found.text {
        Some(text) if !args.json => write!(out, "{text}"),
        _ => output::lines(out, &[&found]),
    })?;
    Ok(Exit::Done)
}

async fn list(globals: &Globals, args: ListArgs) -> Result<Exit, CliError> {
    let client = args.clock.operate(globals, "calendar list").await?;
    let all = all(&client).await?;
    output::print(|out| {
        if args.json {
            return output::lines(out, &all);
        }
        if all.is_empty() {
            return writeln!(out, "there are no calendars");
        }
        let header = ["NAME", "FROM", "FORM", "BYTES", "REVISION", "SINCE", "USED BY"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(all.iter().map(cells));
        table::table(out, &rows)
    })?;
    Ok(Exit::Done)
}

async fn all(client: &Client) -> Result<Vec<NamedCalendarView>, CliError> {
    let (mut all, mut page) = (Vec::new(), String::new());
    loop {
        let found: CalendarList = client.get(&format!("/v1/calendars?limit=1000{page}")).await?;
        all.extend(found.calendars);
        match found.next {
            Some(next) => page = format!("&page={}", encode(&next)),
            None => return Ok(all),
        }
    }
}

fn cells(calendar: &NamedCalendarView) -> Vec<String> {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let NamedCalendarView { name, owner, door, form, bytes, revision, since, users, .. } = calendar;
    let door = door.map_or(String::new(), |door| format!(" ({})", door.word()));
    let users = users.map(|users| ponos::text::counted(users, "schedule"));
    vec![
        name.clone(),
        owner.as_ref().map_or("the folder".to_owned(), |owner| format!("{owner}{door}")),
        known(form.map(|form| form.word().to_owned())),
        known(bytes.map(|bytes| bytes.to_string())),
        known(revision.map(|revision| revision.to_string())),
        known(since.map(|since| since.to_string())),
        known(users),
    ]
}

async fn delete(globals: &Globals, args: DeleteArgs) -> Result<Exit, CliError> {
    if args.if_revision.is_some() && args.names.len() > 1 {
        return Err(CliError::Usage("--if-revision is of one calendar; name one".into()));
    }
    let client = args.clock.operate(globals, "calendar delete").await?;
    let condition = args.if_revision.map(Condition::Revision);
    for name in &args.names {
        client.delete(&path_of(name), condition).await?;
        output::print(|out| writeln!(out, "there is no calendar '{}' any more", line(name)))?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_text_is_known_by_its_file_or_by_how_it_begins() {
        for (file, text, ics) in [
            ("a.ics", "dates = []", true),
            ("a.ICS", "", true),
            ("a.toml", "BEGIN:VCALENDAR", false),
            ("-", "\u{feff}\r\nbegin:vcalendar\r\n", true),
            ("-", "BEGIN:V", false),
            ("export", "BEGIN:VCALENDAR\n", true),
            ("export", "dates = []", false),
        ] {
            assert_eq!(is_ics(Path::new(file), text.as_bytes()), ics, "{file} {text}");
        }
    }
}
