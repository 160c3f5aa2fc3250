//! The routes: what comes in, and what is answered.

use super::{
    access::{Access, Publisher},
    forms::{self, Accepted, BatchProblem, EventsAnswer},
    metrics::{CONTRACT, GatewayMetrics},
    openapi,
    publisher::{Outcome, Publishing},
    reading::{self, Form, Plain, check, malformed},
    settings::{PlainPath, Settings},
    webhooks::{Verified, WebhookRoute},
};
use crate::{
    http::{
        Answers, Bodies,
        problem::{BodyFault, FAULTS, Problem, json},
    },
    said::Said,
};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, HeaderName, HeaderValue},
};
use ponos::{clock::Clock, event::Event};
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// What all requests share.
pub(super) struct Gateway {
    settings: Settings,
    service: String,
    access: Access,
    pub(super) bodies: Bodies,
    /// Of webhooks, whose senders show who they are only with the whole body: they take no room from publishers.
    webhook_bodies: Bodies,
    publishing: Publishing,
    webhooks: HashMap<String, Arc<WebhookRoute>>,
    metrics: GatewayMetrics,
    /// Of who could not show who he is.
    said: Said,
}

/// The bytes of all bodies of webhooks together, in KiB: one of the largest at least.
const WEBHOOK_BODIES: usize = 16 << 10;

type Answer = Result<Response<Full<Bytes>>, Problem>;
type Read = Request<Incoming>;

impl Answers for Gateway {
    async fn answer(&self, request: Read) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (route, answer) = self.routed(&words, request).await;
        let answer = answer.unwrap_or_else(|problem| {
            self.note(&path, &problem);
            problem.into_response()
        });
        self.metrics.count_request(route, answer.status().as_u16());
        answer
    }
}

impl Gateway {
    pub(super) fn new(
        settings: Settings,
        service: String,
        publishing: Publishing,
        webhooks: Vec<(String, WebhookRoute)>,
        metrics: GatewayMetrics,
    ) -> Self {
        let (access, bodies) = (Access::new(&settings), Bodies::new(settings.limits.body));
        let webhook_bodies = Bodies::within(settings.limits.body, WEBHOOK_BODIES);
        let webhooks = webhooks.into_iter().map(|(name, route)| (name, Arc::new(route))).collect();
        let said = Said::default();
        Self { settings, service, access, bodies, webhook_bodies, publishing, webhooks, metrics, said }
    }

    /// Counts a problem. Somebody who tries tokens or signatures is to be seen in the log, too, but can't fill it.
    fn note(&self, path: &str, problem: &Problem) {
        self.metrics.count_problem(problem.code());
        if problem.status() != StatusCode::UNAUTHORIZED.as_u16() {
            return;
        }
        if let Some(unsaid) = self.said.another(Instant::now()) {
            let path = ponos::text::shown(path);
            tracing::warn!(
                unsaid,
                "a request of {path} was refused ({}): {}",
                problem.code(),
                problem.detail()
            );
        }
    }

