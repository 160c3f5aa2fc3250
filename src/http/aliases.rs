//! The paths of before `/v1`, for one release more: each answer says so (RFC 9745), and where it is now (RFC 8288, 5829).

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// Since when they are, in seconds since 1970: 2026-12-01.
const SINCE: HeaderValue = HeaderValue::from_static("@1796083200");

pub(super) async fn deprecated(request: Request, next: Next) -> Response {
    let now_at = HeaderValue::try_from(format!("</v1{}>; rel=\"successor-version\"", request.uri().path()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(DEPRECATION, SINCE);
    // A path has nothing that a header can't.
    headers.extend(now_at.ok().map(|now_at| (header::LINK, now_at)));
    response
}
