//! Turns lapin's errors into ones that say what happened, to what, and what to do, without secrets.

use super::{
    super::{LinkError, LinkErrorClass},
    url::BrokerUrl,
};
use crate::files::ReadError;
use lapin::{Error, ErrorKind};
use ponos_event::redact::redact;
use std::{io, time::Duration};

/// Where in a connection's life an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// Before the connection was open.
    Handshake,
    /// While it was open.
    Open,
}

/// lapin's reason for closing a connection on which a frame was larger than agreed.
const FRAME_TOO_LARGE: &str = "frame too large";

pub(super) fn configuration(what: String, remedy: &str) -> LinkError {
    // A URL may stand where a file is meant.
    LinkError {
        class: LinkErrorClass::Configuration,
        what: redact(&what).into_owned(),
        remedy: remedy.into(),
    }
}

/// A file of the connection can't be read: its file system may answer again by itself, all else is a person's to mend.
pub(super) fn unreadable(what: String, remedy: &str, error: &ReadError) -> LinkError {
    let class = if error.hangs() { LinkErrorClass::Unreachable } else { LinkErrorClass::Configuration };
    LinkError { class, ..configuration(what, remedy) }
}

pub(super) fn timeout(url: &BrokerUrl, what: &str, limit: Duration) -> LinkError {
    LinkError {
        class: LinkErrorClass::Unreachable,
        what: format!("{what} by {} took longer than {limit:?}", url.address()),
        remedy: "it is tried again; check whether the broker is overloaded or the network drops packets"
            .into(),
    }
}

/// The remedy for deliveries that stayed unsettled too long.
const SETTLE_SOONER: &str = "the unsettled deliveries are delivered again; settle sooner (a lower prefetch, a timeout for the work), or raise the broker's consumer_timeout";

/// The broker ended the subscription to a queue that still exists, while `out` deliveries were unsettled.
pub(super) fn overdue(queue: &str, out: usize) -> LinkError {
    LinkError {
        class: LinkErrorClass::Overdue,
        what: format!(
            "RabbitMQ ended the subscription to '{queue}' while {out} of its deliveries were unsettled: one stayed unsettled too long"
        ),
        remedy: SETTLE_SOONER.into(),
    }
}

/// Nobody was reached there: the name has no address, or TCP could not be made.
pub(super) fn unreached(url: &BrokerUrl, error: &io::Error) -> LinkError {
    LinkError {
        class: LinkErrorClass::Unreachable,
        what: format!("no connection to {}: {}", url.address(), io_message(error)),
        remedy: "it is tried again; check whether RabbitMQ runs there, and whether host and port are right"
            .into(),
    }
}

/// TLS could not be made.
pub(super) fn no_stream(url: &BrokerUrl, error: &io::Error) -> LinkError {
    match error.get_ref() {
        Some(_) => tls(url, &error.to_string()),
        None => unreached(url, error),
    }
}

/// Why none of several could be used: the hosts of a cluster, or the addresses of a host.
pub(super) fn together(url: &BrokerUrl, failures: Vec<LinkError>) -> LinkError {
    use LinkErrorClass::{AccessRefused, Vhost};
    // What one node has wrong needs no person as long as another may come back: a node that starts, or has lost the others, may
    // know no user and no vhost. Where all answer, these are the cluster's, and a node that refuses them speaks for the others.
    let refusal = failures.iter().find(|error| matches!(error.class, AccessRefused | Vhost));
    let outage = failures.iter().find(|error| !error.class.needs_a_person());
    let Some(telling) = outage.or(refusal).or(failures.first()) else {
        return unreached(url, &io::Error::from(io::ErrorKind::AddrNotAvailable));
    };
    let mut said: Vec<&str> = Vec::with_capacity(failures.len());
    for failure in &failures {
        if !said.contains(&&*failure.what) {
            said.push(&failure.what);
        }
    }
    let mut remedy = telling.remedy.clone();
    if let Some(refusal) = refusal.filter(|_| outage.is_some()) {
        remedy = format!("{remedy}; should it stay refused: {}", refusal.remedy);
    }
    LinkError { class: telling.class, what: said.join("; "), remedy }
}

