//! The connection that a request came by: from this machine or not, and whether somebody may have listened on its way.

use axum::http::HeaderMap;
use std::net::IpAddr;

/// The connection that a request came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    /// The address of our end. A Host header that gives it comes from a client that used no name.
    pub(super) local: Option<IpAddr>,
    /// The address of the other end.
    pub(super) peer: Option<IpAddr>,
    /// Whether this clock encrypts it.
    pub(super) encrypted: bool,
}

/// What a client is told whose token may have been read.
const IN_THE_CLEAR: &str = "a token came over the network in the clear, and may have been read on its way: replace it (khronos token new), and send the next one by https";
const UNDECLARED_PROXY: &str = "a token came by way of a proxy (X-Forwarded-For, Forwarded, Via), and this clock knows of none: if the proxy encrypts, set http.behind_proxy = true; if it does not, the token may have been read on its way: replace it (khronos token new)";
const UNSURE_PROXY: &str = "this clock takes a token from its proxy (http.behind_proxy) with exactly one header X-Forwarded-Proto: https alone; have the proxy set it in place of what clients send (nginx: proxy_set_header X-Forwarded-Proto $scheme). If this request came in the clear, its token may have been read on its way: replace it (khronos token new)";

/// What a proxy says of the way before it, in this header.
const PROTO: &str = "x-forwarded-proto";

impl Connection {
    /// Nothing is known of it.
    pub(super) const UNKNOWN: Self = Self { local: None, peer: None, encrypted: false };

    /// Whether a program of this machine asks: not one elsewhere through a proxy of this machine, as far as that says so.
    pub(super) fn is_from_this_machine(&self, headers: &HeaderMap) -> bool {
        self.peer.is_some_and(|peer| peer.to_canonical().is_loopback()) && !is_forwarded(headers)
    }

    /// Whether a token in this request may have been read on its way, and what is to be done.
    pub(super) fn exposed(&self, headers: &HeaderMap, behind_proxy: bool) -> Option<&'static str> {
        let mut said = headers.get_all(PROTO).iter();
        let is_https = |proto: &[u8]| proto.trim_ascii().eq_ignore_ascii_case(b"https");
        let first = said.next().map(|proto| is_https(proto.as_bytes()));
        // Of several, which one the proxy wrote can't be seen: a client may have sent the others.
        let says_https = first == Some(true) && said.next().is_none();
        if behind_proxy {
            return (!says_https).then_some(UNSURE_PROXY);
        }
        if first.is_some() && !says_https {
            return Some(IN_THE_CLEAR);
        }
        if self.encrypted || self.is_from_this_machine(headers) {
            return None;
        }
        let through_proxy =
            is_forwarded(headers) && self.peer.is_some_and(|peer| peer.to_canonical().is_loopback());
        Some(if through_proxy { UNDECLARED_PROXY } else { IN_THE_CLEAR })
    }
}

/// Whether a proxy says that it passed this on. Clients have no reason to send such a header, and gain nothing by it.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let says_so =
        |name: &str| matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-");
    headers.keys().any(|name| says_so(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, encrypted: bool) -> Connection {
        Connection { local: None, peer: Some(peer.parse().unwrap()), encrypted }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    const HTTPS: (&str, &str) = (PROTO, "https");

    #[test]
    fn a_token_is_exposed_by_a_way_that_is_not_this_machines_and_not_encrypted() {
        let none = headers(&[]);
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(from(here, false).exposed(&none, false), None, "{here}");
        }
        for elsewhere in ["10.0.0.7", "192.0.2.2", "fd00::2", "::ffff:10.0.0.7"] {
            assert_eq!(from(elsewhere, false).exposed(&none, false), Some(IN_THE_CLEAR), "{elsewhere}");
            assert_eq!(from(elsewhere, true).exposed(&none, false), None, "{elsewhere}");
            // A header that anybody can send says nothing good.
            assert_eq!(from(elsewhere, false).exposed(&headers(&[HTTPS]), false), Some(IN_THE_CLEAR));
        }
        assert_eq!(Connection::UNKNOWN.exposed(&none, false), Some(IN_THE_CLEAR));
    }

    #[test]
    fn a_proxy_that_was_not_declared_is_believed_nothing_but_ill() {
        for line in [
            HTTPS,
            ("x-forwarded-for", "192.0.2.9"),
            ("forwarded", "proto=https"),
            ("via", "1.1 a"),
            ("x-real-ip", "::1"),
        ] {
            let headers = headers(&[line]);
            assert_eq!(from("127.0.0.1", false).exposed(&headers, false), Some(UNDECLARED_PROXY), "{line:?}");
            assert!(!from("127.0.0.1", false).is_from_this_machine(&headers), "{line:?}");
            assert_eq!(from("127.0.0.1", true).exposed(&headers, false), None, "{line:?}");
        }
        for proto in ["http", " HTTP ", "ws", "", "off", "https, http", "http, https"] {
            let headers = headers(&[(PROTO, proto)]);
            for encrypted in [true, false] {
                let exposed = from("127.0.0.1", encrypted).exposed(&headers, false);
                assert_eq!(exposed, Some(IN_THE_CLEAR), "{proto}");
            }
        }
    }

    #[test]
    fn a_declared_proxy_says_once_and_clearly_that_it_was_https() {
        for said in [&[HTTPS][..], &[(PROTO, " HTTPS ")], &[HTTPS, ("x-forwarded-for", "192.0.2.9")]] {
            for peer in ["10.0.0.7", "127.0.0.1"] {
                assert_eq!(from(peer, false).exposed(&headers(said), true), None, "{said:?}");
            }
        }
        for said in [
            &[][..],
            &[HTTPS, HTTPS],
            &[HTTPS, (PROTO, "http")],
            &[(PROTO, "http"), HTTPS],
            &[(PROTO, "https, http")],
            &[(PROTO, "http, https")],
            &[(PROTO, "http")],
            &[(PROTO, "ws")],
            &[(PROTO, "off")],
            &[(PROTO, "")],
            &[("forwarded", "proto=https")],
            &[("forwarded", "proto=http")],
        ] {
            for encrypted in [true, false] {
                let exposed = from("10.0.0.7", encrypted).exposed(&headers(said), true);
                assert_eq!(exposed, Some(UNSURE_PROXY), "{said:?}");
            }
        }
    }
}
