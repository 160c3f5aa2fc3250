//! Where a clock is, among those of its name: what its files say is noted by that. It is another one for each, and the same when
//! a clock is started again.

use crate::config::{Config, OnBackward};
use std::{fs, net::SocketAddr};
use tracing::warn;
use uuid::Uuid;

/// Where Linux has the name of the machine.
const NAMES: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];
/// Names that many machines have.
const NO_NAMES: [&str; 4] = ["", "localhost", "localhost.localdomain", "(none)"];

/// As the configuration says, or by the machine's name. Where it has none, by that of this run: what such a clock has read counts as
/// its own change only where no other one has read the same.
pub(super) fn of(config: &Config, member: u128) -> String {
    let told = std::env::var("HOSTNAME").ok();
    let read = NAMES.iter().filter_map(|path| fs::read_to_string(path).ok());
    place(config.cluster.address.as_deref(), told.into_iter().chain(read), config.http.listen, member)
}

/// Of settings that do not fit several clocks.
pub(super) fn warn_of(config: &Config) {
    if config.http.enabled && config.cluster_address().is_none() {
        warn!(
            "the other clocks of this name can't reach the HTTP of this one: set cluster.address to where they do (http.listen is an address of this machine alone, or all of them)"
        );
    }
    if config.clock.on_backward == OnBackward::Resume {
        warn!(
            "clock.on_backward = \"resume\" has no effect among several clocks: another one may have sent what lies ahead"
        );
    }
}

fn place(
    address: Option<&str>,
    names: impl IntoIterator<Item = String>,
    listen: SocketAddr,
    member: u128,
) -> String {
    if let Some(address) = address {
        return address.to_owned();
    }
    let mut names = names.into_iter().map(|name| name.trim().to_owned());
    match names.find(|name| !NO_NAMES.contains(&name.as_str())) {
        Some(name) => format!("{name} {listen}"),
        None => format!("{} {listen}", Uuid::from_u128(member)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_are_set_up_the_same_have_places_of_their_own() {
        let listen = "127.0.0.1:7650".parse().unwrap();
        let named = |name: &str, member| place(None, [name.to_owned()], listen, member);
        assert_eq!(named("clock-1\n", 1), "clock-1 127.0.0.1:7650");
        assert_eq!(named("clock-1", 1), named("clock-1", 2), "it was started again");
        assert_ne!(named("clock-1", 1), named("clock-2", 1));
        for nameless in NO_NAMES {
            assert_ne!(named(nameless, 1), named(nameless, 2), "'{nameless}' is the name of many");
        }
        let second = "127.0.0.1:7651".parse().unwrap();
        assert_ne!(named("a", 1), place(None, ["a".to_owned()], second, 1), "two on one machine");
        let told = place(Some("https://clock-1:7650"), ["a".to_owned()], listen, 1);
        assert_eq!(told, "https://clock-1:7650");
    }
}
