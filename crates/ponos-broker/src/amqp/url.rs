//! A broker's URL: the one parser for the clock, the workers and the command line. It names one host, or several of one
//! cluster. No error repeats the URL.

mod broker_host;

pub use broker_host::BrokerHost;

use super::{
    super::LinkError,
    errors::{configuration, unreadable},
};
use crate::files;
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use std::{fmt, path::Path, str::FromStr, time::Duration};

/// Query parameters with a meaning here; others are refused, so that none is believed to work.
const PARAMETERS: [&str; 5] =
    ["heartbeat", "connection_timeout", "auth_mechanism", "frame_max", "channel_max"];
/// RabbitMQ from 4.1 on ends a connection that wants smaller frames.
const LEAST_FRAME: u64 = 8192;
/// Confirm channels, and those on which queues are declared and looked at.
const LEAST_CHANNELS: u64 = 16;
/// A file with a URL in it is no longer than this.
const MOST_BYTES: u64 = 64 * 1024;

/// A broker's URL, which hides its password wherever it is printed. All hosts in it have the same user and vhost.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// With the first host: lapin knows no more.
    uri: AMQPUri,
    /// One at least, none twice.
    hosts: Vec<BrokerHost>,
}

impl BrokerUrl {
    /// Reads the URL that a file holds. Blocks, for [`files::PATIENCE`] at most.
    ///
    /// # Errors
    /// [`LinkError`] of the class `Configuration`: the file can't be read, or does not hold a valid URL.
    pub fn read(file: &Path) -> Result<Self, LinkError> {
        let shown = file.display();
        let text = files::read_text(file, MOST_BYTES).map_err(|error| {
            let what = format!("the file {shown} with the broker's URL can't be read: {error}");
            unreadable(what, "make it a file that holds the URL and that this user may read", &error)
        })?;
        if text.trim().is_empty() {
            let what = format!("the file {shown} is empty; it must hold the broker's URL");
            return Err(configuration(what, "write amqp://user:password@host:5672/vhost into it"));
        }
        text.parse().map_err(|error: LinkError| {
            configuration(format!("the file {shown}: {}", error.what), &error.remedy)
        })
    }

    /// The user of the connection; `None` when a certificate says who it is.
    pub fn user(&self) -> Option<&str> {
        let external = self.uri.query.auth_mechanism == Some(SASLMechanism::External);
        (!external).then_some(self.uri.authority.userinfo.username.as_str())
    }

    /// The vhost.
    pub fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// The hosts, as they were written: 1 to 16, none twice.
    pub fn hosts(&self) -> &[BrokerHost] {
        &self.hosts
    }

    /// `host:port` of each host, with commas between them.
    pub fn address(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(BrokerHost::to_string).collect();
        hosts.join(",")
    }

    /// Whether it is `amqps`.
    pub fn is_tls(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }

    /// The parameter `heartbeat`, in seconds.
    pub fn heartbeat(&self) -> Option<u16> {
        self.uri.query.heartbeat
    }

    /// The parameter `connection_timeout`.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.uri.query.connection_timeout.map(Duration::from_millis)
    }

    /// The same user and vhost on that host alone.
    pub(super) fn on(&self, host: &BrokerHost) -> Self {
        Self { uri: on(self.uri.clone(), host), hosts: vec![host.clone()] }
    }

    /// For lapin, with that heartbeat and a limit of frames in it: that one, unless the URL names one.
    pub(super) fn uri(&self, heartbeat: u16, frame_max: u32) -> AMQPUri {
        let mut uri = self.uri.clone();
        uri.query.heartbeat = Some(heartbeat);
        uri.query.frame_max.get_or_insert(frame_max);
        uri
    }
}

impl FromStr for BrokerUrl {
    type Err = LinkError;

