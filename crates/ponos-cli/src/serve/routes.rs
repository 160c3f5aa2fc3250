//! The routes: what is asked, and what is answered.

use super::{
    deliveries::{Deciding, Deliveries, Fate, NotTaken, Settling},
    forms::{
        Delivery, ExtendRequest, Extended, OutcomeRequest, Published, Publishing, QueueContracts,
        ServiceContracts, Settled, length, read, structured,
    },
    openapi,
    publishing::{Publisher, schemas},
};
use crate::{
    described::Described,
    http::{
        RequestTrace, Room, percent_decoded,
        problem::{BodyFault, Problem, json},
    },
    span,
};
use http_body_util::Full;
use hyper::{Method, Response, StatusCode, body::Bytes};
use ponos::{clock::Clock, event::Timestamp, worker::Failure};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// The longest that a request for a delivery may wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long an outcome waits for its end; then it is asked for again.
const LONGEST_SETTLING: Duration = Duration::from_secs(20);

/// What all requests share.
pub(super) struct Served {
    pub(super) described: Described,
    pub(super) deliveries: Deliveries,
    pub(super) publisher: Publisher,
}

/// A request that was let in.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Bytes,
    pub(super) trace: RequestTrace,
    /// Its part of the room for bodies, for as long as it is held.
    pub(super) room: Room,
}

/// A body, and its part of the room for bodies.
type Body = (Bytes, Room);
type Answer = Result<Response<Full<Bytes>>, Problem>;

impl Served {
    /// Answers a request.
    pub(super) async fn answer(&self, asked: Asked) -> Response<Full<Bytes>> {
        self.routed(asked).await.unwrap_or_else(Problem::into_response)
    }

    async fn routed(&self, asked: Asked) -> Answer {
        let Asked { method, path, query, body, trace, room } = asked;
        let is = |wanted: Method| method == wanted;
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let only = |methods| {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "see Allow").allows(methods))
        };
        match &words[..] {
            ["v1", "receive"] if is(Method::POST) => {
                // for it is long
                drop((body, room));
                receive(self, &query).await
            }
            ["v1", "deliveries", token] if is(Method::POST) => settle(self, token, (body, room)).await,
            ["v1", "deliveries", token, "extend"] if is(Method::POST) => extend(self, token, &body),
            ["v1", "publish"] if is(Method::POST) => publish(self, (body, room), &trace).await,
            ["v1", "contracts"] if is(Method::GET) => Ok(contracts(self)),
            ["v1", "openapi.json"] if is(Method::GET) => Ok(openapi::document()),
            ["v1", "receive" | "publish"] | ["v1", "deliveries", ..] => only("POST"),
            ["v1", "contracts" | "openapi.json"] => only("GET"),
            _ => Err(Problem::new(
                StatusCode::NOT_FOUND,
                "no-such-route",
                "see /v1/openapi.json for what there is",
            )),
        }
    }
}

