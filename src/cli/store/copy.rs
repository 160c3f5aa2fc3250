//! `khronos store copy`: a clock's state at another place.

use crate::cli::{Globals, error::CliError, exit::Exit, output, table::table};
use crate::{
    config::{Config, StoreUrl},
    copying::{Copied, CopyError, CopyPlace, copy},
    postgres::{Door, DoorOptions, has_password},
    store::StoreError,
};
use ponos::files;
use serde_json::json;
use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Copies a clock's whole state to another place, while no clock runs on either.
///
/// Progress, record, delayed events and all else come along with their ids and numbers, and are compared with what was copied. FROM and
/// TO are each a folder, the URL of a Postgres, or @FILE for a file that holds such a URL: one with a password is taken of a file alone.
/// FROM is left as it is. Nothing may be at TO; no clock starts on what an interrupted copy leaves there.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CopyArgs {
    /// Where the state is, such as /var/lib/khronos
    from: String,
    /// Where it is to be, such as @/etc/khronos/store-url
    to: String,
    /// The schema of the tables, where FROM is a Postgres [store.schema]
    #[arg(long, value_name = "NAME")]
    from_schema: Option<String>,
    /// The schema of the tables, where TO is a Postgres [store.schema]
    #[arg(long, value_name = "NAME")]
    to_schema: Option<String>,
    /// One JSON object: clock, from, to, marks, entries
    #[arg(long)]
    json: bool,
}

/// How long one statement may take: a portion may be some megabytes.
const STATEMENT: Duration = Duration::from_secs(60);
/// Entries between two words about how far it has come.
const TOLD: u64 = 100_000;
/// Bytes of a file with a URL.
const URL_FILE: u64 = 4096;

pub(super) fn copied(globals: &Globals, args: &CopyArgs) -> Result<Exit, CliError> {
    let config = globals.load(Vec::new())?;
    let from = place(&config, &args.from, args.from_schema.as_deref())?;
    let to = place(&config, &args.to, args.to_schema.as_deref())?;
    let clock = &config.clock.name;
    let mut there = 0;
    let told = |entries: u64| {
        if entries / TOLD > there / TOLD && !args.json {
            output::complain(&format!("{entries} entries are there"));
        }
        there = entries;
    };
    // The stores' calls block, and the stack of this thread is not ours to choose.
    let copying = || copy(&from, &to, (clock, config.store.cache), told);
    let done = thread::scope(|scope| scope.spawn(copying).join());
    let Copied { marks, sums } = done.unwrap_or_else(|panic| resume_unwind(panic))?;
    output::print(|out| {
        let (from, to) = (from.to_string(), to.to_string());
        if args.json {
            let entries: Vec<_> = sums
                .iter()
                .map(|(what, sum)| {
                    json!({ "what": what, "count": sum.count, "digest": format!("{:016x}", sum.digest) })
                })
                .collect();
            let all = json!({ "clock": clock, "from": from, "to": to, "marks": marks, "entries": entries });
            return output::lines(out, &[all]);
        }
        writeln!(
            out,
            "the state of the clock '{clock}' at {from} was copied to {to}; these are the same at both:"
        )?;
        writeln!(out)?;
        let head = [["MARK", "VALUE"].map(str::to_owned).to_vec()];
        let rows = marks.into_iter().map(|mark| vec![mark.what.to_owned(), mark.value]);
        table(out, &head.into_iter().chain(rows).collect::<Vec<_>>())?;
        writeln!(out)?;
        let head = [["ENTRIES", "COUNT", "SUM"].map(str::to_owned).to_vec()];
        let rows = sums
            .into_iter()
            .map(|(what, sum)| vec![what.to_owned(), sum.count.to_string(), format!("{:016x}", sum.digest)]);
        table(out, &head.into_iter().chain(rows).collect::<Vec<_>>())?;
        writeln!(out)?;
        writeln!(
            out,
            "both would send the same events under the same ids: start the clock on {to}, and none on {from} any more"
        )
    })?;
    Ok(Exit::Done)
}

/// What FROM or TO names.
fn place(config: &Config, named: &str, schema: Option<&str>) -> Result<CopyPlace, CliError> {
    let url = match named.strip_prefix('@') {
        Some(file) => url_of(Path::new(file))?,
        None if StoreUrl::is_meant(named) && has_password(named) => {
            let what = "a password on the command line can be seen by other users of this machine: write the URL into a file of its own, and name that as @FILE";
            return Err(CliError::Usage(what.into()));
        }
        None if StoreUrl::is_meant(named) => named.to_owned(),
        None if named.contains("://") || named == "memory:" => {
            let what = "FROM and TO are each a folder or a Postgres: write a path, postgres://user@host:5432/database, or @FILE for a file that holds such a URL";
            return Err(CliError::Usage(what.into()));
        }
        None => return Ok(CopyPlace::Folder(PathBuf::from(named))),
    };
    let options = DoorOptions {
        schema: schema.unwrap_or(&config.store.schema).to_owned(),
        call_limit: STATEMENT,
        ..DoorOptions::default()
    };
    let door = Door::new(url.trim(), &config.clock.name, options);
    door.map(CopyPlace::Postgres).map_err(|error| CliError::Usage(error.to_string()))
}

fn url_of(file: &Path) -> Result<String, CliError> {
    if let Some(what) = files::open_to_others(file) {
        output::complain(&format!("warning: {what}"));
    }
    files::read_text(file, URL_FILE).map_err(|error| {
        CliError::Usage(format!(
            "the file {} can't be read: {error}; it must hold the URL of a Postgres",
            file.display()
        ))
    })
}

/// The exit code of a copy that was not made.
pub(in crate::cli) fn copy_exit(error: &CopyError, of_store: impl FnOnce(&StoreError) -> Exit) -> Exit {
    match error {
        CopyError::Store(error) | CopyError::Broken { error, .. } => of_store(error),
        CopyError::NotEmpty(_) => Exit::Usage,
        CopyError::NoStore(_) | CopyError::Differs { .. } => Exit::InputOutput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Request;

    #[test]
    fn a_place_is_a_folder_a_postgres_or_a_file_that_names_one_and_never_a_password() {
        let config = Config::load(&Request::default()).unwrap();
        let at = |named: &str| place(&config, named, None).map(|place| place.to_string());
        assert_eq!(at("data").unwrap(), "data");
        assert_eq!(
            at("postgres://ann@db.example/clock").unwrap(),
            "Postgres at db.example:5432/clock, schema khronos"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://ann:sesame@db.example/clock\n").unwrap();
        let named = format!("@{}", file.display());
        let there = place(&config, &named, Some("other")).unwrap().to_string();
        assert_eq!(there, "Postgres at db.example:5432/clock, schema other");
        for wrong in [
            "postgres://ann:sesame@db.example/clock",
            "postgres://db.example/clock?password=sesame",
            "mysql://db.example/sesame",
            "memory:",
            "@/nowhere/url",
        ] {
            let error = at(wrong).unwrap_err();
            assert!(matches!(error, CliError::Usage(_)), "{error}");
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }
}