    /// Reads `amqp://user:password@host:port/vhost` or `amqps://…`, percent-encoded; white space around it is cut off, and so
    /// is a byte order mark, with which some editors begin a file. Several hosts of a cluster have commas between them, each with
    /// a port of its own or the usual one: `amqp://user:password@rabbit-1,rabbit-2:5673,[::1]/vhost`.
    /// Without a vhost (and with an empty one) it is `/`. Parameters: `heartbeat` (s), `connection_timeout` (ms),
    /// `frame_max`, `channel_max`, `auth_mechanism` (`plain`, `amqplain`, `external`).
    fn from_str(text: &str) -> Result<Self, LinkError> {
        parse(text.trim_start_matches('\u{feff}').trim()).map_err(|why| {
            configuration(
                format!("the broker's URL can't be used: {why}"),
                "write it as amqp://user:password@host:5672/vhost (several hosts of a cluster: host-1,host-2:5673), with special \
                 characters percent-encoded",
            )
        })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vhost = self.vhost().replace('/', "%2f");
        match self.user() {
            Some(user) => write!(f, "{}://{user}:***@{}/{vhost}", self.uri.scheme, self.address()),
            None => write!(f, "{}://{}/{vhost}", self.uri.scheme, self.address()),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(url: &str) -> Result<BrokerUrl, String> {
    let (scheme, rest) = after_scheme(url)?;
    written_right(rest)?;
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let (login, list) = authority.rsplit_once('@').map_or(("", authority), |(_, list)| {
        let login = authority.get(..authority.len() - list.len()).unwrap_or_default();
        (login, list)
    });
    let (first, hosts) = broker_host::list(list, scheme.default_port())?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        parameter(pair)?;
    }
    let after = rest.get(authority.len()..).unwrap_or_default();
    // The parser's own words could repeat the URL, and with it the password.
    let uri: AMQPUri = format!("{scheme}://{login}{first}{after}")
        .parse()
        .map_err(|_| "user, password, vhost or a parameter is malformed".to_owned())?;
    let mut uri = on(uri, &first);
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    if uri.vhost.len() > 255 || uri.authority.userinfo.username.len() > 255 {
        return Err("vhost and user have at most 255 bytes".into());
    }
    Ok(BrokerUrl { uri, hosts })
}

/// lapin's own parser would silently take `localhost` for an IPv6 address.
fn on(mut uri: AMQPUri, host: &BrokerHost) -> AMQPUri {
    host.name().clone_into(&mut uri.authority.host);
    uri.authority.port = host.port();
    uri
}

fn after_scheme(url: &str) -> Result<(AMQPScheme, &str), String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it must begin with amqp:// or amqps://".into());
    };
    scheme.parse().map(|scheme| (scheme, rest)).map_err(|_| {
        // The scheme is repeated only where it looks like one: anything else could be a part of a password.
        let known = ["http", "https", "mqtt", "mqtts", "stomp", "redis", "kafka", "memory"];
        let shown =
            known.iter().find(|known| **known == scheme).map_or(String::new(), |s| format!(", not {s}://"));
        format!("it must begin with amqp:// or amqps://{shown}")
    })
}

/// What must be percent-encoded and is not.
fn written_right(rest: &str) -> Result<(), String> {
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it contains white space (write a space in a password as %20)".into());
    }
    if rest.contains('#') {
        return Err("a '#' in it must be written %23".into());
    }
    if [",amqp://", ",amqps://"].iter().any(|next| rest.contains(next)) {
        return Err(
            "it is a list of URLs; several hosts of a cluster stand in one, as host-1,host-2:5673".into()
        );
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    // A raw '/' in the password ends the authority early and leaves its '@' behind.
    if rest.matches('@').count() > 1 || (!authority.contains('@') && rest.contains('@')) {
        return Err("a '/', '?' or '@' in the user or password must be written %2F, %3F or %40".into());
    }
    let is_hex = |pair: &str| pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    if rest.split('%').skip(1).any(|after| !after.get(..2).is_some_and(is_hex)) {
        return Err("a '%' in it must be written %25 (two hexadecimal digits follow a '%')".into());
    }
    Ok(())
}

fn parameter(pair: &str) -> Result<(), String> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let Some(name) = PARAMETERS.into_iter().find(|known| *known == name) else {
        return Err(format!(
            "it has an unknown parameter (known are {}; TLS files are set in the configuration)",
            PARAMETERS.join(", ")
        ));
    };
    let number = |most: u64| {
        let number = value.parse::<u64>().ok().filter(|number| *number <= most);
        number.ok_or_else(|| format!("its parameter {name} is not a whole number from 0 to {most}"))
    };
    match name {
        "heartbeat" => number(u16::MAX.into()).map(drop),
        "connection_timeout" if number(600_000)? == 0 => {
            Err("its parameter connection_timeout is 0; it is in milliseconds".into())
        }
        "connection_timeout" => Ok(()),
        "frame_max" if (1..LEAST_FRAME).contains(&number(u32::MAX.into())?) => Err(format!(
            "its parameter frame_max is 0 (no limit) or at least {LEAST_FRAME} bytes: RabbitMQ refuses less"
        )),
        "channel_max" if (1..LEAST_CHANNELS).contains(&number(u16::MAX.into())?) => {
            Err(format!("its parameter channel_max is 0 (no limit) or at least {LEAST_CHANNELS}"))
        }
        "frame_max" | "channel_max" => Ok(()),
        _ => match value.to_ascii_lowercase().as_str() {
            "plain" | "amqplain" | "external" => Ok(()),
            _ => Err("auth_mechanism is plain, amqplain or external".into()),
        },
    }
}

#[cfg(test)]
mod tests;
