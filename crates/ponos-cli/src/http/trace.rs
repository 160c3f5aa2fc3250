//! The trace that a request belongs to, as its sender says it.

use hyper::HeaderMap;
use ponos::{event::SpanContext, traces::is_baggage};

/// What a request says of its trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestTrace {
    /// Trace Context, section 3.2; of `traceparent` once.
    pub(crate) parent: Option<String>,
    /// What goes with it.
    pub(crate) state: Option<String>,
    /// What is to be passed on, by <https://www.w3.org/TR/baggage/>.
    pub(crate) baggage: Option<String>,
}

impl RequestTrace {
    /// By the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            parent: parent(headers),
            state: list(headers, "tracestate"),
            baggage: list(headers, "baggage").filter(|text| is_baggage(text)),
        }
    }
}

fn parent(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all("traceparent").iter();
    let line = lines.next().filter(|_| lines.next().is_none())?.to_str().ok()?;
    // what nobody reads is not passed on
    SpanContext::parse(line).map(|_| line.to_owned())
}

/// Several lines are one list (RFC 9110, 5.3).
fn list(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    Some(lines.join(",")).filter(|text| !text.is_empty())
}
