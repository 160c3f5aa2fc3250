//! Bodies of requests: JSON, read as strictly as a definition is. Those that may be large are read before an answer gets one
//! of its few places, each within a while and some at a time: who sends slowly keeps out others that send much, and nobody who
//! reads, or sends little.

use super::{
    event_batch::LARGEST,
    problem::Problem,
    shares::{Share, Whose},
    state::HttpState,
};
use crate::{
    ops::OpsError,
    schedule::{
        FaultCode,
        file::{self, FieldFault, FieldFaults},
    },
};
use axum::{
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use std::time::Duration;
use tokio::time::timeout;

/// Bytes of a small body.
pub(super) const SMALL: usize = 64 * 1024;

/// How large a definition may be.
pub(super) fn definition_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(file::LONGEST_JSON)
}

/// Reads the body, and has the rest done with it. A small one takes no place: how many there may be of these is bounded by the
/// connections. A large one keeps its place until it is answered, for it is held as long.
pub(super) async fn read_first(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head.clone(), body);
    let place = match is_small(&head.headers) {
        true => Ok(None),
        false => place(&state, &request).map(Some),
    };
    let read = match place {
        Ok(place) => in_time(&state, request).await.map(|body| (place, body)),
        Err(problem) => Err(problem),
    };
    match read {
        Ok((_place, body)) => next.run(Request::from_parts(head, Body::from(body))).await,
        Err(problem) => problem.into_response(),
    }
}

/// The same of bodies that may be as large as some large ones together: each takes as many places as it is said to need, or as it may.
pub(super) async fn read_large_first(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head.clone(), body);
    let read = match places(&state, &request) {
        Ok(places) => in_time(&state, request).await.map(|body| (places, body)),
        Err(problem) => Err(problem),
    };
    match read {
        Ok((_places, body)) => next.run(Request::from_parts(head, Body::from(body))).await,
        Err(problem) => problem.into_response(),
    }
}

/// The places of such a body, which it keeps until it is answered.
pub(super) fn places(state: &HttpState, request: &Request) -> Result<Vec<Share>, Problem> {
    (0..places_of(request.headers())).map(|_| place(state, request)).collect()
}

/// Bytes of a body for each place that it takes.
const OF_A_PLACE: usize = 4 << 20;

/// How many places a body takes: none of a small one, and no more than the largest that is read.
fn places_of(headers: &HeaderMap) -> usize {
    let most = LARGEST.div_ceil(OF_A_PLACE);
    match length(headers) {
        _ if is_small(headers) => 0,
        Some(length) => length.div_ceil(OF_A_PLACE).clamp(1, most),
        None => most,
    }
}

/// Whether it says that it is no larger than those of other requests, which are read as they come; or there is none.
fn is_small(headers: &HeaderMap) -> bool {
    match length(headers) {
        Some(length) => length <= SMALL,
        None => {
            let is_said = |name| headers.contains_key(name);
            !is_said(header::CONTENT_LENGTH) && !is_said(header::TRANSFER_ENCODING)
        }
    }
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn place(state: &HttpState, request: &Request) -> Result<Share, Problem> {
    state.bodies.take(Whose::of(request.extensions())).map_err(|why| Problem::no_share(why, "bodies"))
}

async fn in_time(state: &HttpState, request: Request) -> Result<Bytes, Problem> {
    Ok(come_within(state.limits.answer, Bytes::from_request(request, &())).await??)
}

/// What reading a body gives, if it comes within this time.
pub(super) async fn come_within<T>(limit: Duration, reading: impl Future<Output = T>) -> Result<T, Problem> {
    timeout(limit, reading).await.map_err(|_| {
        let what = format!("the body did not come within {} s", limit.as_secs_f32());
        Problem::new(StatusCode::REQUEST_TIMEOUT, what)
    })
}

/// A body of this form: each key once, and no other; what is wrong with it is said at its pointer.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_json(request.headers(), "the body")?;
        let body = Bytes::from_request(request, state).await?;
        of_json(&body).map(Self).map_err(|faults| OpsError::Definition(faults).into())
    }
}

