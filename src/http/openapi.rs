//! `GET /v1/openapi.json`: the interface described for programs (OpenAPI 3.1), as its handlers and the forms of its answers
//! are. A route is served and described by the same line of `routes.rs`.

mod forms;

use super::{problem::Problem, telling::AGE};
use crate::ops::OpsError;
use axum::{
    Extension,
    body::Bytes,
    http::header,
    response::{IntoResponse, Response as HttpResponse},
};
use utoipa::{
    OpenApi,
    openapi::{
        Content, ContentBuilder, Header, Object, Ref, RefOr, Response, ResponseBuilder, Type,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

/// What is said of the interface as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Khronos",
        description = "A clock that publishes named time events. Instants are RFC 3339 with an offset, in whole milliseconds; \
                       what is listed in pages says in `next` where to go on. Every answer that is no success is a problem \
                       document (RFC 9457), whose `code` is for programs. A clock that has tokens wants one with every request, \
                       but for `/healthz` and `/readyz`; without tokens, its own machine may read, and with \
                       `http.open_reads` everybody; changes are made on its control socket."
    ),
    components(schemas(Problem)),
    tags(
        (name = "schedules", description = "What is due, and when next"),
        (name = "events", description = "Delayed events: what clients want published at an instant, or after a while"),
        (name = "calendars", description = "Days that schedules leave out, or fall on"),
        (name = "record", description = "What became of it"),
        (name = "operations", description = "What takes a while"),
        (name = "parked", description = "Events that were given up on"),
        (name = "clock", description = "The clock itself")
    )
)]
pub(super) struct Interface;

/// The description, as it is sent; none where it can't be written, which is a defect.
#[derive(Clone)]
pub(super) struct ApiDocument(Option<Bytes>);

/// The name of the way to show who asks.
const TOKEN: &str = "token";

/// What any route may answer with.
const PROBLEMS: [(&str, &str); 6] = [
    ("400", "The request contradicts itself, or a parameter of it can't be used"),
    ("401", "The clock wants a token, or does not know this one"),
    (
        "403",
        "Who asks may not; his token came over the network in the clear; the clock does not answer to the name in the Host \
         header; or a page of another site asks",
    ),
    (
        "429",
        "The owner of the token asks for changes too often, or has his share of connections, feeds, long answers or audits, or \
         the address has it that shows no token; or many requests come with tokens that are not known: try again after \
         `Retry-After` seconds",
    ),
    ("503", "The clock can't answer at present: try again after `Retry-After` seconds"),
    ("default", "Another problem"),
];

impl ApiDocument {
    /// With how callers show who they are, the problems that any route may answer with, and how old an answer is that a follower may
    /// give.
    pub(super) fn new(mut described: utoipa::openapi::OpenApi, told: &utoipa::openapi::OpenApi) -> Self {
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("kh_...");
        let token = token.description(Some("What `khronos token new` made."));
        let components = described.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(token.build()));
        let needs_none = SecurityRequirement::default();
        described.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0]), needs_none]);
        for operation in described.paths.paths.values_mut().flat_map(operations) {
            for (status, description) in PROBLEMS {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| problem(description));
            }
        }
        for (path, item) in &mut described.paths.paths {
            let is_told = told.paths.paths.contains_key(path);
            let done =
                item.get.as_mut().filter(|_| is_told).and_then(|get| get.responses.responses.get_mut("200"));
            if let Some(RefOr::T(done)) = done {
                done.headers.insert(AGE.as_str().to_owned(), age());
            }
        }
        let written = serde_json::to_value(&described).and_then(|mut described| {
            forms::complete(&mut described);
            serde_json::to_vec(&described)
        });
        Self(written.ok().map(Bytes::from))
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn age() -> RefOr<Header> {
    let mut header = Header::new(Object::with_type(Type::Integer));
    let what =
        "Of a clock that follows: how old the answer is at most, in milliseconds; the leader's has none";
    header.description = Some(what.to_owned());
    RefOr::T(header)
}

fn problem(description: &str) -> RefOr<Response> {
    let content: Content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description);
    response.content("application/problem+json", content).build().into()
}

/// The interface, described for programs
///
/// OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi.json", tag = "clock",
    responses((status = 200, description = "This document", body = serde_json::Value))
)]
pub(super) async fn openapi(Extension(described): Extension<ApiDocument>) -> Result<HttpResponse, Problem> {
    let written = described.0.ok_or(OpsError::Defect)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], written).into_response())
}