/// Classifies a failure of TLS by rustls' message.
pub(super) fn tls(url: &BrokerUrl, said: &str) -> LinkError {
    let address = url.address();
    let lower = said.to_lowercase();
    // A bad signature is what an authority of the same name with another key looks like.
    let (what, remedy) = if lower.contains("unknownissuer") || lower.contains("badsignature") {
        (
            format!("the certificate of {address} is signed by an authority that is not trusted"),
            "name the file of the authority that signed it",
        )
    } else if lower.contains("not valid for name") {
        (
            format!("the certificate of {address} is for another host name"),
            "use the name that stands in the certificate",
        )
    } else if lower.contains("invalid peer certificate") {
        (
            format!("the certificate of {address} is refused ({said})"),
            "renew it, or make its authority trusted",
        )
    } else if lower.contains("certificaterequired") || lower.contains("handshakefailure") {
        (format!("{address} wants a certificate from us ({said})"), "give a client certificate and its key")
    } else if lower.contains("fatal alert") {
        (
            format!("{address} refused our TLS ({said})"),
            "check whether our client certificate is signed by an authority that the broker trusts",
        )
    } else {
        (
            format!("{address} does not speak TLS ({said})"),
            "use amqp:// there, or the broker's TLS port (5671 by default)",
        )
    };
    LinkError { class: LinkErrorClass::Tls, what, remedy: remedy.into() }
}

/// Plain AMQP was spoken to a port that answers otherwise.
pub(super) fn tls_port(url: &BrokerUrl) -> LinkError {
    LinkError {
        class: LinkErrorClass::Tls,
        what: format!("{} does not answer in AMQP: it looks like a TLS port", url.address()),
        remedy: "use amqps:// there, or the broker's plain port (5672 by default)".into(),
    }
}

/// Whether the broker said 404.
pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(said) if said.get_id() == 404)
}

/// The exchange that a 404 says is not there: `NOT_FOUND - no exchange 'events' in vhost '/'`.
pub(super) fn no_exchange(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("no exchange '")?;
    rest.split_once("' in vhost '").map(|(name, _)| name)
}

/// One of the exchanges that a publisher declared was not there any more when it published.
pub(super) fn gone_exchange(url: &BrokerUrl, exchange: &str, passive: bool) -> LinkError {
    let remedy = match passive {
        true => "have it declared by a user with configure permission: until it exists, nothing is published",
        false => {
            "it is declared again, and nothing is lost; its bindings are gone: its receivers must bind again"
        }
    };
    LinkError {
        class: LinkErrorClass::Missing,
        what: format!("the exchange '{exchange}' in the vhost '{}' no longer exists", url.vhost()),
        remedy: remedy.into(),
    }
}

/// Classifies lapin's error of a connection.
pub(super) fn classify(url: &BrokerUrl, phase: ConnectionPhase, error: &Error) -> LinkError {
    let address = url.address();
    let unreachable = |what: String| LinkError {
        class: LinkErrorClass::Unreachable,
        what,
        remedy: "it is tried again".into(),
    };
    match error.kind() {
        ErrorKind::ProtocolError(said) => protocol(url, phase, said.get_id(), said.get_message().as_str()),
        // A TLS port answers plain text with an alert, which is no AMQP frame, and closes.
        ErrorKind::ParsingError(_) if phase == ConnectionPhase::Handshake && !url.is_tls() => tls_port(url),
        ErrorKind::IOError(io) if url.is_tls() && io.to_string().contains("fatal alert") => {
            tls(url, &io.to_string())
        }
        ErrorKind::IOError(_) if phase == ConnectionPhase::Handshake => LinkError {
            class: LinkErrorClass::Unreachable,
            what: format!("{address} closed the connection before the AMQP handshake was done"),
            remedy:
                "it is tried again; check whether RabbitMQ is starting or stopping, and whether it is RabbitMQ at all"
                    .into(),
        },
        ErrorKind::IOError(io) => {
            unreachable(format!("the connection to {address} was lost: {}", io_message(io)))
        }
        ErrorKind::MissingHeartbeatError => {
            unreachable(format!("the connection to {address} was lost: no heartbeat came"))
        }
        _ => unreachable(format!("the connection to {address} was lost: {error}")),
    }
}

