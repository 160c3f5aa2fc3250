//! The HTTP routes.

use super::{
    access::{Access, authenticate},
    aliases, backups, body, calendars, caller, changes, cluster,
    connection::Connection,
    control, event_batch, event_logs, events, feed, gate, guard, health,
    index::{self, INDEX},
    large, metrics,
    openapi::{self, ApiDocument, Interface},
    operations, page, parked_events, pauses, preview,
    problem::Problem,
    reads, schedules,
    state::HttpState,
    timeline, triggers, why,
};
use crate::{
    authority::{Caller, Role},
    ops::OpsError,
};
use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, MatchedPath, OriginalUri, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use ponos::shutdown::Shutdown;
use std::time::Duration;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Requests that change something are small.
const BODY: usize = body::SMALL;

/// All routes, behind the guard, for whoever shows who he is.
pub(super) fn public(state: HttpState, shutdown: Shutdown) -> Router {
    guarded(all(&state, shutdown), state)
}

/// All routes, for users who may open the control socket.
pub(super) fn control(state: HttpState, shutdown: Shutdown) -> Router {
    let all = all(&state, shutdown).merge(backups::router(state));
    let known = all.layer(Extension(Caller::operator()));
    known.layer(middleware::map_response(headers))
}

pub(super) fn guarded(router: Router, state: HttpState) -> Router {
    let known = middleware::from_fn_with_state(state.clone(), authenticate);
    let router = router.layer(known).layer(middleware::from_fn_with_state(state, guard::guard));
    router.layer(middleware::map_response(headers))
}

/// Routes that change something. Each operation asks the caller itself; that all of them take a role is asked here, before
/// anything of a request's body is read.
fn changing(state: &HttpState, routes: OpenApiRouter<HttpState>) -> OpenApiRouter {
    routes
        .layer(middleware::from_fn_with_state(state.clone(), operators))
        .layer(middleware::from_fn(guard::same_origin))
        .layer(middleware::from_fn_with_state(state.limits.answer.saturating_mul(2), changed_in_time))
        .with_state(state.clone())
}

async fn operators(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    // As the route is written: names in it are the caller's own words.
    let what = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let answer = match caller.may(Role::Operate, "change something") {
        Ok(()) => next.run(request).await,
        Err(denied) => Problem::from(OpsError::from(denied)).into_response(),
    };
    // Else a token that feels its way through the domains of others would not be seen.
    if matches!(answer.status(), StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        state.access.note_denied(&caller, what.as_deref().unwrap_or("a change"));
    }
    answer
}

/// Who may change something of some domains only has what he names looked up: a few at a time.
async fn looked_up(
    state: State<HttpState>,
    caller: Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    match caller.is_of_everything() {
        true => next.run(request).await,
        false => large::limit_answers(state, request, next).await,
    }
}

/// The same of delayed events, of which some are tasks.
async fn looked_up_with_tasks(
    state: State<HttpState>,
    caller: Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    match caller.is_of_all_events_and_tasks() {
        true => next.run(request).await,
        false => large::limit_answers(state, request, next).await,
    }
}