/// A page of another site can send nothing of this type without asking first.
pub(super) fn check_json(headers: &HeaderMap, what: &str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let what = format!("{what} is JSON: send the header Content-Type: application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what))
}

pub(super) fn of_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, FieldFaults> {
    let value = file::json_object(text)?;
    serde_path_to_error::deserialize::<&Value, T>(&value).map_err(|error| {
        let (mut pointer, mut is_key) = (String::new(), false);
        for segment in error.path().iter() {
            is_key = false;
            match segment {
                Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                Segment::Map { key } => {
                    is_key = true;
                    pointer.push_str(&format!("/{}", escaped(key)));
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        let said = error.inner().to_string();
        let named = |start: &str| Some(said.strip_prefix(start)?.split_once('`')?.0.to_owned());
        let code = if let Some(key) = named("missing field `") {
            pointer.push_str(&format!("/{}", escaped(&key)));
            FaultCode::MissingKey
        } else if let Some(key) = named("unknown field `") {
            if !is_key {
                pointer.push_str(&format!("/{}", escaped(&key)));
            }
            FaultCode::UnknownKey
        } else if said.starts_with("unknown variant") {
            FaultCode::UnknownWord
        } else if said.starts_with("invalid type") {
            FaultCode::WrongType
        } else {
            FaultCode::InvalidValue
        };
        let path = pointer.trim_start_matches('/').replace('/', ".");
        let detail = if path.is_empty() { said } else { format!("{path}: {said}") };
        FieldFault { pointer, code, detail, expected: None, suggestion: None }.into()
    })
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{ParkedIds, PauseAsked};

    fn fault<T: DeserializeOwned>(text: &str) -> (String, FaultCode) {
        let found = of_json::<T>(text.as_bytes()).err().expect("it is refused");
        (found.list[0].pointer.clone(), found.list[0].code)
    }

    #[test]
    fn a_large_body_takes_as_many_places_as_it_is_large() {
        let places = |name: header::HeaderName, value: &str| {
            places_of(&HeaderMap::from_iter([(name, value.parse().unwrap())]))
        };
        for (length, expected) in [
            (0, 0),
            (SMALL, 0),
            (SMALL + 1, 1),
            (4 << 20, 1),
            ((4 << 20) + 1, 2),
            (16 << 20, 4),
            (1 << 40, 4),
        ] {
            assert_eq!(places(header::CONTENT_LENGTH, &length.to_string()), expected, "{length}");
        }
        assert_eq!(places(header::TRANSFER_ENCODING, "chunked"), 4);
        assert_eq!(places(header::CONTENT_LENGTH, "x"), 4);
        assert_eq!(places_of(&HeaderMap::new()), 0);
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said_at_its_pointer() {
        use FaultCode::{DuplicateKey, InvalidValue, MissingKey, Syntax, UnknownKey, UnknownWord, WrongType};
        let asked = |keys: &str| format!("{{\"all\":true,\"by\":\"ann\",\"note\":\"new disks\"{keys}}}");
        for (keys, pointer, code) in [
            (",\"all\":true", "/all", DuplicateKey),
            (",\"fro\":\"2h\"", "/fro", UnknownKey),
            (",\"a/b~\":1", "/a~1b~0", UnknownKey),
            (",\"for\":7", "/for", WrongType),
            (",\"until\":\"tomorrow\"", "/until", InvalidValue),
            (",\"on_resume\":\"skipp\"", "/on_resume", UnknownWord),
            (",", "", Syntax),
        ] {
            assert_eq!(fault::<PauseAsked>(&asked(keys)), (pointer.to_owned(), code), "{keys}");
        }
        assert!(of_json::<PauseAsked>(asked(",\"for\":\"2h\"").as_bytes()).is_ok());
        assert_eq!(fault::<PauseAsked>("{\"all\":true,\"by\":\"ann\"}"), ("/note".into(), MissingKey));
        assert_eq!(fault::<ParkedIds>("{\"ids\":[1,\"x\"]}"), ("/ids/1".into(), WrongType));
        assert_eq!(fault::<ParkedIds>("[]"), (String::new(), WrongType));
    }
}
