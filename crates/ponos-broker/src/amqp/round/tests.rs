//! Who is tried in a round, for how long, and what the next begins with.

use super::{super::super::LinkErrorClass, *};
use std::net::TcpListener;

/// One host, on which nobody ever speaks at 127.0.0.2 (the kernel answers for it), and nobody listens elsewhere.
struct Hosts {
    _silent: TcpListener,
    config: AmqpConfig,
}

impl Hosts {
    fn new() -> Self {
        let silent = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let url = format!("amqp://u:hunter2@rabbit.example:{port}?connection_timeout=300");
        Self { _silent: silent, config: AmqpConfig::parse(&url).unwrap() }
    }

    fn host(&self) -> &BrokerHost {
        self.config.url.hosts().first().unwrap()
    }

    fn at(&self, last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], self.host().port()))
    }

    fn round(&self) -> Round<'_> {
        let limit = Duration::from_millis(100);
        Round { limit, ..Round::new(&self.config, None, "test") }
    }

    async fn error(&self, round: &Round<'_>, found: &[SocketAddr]) -> LinkError {
        let mut failures = Vec::new();
        let opened = round.at(self.host(), self.config.clone(), found.to_vec(), true, &mut failures).await;
        assert!(opened.is_none(), "nobody is there");
        together(&self.config.url, failures)
    }
}

#[tokio::test]
async fn each_address_of_a_name_is_tried_and_those_that_fail_differently_are_told_apart() {
    let hosts = Hosts::new();
    let (port, at) = (hosts.host().port(), |last| hosts.at(last));
    let of = async |found: &[SocketAddr]| hosts.error(&hosts.round(), found).await;

    let error = of(&[at(2), at(3)]).await;
    assert_eq!(error.class, LinkErrorClass::Unreachable);
    let longer = format!("127.0.0.2: connecting by rabbit.example:{port} took longer than 100ms");
    let refused = format!("127.0.0.3: no connection to rabbit.example:{port}: nobody listens there");
    assert!(error.what.contains(&format!("{longer}; {refused}")), "{error}");

    let error = of(&[at(3), at(4)]).await;
    assert_eq!(error.what.matches("nobody listens").count(), 1, "{error}");
    assert!(!error.what.contains("127.0.0"), "{error}");
    let next = [at(5), at(2), at(4), at(3)];
    let ordered = hosts.config.order.addresses(hosts.host(), vec![at(3), at(4), at(2), at(5)]);
    assert_eq!(ordered, next, "the latest failure is tried last");
    assert!(of(&[]).await.what.contains("no connection to rabbit.example"));
}

#[tokio::test]
async fn the_last_address_of_the_last_host_gets_all_the_time_and_those_before_it_little() {
    let hosts = Hosts::new();
    let round = hosts.round();
    let last = hosts.error(&round, &[hosts.at(3), hosts.at(2)]).await;
    assert!(last.what.contains("took longer than 300ms"), "{last}");
    let alone = hosts.error(&round, &[hosts.at(2)]).await;
    assert!(alone.what.contains("took longer than 300ms"), "{alone}");
    assert_eq!(round.limit(false), Duration::from_millis(100));
    // By default.
    let config = AmqpConfig::parse("amqp://a,b").unwrap();
    let round = Round::new(&config, None, "test");
    assert_eq!((round.limit(false), round.limit(true)), (LIMIT, config.connect_timeout));
    // The last before the end of the round is the last one, too.
    let round = Round { until: Instant::now() + LIMIT / 2, ..round };
    assert_eq!(round.limit(false), config.connect_timeout);
}

#[tokio::test]
async fn a_round_ends_and_the_next_goes_on_with_the_address_that_was_not_tried() {
    let hosts = Hosts::new();
    let found = [hosts.at(3), hosts.at(4)];
    let over = Round { until: Instant::now(), ..hosts.round() };
    let error = hosts.error(&over, &found).await;
    assert!(error.what.contains("nobody listens"), "{error}");
    assert_eq!(hosts.config.order.addresses(hosts.host(), found.to_vec()), [found[1], found[0]]);
}

#[tokio::test]
async fn of_a_name_with_many_addresses_some_are_tried_and_the_others_in_the_next_round() {
    let hosts = Hosts::new();
    let found: Vec<SocketAddr> = (3..9).map(|last| hosts.at(last)).collect();
    hosts.error(&hosts.round(), &found).await;
    let next: Vec<SocketAddr> = [7, 8, 3, 4, 5, 6].map(|last| hosts.at(last)).to_vec();
    assert_eq!(hosts.config.order.addresses(hosts.host(), found), next);
}
