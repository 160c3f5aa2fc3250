//! `khronos schemas`: the JSON Schemas of what is said by message, as this version has them.

use super::{exit::Exit, output};
use crate::ops::asyncapi::TIME_EVENT;
use clap::builder::PossibleValuesParser;
use std::process::ExitCode;

/// Prints the JSON Schema of an event's data, of a command, or of the answers to commands.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which; if left out, their names
    #[arg(value_parser = PossibleValuesParser::new(SCHEMAS.iter().map(|(name, _)| *name)))]
    name: Option<String>,
}

macro_rules! command {
    ($name:literal) => {
        ($name, include_str!(concat!("../../schemas/commands/", $name, ".json")))
    };
}

/// All of them, by name.
const SCHEMAS: [(&str, &str); 22] = [
    ("time-event", TIME_EVENT),
    ("watermark-event", include_str!("../../schemas/watermark-event.json")),
    command!("schedule.get"),
    command!("schedule.list"),
    command!("schedule.preview"),
    command!("schedule.put"),
    command!("schedule.delete"),
    command!("schedule.pause"),
    command!("schedule.resume"),
    command!("schedule.trigger"),
    command!("schedules.put"),
    command!("calendar.get"),
    command!("calendar.list"),
    command!("calendar.put"),
    command!("calendar.delete"),
    command!("event.get"),
    command!("event.list"),
    command!("event.put"),
    command!("events.put"),
    command!("event.delete"),
    command!("event.send-now"),
    command!("answer"),
];

pub(super) fn run(args: &Args) -> ExitCode {
    let printed = output::print(|out| match &args.name {
        None => SCHEMAS.iter().try_for_each(|(name, _)| writeln!(out, "{name}")),
        Some(wanted) => {
            SCHEMAS.iter().filter(|(name, _)| name == wanted).try_for_each(|(_, text)| write!(out, "{text}"))
        }
    });
    printed.err().unwrap_or(Exit::Done).into()
}