fn protocol(url: &BrokerUrl, phase: ConnectionPhase, code: u16, text: &str) -> LinkError {
    use LinkErrorClass as Class;
    let (address, vhost) = (url.address(), url.vhost());
    let user = url.user().unwrap_or("of the certificate");
    let (class, what, remedy) = match code {
        403 if phase == ConnectionPhase::Handshake => (
            Class::AccessRefused,
            format!("RabbitMQ at {address} refused the login of the user '{user}'"),
            "check user and password (guest may log in from the broker's own machine only)",
        ),
        530 if text.contains("not found") => (
            Class::Vhost,
            format!("RabbitMQ at {address} has no vhost '{vhost}'"),
            "create it (rabbitmqctl add_vhost), or correct the end of the URL",
        ),
        // Of the vhost, the user or the node: others may leave, and another node may have room.
        530 if text.contains("connection limit") && text.contains("is reached") => (
            Class::Unreachable,
            format!("RabbitMQ at {address} takes no more connections: {text}"),
            "it is tried again; end connections that nobody needs, or raise the limit",
        ),
        530 => (
            Class::Vhost,
            format!("RabbitMQ at {address} does not let the user '{user}' into the vhost '{vhost}' ({text})"),
            "grant it (rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE READ)",
        ),
        406 if text.contains("delivery acknowledgement") => (
            Class::Overdue,
            format!(
                "RabbitMQ at {address} closed the channel, because a delivery stayed unsettled too long: {text}"
            ),
            SETTLE_SOONER,
        ),
        406 => return precondition(text),
        501 if text.contains(FRAME_TOO_LARGE) => (
            Class::TooLarge,
            format!(
                "a message from RabbitMQ at {address} can't be read: its headers are larger than a frame ({text}), because the broker \
                 added its own to them"
            ),
            "it goes to the dead letters once its queue's delivery limit is reached; to read it, raise frame_max, of the URL if that \
             names one, else of the broker (frame_max = 262144 in rabbitmq.conf), and have its publisher send smaller headers",
        ),
        403 if text.contains("exclusive use") => (
            Class::Forbidden,
            format!("in the vhost '{vhost}': {text}"),
            "another consumer uses it exclusively: end that one, or consume without being exclusive",
        ),
        403 => (
            Class::Forbidden,
            format!("the user '{user}' may not do this in the vhost '{vhost}': {text}"),
            "grant it (rabbitmqctl set_permissions, set_topic_permissions)",
        ),
        // A queue that lives on one node is there, while that node starts or is away.
        404 if text.contains("is down or inaccessible") => (
            Class::Unreachable,
            format!("in the vhost '{vhost}': {text}"),
            "it is tried again; if the node does not come back by itself, start it",
        ),
        404 => (
            Class::Missing,
            format!("in the vhost '{vhost}': {text}"),
            "create what is missing, or correct the name",
        ),
        405 => (
            Class::Forbidden,
            format!("in the vhost '{vhost}': {text}"),
            "it is exclusive to another connection: end that one, or use another name",
        ),
        _ => (
            Class::Unreachable,
            format!("RabbitMQ at {address} closed the connection: {text}"),
            "it is tried again",
        ),
    };
    LinkError { class, what, remedy: remedy.into() }
}

/// A 406, in words: `inequivalent arg 'durable' for exchange 'events' in vhost '/': received 'true' but current is 'false'`.
fn precondition(text: &str) -> LinkError {
    let read = || {
        let (_, rest) = text.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once("' for ")?;
        let (object, rest) = rest.split_once(": received ")?;
        let (ours, theirs) = rest.split_once(" but current is ")?;
        Some(LinkError::inequivalent(object, argument, value(ours), value(theirs)))
    };
    read().unwrap_or_else(|| LinkError {
        class: LinkErrorClass::Inequivalent,
        what: text.to_owned(),
        remedy: "correct the declaration".into(),
    })
}

