//! Lets requests in on a loopback address or a Unix socket, and has them answered.
//!
//! Web pages have no business here: a request with `Origin`, or for the name of another host, is refused.

use super::{
    listen::{Accepted, Listener},
    routes::{Asked, Served},
};
use crate::http::{self, Answers, Bodies, ConnectionLimits, Listens, RequestTrace, Stream, problem::Problem};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::CONTENT_TYPE,
};
use ponos::shutdown::Shutdown;
use std::{io, sync::Arc, time::Duration};

/// The most bytes of a body.
const BODY: usize = 16 << 20;
const LIMITS: ConnectionLimits =
    ConnectionLimits { most: 256, idle: Duration::from_secs(75), last: Duration::from_secs(2) };

/// What lets requests in, and answers them.
pub(super) struct Server {
    served: Served,
    token: Option<String>,
    /// Whether it is reached by an address: then names of hosts count.
    is_tcp: bool,
    bodies: Bodies,
}

impl Listens for Listener {
    type Accepted = Accepted;

    async fn accept(&self) -> io::Result<Accepted> {
        Self::accept(self).await
    }

    async fn begin(accepted: Accepted) -> Option<Box<dyn Stream>> {
        Some(match accepted {
            Accepted::Tcp(stream) => Box::new(stream),
            #[cfg(unix)]
            Accepted::Unix(stream) => Box::new(stream),
        })
    }
}

impl Answers for Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match self.read(request).await {
            Ok(asked) => self.served.answer(asked).await,
            Err(problem) => problem.into_response(),
        }
    }
}

impl Server {
    /// With that token, if requests must show one.
    pub(super) fn new(served: Served, token: Option<String>, is_tcp: bool) -> Self {
        Self { served, token, is_tcp, bodies: Bodies::new(BODY) }
    }

    /// Serves until the end that is given.
    pub(super) async fn serve(self: Arc<Self>, listener: Listener, end: Shutdown) {
        http::serve(listener, &self, LIMITS, end).await;
        self.served.publisher.close().await;
    }

    async fn read(&self, request: Request<Incoming>) -> Result<Asked, Problem> {
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        http::let_in(request.headers(), self.is_tcp, self.token.as_deref())?;
        let length = request.body().size_hint().exact();
        let kind = text(CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if length != Some(0) && !kind.eq_ignore_ascii_case("application/json") {
            let what = "bodies are JSON: say Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", what));
        }
        let (head, body) = request.into_parts();
        let (body, room) = self.bodies.read(body).await?;
        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default().to_owned());
        let trace = RequestTrace::of(&head.headers);
        Ok(Asked { method: head.method, path, query, body, trace, room })
    }
}

#[cfg(test)]
mod tests;