/// Receives the next delivery
///
/// It waits until there is one. Whoever receives it settles it by its deadline.
#[utoipa::path(
    post, path = "/v1/receive",
    params(
        ("wait" = Option<String>, Query, description = "How long to wait, such as `20s`; at most 60 s, and not at all if left out"),
        ("queue" = Option<String>, Query, description = "Of this queue alone, by its full name"),
    ),
    responses(
        (status = 200, description = "A delivery", body = Delivery),
        (status = 204, description = "None came in time"),
        (status = 503, description = "It is stopping: deliveries in hand can be settled, and none are given out; or there are too many large bodies at a time", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn receive(served: &Served, query: &str) -> Answer {
    let (mut wait, mut queue) = (Duration::ZERO, None);
    let wrong = |what: String| Problem::new(StatusCode::BAD_REQUEST, "query", what);
    for (key, value) in pairs(query) {
        match key.as_str() {
            "wait" => wait = span::duration(&value).map_err(|what| wrong(format!("wait: {what}")))?,
            "queue" => queue = Some(value),
            _ => return Err(wrong(format!("unknown parameter '{}'; there are wait and queue", shown(&key)))),
        }
    }
    if wait > LONGEST_WAIT {
        return Err(wrong("wait: at most 60 s; ask again after that".into()));
    }
    if let Some(queue) = &queue
        && !served.described.queue_names().any(|known| *known == **queue)
    {
        let known: Vec<_> = served.described.queue_names().collect();
        return Err(wrong(format!("there is no queue '{}'; there are {}", shown(queue), known.join(", "))));
    }
    let received = served.deliveries.receive(queue.as_deref(), wait).await.map_err(|_| {
        let what = "it is stopping: what is in hand can be settled, and no more is given out";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", what).again_in(5)
    })?;
    let Some((token, delivery, deadline)) = received else {
        let mut none = Response::new(Full::default());
        *none.status_mut() = StatusCode::NO_CONTENT;
        return Ok(none);
    };
    let context = &delivery.context;
    Ok(json(
        StatusCode::OK,
        &Delivery {
            token: token.to_string(),
            queue: delivery.queue.to_string(),
            attempt: context.attempt(),
            attempts: context.attempts(),
            deadline: instant(deadline),
            first_seen: context.first_seen(),
            correlation_id: context.correlation_id().to_owned(),
            causation_id: context.causation_id().map(str::to_owned),
            event: structured(context),
        },
    ))
}

/// Settles a delivery
///
/// What is published with it is checked, sent, confirmed and recorded before this is answered. An answer that was lost is asked
/// for again with the same token and the same body, for ten minutes.
#[utoipa::path(
    post, path = "/v1/deliveries/{token}", request_body = OutcomeRequest,
    params(("token" = String, Path, description = "The delivery's token")),
    responses(
        (status = 200, description = "How the delivery ended", body = Settled),
        (status = 404, description = "There is no such delivery", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has another outcome already", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Its deadline has passed, or it was given back", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The outcome, or what it publishes, is not allowed; the delivery can still be settled", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It is still being carried out, or there are too many large bodies at a time: ask again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn settle(served: &Served, token: &str, (body, room): Body) -> Answer {
    let fate = match served.deliveries.decide(token, digest(&body)).map_err(|why| not_taken(&why))? {
        Settling::Ended(fate) => {
            served.deliveries.metrics().repeated.inc();
            return Ok(settled(&fate));
        }
        Settling::Wait(fate) => {
            served.deliveries.metrics().repeated.inc();
            fate
        }
        Settling::Open(deciding) => decide(served, deciding, &body)?,
    };
    // what it publishes is the delivery's now
    drop((body, room));
    wait_for(fate).await
}

/// Reads an outcome, checks it and hands it to the worker. Refused, the delivery is open as before.
fn decide(
    served: &Served,
    deciding: Deciding<'_>,
    body: &Bytes,
) -> Result<watch::Receiver<Option<Fate>>, Problem> {
    let request: OutcomeRequest = read(body)?;
    let outcome = request.outcome();
    let checked = served.publisher.check(&request.publish);
    let (outcome, checked) = match (outcome, checked) {
        (Ok(outcome), Ok(checked)) => (outcome, checked),
        (outcome, checked) => {
            let faults: Vec<BodyFault> =
                [outcome.err(), checked.err()].into_iter().flatten().flatten().collect();
            return Err(Problem::of_body(faults));
        }
    };
    served.deliveries.metrics().count_outcome(request.outcome);
    let held = checked.iter().try_for_each(|one| one.hold(&deciding.context));
    // all was checked: what is refused now is beyond what one delivery may publish, and a part of it is held
    Ok(deciding.decided(held.map(|()| outcome).map_err(Failure::from)))
}

async fn wait_for(mut fate: watch::Receiver<Option<Fate>>) -> Answer {
    let ended = timeout(LONGEST_SETTLING, fate.wait_for(Option::is_some)).await;
    match ended.ok().and_then(Result::ok).and_then(|fate| fate.clone()) {
        Some(fate) => Ok(settled(&fate)),
        None => {
            let what = "the outcome is still being carried out; ask again with the same token and body";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "settling", what).again_in(1))
        }
    }
}

fn settled(fate: &Fate) -> Response<Full<Bytes>> {
    json(StatusCode::OK, &Settled::of(&fate.ended))
}

/// Takes more time for a delivery
///
/// As long from now as is asked for, but no longer in all than `--longest` allows.
#[utoipa::path(
    post, path = "/v1/deliveries/{token}/extend", request_body = ExtendRequest,
    params(("token" = String, Path, description = "The delivery's token")),
    responses(
        (status = 200, description = "Until when it must be settled now", body = Extended),
        (status = 404, description = "There is no such delivery", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has its outcome already", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Its deadline has passed, or it was given back", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The body can't be used", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn extend(served: &Served, token: &str, body: &Bytes) -> Answer {
    let request: ExtendRequest = read(body)?;
    let by =
        length("/by", Some(&request.by)).map_err(|fault| Problem::of_body(vec![fault]))?.unwrap_or_default();
    let deadline = served.deliveries.extend(token, by).map_err(|why| not_taken(&why))?;
    Ok(json(StatusCode::OK, &Extended { deadline: instant(deadline) }))
}

/// Publishes outside of a delivery
///
/// Answered when the broker has it, or when the clock has taken what is sent later. With an `id` or a `key` it can be
/// repeated: whoever has an inbox handles it once. It belongs to the trace of the request (`traceparent`, `tracestate`, `baggage`).
#[utoipa::path(
    post, path = "/v1/publish", request_body = Publishing,
    responses(
        (status = 200, description = "It is published", body = Published),
        (status = 422, description = "It is not declared, or its data break the contract", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too much waits for the broker already", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The broker did not take it", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "There is no connection to the broker, no clock, or no room for the body; nothing was sent", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "No confirm came, or no answer of the clock: it may have arrived; publish it again under the same id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn publish(served: &Served, (body, _room): Body, trace: &RequestTrace) -> Answer {
    let publishing: Publishing = read(&body)?;
    // its room is not free before what was read of it is
    drop(body);
    Ok(json(StatusCode::OK, &served.publisher.publish(&publishing, trace).await?))
}

/// What this service takes and publishes
#[utoipa::path(
    get, path = "/v1/contracts",
    responses((status = 200, description = "The queues, and the schemas by name", body = ServiceContracts))
)]
pub(super) fn contracts(served: &Served) -> Response<Full<Bytes>> {
    let described = &served.described;
    let queues = described.queues.iter().zip(described.queue_names());
    let queues = queues.map(|(queue, name)| QueueContracts {
        queue: name.to_string(),
        takes: schemas(&queue.handlers),
        attempts: queue.policy.attempts,
        timeout_seconds: queue.policy.timeout.as_secs_f64(),
        concurrency: queue.policy.slots(),
    });
    json(
        StatusCode::OK,
        &ServiceContracts {
            service: described.service.clone(),
            queues: queues.collect(),
            events: served.publisher.events.to_json(),
            tasks: served.publisher.tasks.to_json(),
        },
    )
}

fn not_taken(why: &NotTaken) -> Problem {
    match why {
        NotTaken::Unknown => Problem::new(
            StatusCode::NOT_FOUND,
            "no-such-delivery",
            "there is no delivery with this token, or it ended more than ten minutes ago",
        ),
        NotTaken::Other => Problem::new(
            StatusCode::CONFLICT,
            "already-settled",
            "this delivery has an outcome already; a delivery is settled once",
        ),
        NotTaken::Late => late(None),
        NotTaken::Gone(fate) if fate.was_late => late(Some(fate)),
        NotTaken::Gone(fate) => Problem::new(
            StatusCode::GONE,
            "given-back",
            format!(
                "this delivery is no longer this program's: it ended as {}",
                Settled::of(&fate.ended).ended
            ),
        ),
    }
}

fn late(fate: Option<&Fate>) -> Problem {
    let what = match fate.map(|fate| Settled::of(&fate.ended)) {
        Some(Settled { ended: "retried", due: Some(due), .. }) => format!("it comes again, after {due}"),
        Some(Settled { ended: "dead", .. }) => {
            "that was its last attempt, and it went to the dead letters".to_owned()
        }
        _ => "it comes again".to_owned(),
    };
    let what = format!(
        "the deadline of this delivery passed before it was settled: {what}; extend it in time, or raise the timeout"
    );
    Problem::new(StatusCode::GONE, "late", what)
}

/// What tells one body from another.
fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

/// An instant of tokio's clock as one of the wall clock.
fn instant(when: Instant) -> Timestamp {
    let left = when.saturating_duration_since(Instant::now());
    let left = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(Clock::system().now().millis().saturating_add(left))
}

/// The parameters of a query, decoded.
fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    })
}

/// Without percent-encoding; what is not UTF-8 then becomes replacement characters.
fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(&text.replace('+', " "))).into_owned()
}

fn shown(text: &str) -> String {
    ponos::text::shown(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let read: Vec<_> = pairs("wait=1h%2030m&queue=shop.a.%23&&x").collect();
        let texts = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read, [texts("wait", "1h 30m"), texts("queue", "shop.a.#"), texts("x", "")]);
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("%ff"), "\u{fffd}");
    }
}
