//! Keeps foreign web pages out. A page that a browser on this machine shows can send requests to loopback: by its own
//! name bound to 127.0.0.1 (DNS rebinding), which the Host header gives away, or across origins, which the Origin and
//! Sec-Fetch headers give away.

use super::{connection::Connection, problem::Problem, state::HttpState};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::IpAddr;

/// Refuses what does not come by an allowed name, or comes from another origin's page.
pub(super) async fn guard(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let connection = request.extensions().get().copied().unwrap_or(Connection::UNKNOWN);
    let own = Own { hosts: &state.hosts, connection, behind_proxy: state.access.is_behind_proxy() };
    match admit(request.method(), request.headers(), own) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Refuses what another site's page had a browser ask, a link that was followed included: for what changes something,
/// or costs much.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    match from_elsewhere(request.headers()) {
        false => next.run(request).await,
        true => {
            let what = "pages of other sites may not lead here; open the address itself";
            Problem::new(StatusCode::FORBIDDEN, what).into_response()
        }
    }
}

/// As what a request may address the clock.
#[derive(Clone, Copy)]
struct Own<'a> {
    hosts: &'a [String],
    connection: Connection,
    /// Which encrypts or not, and addresses the clock by its own means.
    behind_proxy: bool,
}

impl Own<'_> {
    /// The rest of an origin that begins with a scheme by which pages of this clock come.
    fn without_scheme<'a>(&self, origin: &'a str) -> Option<&'a str> {
        let https =
            origin.strip_prefix("https://").filter(|_| self.connection.encrypted || self.behind_proxy);
        https.or_else(|| {
            origin.strip_prefix("http://").filter(|_| !self.connection.encrypted || self.behind_proxy)
        })
    }
}

fn admit(method: &Method, headers: &HeaderMap, own: Own<'_>) -> Result<(), Problem> {
    let refused = |detail: String| Err(Problem::new(StatusCode::FORBIDDEN, detail));
    let mut named = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err(Problem::bad("a request needs one Host header"));
    };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return Err(Problem::bad("the Host header is not a host with an optional port"));
    };
    if !allowed(authority.host(), own.hosts, own.connection.local) {
        let host = authority.host();
        return refused(format!(
            "this clock does not answer to the name '{host}'; if that is its name, add it to http.hosts (KHRONOS_HTTP_HOSTS)"
        ));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        let host = own.without_scheme(&origin);
        if !host.is_some_and(|host| host.eq_ignore_ascii_case(authority.as_str())) {
            return refused(format!("pages of the origin '{origin}' may not read this clock"));
        }
    }
    // Pages can also ask without an Origin (images, scripts, frames): they could not read the answer, but would take a
    // place. A link that was followed to a page of ours is another thing.
    let document = method == Method::GET
        && fetch(headers, "sec-fetch-mode") == Some("navigate")
        && fetch(headers, "sec-fetch-dest") == Some("document");
    if from_elsewhere(headers) && !document {
        return refused("pages of other sites may not read this clock".into());
    }
    Ok(())
}

/// Whether a browser says that another site's page asks.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    fetch(headers, "sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// What a browser says of where a request comes from and what for (<https://www.w3.org/TR/fetch-metadata/>).
fn fetch<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
}

fn allowed(host: &str, hosts: &[String], local: Option<IpAddr>) -> bool {
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let host = bare(host);
    let address: Option<IpAddr> = host.parse().ok();
    let is_own = |address: IpAddr| address.is_loopback() || local.is_some_and(|local| local == address);
    host == "localhost" || address.is_some_and(is_own) || hosts.iter().any(|known| bare(known) == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(lines: &[(&'static str, &str)]) -> u16 {
        asked(&Method::GET, lines)
    }

    fn asked(method: &Method, lines: &[(&'static str, &str)]) -> u16 {
        asked_of(method, lines, false, false)
    }

    fn asked_of(method: &Method, lines: &[(&'static str, &str)], encrypted: bool, behind_proxy: bool) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let hosts = ["Clock.Internal".to_owned(), "[fd00::1]".to_owned()];
        let connection = Connection { local: "172.17.0.2".parse().ok(), encrypted, ..Connection::UNKNOWN };
        match admit(method, &headers, Own { hosts: &hosts, connection, behind_proxy }) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn only_known_names_are_answered_to() {
        let allowed = [
            "localhost",
            "LOCALHOST:7650",
            "127.0.0.1:7650",
            "127.9.9.9",
            "[::1]:7650",
            "clock.internal:80",
            "[fd00::1]",
            "172.17.0.2:7650",
        ];
        for host in allowed {
            assert_eq!(status(&[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "evil.example:7650", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io"]
        {
            assert_eq!(status(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&[]), 400);
        assert_eq!(status(&[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status(&[("host", "a b")]), 400);
    }

    #[test]
    fn an_origin_of_another_scheme_is_another_one() {
        let asked = |origin, encrypted, behind_proxy| {
            let lines = [("host", "clock.internal:7650"), ("origin", origin)];
            asked_of(&Method::GET, &lines, encrypted, behind_proxy)
        };
        let (http, https) = ("http://clock.internal:7650", "https://clock.internal:7650");
        assert_eq!((asked(http, false, false), asked(https, false, false)), (200, 403));
        assert_eq!((asked(http, true, false), asked(https, true, false)), (403, 200));
        // A proxy may encrypt or not, whatever comes from it.
        assert_eq!((asked(http, false, true), asked(https, false, true)), (200, 200));
    }

    #[test]
    fn foreign_pages_are_refused() {
        let host = ("host", "localhost:7650");
        assert_eq!(status(&[host, ("origin", "http://localhost:7650")]), 200);
        for origin in ["null", "http://localhost:3000", "http://evil.example", "file://", "http://localhost"]
        {
            assert_eq!(status(&[host, ("origin", origin)]), 403, "{origin}");
        }
        let fetched = |method: &Method, site, mode, dest| {
            let lines = [host, ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            asked(method, &lines)
        };
        for site in ["cross-site", "same-site", "of-a-later-standard"] {
            assert_eq!(fetched(&Method::GET, site, "navigate", "document"), 200, "{site}");
            for (method, mode, dest) in [
                (Method::POST, "navigate", "document"),
                (Method::HEAD, "navigate", "document"),
                (Method::GET, "navigate", "iframe"),
                (Method::GET, "navigate", "object"),
                (Method::GET, "no-cors", "document"),
                (Method::GET, "no-cors", "image"),
            ] {
                assert_eq!(fetched(&method, site, mode, dest), 403, "{method} {site} {mode} {dest}");
            }
            assert_eq!(status(&[host, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate")]), 403);
        }
        assert_eq!(fetched(&Method::POST, "same-origin", "cors", "empty"), 200);
        assert_eq!(fetched(&Method::GET, "none", "navigate", "document"), 200);
    }
}
