//! `GET /v1/feed`: events as they are confirmed, as server-sent events (WHATWG HTML, §9.2). The id of each is the
//! [`FeedPosition`] by which a reader resumes; rows that are missing are an `event: gap`.

use super::{
    problem::{Problem, ProblemError},
    shares::Whose,
    state::HttpState,
};
use crate::{
    diagnostic::did_you_mean,
    ops::feed::{FeedContent, FeedItem, Patterns, follow},
    position::{FeedPosition, InvalidPosition},
    schedule::FaultCode,
};
use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use ponos::{
    shutdown::{Shutdown, Stage},
    text::shown,
};
use std::{convert::Infallible, time::Duration};

/// How long a reader waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Where feeds are: there a connection has no age.
pub(super) const PATHS: [&str; 2] = ["/v1/feed", "/feed"];

/// What the request asks of a feed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    patterns: Vec<String>,
    after: Option<FeedPosition>,
}

/// Events as they are confirmed
///
/// Server-sent events: the id of each is a position in the record, by which a reader resumes; rows that are missing are an
/// `event: gap`.
#[utoipa::path(
    get, path = "/feed", tag = "record",
    params(
        ("match" = Option<Vec<String>>, Query, description = "Only events with such names: `*` is one word, `#` any number"),
        ("after" = Option<String>, Query, description = "Events after this position; new ones only, if left out"),
        ("Last-Event-ID" = Option<String>, Header, description = "The same; it outranks `after`"),
    ),
    responses((status = 200, description = "The events, without an end", body = String, content_type = "text/event-stream"))
)]
pub(super) async fn feed(
    State((state, shutdown)): State<(HttpState, Shutdown)>,
    whose: Whose,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Wish { patterns, after } = wish(query, headers.get("last-event-id").map(|id| id.as_bytes()))?;
    let patterns = Patterns::new(patterns)?;
    let place = state.feeds.take(whose).map_err(|why| Problem::no_share(why, "feeds"))?;
    let feed = follow(state.clock, patterns, after).await?;
    let stream =
        futures_util::stream::unfold((feed, shutdown, place), |(mut feed, shutdown, place)| async move {
            let item = tokio::select! {
                biased;
                item = feed.next() => item?,
                () = shutdown.reached(Stage::Draining) => return None,
            };
            Some((Ok::<_, Infallible>(event(item)), (feed, shutdown, place)))
        });
    let keep_alive = KeepAlive::new().interval(state.limits.keep_alive);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    // Buffering proxies would hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

fn event(FeedItem { position, what }: FeedItem) -> Event {
    let event = Event::default().id(position.to_string());
    match what {
        FeedContent::Start => event.comment("khronos").retry(RETRY),
        FeedContent::Passed => event.comment("nothing of yours"),
        FeedContent::Event { name, json } => event.event(name).data(json),
        // A view of numbers and a text can't fail to be written.
        FeedContent::Gap(gap) => event.event("gap").data(serde_json::to_string(&gap).unwrap_or_default()),
    }
}

fn wish(query: Vec<(String, String)>, last_event_id: Option<&[u8]>) -> Result<Wish, Problem> {
    let mut wish = Wish::default();
    let position = |name: &str, text: &str| {
        let fault = |wrong: InvalidPosition| {
            ProblemError::parameter(name, FaultCode::InvalidValue, wrong.to_string(), None)
        };
        text.parse::<FeedPosition>().map_err(|wrong| Problem::parameters(vec![fault(wrong)]))
    };
    for (key, value) in query {
        match key.as_str() {
            "match" => wish.patterns.push(value),
            "after" => wish.after = Some(position("after", &value)?),
            _ => {
                let what = format!("'{}' is unknown here", shown(&key));
                let help = Some(did_you_mean(&key, ["match", "after"]));
                let fault = ProblemError::parameter(&key, FaultCode::UnknownKey, what, help);
                return Err(Problem::parameters(vec![fault]));
            }
        }
    }
    // A browser that reconnects sends the address with its old `after` and the newer Last-Event-ID.
    if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
        wish.after = Some(position("Last-Event-ID", &String::from_utf8_lossy(id))?);
    }
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn the_header_outranks_the_query() {
        let both =
            wish(pairs(&[("after", "3"), ("match", "time.#"), ("match", "a.*.c")]), Some(b"7")).unwrap();
        assert_eq!(
            both,
            Wish { patterns: vec!["time.#".into(), "a.*.c".into()], after: Some("7".parse().unwrap()) }
        );
        assert_eq!(wish(pairs(&[("after", "3")]), None).unwrap().after, "3".parse().ok());
        assert_eq!(wish(vec![], Some(b"")).unwrap().after, None);
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_with_the_reason() {
        for (query, id, reason) in [
            (pairs(&[("since", "3")]), None, "'since' is unknown"),
            (pairs(&[("after", "-1")]), None, "after: '-1'"),
            (pairs(&[("after", "18446744073709551616")]), None, "after: '18446744073709551616'"),
            (vec![], Some(&b"x"[..]), "Last-Event-ID: 'x'"),
        ] {
            assert!(wish(query, id).unwrap_err().detail.contains(reason), "{reason}");
        }
    }
}
