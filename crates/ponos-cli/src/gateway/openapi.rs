//! `GET /v1/openapi.json`: the interface described for programs, as its routes and forms are.

use super::routes;
use crate::http::{
    openapi::{Statuses, refusals, token},
    problem::{Problem, json},
};
use http_body_util::Full;
use hyper::{Response, StatusCode, body::Bytes};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ponos gateway",
        description = "Events from HTTP to RabbitMQ. An event is accepted (202) once the broker has confirmed it. Every answer that is \
                       no success is a problem document (RFC 9457), whose `code` is for programs."
    ),
    paths(routes::events, routes::events_at, routes::webhook, routes::handshake, routes::healthz, routes::readyz),
    components(schemas(Problem)),
    modifiers(&Token, &Answered)
)]
struct Interface;

/// The way to show the token, where one is wanted.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        token(openapi, "One of [[gateway.tokens]]; none is needed on a gateway without them.");
    }
}

/// What any event may be answered with, whatever its route.
struct Answered;

const POSTED: Statuses = &[
    ("400", "An event can't be used; `errors` has a JSON pointer for each fault. Or the body broke off"),
    ("401", "It shows no token that is known here; of a webhook, the signature is wrong or old"),
    ("408", "The body did not come within 30 s"),
    ("413", "The body is longer than `gateway.body`, or the batch than `gateway.batch`"),
    ("415", "The body is not said to be JSON"),
    (
        "429",
        "More than `gateway.window` events wait for the broker, or the publisher sends more than it may: see `Retry-After`",
    ),
    (
        "503",
        "There is no connection to the broker, or it accepts no messages, or no confirm came: send it again after `Retry-After`, under the same id",
    ),
];

impl Modify for Answered {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for operation in openapi.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
            refusals(operation, POSTED);
        }
    }
}

/// The description.
pub(super) fn document() -> Response<Full<Bytes>> {
    json(StatusCode::OK, &Interface::openapi())
}
