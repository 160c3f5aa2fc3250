//! `khronos at`: events, and tasks, that are to be sent later.

mod item;
mod many;
mod outcome;

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
    when, zone_data,
};
use crate::{
    engine::store::made_up,
    http::client::{Client, Condition, encode},
    ops::{EventOutcomeView, Tag},
    schedule::CalendarStore,
};
use item::{Content, Item};
pub(super) use outcome::due;
use outcome::said;
use ponos::event::Timestamp;
use std::{path::PathBuf, process::ExitCode};

/// Has an event sent at an instant, or after a while
///
/// It is durable when this is done: the clock sends it though it is restarted meanwhile. Until it is due it can be seen and cancelled
/// (khronos delayed), and changed or moved: put again under its --name.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "khronos at TIME EVENT [DATA] [OPTIONS]\n       khronos at --in DURATION EVENT [DATA] [OPTIONS]\n       khronos at --file FILE [OPTIONS]"
)]
pub(super) struct Args {
    /// TIME: an instant, 2026-12-24T17:00:00Z, or a local time with --zone; left out with --in. EVENT: its name; of a task, the
    /// task's. DATA: JSON; @FILE: what stands there; -: standard input
    #[arg(
        value_names = ["TIME", "EVENT", "DATA"],
        num_args = 1..=3,
        required_unless_present = "file",
        allow_negative_numbers = true
    )]
    words: Vec<String>,
    /// Due after so long, by the clock's own time: "10m", "2 days"; instead of TIME
    #[arg(long = "in", value_name = "DURATION")]
    delay: Option<String>,
    /// The zone of a local TIME, and in which its due time is shown: an IANA name
    #[arg(long, visible_alias = "time-zone", value_name = "ZONE")]
    zone: Option<String>,
    /// Its name: under it it is seen, cancelled and put again; made by the clock if left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    content: Content,
    /// Only if this revision of it is pending: as `delayed get --json` says, or its ETag
    #[arg(long, value_name = "CREATION.REVISION", requires = "name", conflicts_with = "new")]
    if_revision: Option<Tag>,
    /// Only if none of this name is pending
    #[arg(long, requires = "name")]
    new: bool,
    /// Its name is made of this: put again with the same key, it is one event. Made up if left out
    #[arg(long, value_name = "KEY", conflicts_with = "name")]
    key: Option<String>,
    /// Many: an item in each line, as JSON (docs/http.md): {"event": ..., "at": ... or "in": ..., "data": ...}; -: standard input
    #[arg(
        short,
        long,
        value_name = "FILE",
        conflicts_with_all = ["words", "delay", "name", "key", "new", "if_revision", "content"]
    )]
    file: Option<PathBuf>,
    /// All of them or none (up to 10,000)
    #[arg(long, requires = "file", conflicts_with = "words")]
    atomic: bool,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(put(globals, args))
}

async fn put(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let store = zone_data::configured(globals)?;
    let zone = args.zone.as_deref();
    when::check_zone(zone, "--zone", &store)?;
    if let Some(file) = &args.file {
        let client = args.clock.operate(globals, "at").await?;
        return many::put(&client, file, (args.atomic, args.json), (zone, &store)).await;
    }
    let words = Words::of(&args.words, args.delay.is_some())?;
    let at = words.time.map(|time| instant(time, zone, &store)).transpose()?;
    let when = (at, args.delay.as_deref());
    let item = Item::new(args.name.as_deref(), words.event, when, words.data, &args.content)?;
    let client = args.clock.operate(globals, "at").await?;
    let answer = match &args.name {
        Some(name) => {
            let condition =
                args.if_revision.map(Condition::Revision).or(args.new.then_some(Condition::Absent));
            client.put(&format!("/v1/events/{}", encode(name)), &item, condition).await?
        }
        None => post(&client, &item, args.key).await?,
    };
    output::print(|out| match args.json {
        true => output::lines(out, &[&answer]),
        false => writeln!(out, "{}", said(&answer, zone, &store)),
    })?;
    Ok(Exit::Done)
}

/// Under a key, so that it can be asked for again.
async fn post(client: &Client, item: &Item<'_>, key: Option<String>) -> Result<EventOutcomeView, CliError> {
    let key = key.unwrap_or_else(|| format!("{:016x}", made_up()));
    if key.is_empty() || key.chars().any(|char| !char.is_ascii_graphic()) {
        return Err(CliError::Usage("--key: 1 to 255 visible ASCII characters".into()));
    }
    let asked = client.post_as("/v1/events", &key, item).await;
    Ok(asked.inspect_err(|error| {
        if !error.is_refused() {
            output::complain(&format!("put again with --key {key}, it is one event"));
        }
    })?)
}