/// All that is served: under `/v1`, and what was there before for one release without it; how the clock is; the description.
fn all(state: &HttpState, shutdown: Shutdown) -> Router {
    let prompt = middleware::from_fn_with_state(state.limits.answer.saturating_mul(2), in_time);
    let dear = |routes: OpenApiRouter<HttpState>| dear(state, routes.layer(prompt.clone()));
    let changed = OpenApiRouter::new()
        .routes(routes!(control::release))
        .routes(routes!(control::discard))
        .layer(middleware::from_fn_with_state(state.clone(), looked_up))
        .routes(routes!(control::reload));
    let paused = OpenApiRouter::new()
        .routes(routes!(parked_events::release))
        .routes(routes!(parked_events::discard))
        .layer(middleware::from_fn_with_state(state.clone(), looked_up_with_tasks))
        .routes(routes!(pauses::pause))
        .routes(routes!(pauses::resume))
        .routes(routes!(pauses::pause_one))
        .routes(routes!(pauses::resume_one))
        .routes(routes!(triggers::trigger))
        .routes(routes!(operations::cancel));
    // All schedules are looked at, or the whole record is read.
    let many = OpenApiRouter::new()
        .routes(routes!(pauses::pause_some))
        .routes(routes!(pauses::resume_some))
        .routes(routes!(schedules::delete_some))
        .routes(routes!(operations::backfill))
        .layer(middleware::from_fn_with_state(state.clone(), large::limit_answers));
    let watched =
        OpenApiRouter::new().routes(routes!(operations::one)).layer(prompt.clone()).with_state(state.clone());
    // The limit is that of whoever reads: it lies outside.
    let read_first = middleware::from_fn_with_state(state.clone(), body::read_first);
    let written = OpenApiRouter::new()
        .routes(routes!(schedules::put, schedules::delete))
        .layer(middleware::from_fn_with_state(state.puts.clone(), gate::through))
        .layer(read_first.clone())
        .layer(schedules::one_limit())
        .merge(
            OpenApiRouter::new()
                .routes(routes!(schedules::batch))
                .layer(middleware::from_fn_with_state(state.batches.clone(), gate::through))
                .layer(read_first.clone())
                .layer(schedules::batch_limit()),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(calendars::put, calendars::delete))
                .layer(middleware::from_fn_with_state(state.batches.clone(), gate::through))
                .layer(read_first.clone())
                .layer(calendars::limit()),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(events::put, events::delete))
                .routes(routes!(events::post))
                .routes(routes!(events::send_now))
                .layer(middleware::from_fn_with_state(state.puts.clone(), gate::through))
                .layer(read_first)
                .layer(events::one_limit()),
        )
        .merge(
            OpenApiRouter::new()
                .routes(routes!(event_batch::batch))
                .layer(middleware::from_fn_with_state(state.batches.clone(), gate::through))
                .layer(middleware::from_fn_with_state(state.clone(), body::read_large_first))
                .layer(event_batch::limit()),
        );
    let logged = OpenApiRouter::new().routes(routes!(changes::changes)).routes(routes!(changes::export));
    let next = dear(
        OpenApiRouter::new()
            .routes(routes!(preview::next))
            .routes(routes!(preview::forecast))
            .routes(routes!(timeline::timeline))
            .routes(routes!(why::why))
            .routes(routes!(why::coverage)),
    );
    let preview = with_body(state, dear(OpenApiRouter::new().routes(routes!(preview::preview))));
    let health = health().routes(routes!(index::index)).layer(prompt.clone()).with_state(state.clone());

    let versioned = reads(state, shutdown).merge(changing(state, changed));
    let v1 = versioned
        .clone()
        .merge(dear(
            OpenApiRouter::new()
                .routes(routes!(reads::schedules))
                .routes(routes!(reads::due))
                .routes(routes!(calendars::list)),
        ))
        .merge(next)
        .merge(preview)
        .merge(dear(delayed()))
        .merge(dear(logged))
        // Of thousands, each with what is left of it.
        .merge(dear(OpenApiRouter::new().routes(routes!(operations::all))))
        .merge(changing(state, paused))
        .merge(changing(state, many))
        .merge(changing(state, written))
        .merge(watched)
        .merge(dear(OpenApiRouter::new().routes(routes!(cluster::cluster))))
        .routes(routes!(caller::caller))
        .routes(routes!(openapi::openapi));
    let whole = OpenApiRouter::with_openapi(Interface::openapi())
        .nest("/v1", v1)
        .merge(dear(OpenApiRouter::new().routes(routes!(metrics::metrics))))
        .merge(health);
    let (router, description) = whole.split_for_parts();
    let (_, told) = told_routes(state).split_for_parts();
    let aliases = versioned.merge(dear(OpenApiRouter::new().routes(routes!(reads::all_schedules))));
    let (aliases, _) = aliases.layer(middleware::from_fn(aliases::deprecated)).split_for_parts();
    router
        .merge(aliases)
        .merge(page::router())
        .layer(Extension(ApiDocument::new(description, &told)))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY))
}

/// Reads that a clock answers also while it follows: of what the leader has written, and nothing else.
fn told_routes(state: &HttpState) -> OpenApiRouter {
    let prompt = middleware::from_fn_with_state(state.limits.answer.saturating_mul(2), in_time);
    let short =
        OpenApiRouter::new().routes(routes!(reads::schedule)).layer(prompt.clone()).with_state(state.clone());
    let long = OpenApiRouter::new()
        .routes(routes!(reads::schedules))
        .routes(routes!(reads::due))
        .routes(routes!(reads::history))
        .routes(routes!(reads::parked))
        .routes(routes!(preview::next))
        .routes(routes!(preview::forecast))
        .routes(routes!(timeline::timeline))
        .routes(routes!(why::why))
        .routes(routes!(changes::changes))
        .merge(delayed());
    OpenApiRouter::new().nest("/v1", short.merge(dear(state, long.layer(prompt))))
}

