//! `GET /v1/openapi.json`: the interface described for programs, as its routes and forms are.

use super::routes;
use crate::http::{
    openapi::{Statuses, TokenOfFile, refusals},
    problem::{Problem, json},
};
use http_body_util::Full;
use hyper::{Response, StatusCode, body::Bytes};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ponos serve",
        description = "Deliveries of one service for programs of any language: receive one, settle it, publish with it. Instants are \
                       RFC 3339 in UTC; durations are texts such as `30s` and `1h 30m`. Every answer that is no success is a problem \
                       document (RFC 9457), whose `code` is for programs."
    ),
    paths(routes::receive, routes::settle, routes::extend, routes::publish, routes::contracts),
    components(schemas(Problem)),
    modifiers(&TokenOfFile, &Refusals)
)]
struct Interface;

/// What any request may be answered with, before it comes to its route.
struct Refusals;

const REFUSALS: Statuses = &[
    ("400", "The body broke off, is not JSON, or the query can't be used"),
    ("401", "It shows no token, or another than that of --token-file"),
    ("403", "A page of the web asks, or the Host header names no host of this machine"),
    ("408", "The body did not come within 30 s"),
    ("413", "The body has more than 16 MiB"),
    ("415", "The body is not said to be JSON"),
    ("503", "There are too many large bodies at a time: ask again"),
];

impl Modify for Refusals {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let items = openapi.paths.paths.values_mut();
        for operation in items.flat_map(|item| [&mut item.get, &mut item.post]).flatten() {
            refusals(operation, REFUSALS);
        }
    }
}

/// The description.
pub(super) fn document() -> Response<Full<Bytes>> {
    json(StatusCode::OK, &Interface::openapi())
}
