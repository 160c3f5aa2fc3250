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
        title = "ponos observe",
        description = "Who handled an event across services, what came of it, and who is silent. Instants are RFC 3339 in UTC. Every \
                       answer that is no success, but for that of /readyz, is a problem document (RFC 9457), whose `code` is for programs."
    ),
    paths(routes::why, routes::coverage, routes::readyz, routes::healthz),
    components(schemas(Problem)),
    modifiers(&TokenOfFile, &Refusals)
)]
struct Interface;

/// What any request may be answered with, before it comes to its route.
struct Refusals;

const REFUSALS: Statuses = &[
    ("401", "It shows no token, or another than that of --token-file"),
    ("403", "A page of the web asks, or the Host header names no host of this machine"),
];

impl Modify for Refusals {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for operation in openapi.paths.paths.values_mut().filter_map(|item| item.get.as_mut()) {
            refusals(operation, REFUSALS);
        }
    }
}

/// The description.
pub(super) fn document() -> Response<Full<Bytes>> {
    json(StatusCode::OK, &Interface::openapi())
}
