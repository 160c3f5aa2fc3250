//! The trace in which a delayed event was asked for, and goes on when it is sent. It is kept as the last of the event's headers, under
//! a name that no client may give, so that stores have nothing more to keep; who reads headers takes it off.

use ponos::event::SpanContext;
use std::sync::Arc;

const NAME: &str = r#""traceparent":""#;
/// Bytes of a `traceparent`.
const LENGTH: usize = 55;

/// The headers (JSON, as [`DelayedContent`](super::DelayedContent) has them) with that trace.
pub(crate) fn kept(headers: &str, trace: SpanContext) -> Arc<str> {
    match headers.strip_suffix('}') {
        Some(before) => format!(r#"{before},{NAME}{trace}"}}"#).into(),
        None => format!(r#"{{{NAME}{trace}"}}"#).into(),
    }
}

/// The headers as the client gave them, and the trace that was kept with them. Nothing that a client gives looks like it: within a
/// text the quotes of the name would be escaped.
pub(crate) fn taken_off(headers: &str) -> (String, Option<SpanContext>) {
    let as_it_is = || (headers.to_owned(), None);
    let Some(inner) = headers.strip_suffix("\"}") else { return as_it_is() };
    let Some((before, trace)) = inner.len().checked_sub(LENGTH).and_then(|at| inner.split_at_checked(at))
    else {
        return as_it_is();
    };
    match (before.strip_suffix(NAME), SpanContext::parse(trace)) {
        (Some("{"), trace @ Some(_)) => (String::new(), trace),
        (Some(before), trace @ Some(_)) => match before.strip_suffix(',') {
            Some(before) => (format!("{before}}}"), trace),
            None => as_it_is(),
        },
        _ => as_it_is(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_taken_off_as_it_was_kept() {
        let trace = SpanContext::parse(TRACE).unwrap();
        for headers in ["", r#"{"tenant":"x"}"#, r#"{"a":",","b":true,"c":","}"#, r#"{"n":7}"#] {
            let whole = kept(headers, trace);
            assert!(serde_json::from_str::<serde_json::Value>(&whole).unwrap()["traceparent"] == TRACE);
            assert_eq!(taken_off(&whole), (headers.to_owned(), Some(trace)));
            assert_eq!(taken_off(headers), (headers.to_owned(), None));
        }
    }

    #[test]
    fn what_a_client_gives_is_no_trace_of_ours() {
        for value in [format!(r#","traceparent":"{TRACE}"#), format!(r#"{{"traceparent":"{TRACE}"#)] {
            let headers = serde_json::json!({ "x": value }).to_string();
            assert_eq!(taken_off(&headers), (headers.clone(), None));
        }
        for odd in ["{}", "\"}", r#"{"ä":"äääääääääääääääääääääääääääääääääää"}"#]
        {
            assert_eq!(taken_off(odd).0, odd);
        }
    }
}