/// `'true'`, `none`, `the value '1000' of type 'signedint'`: the value alone.
fn value(said: &str) -> &str {
    let said = said.trim();
    let said = match said.strip_prefix("the value ") {
        Some(typed) => typed.rsplit_once(" of type ").map_or(typed, |(value, _)| value),
        None => said,
    };
    said.strip_prefix('\'').and_then(|said| said.strip_suffix('\'')).unwrap_or(said)
}

/// An I/O error in its own words, without lapin's wrapping.
fn io_message(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there (connection refused)".into(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
            "the other side closed it".into()
        }
        io::ErrorKind::TimedOut => "nobody answered in time".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_no_host_could_be_used_is_said_of_each_and_judged_by_what_holds_for_all() {
        use LinkErrorClass::{AccessRefused, Tls, Unreachable, Vhost};
        let url: BrokerUrl = "amqp://a,b,c".parse().unwrap();
        let error =
            |class, what: &str| LinkError { class, what: what.into(), remedy: format!("mend {what}") };
        let of = |failures: &[(LinkErrorClass, &str)]| {
            let said = together(&url, failures.iter().map(|(class, what)| error(*class, what)).collect());
            (said.class, said.to_string())
        };
        assert_eq!(of(&[(Tls, "a")]), (Tls, "a; mend a".into()));
        assert_eq!(of(&[(Tls, "a"), (Tls, "b")]), (Tls, "a; b; mend a".into()));
        assert_eq!(of(&[(Tls, "a"), (Unreachable, "b")]), (Unreachable, "a; b; mend b".into()));
        assert_eq!(
            of(&[(Unreachable, "a"), (AccessRefused, "b"), (Unreachable, "c")]),
            (Unreachable, "a; b; c; mend a; should it stay refused: mend b".into())
        );
        assert_eq!(of(&[(Tls, "a"), (Vhost, "b"), (Tls, "c")]), (Vhost, "a; b; c; mend b".into()));
        assert_eq!(of(&[(Unreachable, "a"), (Unreachable, "a")]), (Unreachable, "a; mend a".into()));
        assert_eq!(of(&[]).0, Unreachable);
    }

    #[test]
    fn what_is_away_with_its_node_is_not_missing() {
        let url: BrokerUrl = "amqp://u@h/v".parse().unwrap();
        let class = |text| protocol(&url, ConnectionPhase::Open, 404, text).class;
        assert_eq!(class("NOT_FOUND - no queue 'a' in vhost 'v'"), LinkErrorClass::Missing);
        let away =
            "NOT_FOUND - home node 'rabbit@h' of durable queue 'a' in vhost 'v' is down or inaccessible";
        assert_eq!(class(away), LinkErrorClass::Unreachable);
    }

    #[test]
    fn who_meets_a_limit_of_connections_tries_again_and_who_may_not_enter_does_not() {
        let url: BrokerUrl = "amqp://u@h/v".parse().unwrap();
        let class = |text| protocol(&url, ConnectionPhase::Handshake, 530, text).class;
        for said in [
            "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (1) is reached",
            "NOT_ALLOWED - connection refused for user 'u': user connection limit (1) is reached",
            "NOT_ALLOWED - connection refused: node connection limit (1) is reached",
        ] {
            assert_eq!(class(said), LinkErrorClass::Unreachable, "{said}");
        }
        for said in
            ["NOT_ALLOWED - vhost v not found", "NOT_ALLOWED - access to vhost 'v' refused for user 'u'"]
        {
            assert_eq!(class(said), LinkErrorClass::Vhost, "{said}");
        }
    }

    #[test]
    fn a_406_names_the_argument_that_differs_ours_and_theirs() {
        let what = |said| precondition(said).what;
        assert_eq!(
            what(
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'events' in vhost '/': \
                 received 'topic' but current is 'fanout'"
            ),
            "the exchange 'events' in vhost '/' exists with another 'type': we want topic, it has fanout"
        );
        assert_eq!(
            what(
                "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': \
                 received none but current is the value '60000' of type 'signedint'"
            ),
            "the queue 'q' in vhost '/' exists with another 'x-message-ttl': we want none, it has 60000"
        );
        assert_eq!(what("something else"), "something else");
    }
}
