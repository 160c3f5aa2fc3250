//! A broker's URL: the one parser for the clock, the workers and the command line. No error repeats the URL.

use super::{
    super::LinkError,
    errors::{configuration, unreadable},
};
use crate::{files, stack};
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

/// A broker's URL, which hides its password wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl(AMQPUri);

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
        let external = self.0.query.auth_mechanism == Some(SASLMechanism::External);
        (!external).then_some(self.0.authority.userinfo.username.as_str())
    }

    /// The vhost.
    pub fn vhost(&self) -> &str {
        &self.0.vhost
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        let host = self.host();
        if host.contains(':') {
            format!("[{host}]:{}", self.port())
        } else {
            format!("{host}:{}", self.port())
        }
    }

    /// Whether it is `amqps`.
    pub fn is_tls(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }

    /// The parameter `heartbeat`, in seconds.
    pub fn heartbeat(&self) -> Option<u16> {
        self.0.query.heartbeat
    }

    /// The parameter `connection_timeout`.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.0.query.connection_timeout.map(Duration::from_millis)
    }

    pub(super) fn host(&self) -> &str {
        &self.0.authority.host
    }

    pub(super) fn port(&self) -> u16 {
        self.0.authority.port
    }

    /// For lapin, with that heartbeat and a limit of frames in it.
    pub(super) fn uri(&self, heartbeat: u16) -> AMQPUri {
        let mut uri = self.0.clone();
        uri.query.heartbeat = Some(heartbeat);
        uri.query.frame_max.get_or_insert(stack::FRAME_MAX);
        uri
    }
}

impl FromStr for BrokerUrl {
    type Err = LinkError;

    /// Reads `amqp://user:password@host:port/vhost` or `amqps://…`, percent-encoded; white space around it is cut off, and so
    /// is a byte order mark, with which some editors begin a file.
    /// Without a vhost (and with an empty one) it is `/`. Parameters: `heartbeat` (s), `connection_timeout` (ms),
    /// `frame_max`, `channel_max`, `auth_mechanism` (`plain`, `amqplain`, `external`).
    fn from_str(text: &str) -> Result<Self, LinkError> {
        parse(text.trim_start_matches('\u{feff}').trim()).map(Self).map_err(|why| {
            configuration(
                format!("the broker's URL can't be used: {why}"),
                "write it as amqp://user:password@host:5672/vhost, with special characters percent-encoded",
            )
        })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vhost = self.vhost().replace('/', "%2f");
        match self.user() {
            Some(user) => write!(f, "{}://{user}:***@{}/{vhost}", self.0.scheme, self.address()),
            None => write!(f, "{}://{}/{vhost}", self.0.scheme, self.address()),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn parse(url: &str) -> Result<AMQPUri, String> {
    let rest = after_scheme(url)?;
    written_right(rest)?;
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let host = host(authority)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        parameter(pair)?;
    }
    // The parser's own words could repeat the URL, and with it the password.
    let mut uri: AMQPUri =
        url.parse().map_err(|_| "host, port, vhost or a parameter is malformed".to_owned())?;
    // lapin's parser would silently take `localhost` for an IPv6 address.
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        uri.authority.host = address.to_owned();
    } else if !uri.authority.host.chars().all(|c| c.is_alphanumeric() || "-._~".contains(c)) {
        // An escape may stand for anything, such as the '/' behind which a vhost begins.
        return Err("the host is neither a name nor an address".into());
    }
    if uri.vhost.is_empty() {
        uri.vhost = "/".to_owned();
    }
    if uri.vhost.len() > 255 || uri.authority.userinfo.username.len() > 255 {
        return Err("vhost and user have at most 255 bytes".into());
    }
    Ok(uri)
}

fn after_scheme(url: &str) -> Result<&str, String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it must begin with amqp:// or amqps://".into());
    };
    if scheme != "amqp" && scheme != "amqps" {
        // The scheme is repeated only where it looks like one: anything else could be a part of a password.
        let known = ["http", "https", "mqtt", "mqtts", "stomp", "redis", "kafka", "memory"];
        let shown =
            known.iter().find(|known| **known == scheme).map_or(String::new(), |s| format!(", not {s}://"));
        return Err(format!("it must begin with amqp:// or amqps://{shown}"));
    }
    Ok(rest)
}

