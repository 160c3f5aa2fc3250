//! What `[source.sqs]` in `ponos.toml` says. Read and checked in `config/source.rs`; valid from then on.

use crate::gateway::settings::{Contracts, Unroutable};
use hyper::Uri;
use ponos::event::EventName;
use ponos_http::Domains;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Of queues whose URL does not say it.
    pub(crate) region: Option<String>,
    /// Where SQS is asked; if left out, where the queue's URL is.
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) keys: KeyFiles,
    pub(crate) unroutable: Unroutable,
    pub(crate) limits: Limits,
    pub(crate) contracts: Contracts,
    pub(crate) queues: Vec<Queue>,
}

/// The files of a key of AWS, where the environment has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyFiles {
    pub(crate) access_key_id: Option<PathBuf>,
    pub(crate) secret_access_key: Option<PathBuf>,
    pub(crate) session_token: Option<PathBuf>,
}

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a message's body.
    pub(crate) body: usize,
    /// Bytes of all that is held at a time, as SQS sent it.
    pub(crate) bytes: usize,
    /// How long a confirm is waited for before it is sent again.
    pub(crate) confirm: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 1 << 20, bytes: 64 << 20, confirm: Duration::from_secs(10) }
    }
}

/// A queue of SQS.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) url: String,
    /// Where the URL is.
    pub(crate) place: Endpoint,
    /// Its name here: the last part of the events' source, and the label of its metrics.
    pub(crate) name: String,
    /// What messages are that are no CloudEvents, and that `events` does not name.
    pub(crate) event: Option<EventName>,
    /// By S3's names of events.
    pub(crate) events: BTreeMap<String, EventName>,
    /// Of the CloudEvents that are taken from it; without, none are.
    pub(crate) domains: Option<Domains>,
    /// How long a call waits for messages, in seconds.
    pub(crate) wait: u64,
    /// How long SQS shows a message to nobody else, in seconds; it is extended for as long as the message is held.
    pub(crate) visibility: u64,
    /// Messages that are held at a time.
    pub(crate) prefetch: usize,
}

impl Queue {
    /// Whether messages of a group keep their order.
    pub(crate) fn is_fifo(&self) -> bool {
        self.url.ends_with(".fifo")
    }
}

/// Where SQS is asked: `https://sqs.eu-central-1.amazonaws.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// With the path `/`.
    pub(crate) uri: Uri,
    /// Host and port, as the header `Host` has them.
    pub(crate) authority: String,
    pub(crate) is_tls: bool,
}

impl Endpoint {
    /// Reads a URL, and gives its path.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(text: &str) -> Result<(Self, String), String> {
        let wrong = |why: &str| format!("{why}; write it as https://sqs.eu-central-1.amazonaws.com/…");
        let uri: Uri = text.parse().map_err(|_| wrong("it is not a URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it is neither https:// nor http://")),
        };
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        let authority = authority.ok_or_else(|| wrong("it names no host"))?;
        if authority.contains('@') {
            return Err(wrong("it may not contain a user or password"));
        }
        if uri.query().is_some() {
            return Err(wrong("it may not have a query"));
        }
        // as in the header, which has no port that goes without saying; it is signed
        let usual = if is_tls { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual).unwrap_or(&authority);
        let path = uri.path().to_owned();
        let root = format!("{}://{authority}/", if is_tls { "https" } else { "http" });
        let uri = root.parse().map_err(|_| wrong("it is not a URL"))?;
        Ok((Self { uri, authority: authority.to_owned(), is_tls }, path))
    }

    /// The region in the name of a host of Amazon's.
    pub(crate) fn region(&self) -> Option<&str> {
        let host = self.uri.host()?;
        let own = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
        let name = own.iter().find_map(|suffix| host.strip_suffix(suffix))?;
        let words: Vec<&str> = name.split('.').collect();
        let at = words.iter().position(|word| matches!(*word, "sqs" | "sqs-fips" | "queue"))?;
        // eu-central-1.queue.amazonaws.com is an older form
        let region = if words[at] == "queue" { words.get(at.checked_sub(1)?) } else { words.get(at + 1) };
        region.copied().filter(|region| is_region(region))
    }

    /// Whether it is this machine: nothing travels.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }
}

/// Whether this can be the name of a region: `eu-central-1`.
pub(crate) fn is_region(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(may_stand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_amazon_say_their_region() {
        for (url, region) in [
            ("https://sqs.eu-central-1.amazonaws.com/123456789012/orders", Some("eu-central-1")),
            ("https://sqs-fips.us-east-1.amazonaws.com/1/q", Some("us-east-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", Some("cn-north-1")),
            ("https://sqs.eu-west-3.api.aws/1/q", Some("eu-west-3")),
            ("https://eu-west-1.queue.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://vpce-0a1b-2c.sqs.eu-west-1.vpce.amazonaws.com/1/q", Some("eu-west-1")),
            ("https://queue.amazonaws.com/1/q", None),
            ("http://127.0.0.1:4566/000000000000/q", None),
            ("https://sqs.eu-central-1.amazonaws.com.evil.example/1/q", None),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().0.region(), region, "{url}");
        }
    }

    #[test]
    fn a_url_is_taken_apart_or_refused() {
        let (place, path) = Endpoint::parse("http://localhost:4566/000000000000/q.fifo").unwrap();
        assert_eq!(
            (place.authority.as_str(), place.is_tls, path.as_str()),
            ("localhost:4566", false, "/000000000000/q.fifo")
        );
        assert_eq!(place.uri.to_string(), "http://localhost:4566/");
        assert!(place.is_loopback());
        for (url, authority) in [
            ("http://sqs.local:80/1/q", "sqs.local"),
            ("https://sqs.local:443/1/q", "sqs.local"),
            ("https://sqs.local:80/1/q", "sqs.local:80"),
            ("http://[::1]:80/1/q", "[::1]"),
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().0.authority, authority, "{url}");
        }
        assert!(!Endpoint::parse("http://sqs.local/1/q").unwrap().0.is_loopback());
        for wrong in [
            "orders",
            "arn:aws:sqs:eu-central-1:1:q",
            "ftp://h/q",
            "https://u:p@h/1/q",
            "https://h/1/q?x",
            "https:///q",
        ] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
    }
}