    /// The route of a request, for the metrics, and its answer.
    async fn routed(&self, words: &[&str], request: Read) -> (&'static str, Answer) {
        let method = request.method().clone();
        let is = |wanted: &Method| method == wanted;
        let only = |methods| {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "see Allow").allows(methods))
        };
        match words {
            ["v1", "events"] if is(&Method::POST) => ("events", Box::pin(events(self, None, request)).await),
            ["v1", "events", path] if is(&Method::POST) => {
                ("events", Box::pin(events_at(self, path, request)).await)
            }
            ["v1", "events"] | ["v1", "events", _] if is(&Method::OPTIONS) => {
                ("handshake", handshake(self, request.headers()))
            }
            ["v1", "webhooks", name] if is(&Method::POST) => {
                ("webhooks", Box::pin(webhook(self, name, request)).await)
            }
            ["healthz"] if is(&Method::GET) => ("health", Ok(healthz())),
            ["readyz"] if is(&Method::GET) => ("health", readyz(self)),
            ["v1", "openapi.json"] if is(&Method::GET) => ("openapi", Ok(openapi::document())),
            ["v1", "events"] | ["v1", "events", _] => ("events", only("POST, OPTIONS")),
            ["v1", "webhooks", _] => ("webhooks", only("POST")),
            ["healthz" | "readyz"] | ["v1", "openapi.json"] => ("none", only("GET")),
            _ => {
                let what = "see /v1/openapi.json for what there is";
                ("none", Err(Problem::new(StatusCode::NOT_FOUND, "no-such-route", what)))
            }
        }
    }

    /// Why one of these may not be published, all at once; where it is one event, its pointers begin with the event.
    fn check(&self, publisher: Option<&Publisher>, events: &[Event], is_batch: bool) -> Result<(), Problem> {
        let at = |number: usize| if is_batch { format!("/{number}") } else { String::new() };
        let (mut reserved, mut foreign, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources = Vec::new();
        for (number, event) in events.iter().enumerate() {
            if event.name.domain() == "time" {
                let what =
                    format!("'{}' is an event of the clock's: nobody else publishes time.*", event.name);
                reserved.push(BodyFault::new(format!("{}/type", at(number)), what));
            } else if let Some(what) = publisher.and_then(|publisher| publisher.why_not(&event.name)) {
                foreign.push(BodyFault::new(format!("{}/type", at(number)), what));
            } else if let Some(what) =
                publisher.and_then(|publisher| publisher.why_not_from(&self.service, event.source.as_str()))
            {
                sources.push(BodyFault::new(format!("{}/source", at(number)), what));
            } else {
                let broken = check(&self.settings.contracts, &at(number), event);
                if !broken.is_empty() {
                    self.metrics.count_event(CONTRACT);
                }
                faults.extend(broken);
            }
            if [&reserved, &foreign, &sources, &faults].iter().any(|wrong| wrong.len() >= FAULTS) {
                break;
            }
        }
        for (code, wrong) in
            [("reserved-event", reserved), ("outside-domains", foreign), ("reserved-source", sources)]
        {
            if !wrong.is_empty() {
                return Err(Problem::of_parts(StatusCode::FORBIDDEN, wrong).with_code(code));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(malformed(faults)) }
    }
}

/// Accepts an event, or a batch of them
///
/// CloudEvents 1.0 in binary, structured and batch mode; plain JSON where its event is configured for the token. Answered once the
/// broker has confirmed it. What is sent again under the same id is the same event for whoever has an inbox. A batch is refused as
/// a whole where one of its events can't be accepted; after that each ends for itself.
#[utoipa::path(
    post, path = "/v1/events",
    request_body(content(
        (Value = "application/cloudevents+json"),
        (Vec<Value> = "application/cloudevents-batch+json"),
        (Value = "application/json"),
    )),
    responses(
        (status = 202, description = "The broker has it; of a batch, all of it", body = EventsAnswer),
        (status = 403, description = "Its event is not one that this token may publish, or one of the clock's (`time.*`); or a page of the web asks", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No queue is bound to it, or the broker refuses it; of a batch, `results` says which", body = BatchProblem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn events(gateway: &Gateway, path: Option<&PlainPath>, request: Read) -> Answer {
    let (head, body) = request.into_parts();
    let publisher = gateway.access.publisher(&head.headers)?;
    let form = Form::of(&head.headers)?;
    // what is taken is said once it is known how many they are, and that they can be sent
    publisher.take(0)?;
    // before the body is read: what can't be published is not waited for
    if let Some(problem) = gateway.publishing.why_not() {
        return Err(problem);
    }
    let (body, room) = gateway.bodies.read(body).await?;
    let source = match &publisher.owner {
        Some(owner) => format!("/{}/{owner}", gateway.service),
        None => format!("/{}", gateway.service),
    };
    let event = path.map(|path| &path.event).or(publisher.plain.as_ref());
    let plain = event.map(|event| Plain { event, source: &source });
    let is_batch = form == Form::Batch;
    let read = reading::read(form, &head.headers, &body, plain, gateway.settings.limits.batch)?;
    gateway.check(Some(&publisher), &read, is_batch)?;
    drop(body);
    let ids: Vec<String> = read.iter().map(|event| event.id.as_str().to_owned()).collect();
    let reserved = gateway.publishing.reserve(read.len())?;
    publisher.take(read.len())?;
    let outcomes = reserved.publish(read, room, |_| {}).await?;
    if is_batch {
        return Ok(forms::batch(ids, &outcomes));
    }
    match ids.into_iter().zip(outcomes).next() {
        Some((id, outcome)) => forms::one(id, outcome),
        None => Err(malformed(vec![BodyFault::new("", "there is no event in it")])),
    }
}

/// Accepts plain JSON as the event that is configured for this path
///
/// As `/v1/events`, for senders that know nothing of CloudEvents. With `Idempotency-Key` the event's id derives from it.
#[utoipa::path(
    post, path = "/v1/events/{path}", request_body(content = Value, content_type = "application/json"),
    params(
        ("path" = String, Path, description = "A path of [[gateway.paths]]"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key, it is the same event"),
    ),
    responses(
        (status = 202, description = "The broker has it", body = Accepted),
        (status = 403, description = "Its event is not one that this token may publish; or a page of the web asks", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such path", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No queue is bound to it, or the broker refuses it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn events_at(gateway: &Gateway, path: &str, request: Read) -> Answer {
    let known = gateway.settings.paths.iter().find(|known| known.path == path);
    let no_path = || {
        let what = "there is no such path; they are in [[gateway.paths]]";
        Problem::new(StatusCode::NOT_FOUND, "no-such-path", what)
    };
    // who may not publish is not told which paths there are
    gateway.access.publisher(request.headers())?;
    events(gateway, Some(known.ok_or_else(no_path)?), request).await
}

/// Accepts a signed webhook
///
/// Standard Webhooks, or GitHub's; the keys and the events are configured. The id of the event is that of the webhook. What was
/// accepted before is answered as it was, and not published again.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}", request_body(content = Value, content_type = "application/json"),
    params(
        ("name" = String, Path, description = "The name of one of [[gateway.webhooks]]"),
        ("webhook-id" = Option<String>, Header, description = "With Standard Webhooks: its id"),
        ("webhook-timestamp" = Option<String>, Header, description = "With Standard Webhooks: when it was signed, in seconds since 1970"),
        ("webhook-signature" = Option<String>, Header, description = "With Standard Webhooks: `v1,` and the signature in base64; several with spaces between"),
        ("X-GitHub-Delivery" = Option<String>, Header, description = "Of GitHub: its id"),
        ("X-GitHub-Event" = Option<String>, Header, description = "Of GitHub: what it is"),
        ("X-Hub-Signature-256" = Option<String>, Header, description = "Of GitHub: `sha256=` and the signature in hexadecimal digits"),
    ),
    responses(
        (status = 202, description = "The broker has it", body = Accepted),
        (status = 204, description = "It was GitHub's ping"),
        (status = 404, description = "There is no such webhook", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is not configured as an event; or no queue is bound to it, or the broker refuses it", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn webhook(gateway: &Gateway, name: &str, request: Read) -> Answer {
    let Some(route) = gateway.webhooks.get(name) else {
        let what = "there is no such webhook; they are in [[gateway.webhooks]]";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no-such-webhook", what));
    };
    let (head, body) = request.into_parts();
    let (body, room) = gateway.webhook_bodies.read(body).await?;
    let (event, signed) = match route.verify(&head.headers, &body, Clock::system().now())? {
        Verified::New(event, signed) => (*event, signed),
        Verified::Repeated(id) => {
            let id = id.as_str().to_owned();
            return Ok(json(StatusCode::ACCEPTED, &Accepted { id, received: true, repeated: true }));
        }
        Verified::Ping => {
            let mut pong = Response::new(Full::default());
            *pong.status_mut() = StatusCode::NO_CONTENT;
            return Ok(pong);
        }
    };
    drop(body);
    gateway.check(None, std::slice::from_ref(&event), false)?;
    let id = event.id.clone();
    let reserved = gateway.publishing.reserve(1)?;
    route.take_one()?;
    let (accepted, of) = (Arc::clone(route), id.clone());
    let remember = move |outcomes: &[Outcome]| {
        if matches!(outcomes, [Outcome::Accepted { .. }]) {
            accepted.remember(signed, of);
        }
    };
    let outcome = reserved.publish(vec![event], room, remember).await?.into_iter().next();
    let Some(outcome) = outcome else { return Err(malformed(Vec::new())) };
    forms::one(id.into(), outcome)
}

/// Says whether a sender may send events
///
/// The handshake of CloudEvents' webhooks: a sender asks before it sends, and is told how many events a minute it may send.
#[utoipa::path(
    options, path = "/v1/events",
    params(("WebHook-Request-Origin" = String, Header, description = "Who asks: a DNS name")),
    responses(
        (status = 200, description = "It may: see `WebHook-Allowed-Origin` and `WebHook-Allowed-Rate`"),
        (status = 403, description = "It may not", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn handshake(gateway: &Gateway, headers: &HeaderMap) -> Answer {
    let asks = headers.get("webhook-request-origin").and_then(|origin| origin.to_str().ok());
    let allowed = gateway.settings.origins.iter().find(|known| match asks {
        Some(asks) => *known == "*" || known.eq_ignore_ascii_case(asks),
        None => false,
    });
    let allowed =
        allowed.and_then(|allowed| HeaderValue::from_str(if allowed == "*" { "*" } else { asks? }).ok());
    let Some(allowed) = allowed else {
        let what = "this origin may not send here; say it in WebHook-Request-Origin, and see gateway.origins";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign", what));
    };
    // of who shows a token, his; else what everybody has
    let publisher = gateway.access.publisher(headers).ok();
    let a_second = publisher.map_or(gateway.settings.limits.rate, |publisher| publisher.a_second);
    let rate = a_second.map_or_else(|| "*".to_owned(), |events| (u64::from(events) * 60).to_string());
    let mut answer = Response::new(Full::default());
    let headers = answer.headers_mut();
    headers.insert("webhook-allowed-origin", allowed);
    if let Ok(rate) = HeaderValue::from_str(&rate) {
        headers.insert(HeaderName::from_static("webhook-allowed-rate"), rate);
    }
    headers.insert(ALLOW, HeaderValue::from_static("POST"));
    Ok(answer)
}

/// Whether it lives
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does")))]
pub(super) fn healthz() -> Response<Full<Bytes>> {
    json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
}

/// Whether events are accepted
#[utoipa::path(
    get, path = "/readyz",
    responses(
        (status = 200, description = "They are"),
        (status = 503, description = "They are not: the broker is away, or accepts none", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) fn readyz(gateway: &Gateway) -> Answer {
    gateway.publishing.why_not().map_or_else(|| Ok(healthz()), Err)
}
