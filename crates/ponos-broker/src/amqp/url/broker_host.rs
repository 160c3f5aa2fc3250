//! A host in a broker's URL, and the list of them.

use std::{fmt, net::Ipv6Addr};

/// More hosts than a cluster of RabbitMQ has nodes; each costs a round of attempts a time limit.
const MOST: usize = 16;
/// Bytes of a name in DNS.
const LONGEST_NAME: usize = 253;

/// A host of a broker: a name or an address, and the port there. `Display` gives `host:port`, an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerHost {
    name: String,
    port: u16,
}

impl BrokerHost {
    /// The name or the address, without brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, above 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn is_same(&self, other: &Self) -> bool {
        self.port == other.port && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl fmt::Display for BrokerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') { write!(f, "[{name}]:{port}") } else { write!(f, "{name}:{port}") }
    }
}

/// The first of the hosts in `list`, and all of them. Who is at fault is said by its number: its text may be a part of a password.
pub(super) fn list(list: &str, usual_port: u16) -> Result<(BrokerHost, Vec<BrokerHost>), String> {
    let count = list.split(',').count();
    if count > MOST {
        return Err(format!("it names {count} hosts, and {MOST} are the most"));
    }
    let mut hosts: Vec<BrokerHost> = Vec::with_capacity(count);
    for (at, text) in list.split(',').enumerate() {
        let host = one(text, usual_port).map_err(|why| match count {
            1 => why.to_owned(),
            _ => format!("host {} of {count}: {why}", at + 1),
        })?;
        if let Some(same) = hosts.iter().position(|known| known.is_same(&host)) {
            return Err(format!("hosts {} and {} of {count} are the same", same + 1, at + 1));
        }
        hosts.push(host);
    }
    let first = hosts.first().cloned().ok_or(NO_HOST)?;
    Ok((first, hosts))
}

const NO_HOST: &str = "it names no host";

fn one(text: &str, usual_port: u16) -> Result<BrokerHost, &'static str> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or("the '[' before an IPv6 address has no ']'")?;
            if !after.is_empty() && !after.starts_with(':') {
                return Err("only :port may follow the ']' of the host");
            }
            let address: Ipv6Addr =
                address.parse().map_err(|_| "what stands in [] is not an IPv6 address")?;
            (address.to_string(), after.strip_prefix(':'))
        }
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            if name.is_empty() {
                return Err(NO_HOST);
            }
            // An escape may stand for anything, such as the '/' behind which a vhost begins.
            let is_name = name.chars().all(|c| c.is_alphanumeric() || "-._~".contains(c));
            if !is_name || name.len() > LONGEST_NAME {
                return Err("the host is neither a name nor an address");
            }
            (name.to_owned(), port)
        }
    };
    let port = port.map_or(Ok(usual_port), |port| match number(port) {
        Some(port) => Ok(port),
        None if port.contains(':') => Err("an IPv6 address stands in brackets, as [::1]:5672"),
        None => Err("the port is not a number from 1 to 65535"),
    })?;
    Ok(BrokerHost { name, port })
}

fn number(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_plain && *port > 0)
}
