//! What the descriptions of all interfaces say of tokens and of refusals.

use utoipa::{
    Modify,
    openapi::{
        Content, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

/// The way to show the token of `--token-file`, where one is wanted.
pub(crate) struct TokenOfFile;

impl Modify for TokenOfFile {
    fn modify(&self, openapi: &mut OpenApi) {
        token(openapi, "What the file of --token-file holds; none is needed without it.");
    }
}

/// Adds how a token is shown, which not every server wants: `description` says which one that is.
pub(crate) fn token(openapi: &mut OpenApi, description: &str) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    let needs_none = SecurityRequirement::default();
    openapi.security = Some(vec![needs_none, SecurityRequirement::new("token", [""; 0])]);
}

/// Statuses, and when each is answered.
pub(crate) type Statuses = &'static [(&'static str, &'static str)];

/// Adds those answers to an operation that it does not describe itself.
pub(crate) fn refusals(operation: &mut Operation, refusals: Statuses) {
    for (status, description) in refusals {
        let responses = &mut operation.responses.responses;
        responses.entry((*status).to_owned()).or_insert_with(|| problem(description));
    }
}

fn problem(description: &str) -> RefOr<Response> {
    let content: Content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description(description);
    response.content("application/problem+json", content).build().into()
}
