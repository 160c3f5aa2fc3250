//! Requests as they are written, and the whole answers to them.

use super::{Client, ClientError, Clock};
use axum::http::{HeaderMap, Method, header};
use http_body_util::BodyExt;
use serde_json::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The answer to a request with a body of this type, whatever it is: status, headers, and the body, which is JSON or
/// nothing.
pub(super) async fn asked(
    client: &Client,
    method: Method,
    path: &str,
    (content_type, body): (&str, &str),
) -> (u16, HeaderMap, Value) {
    let mut request = client.request(method, path, body.to_owned().into()).unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    let (head, body) = client.send(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    if body.is_empty() {
        return (head.status.as_u16(), head.headers, Value::Null);
    }
    let json = serde_json::from_slice(&body)
        .unwrap_or_else(|_| panic!("{path}: {}", String::from_utf8_lossy(&body)));
    (head.status.as_u16(), head.headers, json)
}

/// The same of a `GET`.
pub(super) async fn got(client: &Client, path: &str) -> (u16, HeaderMap, Value) {
    asked(client, Method::GET, path, ("application/json", "")).await
}

/// The status line of the answer to a request as written; empty when the connection was closed without one.
pub(super) async fn raw(clock: &Clock, request: &str) -> String {
    whole(clock, request).await.lines().next().unwrap_or_default().to_owned()
}

/// The whole answer.
pub(super) async fn whole(clock: &Clock, request: &str) -> String {
    let mut stream = TcpStream::connect(clock.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    read.expect("in time").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status and detail of a refusal.
pub(super) async fn refused(answer: Result<Value, ClientError>) -> (u16, String) {
    match answer {
        Err(ClientError::Refused { status, detail, .. }) => (status, detail),
        other => panic!("not refused: {other:?}"),
    }
}
