//! `ponos dead show`.

use super::{
    choice::{Queues, SeenLetters},
    next, open,
};
use crate::{connection::Options, exit::Exit, json, output, trouble::Trouble};
use ponos::{
    compression,
    dead::{HeldLetter, LetterFilter},
};
use serde_json::Value;

/// Shows one dead letter and leaves it in place.
///
/// Prints why it died, its properties, its headers and its body.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the dead letter
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    queues: Queues,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let transport = options.transport("ponos dead").await?;
    let filter = LetterFilter::all().id(&args.id);
    let mut found = false;
    for queue in args.queues.names() {
        let mut reader = open(&transport, &queue, u64::MAX).await?;
        let mut letters = Vec::new();
        while let Some(held) = next(&mut reader, &filter, &mut SeenLetters::default()).await? {
            letters.push(held);
        }
        reader.close().await?;
        found |= !letters.is_empty();
        for held in &letters {
            print(held, args.json)?;
        }
    }
    if found {
        return Ok(Exit::Done);
    }
    Err(Trouble::findings(format!(
        "no dead letter with the id '{}' in {}; see ponos dead list",
        args.id,
        args.queues.names().join(", ")
    )))
}

fn print(held: &HeldLetter, as_json: bool) -> Result<(), Trouble> {
    let message = json::message(&held.message);
    if as_json {
        let mut whole = held.letter.json();
        whole["message"] = message;
        return output::print(|out| writeln!(out, "{whole}"));
    }
    let letter = &held.letter;
    output::print(|out| {
        let line = |text: &str| output::shortened(text, 4_000);
        writeln!(out, "id       {}", line(&letter.id))?;
        writeln!(out, "name     {}", line(&letter.name))?;
        writeln!(out, "queue    {}", line(&letter.queue))?;
        writeln!(out, "lies in  {}", line(&letter.lies_in))?;
        if let Some(at) = letter.at {
            writeln!(out, "died     {at}")?;
        }
        if let Some(attempt) = letter.attempt {
            writeln!(out, "attempt  {attempt}")?;
        }
        writeln!(out, "kind     {}", line(&letter.kind))?;
        writeln!(out, "reason   {}", line(&letter.reason))?;
        for table in ["properties", "headers"] {
            writeln!(out, "\n{table}")?;
            for (name, value) in message[table].as_object().into_iter().flatten() {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                writeln!(out, "  {}: {}", line(name), line(&text))?;
            }
        }
        let of = compression::encoding(&held.message).map(|encoding| format!(" of {encoding}"));
        writeln!(out, "\nbody ({} bytes{})", held.message.body.len(), of.unwrap_or_default())?;
        match &message["body"] {
            // set off, so that no line of it passes for one of ours
            Value::String(text) => text.lines().try_for_each(|line| writeln!(out, "  {line}")),
            body => writeln!(out, "{body:#}"),
        }
    })
}
