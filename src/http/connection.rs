//! The connection that a request came by: from this machine or not, and whether somebody may have listened on its way.

use axum::http::{HeaderMap, HeaderName};
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

/// A way by which a token came, and on which it may have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exposure {
    /// Over the network, without encryption.
    Clear,
    /// Through a proxy that the configuration does not speak of.
    UndeclaredProxy,
    /// From the proxy, which does not say how it came to it.
    UnsureProxy,
}

impl Exposure {
    /// What the client is told.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Clear => {
                "a token came over the network in the clear, and may have been read on its way: replace it (khronos token new), and send the next one by https"
            }
            Self::UndeclaredProxy => {
                "a token came by way of a proxy (X-Forwarded-For, Forwarded, Via), and this clock knows of none: if the proxy encrypts, set http.behind_proxy = true; if it does not, the token may have been read on its way: replace it (khronos token new)"
            }
            Self::UnsureProxy => {
                "this clock takes a token from its proxy (http.behind_proxy) with exactly one header X-Forwarded-Proto: https alone; have the proxy set it in place of what clients send (nginx: proxy_set_header X-Forwarded-Proto $scheme). If this request came in the clear, its token may have been read on its way: replace it (khronos token new)"
            }
        }
    }

    /// What the log says of such requests: how they came, and what to do.
    pub(super) fn logged(self) -> (&'static str, &'static str) {
        match self {
            Self::Clear => (
                "their token came over the network in the clear, and may have been read on its way",
                "replace it (khronos token new), and have its holder use https",
            ),
            Self::UndeclaredProxy => (
                "their token came by way of a proxy, and this clock knows of none",
                "set http.behind_proxy = true if the proxy encrypts; replace what came through one that does not",
            ),
            Self::UnsureProxy => (
                "they came without exactly one X-Forwarded-Proto: https, which http.behind_proxy wants of the proxy",
                "check what the proxy sends, and that nobody goes past it; replace the token of whoever used http",
            ),
        }
    }
}

/// What a proxy says of the way before it, in this header.
const PROTO: &str = "x-forwarded-proto";

/// Whether an address is this machine's own, by which nobody comes from elsewhere.
pub(super) fn is_own(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Connection {
    /// Nothing is known of it.
    pub(super) const UNKNOWN: Self = Self { local: None, peer: None, encrypted: false };

    /// Whether a program of this machine asks: not one elsewhere through a proxy of this machine, as far as that says so.
    pub(super) fn is_from_this_machine(&self, headers: &HeaderMap) -> bool {
        self.peer.is_some_and(is_own) && !is_forwarded(headers)
    }

    /// Whether a token in this request may have been read on its way.
    pub(super) fn exposed(&self, headers: &HeaderMap, behind_proxy: bool) -> Option<Exposure> {
        let mut said = headers.get_all(PROTO).iter();
        let is_https = |proto: &[u8]| proto.trim_ascii().eq_ignore_ascii_case(b"https");
        let first = said.next().map(|proto| is_https(proto.as_bytes()));
        // Of several, which one the proxy wrote can't be seen: a client may have sent the others.
        let says_https = first == Some(true) && said.next().is_none();
        if behind_proxy {
            return (!says_https).then_some(Exposure::UnsureProxy);
        }
        if first.is_some() && !says_https {
            return Some(Exposure::Clear);
        }
        if self.encrypted || self.is_from_this_machine(headers) {
            return None;
        }
        let through_proxy = is_forwarded(headers) && self.peer.is_some_and(is_own);
        Some(if through_proxy { Exposure::UndeclaredProxy } else { Exposure::Clear })
    }
}

/// Whether a proxy says that it passed this on. Clients have no reason to send such a header, and gain nothing by it.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ponos_http::is_forwarded(headers.keys().map(HeaderName::as_str))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::http) fn from(peer: &str, encrypted: bool) -> Connection {
        Connection { local: None, peer: Some(peer.parse().unwrap()), encrypted }
    }

    pub(in crate::http) fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
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
            assert_eq!(from(elsewhere, false).exposed(&none, false), Some(Exposure::Clear), "{elsewhere}");
            assert_eq!(from(elsewhere, true).exposed(&none, false), None, "{elsewhere}");
            // A header that anybody can send says nothing good.
            assert_eq!(from(elsewhere, false).exposed(&headers(&[HTTPS]), false), Some(Exposure::Clear));
        }
        assert_eq!(Connection::UNKNOWN.exposed(&none, false), Some(Exposure::Clear));
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
            assert_eq!(
                from("127.0.0.1", false).exposed(&headers, false),
                Some(Exposure::UndeclaredProxy),
                "{line:?}"
            );
            assert!(!from("127.0.0.1", false).is_from_this_machine(&headers), "{line:?}");
            assert_eq!(from("127.0.0.1", true).exposed(&headers, false), None, "{line:?}");
        }
        for proto in ["http", " HTTP ", "ws", "", "off", "https, http", "http, https"] {
            let headers = headers(&[(PROTO, proto)]);
            for encrypted in [true, false] {
                let exposed = from("127.0.0.1", encrypted).exposed(&headers, false);
                assert_eq!(exposed, Some(Exposure::Clear), "{proto}");
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
                assert_eq!(exposed, Some(Exposure::UnsureProxy), "{said:?}");
            }
        }
    }
}