/// What the words of a command line are.
#[derive(Debug, PartialEq, Eq)]
struct Words<'a> {
    time: Option<&'a str>,
    event: &'a str,
    data: Option<&'a str>,
}

impl<'a> Words<'a> {
    fn of(words: &'a [String], has_delay: bool) -> Result<Self, CliError> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (has_delay, &*words) {
            (true, [event]) => Ok(Self { time: None, event, data: None }),
            (true, [event, data]) => Ok(Self { time: None, event, data: Some(data) }),
            (true, _) => Err(CliError::Usage("TIME and --in exclude each other: leave one of them out".into())),
            (false, [time, event]) => Ok(Self { time: Some(time), event, data: None }),
            (false, [time, event, data]) => Ok(Self { time: Some(time), event, data: Some(data) }),
            (false, _) => Err(CliError::Usage(
                "a time and an event are needed: khronos at 2026-12-24T17:00:00Z order.reminder.due; or khronos at --in 10m order.reminder.due".into(),
            )),
        }
    }
}

/// The instant of TIME. Of a local time that the zone's clocks skip or show twice it is said which one is taken.
fn instant(time: &str, zone: Option<&str>, store: &CalendarStore) -> Result<Timestamp, Exit> {
    let read = when::instant("TIME", time, (zone, "--zone"), store)?;
    if let (true, Some(zone)) = (when::is_local(time), zone)
        && let Some(note) = outcome::doubt(time, read, zone, store)
    {
        output::complain(&format!("note: {note}"));
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &[&str]) -> Result<Args, String> {
        let words = std::iter::once("at").chain(line.iter().copied());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn a_time_or_a_delay_comes_before_the_event_and_its_data() {
        for (line, expected) in [
            (&["2026-12-24T17:00:00Z", "a.b.c"][..], Some((Some("2026-12-24T17:00:00Z"), "a.b.c", None))),
            (&["2026-12-24T17:00", "a.b.c", "-5"], Some((Some("2026-12-24T17:00"), "a.b.c", Some("-5")))),
            (&["--in", "10m", "a.b.c"], Some((None, "a.b.c", None))),
            (&["a.b.c", "--in", "10m", "-"], Some((None, "a.b.c", Some("-")))),
            (&["--in", "10m", "2026-12-24T17:00:00Z", "a.b.c", "{}"], None),
            (&["a.b.c"], None),
        ] {
            let args = parsed(line).unwrap();
            let words = Words::of(&args.words, args.delay.is_some());
            let words = words.ok().map(|Words { time, event, data }| (time, event, data));
            assert_eq!(words, expected, "{line:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for line in [
            &[][..],
            &["--in", "10m"],
            &["a", "b", "c", "d"],
            &["--file", "x", "a.b.c"],
            &["--file", "x", "--name", "y"],
            &["--file", "x", "--task", "docker.clean"],
            &["--file", "x", "--in", "10m"],
            &["--in", "10m", "a.b.c", "--new"],
            &["--in", "10m", "a.b.c", "--if-revision", "17.3"],
            &["--in", "10m", "a.b.c", "--name", "x", "--key", "y"],
            &["--in", "10m", "a.b.c", "--name", "x", "--new", "--if-revision", "17.3"],
            &["--in", "10m", "a.b.c", "--past", "maybe"],
            &["--in", "10m", "a.b.c", "--atomic"],
            &["--in", "10m", "a.b.c", "--header", "novalue"],
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
        assert!(parsed(&["--file", "-", "--atomic", "--zone", "Europe/Paris"]).is_ok());
        assert!(parsed(&["--in", "10m", "a.b.c", "--name", "x", "--if-revision", "17.3"]).is_ok());
    }

    #[test]
    fn a_local_time_needs_a_zone() {
        let store = CalendarStore::default();
        let read = |time, zone| instant(time, zone, &store).ok().map(|at| at.to_string());
        assert_eq!(
            read("2026-12-24T18:00", Some("Europe/Paris")).as_deref(),
            Some("2026-12-24T17:00:00.000Z")
        );
        assert_eq!(
            read("2026-12-24T18:00Z", Some("Europe/Paris")).as_deref(),
            Some("2026-12-24T18:00:00.000Z")
        );
        for (time, zone) in
            [("2026-12-24T18:00", None), ("2026-12-24T18:00", Some("Europe/Pari")), ("soon", None)]
        {
            assert_eq!(read(time, zone), None, "{time}");
        }
    }
}
