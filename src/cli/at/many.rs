//! Many events of a file, an item in each line, put in batches: the file may be of any length, and a batch of it is in memory.

use super::outcome::said;
use crate::{
    cli::{error::CliError, exit::Exit, output},
    http::client::{Client, all_faults},
    ops::EventOutcomeView,
    schedule::CalendarStore,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// Items, and about how many bytes of them, in one request.
const AT_ONCE: usize = 10_000;
const BYTES: usize = 3 << 20;
/// The same of all or none: as many bytes as a clock reads, but for what stands between the items.
const ATOMIC_BYTES: usize = 15 << 20;
/// Bytes of a line: an item has no more.
const LINE: usize = 1 << 20;

/// Items, and the line of each.
type Batch = Vec<(usize, Box<RawValue>)>;

/// Puts them, and says of each what became of it.
pub(super) async fn put(
    client: &Client,
    file: &Path,
    (atomic, as_json): (bool, bool),
    (zone, store): (Option<&str>, &CalendarStore),
) -> Result<Exit, CliError> {
    let wrong = |what: String| CliError::Usage(format!("{}: {what}", file.display()));
    let reader: Box<dyn BufRead> = match file.as_os_str() == "-" {
        true => Box::new(BufReader::new(std::io::stdin())),
        false => Box::new(BufReader::new(File::open(file).map_err(|error| wrong(error.to_string()))?)),
    };
    let mut batches = Batches { reader, line: 0, left: None, atomic };
    let (mut exit, mut count) = (Exit::Done, 0);
    loop {
        let asked = async {
            let batch = batches.next().map_err(&wrong)?;
            match &batch {
                Some(batch) => {
                    put_some(client, batch, atomic).await.map(|results| Some((batch.len(), results)))
                }
                None => Ok(None),
            }
        };
        let put = asked.await.inspect_err(|_| {
            if count > 0 {
                output::complain(&format!(
                    "the first {count} items were put; those behind them were not, or may not have been"
                ));
            }
        })?;
        let Some((some, results)) = put else { break };
        count += some;
        let refused = show(&results, as_json, (zone, store))?;
        exit = if refused { Exit::Usage } else { exit };
    }
    if count == 0 {
        return Err(wrong("it has no items: one in each line".into()));
    }
    Ok(exit)
}

/// The items of a file, as many at once as a clock takes.
struct Batches {
    reader: Box<dyn BufRead>,
    line: usize,
    /// Read, and too much for the batch before.
    left: Option<(usize, Box<RawValue>)>,
    atomic: bool,
}

impl Batches {
    fn next(&mut self) -> Result<Option<Batch>, String> {
        let (mut batch, mut bytes) = (Batch::new(), 0);
        let most = if self.atomic { ATOMIC_BYTES } else { BYTES };
        while let Some((line, item)) = self.left.take().map_or_else(|| self.item(), |left| Ok(Some(left)))? {
            bytes += item.get().len();
            if batch.len() == AT_ONCE || bytes > most && !batch.is_empty() {
                if self.atomic {
                    return Err(format!("all or none are {AT_ONCE} items at most, and {ATOMIC_BYTES} bytes"));
                }
                self.left = Some((line, item));
                break;
            }
            batch.push((line, item));
        }
        Ok(Some(batch).filter(|batch| !batch.is_empty()))
    }

    /// The next item; lines that are empty are passed over.
    fn item(&mut self) -> Result<Option<(usize, Box<RawValue>)>, String> {
        loop {
            self.line += 1;
            let mut text = Vec::new();
            let mut some = self.reader.by_ref().take(LINE as u64 + 1);
            some.read_until(b'\n', &mut text).map_err(|error| format!("line {}: {error}", self.line))?;
            if text.is_empty() {
                return Ok(None);
            }
            if text.len() > LINE {
                return Err(format!("line {} has more than {LINE} bytes; an item is one line", self.line));
            }
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let help = if text.starts_with(b"[") { "; write an item in each line, and no list" } else { "" };
            let item: Box<RawValue> = serde_json::from_slice(text)
                .map_err(|error| format!("line {} is not JSON ({error}){help}", self.line))?;
            if !item.get().starts_with('{') {
                return Err(format!("line {} is no object{help}", self.line));
            }
            return Ok(Some((self.line, item)));
        }
    }
}

/// What became of an item among others.
#[derive(Debug, Deserialize)]
struct Outcome {
    #[serde(flatten)]
    change: EventOutcomeView,
    problem: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    results: Vec<Outcome>,
}

/// With the line of each.
async fn put_some(client: &Client, batch: &Batch, atomic: bool) -> Result<Vec<(usize, Outcome)>, CliError> {
    let items: Vec<&RawValue> = batch.iter().map(|(_, item)| &**item).collect();
    let path = format!("/v1/events:batch?atomic={atomic}");
    let Answer { results } = client.post_patiently(&path, &items).await?;
    Ok(batch.iter().map(|(line, _)| *line).zip(results).collect())
}

/// Whether some were refused.
fn show(
    results: &[(usize, Outcome)],
    as_json: bool,
    (zone, store): (Option<&str>, &CalendarStore),
) -> Result<bool, CliError> {
    output::print(|out| {
        for (_, item) in results.iter().filter(|(_, item)| as_json || item.problem.is_none()) {
            match as_json {
                true => output::lines(out, &[json!({ "change": item.change, "problem": item.problem })])?,
                false => writeln!(out, "{}", said(&item.change, zone, store))?,
            }
        }
        Ok(())
    })?;
    for (line, item) in results {
        let Some(problem) = &item.problem else { continue };
        let what = all_faults(&problem["errors"]).or(problem["detail"].as_str().map(str::to_owned));
        let name = match item.change.name.as_str() {
            "" => String::new(),
            name => format!(" ('{name}')"),
        };
        output::complain(&format!("error: line {line}{name} is refused: {}", what.unwrap_or_default()));
    }
    Ok(results.iter().any(|(_, item)| item.problem.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn batches(text: impl Into<Vec<u8>>, atomic: bool) -> Batches {
        Batches { reader: Box::new(Cursor::new(text.into())), line: 0, left: None, atomic }
    }

    /// Items in each batch, or what is wrong.
    fn sizes(mut all: Batches) -> Result<Vec<usize>, String> {
        let mut sizes = Vec::new();
        while let Some(batch) = all.next()? {
            sizes.push(batch.len());
        }
        Ok(sizes)
    }

    #[test]
    fn items_are_one_in_each_line_and_as_many_in_a_request_as_a_clock_takes() {
        let mut few = batches("\n{\"a\": 1.0}\r\n\n {\"b\":2} ", false);
        let batch = few.next().unwrap().unwrap();
        let read: Vec<(usize, &str)> = batch.iter().map(|(line, item)| (*line, item.get())).collect();
        assert_eq!(read, [(2, "{\"a\": 1.0}"), (4, "{\"b\":2}")]);
        assert!(few.next().unwrap().is_none());
        assert_eq!(sizes(batches("{}\n".repeat(AT_ONCE * 2 + 1), false)), Ok(vec![AT_ONCE, AT_ONCE, 1]));
        let large = format!("{{\"data\":\"{}\"}}\n", "x".repeat(LINE - 20));
        assert_eq!(sizes(batches(large.repeat(7), false)), Ok(vec![3, 3, 1]));
        assert_eq!(sizes(batches("{}\n".repeat(AT_ONCE), true)), Ok(vec![AT_ONCE]));
        assert!(sizes(batches("{}\n".repeat(AT_ONCE + 1), true)).unwrap_err().contains("10000 items"));
        assert!(sizes(batches(large.repeat(16), true)).unwrap_err().contains("bytes"));
        assert_eq!(sizes(batches(" \n\n", false)), Ok(vec![]));
    }

    #[test]
    fn what_is_no_item_is_refused_with_its_line() {
        for (text, said) in [
            ("{}\n{", "line 2 is not JSON"),
            ("{}\n\n7", "line 3 is no object"),
            ("[{}]", "line 1 is no object; write an item in each line, and no list"),
            ("[\n{}\n]", "write an item in each line"),
            (&"x".repeat(LINE + 1), "line 1 has more than"),
        ] {
            let refused = sizes(batches(text, false)).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
