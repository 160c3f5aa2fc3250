//! What a clock answers that follows another one: how it is, who leads, the page that shows it, and what the leader has written
//! (`telling.rs`); all else goes to the leader, one hop, as it came. Who asks is asked for his token here as there.

use super::{
    body, caller,
    client::{Client, Credentials, Target, is_here},
    cluster, guard,
    health::ReadinessAnswer,
    large,
    metrics::expose_as_accepted,
    page,
    problem::Problem,
    routes,
    state::HttpState,
    telling::{self, Changing, Telling},
    why,
};
use crate::{
    authority::{Caller, Role},
    clock,
    clock_loop::{Degraded, Status},
    cluster::Seen,
    ops::{self, Alive, OpsError, Readiness, RoleShown},
    store::Warmth,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::service::TowerToHyperService;
use ponos::{broker::Link, shutdown::Shutdown};
use std::{convert::Infallible, path::PathBuf, time::Duration};
use tokio::{sync::watch, time::timeout};

/// What is served at present: it changes when the clock leads, or follows.
pub type Serves = Router;

/// A request that a follower has passed on: it is not passed on again.
const PASSED: HeaderName = HeaderName::from_static("khronos-passed-on");
/// What this would mean, as the leader works it out.
const PREVIEW: &str = "/v1/preview";
/// Bytes of a body that is passed on: no request of the interface has more.
const MOST_BYTES: usize = 17 << 20;
/// How much longer an answer of the leader is waited for than the leader lets it take.
const BEYOND: Duration = Duration::from_secs(5);
/// Those that are of one connection alone (RFC 9110, §7.6.1).
const OF_A_CONNECTION: [HeaderName; 5] =
    [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];

#[derive(Clone)]
pub(super) struct Follower {
    state: HttpState,
    seen: watch::Receiver<Seen>,
    link: watch::Receiver<Link>,
    warmth: watch::Receiver<Warmth>,
    ca_file: Option<PathBuf>,
    pub(super) telling: Option<Telling>,
}

/// What a leader serves until the shutdown drains.
pub fn serves(state: HttpState, shutdown: Shutdown) -> Serves {
    routes::public(state, shutdown)
}

/// What a follower serves; with `telling` the clock of the state is asked what the leader has written.
pub(crate) fn following(
    state: HttpState,
    seen: watch::Receiver<Seen>,
    link: watch::Receiver<Link>,
    warmth: watch::Receiver<Warmth>,
    ca_file: Option<PathBuf>,
    telling: Option<Telling>,
) -> Serves {
    let follower = Follower { state: state.clone(), seen, link, warmth, ca_file, telling };
    let told = routes::told(&state);
    let told = told.layer(middleware::from_fn_with_state(follower.clone(), telling::tell));
    // Also while nobody leads: then somebody looks at it.
    let own = Router::new()
        .route("/v1/cluster", get(cluster::cluster))
        // Each clock listens by itself.
        .route("/v1/coverage", get(why::coverage))
        .layer(middleware::from_fn_with_state(state.clone(), large::limit_answers))
        .layer(middleware::from_fn(guard::same_origin))
        .route("/v1/caller", get(caller::caller))
        .with_state(state.clone());
    let router = Router::new()
        .route("/", get(index).fallback(pass_on))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(pass_on)
        .with_state(follower)
        .merge(page::router())
        .merge(told)
        .merge(own);
    routes::guarded(router, state)
}

/// Serves what there is to serve at the moment of each request.
pub(super) fn front(served: watch::Receiver<Serves>) -> Router {
    async fn pass(State(served): State<watch::Receiver<Serves>>, request: Request) -> Response {
        let now = served.borrow().clone();
        let answer: Result<Response, Infallible> =
            hyper::service::Service::call(&TowerToHyperService::new(now), request).await;
        let Ok(answer) = answer;
        answer
    }
    Router::new().fallback(pass).with_state(served)
}

async fn live(State(follower): State<Follower>) -> Json<Alive> {
    Json(Alive { status: "alive".into(), clock: follower.state.clock.name(), now: clock::now() })
}

/// How it is: all else is counted by the leader, who shows it.
async fn metrics(State(follower): State<Follower>, headers: HeaderMap) -> Result<Response, Problem> {
    let is_warm = follower.warmth.borrow().is_warm(clock::reading().boot);
    let registry = ops::metrics::of_follower(&follower.state.clock, follower.status(), is_warm).await?;
    expose_as_accepted(registry, &headers).await
}

async fn ready(
    State(follower): State<Follower>,
    caller: Option<Extension<Caller>>,
) -> (StatusCode, Json<ReadinessAnswer>) {
    // On its own: while it is held to be read, it is not read once more, for whoever would write waits in between.
    let leader = follower.seen.borrow().leader.clone();
    let readiness = Readiness {
        role: Some(RoleShown::Follower),
        leader,
        ..Readiness::new(follower.status(), &follower.state.clock.zone_data())
    };
    let mut readiness = readiness.with_warmth(&follower.warmth.borrow(), clock::reading().boot);
    readiness.warnings.extend(follower.state.warnings());
    super::health::answer(readiness, caller.is_some())
}

/// The page is the same at all of them; what else is there, the leader says.
async fn index(state: State<Follower>, request: Request) -> Response {
    match page::wants_html(request.headers()) {
        true => page::document(request.headers()),
        false => pass_on(state, request).await,
    }
}

async fn pass_on(State(follower): State<Follower>, request: Request) -> Response {
    follower.answer_of_the_leader(request).await
}

impl Follower {
    /// What the leader answers, or why that can't be had.
    pub(super) async fn answer_of_the_leader(&self, request: Request) -> Response {
        self.pass_on(request).await.unwrap_or_else(IntoResponse::into_response)
    }

    fn status(&self) -> Status {
        let mut status = self.state.clock.status();
        let seen = self.seen.borrow().clone();
        // How the leader is, it says itself.
        status.paused = None;
        status.now = clock::now();
        status.link = self.link.borrow().clone();
        let broker = match &status.link {
            Link::Up { .. } => None,
            Link::Down { error: Some(error), .. } => Some(format!("broker: {error}")),
            Link::Down { error: None, .. } => Some("broker: connecting".to_owned()),
            Link::Blocked { reason } => Some(format!("broker: it accepts no messages ({reason})")),
            Link::Closed => Some("broker: closed".to_owned()),
        };
        let failing = seen.failing.map(|why| format!("lease: {why}"));
        let degraded = [
            (Degraded::Store, failing.is_some()),
            (Degraded::Broker, broker.is_some()),
            (Degraded::Hindered, seen.hindered.is_some()),
        ];
        status.degraded.extend(degraded.into_iter().filter(|(_, is_so)| *is_so).map(|(what, _)| what));
        status.reasons = failing.into_iter().chain(broker).collect();
        status.warnings.extend(seen.hindered.into_iter().chain(seen.unsealed));
        status
    }

    async fn pass_on(&self, request: Request) -> Result<Response, Problem> {
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
        if changes && let Some(caller) = request.extensions().get::<Caller>() {
            caller.may(Role::Operate, "change something").map_err(OpsError::from)?;
        }
        if request.headers().contains_key(PASSED) {
            return Err(Problem::unavailable("the leader changed a moment ago: ask again"));
        }
        let Seen { leader, unsealed, .. } = self.seen.borrow().clone();
        let none = || {
            let usual = "no clock leads at present, or it does not say where it is reached (cluster.address): ask again";
            Problem::unavailable(unsealed.unwrap_or_else(|| usual.to_owned()))
        };
        let leader = leader.ok_or_else(none)?;
        let target = Target::from_url(&leader).map_err(|error| Problem::unavailable(error.to_string()))?;
        if let Target::Tcp(authority) = &target
            && !is_here(authority)
            && request.headers().contains_key(header::AUTHORIZATION)
        {
            return Err(Problem::unavailable(format!(
                "a token is not passed on to the leader at {leader} in the clear: set [http.tls], and cluster.address to https://…"
            )));
        }
        // As the leader has them: who sends slowly keeps out nobody who reads, or sends little.
        let _places = body::places(&self.state, &request)?;
        let patience = self.patience(&request);
        let (mut head, body) = request.into_parts();
        let collecting = Limited::new(body, MOST_BYTES).collect();
        let body = body::come_within(self.state.limits.answer, collecting).await?;
        let body = body.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"))?;
        own(&mut head.headers);
        // The guard has compared it with the name by which this clock was addressed; the leader has another one.
        head.headers.remove(header::ORIGIN);
        head.version = Version::HTTP_11;
        head.headers.insert(PASSED, HeaderValue::from_static("1"));
        if let Target::Tcp(authority) | Target::Tls(authority) = &target
            && let Ok(host) = HeaderValue::try_from(authority.as_str())
        {
            head.headers.insert(header::HOST, host);
        }
        // In the form that a server is asked by, whichever it came in.
        if let Some(path) = head.uri.path_and_query().and_then(|path| path.as_str().parse().ok()) {
            head.uri = path;
        }
        // Of what is passed on, that alone is posted and changes nothing.
        let may_change = changes && head.uri.path() != PREVIEW;
        let asked = hyper::Request::from_parts(head, Full::new(body.to_bytes()));
        let client = Client::new(target).with(Credentials { token: None, ca_file: self.ca_file.clone() });
        let mut seen = self.seen.clone();
        let changing = self.telling.clone().filter(|_| may_change).map(Changing::new);
        let answer = tokio::select! {
            answer = timeout(patience, client.send(without_extensions(asked))) => match answer {
                Ok(answer) => answer.map_err(|error| (!error.is_unreachable(), error.to_string())),
                Err(_) => Err((true, format!("no answer within {} s", patience.as_secs()))),
            },
            // It stands still, or is cut off from here: nobody waits for it longer than its lease holds.
            _ = seen.wait_for(|seen| seen.leader.as_deref() != Some(&leader)) => {
                Err((true, "it leads no more".to_owned()))
            }
        };
        if let (Some(changing), Err((false, _))) = (changing, &answer) {
            changing.was_not_asked();
        }
        let answer = answer.map_err(|(was_asked, why)| match changes && was_asked {
            true => Problem::from(OpsError::Unknown(format!(
                "whether it is done is not known, for the leader did not answer ({why}); see what is there before you ask again"
            ))),
            false => Problem::unavailable(format!("the leader does not answer ({why}): ask again")),
        })?;
        let (mut head, body) = answer.into_parts();
        own(&mut head.headers);
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// How long the leader's answer is waited for.
    fn patience(&self, request: &Request) -> Duration {
        let limits = self.state.limits;
        let usual = limits.answer.saturating_mul(2);
        let longest = if request.uri().path().ends_with("/audit") { usual.max(limits.audit) } else { usual };
        longest.saturating_add(BEYOND)
    }
}

/// What says who asks here says nothing there.
fn without_extensions(mut request: hyper::Request<Full<Bytes>>) -> hyper::Request<Full<Bytes>> {
    request.extensions_mut().clear();
    request
}

/// Without what is of one connection alone.
fn own(headers: &mut HeaderMap) {
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove(header::CONTENT_LENGTH);
}
