//! The routes by which schedules are created, changed and deleted at run time.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use super::{
    body::{JsonBody, check_json},
    conditions::{Condition, tag},
    problem::Problem,
    query,
    state::HttpState,
};
use crate::{
    authority::Caller,
    clock,
    clock_loop::CHANGES,
    engine::{Expect, Verdict},
    ops::{
        self, Coming, FilterDecision, OutcomeView, PutView, ScheduleFilter,
        change::{Batch, Outcome, Wanted},
        delete_some::Asked,
    },
    schedule::{Definition, file},
};
use axum::{
    Extension, Json,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use ponos::event::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;
use utoipa::{IntoParams, ToSchema};

/// How large a batch may be: a thousand definitions of some kilobytes.
const BATCH: usize = 4 << 20;

/// How large one definition may be.
pub(super) fn one_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(file::LONGEST_JSON)
}

/// How large a batch may be.
pub(super) fn batch_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(BATCH)
}

/// Creates or changes a schedule
///
/// The definition is what a `[[schedule]]` in a file is, as JSON; it may leave out its name. The same again changes nothing
/// and is answered with the revision as it was. It takes the role `write`, and a token of the event's domain. A name is its
/// creator's, and one that a file has is changed there.
#[utoipa::path(
    put, path = "/schedules/{name}", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is there, as in `\"17.3\"` (creation and revision), or any: `*`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is none of this name"),
    ),
    request_body(
        content = Definition,
        example = json!({
            "name": "office",
            "event": "office.day.opened",
            "cron": "0 9 * * MON-FRI",
            "time_zone": "Europe/Paris"
        })
    ),
    responses(
        (status = 200, description = "It is changed, or was so already", body = PutView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 201, description = "It is created", body = PutView,
            headers(("ETag" = String, description = "Its creation and revision"))),
        (status = 409, description = "A file has this name; or its only event may have been sent, or is settled", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another revision is there, or none, or there is one already", body = Problem,
            content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`", body = Problem,
            content_type = "application/problem+json"),
        (status = 422, description = "The definition can't run, or would never fire", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn put(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    check_json(&headers, "a definition")?;
    let (name, condition) = (name?.0, Condition::of(&headers)?);
    let (clock, json) = (&state.clock, body?.to_vec());
    let expect = condition.expect(clock, &name).await?;
    let put = ops::put::put(clock, &caller, (Some(&name), json), expect, None).await?;
    let status = match put.verdict {
        Verdict::Created { .. } => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let view = ops::put_view(clock, put, clock::now()).await;
    let tag = tag(view.change.creation, view.change.revision.unwrap_or_default());
    Ok((status, [(header::ETAG, tag)], Json(view)).into_response())
}

/// Deletes a schedule
///
/// One that was created at run time; what of it was due is sent all the same. So it is answered where there is none.
#[utoipa::path(
    delete, path = "/schedules/{name}", tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("If-Match" = Option<String>, Header, description = "Only if this revision is there, as in `\"17.3\"` (creation and revision), or any: `*`"),
    ),
    responses(
        (status = 204, description = "There is none of this name any more; also where a revision was expected and there was none"),
        (status = 409, description = "A file has this name; or its only event may have been sent, or is settled", body = Problem,
            content_type = "application/problem+json"),
        (status = 412, description = "Another revision is there; or none, where any was expected (`*`)", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let (name, condition) = (name?.0, Condition::of(&headers)?);
    if condition == Condition::Expect(Expect::Absent) {
        return Err(Problem::bad("If-None-Match: what is not there can't be deleted; leave it out"));
    }
    let expect = condition.expect(&state.clock, &name).await?;
    ops::delete::delete(&state.clock, &caller, &name, expect, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How a batch is taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchQuery {
    /// All of them or none; else those that can be.
    #[serde(default)]
    atomic: bool,
}

/// Definitions, each with its name: what is wrong with one of them is said of it, and the others are taken.
#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 1_000)]
#[allow(dead_code, reason = "for the description: each is read by itself")]
pub(super) struct Definitions(Vec<serde_json::Value>);

/// What became of each definition of a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// How many schedules were created, changed, or were so already.
    done: usize,
    /// How many definitions were refused.
    refused: usize,
    /// Of each, in their order.
    results: Vec<BatchItem>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchItem {
    /// Which one, counted from 0.
    index: usize,
    /// What became of it.
    #[serde(flatten)]
    change: OutcomeView,
    /// How many occurrences are left; left out where there is no end to them, or they were not counted (10,000 are of all
    /// definitions together, 1,000 of one).
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences_left: Option<u64>,
    /// When it is due next; left out where that is never, or is not known at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_due_at: Option<Timestamp>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// Creates or changes many schedules
///
/// A list of definitions, or one in each line (`application/x-ndjson`): 1 to 1,000, 4 MiB at most. All that is done is durable
/// before the answer, which says of each what became of it: also where some are refused, or with `atomic` all.
#[utoipa::path(
    post, path = "/schedules:batch", tag = "schedules", params(BatchQuery),
    request_body(content = inline(Definitions), example = json!([{ "name": "hour", "event": "office.hour.passed", "every": "1 hour" }])),
    responses(
        (status = 200, description = "What became of each", body = BatchAnswer),
        (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither `application/json` nor `application/x-ndjson`", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn batch(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    query::Asked(wanted): query::Asked<BatchQuery>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<BatchAnswer>, Problem> {
    let atomic = wanted.atomic;
    let lines = is_lines(&headers);
    if !lines {
        check_json(&headers, "a definition")?;
    }
    let definitions = if lines { of_lines(&body?) } else { of_list(&body?)? };
    let put = |json| Wanted::Put { name: None, json, expect: Expect::Any };
    let batch = Batch { wanted: definitions.into_iter().map(put).collect(), atomic, message: None };
    let outcomes = ops::change::change(&state.clock, &caller, batch).await?;
    let results: Vec<BatchItem> = outcomes.into_iter().enumerate().map(BatchItem::from).collect();
    let refused = results.iter().filter(|item| item.problem.is_some()).count();
    Ok(Json(BatchAnswer { done: results.len() - refused, refused, results }))
}

impl From<(usize, Outcome)> for BatchItem {
    fn from((index, outcome): (usize, Outcome)) -> Self {
        let Outcome { name, verdict, remarks, coming, .. } = outcome.clone();
        let change = OutcomeView::new(&name, &verdict, remarks);
        let Coming { left, next } = coming.unwrap_or_default();
        let problem = outcome.done().err().map(Problem::from);
        Self { index, change, occurrences_left: left, next_due_at: next, problem }
    }
}

fn is_lines(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-ndjson")
}

/// Each as it is written, to be read by itself.
fn of_list(body: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let list: FewDefinitions = serde_json::from_slice(body)
        .map_err(|error| Problem::malformed(format!("the body is no list of definitions: {error}")))?;
    Ok(list.0)
}

fn of_lines(body: &[u8]) -> Vec<Vec<u8>> {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    // One more than are taken is enough to refuse them all.
    lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).take(CHANGES + 1).collect()
}

/// As many as may be changed at once. A list of more is refused where that shows, however long it is.
struct FewDefinitions(Vec<Vec<u8>>);

impl<'de> Deserialize<'de> for FewDefinitions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Few;
        impl<'de> Visitor<'de> for Few {
            type Value = FewDefinitions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of definitions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut few = Vec::new();
                while let Some(one) = list.next_element::<&RawValue>()? {
                    if few.len() == CHANGES {
                        return Err(A::Error::custom(format_args!("more than {CHANGES} definitions")));
                    }
                    few.push(one.get().as_bytes().to_vec());
                }
                Ok(FewDefinitions(few))
            }
        }
        deserializer.deserialize_seq(Few)
    }
}

/// Which schedules are to be deleted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteAsked {
    /// Which; some part of it is given.
    filter: ScheduleFilter,
    /// They are counted, and stay.
    #[serde(default)]
    dry_run: bool,
    /// How many there must be: with another number nothing is done.
    #[serde(default)]
    expect_count: Option<usize>,
}

/// Deletes the schedules that pass a filter
///
/// Of those that the caller created at run time; an admin may say whose. `dry_run` counts them, and `expect_count` has nothing
/// done where there are more or fewer. They are deleted in several steps, each as it was when they were counted.
#[utoipa::path(
    post, path = "/schedules:delete", tag = "schedules", request_body = DeleteAsked,
    responses(
        (status = 200, description = "How many there were, and what became of them", body = FilterDecision),
        (status = 412, description = "Another number passes the filter", body = Problem,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_some(
    State(state): State<HttpState>,
    Extension(caller): Extension<Caller>,
    JsonBody(asked): JsonBody<DeleteAsked>,
) -> Result<Json<FilterDecision>, Problem> {
    let DeleteAsked { filter, dry_run, expect_count } = asked;
    let asked = Asked { filter, dry_run, expect_count };
    Ok(Json(ops::delete_some::delete_some(&state.clock, &caller, asked).await?))
}
