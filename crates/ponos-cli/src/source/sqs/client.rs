//! Calls of SQS, by its JSON protocol (AWS JSON 1.0): one queue, four calls. Nothing is tried twice here.
//!
//! Bounds: the time of each call, the bytes of its answer, and those of all messages that are held.

use super::{
    call_error::CallError,
    credentials::CredentialSource,
    signature::{Scope, authorization, date},
};
use crate::http::client::{HttpClient, unanswered};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use ponos::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Messages of one call.
pub(super) const MOST: usize = 10;
/// The longest that a call may take beyond what it waits for messages.
const CALL: Duration = Duration::from_secs(10);
/// The most bytes of one message in an answer: a MiB, of which a third may be escaped.
const MESSAGE: usize = 3 << 20;
/// The most bytes of any other answer.
const ANSWER: usize = 64 << 10;

/// One queue of SQS.
pub(super) struct Sqs {
    pub(super) client: Arc<HttpClient>,
    pub(super) uri: Uri,
    pub(super) authority: String,
    pub(super) region: String,
    pub(super) queue_url: String,
    pub(super) credentials: Arc<CredentialSource>,
    /// For messages that are held.
    pub(super) room: Room,
    /// How long SQS shows a message to nobody else, in seconds.
    pub(super) visibility: u64,
}

/// The room for messages that are held, of all queues together. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// In KiB.
    free: Arc<Semaphore>,
    /// The most messages for which one call reserves: a queue that waits for messages starves no other.
    share: usize,
}

impl Room {
    /// The KiB of one message, of the largest.
    const ONE: u32 = 1024;

    /// Of so many bytes, for so many queues; at least of one message for each queue.
    pub(super) fn new(bytes: usize, queues: usize) -> Self {
        let (one, queues) = (usize::try_from(Self::ONE).unwrap_or(usize::MAX), queues.max(1));
        let all = (bytes / 1024).max(queues.saturating_mul(one));
        Self { free: Arc::new(Semaphore::new(all)), share: all / queues / one }
    }

    /// Room for at most so many messages, and for how many it is; waits until there is some for one. It is reserved before they
    /// are asked for: a message that waits for room is hidden from others meanwhile, and its receive is spent.
    pub(super) async fn reserve(&self, most: usize) -> Option<(usize, OwnedSemaphorePermit)> {
        // never closed
        let mut room = Arc::clone(&self.free).acquire_many_owned(Self::ONE).await.ok()?;
        let mut count = 1;
        while count < most.min(self.share)
            && let Ok(more) = Arc::clone(&self.free).try_acquire_many_owned(Self::ONE)
        {
            room.merge(more);
            count += 1;
        }
        Some((count, room))
    }
}

/// A message as SQS gives it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message {
    pub(super) message_id: String,
    /// By which this receiving of it is deleted, or extended.
    pub(super) receipt_handle: String,
    #[serde(default)]
    pub(super) body: String,
    #[serde(default)]
    pub(super) attributes: HashMap<String, String>,
}

/// Messages, and the bytes of the answer with them.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) messages: Vec<Message>,
    /// Why others, which SQS wrote otherwise than it should, are none. They have no handle, and are left.
    pub(super) unreadable: Vec<String>,
    pub(super) bytes: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveAnswer {
    #[serde(default)]
    messages: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer {
    #[serde(default)]
    failed: Option<Vec<Failed>>,
}

/// What was not done of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failed {
    /// Which entry, counted from 0.
    #[serde(rename = "Id", deserialize_with = "number")]
    pub(super) at: usize,
    #[serde(default)]
    pub(super) code: String,
}

impl Failed {
    /// Whether the message is not ours any more: it would fail again. That it is the sender's fault, SQS says of throttling, too.
    pub(super) fn is_gone(&self) -> bool {
        let code = self.code.rsplit('.').next().unwrap_or_default();
        matches!(
            code,
            "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue" | "InvalidIdFormat"
        )
    }
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Sqs {
    /// At most so many messages, which are waited for so many seconds.
    ///
    /// # Errors
    /// Why there is no answer: none was taken out of the queue for good.
    pub(super) async fn receive(&self, most: usize, wait: u64) -> Result<Received, CallError> {
        let asked = json!({
            "QueueUrl": self.queue_url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait,
            "VisibilityTimeout": self.visibility,
            "MessageSystemAttributeNames": ["SentTimestamp", "MessageGroupId"],
        });
        let limit = CALL + Duration::from_secs(wait);
        let body = self.call("ReceiveMessage", &asked, limit, ANSWER + most * MESSAGE).await?;
        let answer: ReceiveAnswer = read(&body)?;
        // more than was asked for has no place; it comes again
        let raw = answer.messages.unwrap_or_default().into_iter().take(most);
        let (mut messages, mut unreadable) = (Vec::new(), Vec::new());
        for raw in raw {
            match serde_json::from_str(raw.get()) {
                Ok(message) => messages.push(message),
                Err(error) => unreadable.push(error.to_string()),
            }
        }
        Ok(Received { messages, unreadable, bytes: body.len() })
    }

    /// Deletes these, and says which it could not.
    ///
    /// # Errors
    /// Why there is no answer: they may be deleted or not.
    pub(super) async fn delete(&self, handles: &[String]) -> Result<Vec<Failed>, CallError> {
        let entry = |(at, handle): (usize, &String)| json!({ "Id": at.to_string(), "ReceiptHandle": handle });
        // they are extended meanwhile
        self.batch("DeleteMessageBatch", handles.iter().enumerate().map(entry).collect(), CALL).await
    }

    /// Has these shown to nobody else for so many seconds from now on, and says of which that was not done.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn extend(&self, handles: &[String], seconds: u64) -> Result<Vec<Failed>, CallError> {
        let entry = |(at, handle): (usize, &String)| json!({ "Id": at.to_string(), "ReceiptHandle": handle, "VisibilityTimeout": seconds });
        // several fit into the time for which a message is ours
        let limit = CALL.min(Duration::from_secs(self.visibility) / 6);
        self.batch("ChangeMessageVisibilityBatch", handles.iter().enumerate().map(entry).collect(), limit)
            .await
    }