/// What must be percent-encoded and is not.
fn written_right(rest: &str) -> Result<(), String> {
    if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it contains white space (write a space in a password as %20)".into());
    }
    if rest.contains('#') {
        return Err("a '#' in it must be written %23".into());
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

/// The host, with what is wrong with it and its port.
fn host(authority: &str) -> Result<&str, String> {
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if rest.is_empty() || rest.starts_with(':') => (host, rest.strip_prefix(':')),
        Some(_) => return Err("only :port may follow the ']' of the host".into()),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err("it names no host".into());
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err("the URL's port is not a number from 1 to 65535".into());
    }
    Ok(address)
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
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed_and_never_shows_its_password() {
        let url: BrokerUrl =
            "amqp://us%40er:pa%2Fss@broker:1234/v%2fh?heartbeat=7&connection_timeout=900".parse().unwrap();
        assert_eq!((url.user(), url.vhost()), (Some("us@er"), "v/h"));
        assert_eq!(url.address(), "broker:1234");
        assert_eq!((url.heartbeat(), url.connect_timeout()), (Some(7), Some(Duration::from_millis(900))));
        for shown in [format!("{url:?}"), url.to_string()] {
            assert!(!shown.contains("pa/ss") && !shown.contains("pa%2Fss"), "{shown}");
        }
    }

    #[test]
    fn a_missing_or_empty_vhost_is_the_default_one() {
        for url in ["amqp://localhost", " amqp://localhost/\n", "amqp://localhost/%2f"] {
            assert_eq!(url.parse::<BrokerUrl>().unwrap().vhost(), "/", "{url}");
        }
        assert_eq!("amqps://[::1]".parse::<BrokerUrl>().unwrap().address(), "[::1]:5671");
    }

    #[test]
    fn what_can_not_be_used_is_refused_with_the_remedy_and_without_repeating_the_password() {
        for (url, said) in [
            ("", "begin with amqp://"),
            ("localhost", "begin with amqp://"),
            ("hunter2", "begin with amqp://"),
            ("http://u:hunter2@h", "not http://"),
            ("hunter2://h", "begin with amqp://"),
            ("amqp:", "begin with amqp://"),
            ("amqp:u:hunter2@h", "begin with amqp://"),
            ("amqp://", "names no host"),
            ("amqp://u:hunter2@", "names no host"),
            ("amqp://u:hunter2@:5672", "names no host"),
            ("amqp://u:hunter2@h%2fvhost", "neither a name nor an address"),
            ("amqp://u:hunter2@h%3a1", "neither a name nor an address"),
            ("amqp://u:hunter2@h:99999", "1 to 65535"),
            ("amqp://u:hunter2@h:0", "1 to 65535"),
            ("amqp://u:hunter2@h:x/", "1 to 65535"),
            ("amqp://u:hunter2@h:hunter2", "1 to 65535"),
            ("amqp://[::1]x", "follow the ']'"),
            ("amqp://u:hun#ter2@h", "written %23"),
            ("amqp://u:hunter2@h/v#x", "written %23"),
            ("amqp://u:hun/ter2@h", "written %2F"),
            ("amqp://u:hun?ter2@h", "written %2F"),
            ("amqp://u:hun@ter2@h", "%40"),
            ("amqp://u:hun ter2@h", "%20"),
            ("amqp://u:hun%ter2@h", "written %25"),
            ("amqp://u:hunter2%@h", "written %25"),
            ("amqp://u:hun%fft@h", "malformed"),
            ("amqp://u:hunter2@h/?cacertfile=x", "it has an unknown parameter"),
            ("amqp://u:hunter2@h/?hunter2", "it has an unknown parameter"),
            ("amqp://u:hunter2@h/?heartbeat=soon", "heartbeat is not a whole number from 0 to 65535"),
            ("amqp://u:hunter2@h/?heartbeat=65536", "heartbeat is not a whole number from 0 to 65535"),
            ("amqp://u:hunter2@h/?connection_timeout=0", "in milliseconds"),
            ("amqp://u:hunter2@h/?auth_mechanism=anonymous", "external"),
            ("amqp://u:hunter2@h/?frame_max=100", "at least 8192"),
            ("amqp://u:hunter2@h/?frame_max=8191", "at least 8192"),
            ("amqp://u:hunter2@h/?channel_max=1", "at least 16"),
        ] {
            let error = url.parse::<BrokerUrl>().expect_err(url).to_string();
            assert!(error.contains(said), "{url}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("ter2"), "{error}");
            assert!(error.contains("write it as amqp://user:password@host:5672/vhost"), "{error}");
        }
        for url in ["amqp://h/?frame_max=0&channel_max=0", "amqp://u:p%40@h/v?frame_max=8192&channel_max=16"]
        {
            assert!(url.parse::<BrokerUrl>().is_ok(), "{url}");
        }
    }

    #[test]
    fn the_url_in_a_file_is_read_and_what_is_wrong_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let error = || BrokerUrl::read(&file).unwrap_err().to_string();
        assert!(error().contains("url with the broker's URL can't be read"), "{}", error());
        std::fs::write(&file, "\n").unwrap();
        assert!(error().contains("is empty"), "{}", error());
        std::fs::write(&file, "amqp://u:hun#ter2@h\n").unwrap();
        assert!(error().contains("written %23") && error().contains("/url: "), "{}", error());
        std::fs::write(&file, "amqp://u:hunter2@h\n").unwrap();
        assert_eq!(BrokerUrl::read(&file).unwrap().address(), "h:5672");
        std::fs::write(&file, "\u{feff}amqp://u:hunter2@h\r\n").unwrap();
        assert_eq!(BrokerUrl::read(&file).unwrap().address(), "h:5672");
        // A URL where a file is meant.
        let error = BrokerUrl::read(Path::new("amqp://u:hunter2@h")).unwrap_err().to_string();
        assert!(error.contains("amqp://u:***@h") && !error.contains("hunter2"), "{error}");
    }
}