/// The same, as a follower serves them.
pub(super) fn told(state: &HttpState) -> Router {
    told_routes(state).split_for_parts().0
}

/// Reads of delayed events.
fn delayed() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(events::get))
        .routes(routes!(events::list))
        .routes(routes!(event_logs::history))
        .routes(routes!(event_logs::changes))
        .routes(routes!(parked_events::list))
}

/// What a connection is told that is not encrypted where it should be.
pub(super) fn clear(access: Access) -> Router {
    let told = |connection: Option<Extension<Connection>>, asked: HeaderMap| async move {
        let connection = connection.map_or(Connection::UNKNOWN, |Extension(connection)| connection);
        let token = if access.note_clear(connection, &asked) {
            ". The token of this request came in the clear, and may have been read on its way: replace it (khronos token new)"
        } else {
            ""
        };
        Problem::bad(format!("this port speaks HTTPS: ask it with https://{token}"))
    };
    Router::new().fallback(told).layer(middleware::map_response(headers))
}

fn reads(state: &HttpState, shutdown: Shutdown) -> OpenApiRouter {
    let limits = state.limits;
    // Twice the loop's own limit, so that its more precise message comes first.
    let prompt = middleware::from_fn_with_state(limits.answer.saturating_mul(2), in_time);
    let short = OpenApiRouter::new()
        .routes(routes!(reads::schedule))
        .routes(routes!(reads::zone))
        .layer(prompt.clone())
        .with_state(state.clone());
    let long = OpenApiRouter::new()
        .routes(routes!(calendars::get))
        .routes(routes!(reads::history))
        .routes(routes!(reads::parked))
        .layer(prompt);
    let audit = OpenApiRouter::new()
        .routes(routes!(reads::audit))
        .layer(middleware::from_fn_with_state(limits.audit, in_time));
    let feed = OpenApiRouter::new().routes(routes!(feed::feed)).with_state((state.clone(), shutdown));
    let feed = feed.layer(middleware::from_fn(guard::same_origin));
    short.merge(dear(state, long.merge(audit))).merge(feed)
}

/// Routes whose answers are long, or take long: a few at a time, and none that the page of another site asks for.
fn dear(state: &HttpState, routes: OpenApiRouter<HttpState>) -> OpenApiRouter {
    routes
        .layer(middleware::from_fn_with_state(state.clone(), large::limit_answers))
        .layer(middleware::from_fn(guard::same_origin))
        .with_state(state.clone())
}

/// Routes that take a definition.
fn with_body(state: &HttpState, routes: OpenApiRouter) -> OpenApiRouter {
    routes
        .layer(middleware::from_fn_with_state(state.clone(), body::read_first))
        .layer(body::definition_limit())
        .layer(middleware::from_fn(guard::same_origin))
}

fn health() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new().routes(routes!(health::live)).routes(routes!(health::ready))
}

async fn not_found(OriginalUri(uri): OriginalUri) -> Problem {
    let path = uri.path();
    let short = path.strip_prefix("/v1").unwrap_or(path);
    // A slip in the path, or the prefix that is missing.
    let unversioned = |known: &str| known.strip_prefix("/v1").unwrap_or(known).to_owned();
    let known: Vec<(String, &str)> = INDEX.iter().map(|(path, _)| (unversioned(path), *path)).collect();
    let near = known.iter().find(|(known, _)| known == short).map(|(known, _)| known.as_str());
    let near =
        near.or_else(|| crate::diagnostic::nearest(short, known.iter().map(|(known, _)| known.as_str())));
    let full = near.and_then(|near| known.iter().find(|(known, _)| known == near));
    let hint = full.map_or("GET / lists all paths".into(), |(_, full)| format!("did you mean {full}?"));
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}; {hint}"))
}

async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not allowed at {}", uri.path()))
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable(format!("no answer within {} s", limit.as_secs())).into_response(),
    }
}

/// What is given up may be done, or go on to be.
async fn changed_in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let what = format!(
                "whether it is done is not known: no answer came within {} s; see what is there before you ask again",
                limit.as_secs()
            );
            Problem::from(OpsError::Unknown(what)).into_response()
        }
    }
}

async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
