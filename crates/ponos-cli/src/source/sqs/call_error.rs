//! Why a call of SQS failed. No part of a key is in it: what AWS says of a wrong signature repeats what was signed, and is not
//! shown.

use super::credentials::Credentials;
use crate::output;
use hyper::StatusCode;
use ponos::text::shown;
use serde_json::Value;

/// The most characters of what SQS says that are shown.
const WORDS: usize = 200;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallError {
    pub(super) kind: ErrorKind,
    /// What happened, and what to do.
    pub(super) what: String,
}

impl CallError {
    /// It may pass.
    pub(super) fn failed(what: String) -> Self {
        Self { kind: ErrorKind::Failed, what }
    }

    /// What an answer means that is not 200, to a call that was signed with this key.
    pub(super) fn of_answer(
        action: &str,
        status: StatusCode,
        body: &[u8],
        credentials: &Credentials,
    ) -> Self {
        let (code, words) = code_and_words(body);
        let kind = kind(status, &code);
        let is_secret = credentials.are_in(&words);
        let code =
            if code.is_empty() || credentials.are_in(&code) { "no code".to_owned() } else { shown(&code) };
        let words = output::shortened(&words, WORDS);
        let said = match kind {
            // what it says of signatures repeats what was signed
            ErrorKind::Key => {
                "the key is wrong, was replaced or has ended, or the clock of this machine is wrong".into()
            }
            _ if words.is_empty() || is_secret => "SQS says no more".to_owned(),
            _ => words,
        };
        let status = status.as_u16();
        Self { kind, what: format!("SQS answered {action} with {status} ({code}): {said}") }
    }
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// The key is wrong, or has ended.
    Key,
    /// The key may not do this.
    Denied,
    /// There is no such queue.
    NoQueue,
    /// It comes too often.
    Throttled,
    /// Anything else, which may pass.
    Failed,
}

impl ErrorKind {
    /// For the metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Key | Self::Denied | Self::NoQueue => "refused",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
        }
    }

    /// Whether only a person can mend it.
    pub(super) fn needs_a_person(self) -> bool {
        matches!(self, Self::Key | Self::Denied | Self::NoQueue)
    }
}

/// The code of an error, and its words: in JSON, or, of what stands before SQS, in XML.
fn code_and_words(body: &[u8]) -> (String, String) {
    if let Ok(Value::Object(error)) = serde_json::from_slice(body) {
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let code = text("__type").rsplit('#').next().unwrap_or_default();
        let words = [text("message"), text("Message")].into_iter().find(|words| !words.is_empty());
        return (code.to_owned(), words.unwrap_or_default().to_owned());
    }
    let text = String::from_utf8_lossy(body);
    let within = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    (within("Code").unwrap_or_default(), within("Message").unwrap_or_default())
}

fn kind(status: StatusCode, code: &str) -> ErrorKind {
    // some have the suffix, some have not
    match code.strip_suffix("Exception").unwrap_or(code) {
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClient"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureExpired"
        | "AuthFailure"
        | "InvalidToken" => ErrorKind::Key,
        "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue" => ErrorKind::NoQueue,
        "Throttling" | "RequestThrottled" | "ThrottledException" | "OverLimit" | "TooManyRequests" => {
            ErrorKind::Throttled
        }
        "AccessDenied" => ErrorKind::Denied,
        _ if matches!(status.as_u16(), 401 | 403) => ErrorKind::Denied,
        _ if matches!(status.as_u16(), 429 | 503) => ErrorKind::Throttled,
        _ => ErrorKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_code_in_json_and_in_xml() {
        let xml = |code: &str| {
            format!(
                "<?xml version=\"1.0\"?><ErrorResponse><Errors><Error><Code>{code}</Code><Message>m</Message></Error></Errors></ErrorResponse>"
            )
        };
        let json = |code: &str| format!("{{\"__type\": \"com.amazonaws.sqs#{code}\", \"message\": \"m\"}}");
        for (status, body, wanted) in [
            (403, xml("SignatureDoesNotMatch"), ErrorKind::Key),
            (403, xml("InvalidClientTokenId"), ErrorKind::Key),
            (403, json("ExpiredTokenException"), ErrorKind::Key),
            (403, json("RequestTimeTooSkewed"), ErrorKind::Key),
            (400, json("MissingAuthenticationTokenException"), ErrorKind::Key),
            (403, json("AccessDeniedException"), ErrorKind::Denied),
            (403, "not an error at all".into(), ErrorKind::Denied),
            (400, json("QueueDoesNotExist"), ErrorKind::NoQueue),
            (400, json("RequestThrottled"), ErrorKind::Throttled),
            (503, String::new(), ErrorKind::Throttled),
            (500, json("InternalFailure"), ErrorKind::Failed),
            (400, json("InvalidAddress"), ErrorKind::Failed),
        ] {
            let (code, words) = code_and_words(body.as_bytes());
            let found = kind(StatusCode::from_u16(status).unwrap(), &code);
            assert_eq!(found, wanted, "{body}");
            assert!(words == "m" || code.is_empty(), "{body}");
        }
    }

    #[test]
    fn no_part_of_a_key_is_said() {
        let credentials = Credentials {
            access_key_id: "AKID".into(),
            secret_access_key: "hunter2".into(),
            session_token: Some("hunter3".into()),
        };
        let said = |code: &str, words: &str| {
            let body = serde_json::json!({ "__type": code, "message": words }).to_string();
            CallError::of_answer("ReceiveMessage", StatusCode::FORBIDDEN, body.as_bytes(), &credentials).what
        };
        let denied = said(
            "AccessDenied",
            "User: arn:aws:iam::1:user/u is not authorized to perform: sqs:receivemessage",
        );
        assert!(denied.contains("403 (AccessDenied): User: arn:aws:iam::1:user/u is not"), "{denied}");
        for words in [
            "The Canonical String was x-amz-security-token:hunter3",
            "hunter2",
            &format!("{}hunter2", "a".repeat(300)),
        ] {
            for code in ["AccessDenied", "SignatureDoesNotMatch"] {
                let said = said(code, words);
                assert!(!said.contains("hunter") && said.contains(code), "{said}");
            }
        }
        assert!(said("hunter2", "no").contains("403 (no code)"));
        assert!(said("SignatureDoesNotMatch", "The Canonical String was a").contains("the key is wrong"));
    }
}