    /// Whether SQS gives up a message that is received again and again, and moves it to another queue.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn has_redrive_policy(&self) -> Result<bool, CallError> {
        let asked = json!({ "QueueUrl": self.queue_url, "AttributeNames": ["RedrivePolicy"] });
        let body = self.call("GetQueueAttributes", &asked, CALL, ANSWER).await?;
        let answer: Value = read(&body)?;
        Ok(answer.pointer("/Attributes/RedrivePolicy").is_some())
    }

    async fn batch(
        &self,
        action: &str,
        entries: Vec<Value>,
        limit: Duration,
    ) -> Result<Vec<Failed>, CallError> {
        let asked = json!({ "QueueUrl": self.queue_url, "Entries": entries });
        let body = self.call(action, &asked, limit, ANSWER).await?;
        Ok(read::<BatchAnswer>(&body)?.failed.unwrap_or_default())
    }

    /// The answer to a call, of at most so many bytes.
    async fn call(
        &self,
        action: &str,
        asked: &Value,
        limit: Duration,
        most: usize,
    ) -> Result<Bytes, CallError> {
        let seconds = limit.as_secs_f64();
        let late =
            || CallError::failed(format!("{} did not answer {action} within {seconds} s", self.authority));
        timeout(limit, self.answered(action, asked, most)).await.map_err(|_| late())?
    }

    async fn answered(&self, action: &str, asked: &Value, most: usize) -> Result<Bytes, CallError> {
        let request = self.request(action, asked)?;
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| CallError::failed(unanswered(&self.authority, &error)))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, most).collect().await;
        let body = body
            .map_err(|error| {
                CallError::failed(format!(
                    "the answer to {action} broke off, or has more than {most} bytes: {error}"
                ))
            })?
            .to_bytes();
        if head.status == StatusCode::OK {
            Ok(body)
        } else {
            Err(CallError::of_answer(action, head.status, &body, &self.credentials.current()))
        }
    }

    fn request(&self, action: &str, asked: &Value) -> Result<Request<Full<Bytes>>, CallError> {
        const KIND: &str = "application/x-amz-json-1.0";
        let (credentials, date) = (self.credentials.current(), date(Clock::system().now()));
        let (body, target) = (asked.to_string(), format!("AmazonSQS.{action}"));
        let mut headers =
            vec![("content-type", KIND), ("host", self.authority.as_str()), ("x-amz-date", date.as_str())];
        if let Some(token) = &credentials.session_token {
            headers.push(("x-amz-security-token", token.as_str()));
        }
        headers.push(("x-amz-target", target.as_str()));
        let scope = Scope { region: &self.region, service: "sqs" };
        let signed = authorization(&credentials, scope, &date, &headers, body.as_bytes());
        let mut request = Request::post(&self.uri)
            .header(CONTENT_TYPE, KIND)
            .header(USER_AGENT, concat!("ponos/", env!("CARGO_PKG_VERSION")))
            .header(AUTHORIZATION, secret(&signed));
        // hyper writes the host itself, without a port that goes without saying, as ours
        for (name, value) in headers.into_iter().filter(|(name, _)| name.starts_with("x-amz-")) {
            request = request.header(name, secret(value));
        }
        request.body(Full::new(Bytes::from(body))).map_err(|error| {
            CallError::failed(format!("the call {action} can't be written as a request: {error}"))
        })
    }
}

/// A value of a header that is not written into any log.
fn secret(text: &str) -> HeaderValue {
    // those of a key were looked at when it was read
    let mut value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body)
        .map_err(|error| CallError::failed(format!("SQS answered what is not an answer: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_sqs_writes_them() {
        let body = br#"{"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "MD5OfBody": "x", "Body": "{\"a\":\"\u00e9\"}", "Attributes": {"SentTimestamp": "1"}}]}"#;
        let messages = read::<ReceiveAnswer>(body).unwrap().messages.unwrap();
        let messages: Vec<Message> =
            messages.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
        assert_eq!(
            (messages[0].body.as_str(), messages[0].attributes["SentTimestamp"].as_str()),
            ("{\"a\":\"é\"}", "1")
        );
        assert!(read::<ReceiveAnswer>(b"{}").unwrap().messages.is_none());
        assert!(read::<ReceiveAnswer>(b"{\"Messages\": null}").unwrap().messages.is_none());
        let body = br#"{"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "no"}]}"#;
        let failed = read::<BatchAnswer>(body).unwrap().failed.unwrap();
        assert_eq!(failed, [Failed { at: 1, code: "ReceiptHandleIsInvalid".into() }]);
        for (code, is_gone) in [
            ("AWS.SimpleQueueService.MessageNotInflight", true),
            ("RequestThrottled", false),
            ("KmsThrottled", false),
            ("", false),
        ] {
            assert_eq!(Failed { at: 0, code: code.into() }.is_gone(), is_gone, "{code}");
        }
        assert!(read::<BatchAnswer>(b"{\"Failed\": [{\"Id\": \"x\"}]}").is_err());
        assert!(read::<BatchAnswer>(b"{\"Failed\": null}").unwrap().failed.is_none());
        assert!(read::<BatchAnswer>(b"[").is_err());
    }
}
