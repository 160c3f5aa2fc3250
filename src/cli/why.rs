//! `khronos why`: why an event was sent, or was not, and what came of it.

use super::{
    Globals,
    error::{CliError, finish},
    exit::Exit,
    output,
    reach::ClockArgs,
};
use ponos::terminal;
use ponos_observer::{Why, write_why};
use serde::Deserialize;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Says why an event was sent, or was not, and what came of it.
///
/// What the clock knows of it stands first: by which definition it is due, when it was sent and how late, or why it was not. Where the
/// clock listens to what services report ([reports] in its configuration), then comes who handled it, attempt by attempt, what they
/// published, and what came of that.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The id of an event, a task or a trace; or a due time of a schedule: one-day@2026-12-01T00:00:00Z
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    clock: ClockArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What is shown of an answer.
#[derive(Debug, Deserialize)]
struct Shown {
    clock: Option<Said>,
    observed: Option<Why>,
    note: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    said: Vec<String>,
}

pub(super) fn run(globals: &Globals, args: Args) -> ExitCode {
    finish(show(globals, args))
}

async fn show(globals: &Globals, args: Args) -> Result<Exit, CliError> {
    let source = args.clock.reach(globals).await?;
    let answer = source.why(&args.id).await?;
    output::print(|out| {
        if args.json {
            return writeln!(out, "{answer}");
        }
        let shown = Shown::deserialize(&answer).map_err(io::Error::other)?;
        write(out, &shown)
    })?;
    source.close().await?;
    Ok(Exit::Done)
}

fn write(out: &mut dyn Write, shown: &Shown) -> io::Result<()> {
    for (at, sentence) in shown.clock.iter().flat_map(|clock| &clock.said).enumerate() {
        let margin = if at == 0 { "" } else { "  " };
        writeln!(out, "{margin}{}", terminal::line(sentence))?;
    }
    if let Some(why) = &shown.observed {
        if shown.clock.is_some() {
            writeln!(out)?;
        }
        write_why(out, why)?;
    }
    match &shown.note {
        Some(note) => writeln!(out, "note: {}", terminal::line(note)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{HOSTILE, assert_harmless};

    fn shown(said: &str) -> Shown {
        let answer = serde_json::json!({
            "id": "1",
            "clock": { "schedule": "one-day", "state": "sent", "said": [said, "by revision 1"] },
            "observed": { "id": "1", "roots": [{
                "event": { "id": "1", "name": "time.one-day.passed", "first_at": "2026-12-01T00:00:00.002Z",
                           "sent_at": "2026-12-01T00:00:00.002Z", "sent": 1 },
                "handlings": []
            }] },
            "note": "look elsewhere"
        });
        serde_json::from_value(answer).unwrap()
    }

    fn written(shown: &Shown) -> String {
        let mut out = Vec::new();
        write(&mut out, shown).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_the_clock_knows_stands_before_what_came_of_it() {
        let expected = "\
one-day was sent
  by revision 1

time.one-day.passed  1  sent 2026-12-01T00:00:00.002Z
  nobody reports that they handle it
note: look elsewhere
";
        assert_eq!(written(&shown("one-day was sent")), expected);
        assert_harmless("why", &written(&shown(HOSTILE)));
    }
}
