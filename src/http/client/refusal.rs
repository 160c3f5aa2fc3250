//! Why a clock refused a request, in its own words.

use super::ClientError;
use axum::http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// What is read of a problem document, or of a page of readiness: as little as is needed, for a newer clock may say more.
#[derive(Debug, Default, Deserialize)]
struct Words {
    detail: Option<String>,
    reasons: Option<Vec<String>>,
    missing: Option<serde_json::Value>,
    #[serde(default)]
    errors: serde_json::Value,
}

/// All that is wrong, a line each, where there is more than one thing.
pub fn all_faults(errors: &serde_json::Value) -> Option<String> {
    let list = errors.as_array().filter(|list| list.len() > 1)?;
    let line = |error: &serde_json::Value| {
        let detail = error["detail"].as_str().unwrap_or_default();
        let help = error["suggestion"].as_str().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{detail}{help}")
    };
    Some(list.iter().map(line).collect::<Vec<_>>().join("\n"))
}

pub(super) fn refusal(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> ClientError {
    let words: Words = serde_json::from_slice(body).unwrap_or_default();
    let missing = words.missing.and_then(|missing| serde_json::from_value(missing).ok());
    let reasons = words.reasons.map(|reasons| reasons.join("; "));
    // Else it may be a page of some other server.
    let detail = all_faults(&words.errors)
        .or(words.detail)
        .or(reasons)
        .unwrap_or_else(|| format!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(500)])));
    ClientError::Refused { status: status.as_u16(), detail, missing, retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_refusal_are_read_whatever_else_it_says() {
        let missing = r#"{"kind":"schedule","what":"there is no schedule 'x'"}"#;
        for (body, said, known) in [
            (format!(r#"{{"title":"t","status":404,"detail":"d","missing":{missing}}}"#), "d", true),
            (r#"{"detail":"d","missing":{"kind":"queue","what":"w"},"more":[1]}"#.to_owned(), "d", false),
            (r#"{"ready":false,"reasons":["a","b"],"broker":{"new":1}}"#.to_owned(), "a; b", false),
            ("<html>".to_owned(), "404 Not Found: <html>", false),
        ] {
            let ClientError::Refused { detail, missing, .. } =
                refusal(StatusCode::NOT_FOUND, body.as_bytes(), None)
            else {
                panic!("{body}")
            };
            assert_eq!((detail.as_str(), missing.is_some()), (said, known), "{body}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let body = r#"{"detail":"a (and 1 more)","errors":[{"detail":"a","suggestion":"do b"},{"pointer":"/c","detail":"c"}]}"#;
        let ClientError::Refused { detail, .. } = refusal(StatusCode::BAD_REQUEST, body.as_bytes(), None)
        else {
            panic!()
        };
        assert_eq!(detail, "a; do b\nc");
    }
}
