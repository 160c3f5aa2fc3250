//! What S3 says of its objects, as CloudEvents: by the mapping of the CloudEvents project, but for the name, which is configured.
//!
//! <https://github.com/cloudevents/spec/blob/main/cloudevents/adapters/aws-s3.md>

use ponos::event::{Event, EventId, EventName, Timestamp, from_json};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

/// The most bytes of an object's key: 1024, each written as `%XX`.
const KEY: usize = 3 * 1024;

/// Whether this is what S3 sends when its notifications are configured.
pub(super) fn is_test(value: &Value) -> bool {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    text("Event") == Some("s3:TestEvent") && text("Service").is_some()
}

/// Whether this is a list of what happened to objects: of S3, or of who speaks as S3 does.
pub(super) fn is_notification(value: &Value) -> bool {
    let is_record = |record: &Value| {
        let of_s3 = record.get("eventSource").and_then(Value::as_str);
        of_s3.is_some_and(is_source) && record.get("s3").is_some_and(Value::is_object)
    };
    let records = value.get("Records").and_then(Value::as_array);
    records.is_some_and(|records| !records.is_empty() && records.iter().all(is_record))
}

/// Whether this says who speaks: `aws:s3`, `minio:s3`. It begins the source of an event, which is nobody's below `/SERVICE/` then.
fn is_source(text: &str) -> bool {
    let vendor = text.strip_suffix(":s3").unwrap_or_default();
    (1..=32).contains(&vendor.len())
        && vendor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether this can be the name of a region or of a bucket, of old ones too, and of at most so many bytes.
fn is_name(text: &str, most: usize) -> bool {
    text.len() <= most && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_source: String,
    #[serde(default)]
    aws_region: String,
    event_name: String,
    event_time: Option<String>,
    response_elements: Option<ResponseElements>,
    s3: S3,
}

#[derive(Deserialize)]
struct ResponseElements {
    #[serde(rename = "x-amz-request-id")]
    request_id: Option<String>,
    #[serde(rename = "x-amz-id-2")]
    id_2: Option<String>,
}

#[derive(Deserialize)]
struct S3 {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    version_id: Option<String>,
}

/// The events of such a list: the record is the data, byte for byte. `named` says what S3's names are here; `id` makes the id of
/// a record that has none, by its place in the list.
///
/// # Errors
/// A record can't be read, or has no name here.
pub(super) fn read<'a>(
    text: &str,
    named: impl Fn(&str) -> Option<&'a EventName>,
    id: impl Fn(&EventName, usize) -> EventId,
) -> Result<Vec<Event>, String> {
    let wrong = |why: &str| format!("it is not a valid notification of S3: {why}");
    let Notification { records } = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let event = |(at, raw): (usize, &RawValue)| {
        let record: Record = from_json(raw.get().as_bytes()).map_err(|why| wrong(&why))?;
        let (region, bucket) = (&record.aws_region, &record.s3.bucket.name);
        // some have no region
        if !is_name(region, 63) || bucket.is_empty() || !is_name(bucket, 255) {
            return Err(wrong("awsRegion or the bucket's name is none"));
        }
        if record.s3.object.key.len() > KEY {
            return Err(wrong(&format!("the object's key has more than {KEY} bytes")));
        }
        // those who speak as S3 does begin it with s3:
        let theirs = record.event_name.strip_prefix("s3:").unwrap_or(&record.event_name);
        let Some(name) = named(theirs) else {
            let shown = ponos::text::shown(theirs);
            return Err(format!(
                "S3's event '{shown}' has no name here: add it to events, or set event for all others"
            ));
        };
        let id = record.id(theirs).unwrap_or_else(|| id(name, at));
        let source = format!("{}.{}.{}", record.event_source, region, bucket);
        let mut event = Event::new(id, source, name.clone(), raw.get().as_bytes());
        event.time = record.event_time.and_then(|text| Timestamp::floored(&text).ok());
        event.subject = Some(record.s3.object.key).filter(|key| !key.is_empty());
        Ok(event)
    };
    records.into_iter().enumerate().map(event).collect()
}

impl Record {
    /// The id by the mapping. One request may remove many objects, each of which is an event of its own with the same ids of the
    /// request: then the object is a part of the event's id.
    fn id(&self, theirs: &str) -> Option<EventId> {
        let of = self.response_elements.as_ref()?;
        let (request, id_2) = (of.request_id.as_deref()?, of.id_2.as_deref()?);
        let mut id = format!("{request}.{id_2}");
        // S3 itself creates one object by one request; others unpack an archive
        if self.event_source != "aws:s3" || !theirs.starts_with("ObjectCreated:") {
            let Object { key, version_id } = &self.s3.object;
            let object = format!("{theirs}\n{key}\n{}", version_id.as_deref().unwrap_or_default());
            id = format!("{id}.{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, object.as_bytes()));
        }
        // of 1 to 255 bytes; else it is made as that of any other message
        id.parse().ok().filter(|_| !request.is_empty() && !id_2.is_empty())
    }
}
