//! `ponos schema check`: whether an edit of a schema, or of an AsyncAPI document, breaks those who read it.

use crate::{
    exit::Exit,
    output::{self, Paint},
    trouble::Trouble,
};
use ponos::{
    schema::{Side, check},
    schema_files,
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The verbs of `ponos schema`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Check(Args),
}

/// Shows what changed between two schemas or AsyncAPI documents, and whether that breaks queued messages or readers.
///
/// A change breaks when messages that are queued already would be refused by the new schema, or readers with the old
/// schema would refuse messages of the new form; what can't be shown to be harmless counts as breaking. The exit code is 1 then.
/// Where all readers are updated before those who publish, `--for queued` is enough: a new value of an enum breaks readers alone.
/// Of AsyncAPI documents (version 3, as JSON; what ponos asyncapi and khronos asyncapi print), channels, messages and operations that
/// are gone count too, and addresses that changed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The old schema: a file, or a folder of files NAME.json; or the old AsyncAPI document
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The new one
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Whom it must not break
    #[arg(long = "for", value_enum, default_value_t = Whom::All)]
    whom: Whom,
    /// Prints the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Who may be broken by an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Whom {
    /// Messages of the old form, read under the new schema
    Queued,
    /// Readers with the old schema, given messages of the new form
    Readers,
    /// Both
    All,
}

pub(crate) fn run(Verb::Check(args): Verb) -> Result<Exit, Trouble> {
    let report = check::documents(&read(&args.old)?, &read(&args.new)?)
        .map_err(|why| Trouble::Words(Exit::Configuration, why.to_string()))?;
    if args.json {
        let text = serde_json::to_string(&report).map_err(|error| {
            Trouble::Words(Exit::Software, format!("the report can't be written as JSON: {error}"))
        })?;
        output::print(|out| writeln!(out, "{text}"))?;
    } else {
        let paint = Paint::stdout();
        output::print(|out| {
            for check::NamedChange { name, change } in report.changes() {
                let word = if change.breaking { paint.strong("breaking") } else { "harmless".into() };
                let whom = match change.side {
                    Side::Queued => "queued messages",
                    Side::Readers => "readers",
                };
                let place = match (name, change.pointer.as_str()) {
                    (Some(name), "") => name.clone(),
                    (Some(name), pointer) => format!("{name} {pointer}"),
                    (None, "") => "the whole schema".into(),
                    (None, pointer) => pointer.into(),
                };
                writeln!(out, "{word}  {whom}  {place}: {}", change.what)?;
            }
            if report.changes().is_empty() {
                writeln!(out, "no relevant change")?;
            }
            Ok(())
        })?;
    }
    let breaks = match args.whom {
        Whom::Queued => report.is_breaking_for(Side::Queued),
        Whom::Readers => report.is_breaking_for(Side::Readers),
        Whom::All => report.is_breaking(),
    };
    Ok(if breaks { Exit::Findings } else { Exit::Done })
}

fn read(path: &Path) -> Result<Value, Trouble> {
    schema_files::document(path).map_err(|why| Trouble::Words(Exit::InputOutput, why.to_string()))
}
