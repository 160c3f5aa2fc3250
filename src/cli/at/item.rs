//! An item as the clock reads it, made of what a command line says. What is wrong with it the clock says.

use super::super::error::CliError;
use crate::ops::TaskAddress;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ponos::{event::Timestamp, files};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, io::Read, path::Path};

/// Bytes of data.
const LONGEST_DATA: u64 = 256 << 10;

/// What is sent, beside its data.
#[derive(Debug, Default, clap::Args)]
#[group(id = "content", multiple = true)]
pub(in crate::cli) struct Content {
    /// Sends a task to this queue, and no event: docker.images.cleanup
    #[arg(long, value_name = "QUEUE")]
    task: Option<String>,
    /// A header of its message, a text: k=v; several times for several
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// What it belongs to
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// DATA are no JSON, but this, such as text/plain: they are sent byte for byte
    #[arg(long, value_name = "MEDIA-TYPE")]
    content_type: Option<String>,
    /// It is of no use so long after its due time, and is not sent then
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
    /// What becomes of it where nobody is bound; a task is always parked
    #[arg(long, value_name = "WORD", value_parser = ["ignore", "park"])]
    unrouted: Option<String>,
    /// It is sent less than so long after its due time
    #[arg(long, value_name = "DURATION")]
    jitter: Option<String>,
    /// What becomes of a new one whose time is past; it is sent at once if left out
    #[arg(long, value_name = "WORD", value_parser = ["refuse", "send"])]
    past: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "write it as NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// An item.
#[derive(Debug, Serialize)]
pub(super) struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unrouted: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<TaskAddress>,
}

impl<'a> Item<'a> {
    /// # Errors
    /// [`CliError::Usage`]: its data can't be read, or are no JSON; a header is given twice.
    pub(super) fn new(
        name: Option<&'a str>,
        event: &'a str,
        (at, delay): (Option<Timestamp>, Option<&'a str>),
        data: Option<&str>,
        content: &'a Content,
    ) -> Result<Self, CliError> {
        let data = data.map(read).transpose()?;
        let datacontenttype = content.content_type.as_deref();
        let (data, data_base64) = match (data, datacontenttype) {
            (Some(data), None) => (Some(json(data)?), None),
            (data, Some(_)) => (None, Some(BASE64_STANDARD.encode(data.unwrap_or_default()))),
            (None, None) => (None, None),
        };
        let mut headers = BTreeMap::new();
        for (name, value) in &content.headers {
            if headers.insert(name.as_str(), value.as_str()).is_some() {
                return Err(CliError::Usage(format!("--header: '{name}' is given twice")));
            }
        }
        Ok(Self {
            name,
            event,
            at,
            delay,
            data,
            data_base64,
            datacontenttype,
            headers,
            correlation_id: content.correlation_id.as_deref(),
            expires: content.expires.as_deref(),
            unrouted: content.unrouted.as_deref(),
            jitter: content.jitter.as_deref(),
            past: content.past.as_deref(),
            to: content.task.clone().map(|task| TaskAddress { task }),
        })
    }
}

/// The bytes that DATA means.
fn read(data: &str) -> Result<Vec<u8>, CliError> {
    let wrong = |what: String| CliError::Usage(format!("DATA: {what}"));
    let read = match data.strip_prefix('@') {
        Some(file) => {
            files::read(Path::new(file), LONGEST_DATA).map_err(|error| wrong(format!("{file}: {error}")))?
        }
        None if data == "-" => {
            let mut read = Vec::new();
            let taken = std::io::stdin().lock().take(LONGEST_DATA + 1).read_to_end(&mut read);
            taken.map_err(|error| wrong(format!("standard input can't be read: {error}")))?;
            read
        }
        None => data.as_bytes().to_vec(),
    };
    if read.len() as u64 > LONGEST_DATA {
        return Err(wrong(format!(
            "more than {LONGEST_DATA} bytes; keep them elsewhere, and send where they are"
        )));
    }
    Ok(read)
}

/// As they are written: the clock keeps them byte for byte.
fn json(data: Vec<u8>) -> Result<Box<RawValue>, CliError> {
    let not = |error: &dyn std::fmt::Display| {
        let help = "quote a text twice, '\"text\"', or say what it is with --content-type";
        CliError::Usage(format!("DATA is not JSON ({error}); {help}"))
    };
    let text = String::from_utf8(data).map_err(|error| not(&error))?;
    RawValue::from_string(text.trim().to_owned()).map_err(|error| not(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(data: Option<&str>, content: &Content) -> Result<String, String> {
        let item = Item::new(Some("a"), "order.reminder.due", (None, Some("10m")), data, content);
        item.map(|item| serde_json::to_string(&item).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_item_has_what_the_line_says_and_data_as_they_are_written() {
        let item = made(Some(" {\"b\":1.0, \"a\":1} "), &Content::default()).unwrap();
        assert_eq!(item, r#"{"name":"a","event":"order.reminder.due","in":"10m","data":{"b":1.0, "a":1}}"#);
        let content = Content {
            task: Some("docker.clean".into()),
            headers: vec![("k".into(), "v=1".into())],
            correlation_id: Some("c".into()),
            expires: Some("1h".into()),
            unrouted: Some("park".into()),
            jitter: Some("1m".into()),
            past: Some("refuse".into()),
            content_type: Some("text/plain".into()),
        };
        let item = made(Some("hello"), &content).unwrap();
        let expected = r#"{"name":"a","event":"order.reminder.due","in":"10m","data_base64":"aGVsbG8=","datacontenttype":"text/plain","headers":{"k":"v=1"},"correlation_id":"c","expires":"1h","unrouted":"park","jitter":"1m","past":"refuse","to":{"task":"docker.clean"}}"#;
        assert_eq!(item, expected);
    }

    #[test]
    fn what_is_not_json_is_refused_with_what_to_do() {
        for data in ["hello", "{", "{} {}", ""] {
            let refused = made(Some(data), &Content::default()).unwrap_err();
            assert!(refused.contains("DATA is not JSON") && refused.contains("--content-type"), "{refused}");
        }
        let headers = vec![("k".into(), "1".into()), ("k".into(), "2".into())];
        let refused = made(None, &Content { headers, ..Content::default() }).unwrap_err();
        assert!(refused.contains("'k' is given twice"), "{refused}");
        assert_eq!(header("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(header("a").is_err());
    }

    #[test]
    fn data_of_a_file_are_read_up_to_their_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.json");
        let data = format!("@{}", file.display());
        for (length, is_read) in [(LONGEST_DATA - 2, true), (LONGEST_DATA - 1, false)] {
            let text = format!("\"{}\"", "x".repeat(usize::try_from(length).unwrap()));
            std::fs::write(&file, text).unwrap();
            assert_eq!(made(Some(&data), &Content::default()).is_ok(), is_read, "{length}");
        }
        assert!(made(Some("@nowhere.json"), &Content::default()).unwrap_err().contains("nowhere.json"));
    }
}
