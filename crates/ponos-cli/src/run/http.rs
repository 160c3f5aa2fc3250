//! Posts an event to an HTTP service: CloudEvents' HTTP binding 1.0, binary mode.

use super::retry_after;
use crate::{
    http::client::{HttpClient, unanswered},
    output,
    trouble::Trouble,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use hyper_util::client::legacy::Error;
use ponos::{
    clock::Clock,
    event::{Event, HeaderValue},
    traces::SHORT_BAGGAGE,
    worker::{Context, Failure, HandlerResult, Outcome},
};
use std::time::Duration;

/// The most bytes of a response body that are read.
const ANSWER: usize = 64 * 1024;
/// How long to wait for a response body after its status.
const BODY: Duration = Duration::from_secs(5);
/// The most characters of it that become the reason.
const REASON: usize = 500;

/// The address that events are posted to.
pub(super) struct Endpoint {
    uri: Uri,
    client: HttpClient,
}

impl Endpoint {
    /// At that address. Nothing is connected yet.
    pub(super) fn new(url: &str) -> Result<Self, Trouble> {
        let unusable = |why: &str| {
            Trouble::usage(format!("--to can't be used: {why}; write it as http://host:port/path"))
        };
        let uri: Uri = url.parse().map_err(|_| unusable("it is not a URL"))?;
        let authority = uri.authority().ok_or_else(|| unusable("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(unusable("it may not contain a user or password"));
        }
        let client = match uri.scheme_str() {
            Some("http") => HttpClient::new(false)?,
            Some("https") => HttpClient::new(true)?,
            _ => return Err(unusable("it is neither http:// nor https://")),
        };
        Ok(Self { uri, client })
    }

    /// Posts an event and reads the response; the worker's timeout limits both.
    pub(super) async fn post(&self, context: &Context) -> HandlerResult {
        let request = request(&self.uri, context)?;
        let answer = self.client.request(request).await;
        let (head, body) = answer.map_err(|error| no_answer(&self.uri, &error))?.into_parts();
        // the body of what is done is nobody's: one that stalls must not have it done again
        let body = if head.status.is_success() {
            // aside, so that the connection can be used again
            tokio::spawn(start(body));
            Vec::new()
        } else {
            start(body).await
        };
        outcome(&Response::from_parts(head, ()), &body)
    }
}

/// The start of a body, as far as it arrives in time and within the limit.
async fn start(mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    let reading = async {
        // an answer that breaks off has said its status
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            read.extend_from_slice(&data[..data.len().min(ANSWER - read.len())]);
            if read.len() == ANSWER {
                break;
            }
        }
    };
    // too late is as good as broken off
    let _ = tokio::time::timeout(BODY, reading).await;
    read
}

fn no_answer(uri: &Uri, error: &Error) -> Failure {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let what = unanswered(authority, error);
    if error.is_connect() {
        // nobody is there, whatever the event
        return Failure::unavailable(authority, what);
    }
    Failure::new(what)
}

fn request(uri: &Uri, context: &Context) -> Result<Request<Full<Bytes>>, Failure> {
    let event = context.event();
    let mut request = Request::post(uri)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("ponos/", env!("CARGO_PKG_VERSION")))
        .header("ponos-attempt", context.attempt());
    for (name, value) in attributes(event) {
        request = request.header(format!("ce-{name}"), encoded(&value));
    }
    // an event is not refused for what it says beside itself
    let baggage = context.baggage().filter(|text| text.len() <= SHORT_BAGGAGE);
    let traceparent = context.traceparent();
    let trace = [traceparent.as_deref(), context.tracestate(), baggage];
    for (name, value) in ["traceparent", "tracestate", "baggage"].into_iter().zip(trace) {
        if let Some(value) = value {
            request = request.header(name, encoded_trace(value));
        }
    }
    let body = Full::new(Bytes::from(event.data.clone()));
    request
        .body(body)
        .map_err(|error| Failure::new(format!("the event can't be written as a request: {error}")))
}

fn attributes(event: &Event) -> impl Iterator<Item = (String, String)> {
    // CloudEvents allows no other names
    let lawful = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let lawful = event.attributes().filter(move |(name, _)| lawful(name));
    lawful.filter_map(|(name, value)| Some((name, text(value)?)))
}

fn text(value: HeaderValue) -> Option<String> {
    match value {
        HeaderValue::Text(text) => Some(text),
        HeaderValue::Int(number) => Some(number.to_string()),
        HeaderValue::Bool(truth) => Some(truth.to_string()),
        HeaderValue::Time(time) => Some(time.to_string()),
        _ => None,
    }
}

/// Percent-encoded as the binding says (3.1.3.2): all but U+0021 to U+007E, and of these `"` and `%`.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => text.push_str(&format!("%{byte:02X}")),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// Leaves out characters other than ASCII, which a trace context can't have.
fn encoded_trace(value: &str) -> String {
    value.chars().filter(|c| matches!(c, ' '..='~')).collect()
}

/// The table in the help of `ponos run`.
fn outcome(answer: &Response<()>, body: &[u8]) -> HandlerResult {
    let status = answer.status();
    let reason = || {
        let body = output::body(body, REASON);
        if body.trim().is_empty() {
            format!("the answer was {status}")
        } else {
            format!("the answer was {status}: {body}")
        }
    };
    match status.as_u16() {
        200..=299 => Ok(Outcome::Done),
        300..=399 => Err(Failure::new(format!(
            "the answer was {status}, and redirects are not followed; give --to its own address"
        ))),
        429 | 503 => {
            let told = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            match told.and_then(|text| retry_after::parse(text, Clock::system().now())) {
                // it is busy, and no fault of the event's
                Some(after) => Ok(Outcome::snooze(after).because(reason())),
                None => Err(Failure::new(reason())),
            }
        }
        408 | 425 | 500..=599 => Err(Failure::new(reason())),
        _ => Ok(Outcome::dead(reason())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<&str>) -> HandlerResult {
        let mut answer = Response::builder().status(status);
        if let Some(text) = retry_after {
            answer = answer.header(RETRY_AFTER, text);
        }
        outcome(&answer.body(()).unwrap(), b"no such order")
    }

    #[test]
    fn the_status_says_what_becomes_of_an_event() {
        let seconds = Duration::from_secs(7);
        assert!(matches!(answered(204, None), Ok(Outcome::Done)));
        assert!(matches!(answered(503, Some("7")), Ok(Outcome::Snooze { after, .. }) if after == seconds));
        let Ok(Outcome::Snooze { reason: Some(reason), .. }) = answered(429, Some("7")) else {
            panic!("{:?}", answered(429, Some("7")))
        };
        assert_eq!(reason, "the answer was 429 Too Many Requests: no such order");
        for later in [429, 503, 408, 425, 500, 502, 504, 302] {
            assert!(answered(later, None).is_err(), "{later}");
        }
        for never in [400, 401, 404, 410, 422] {
            let Ok(Outcome::Dead { reason }) = answered(never, None) else { panic!("{never}") };
            assert!(reason.contains(&never.to_string()) && reason.contains("no such order"), "{reason}");
        }
    }

    #[test]
    fn attributes_are_percent_encoded_as_the_binding_says() {
        assert_eq!(encoded("Euro € 50%"), "Euro%20%E2%82%AC%2050%25");
        assert_eq!(encoded("a\r\nb\"c"), "a%0D%0Ab%22c");
    }
}
