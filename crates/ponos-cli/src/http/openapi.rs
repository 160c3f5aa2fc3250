//! What the descriptions of both interfaces say of refusals.

use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, path::Operation};

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
