//! URLs with several hosts: who is tried, for how long, and who next.

use crate::support::{config, down, link, publisher, topology, up};
use ponos_broker::{
    Consume, Link, LinkErrorClass, Transport,
    amqp::{self, AmqpConfig, TlsFiles},
};
use ponos_event::topology::Topology;
use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use testkit::{DeafPort, Node};
use tokio::sync::watch;

/// Which host the link is on, from that generation on.
async fn on(links: &mut watch::Receiver<Link>, generation: u64) -> String {
    let newer = |link: &Link| matches!(link, Link::Up { generation: now, .. } if *now >= generation);
    match link(links, "the link to be up", newer).await {
        Link::Up { broker, .. } => broker.strip_prefix("RabbitMQ at ").unwrap().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Hosts at these addresses, with a password that is not to be shown.
fn urls(password: &str, addresses: &[SocketAddr]) -> String {
    let hosts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    format!("amqp://guest:{password}@{}/", hosts.join(","))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_where_nobody_listens_costs_nothing_and_the_link_says_where_it_is_instead() {
    let node = local(Node::shared().port());
    let config = config(&urls("guest", &[local(1), local(2), node]));
    amqp::check(&config, &Topology::default()).await.unwrap();
    let publisher = publisher(config, Topology::default()).await;
    assert_eq!(on(&mut publisher.link(), 1).await, node.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_swallows_packets_and_one_that_never_speaks_hold_up_no_other() {
    let (deaf, node) = (DeafPort::open(), local(Node::shared().port()));
    let mut patient = config(&urls("guest", &[deaf.address(), node]));
    patient.connect_timeout = Duration::from_secs(60);
    let took = tokio::time::Instant::now();
    let first = publisher(patient, Topology::default()).await;
    assert!(took.elapsed() < Duration::from_secs(30), "TCP has a limit of its own: {:?}", took.elapsed());
    assert_eq!(on(&mut first.link(), 1).await, node.to_string());

    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut config = config(&urls("guest", &[silent.local_addr().unwrap(), node]));
    config.connect_timeout = Duration::from_secs(1);
    let second = publisher(config, Topology::default()).await;
    assert_eq!(on(&mut second.link(), 1).await, node.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_limits_by_default_a_first_host_that_never_speaks_costs_a_part_of_them_and_that_once() {
    let (silent, node) = (TcpListener::bind(("127.0.0.1", 0)).unwrap(), local(Node::shared().port()));
    let config = AmqpConfig::parse(&urls("guest", &[silent.local_addr().unwrap(), node])).unwrap();
    let limit = config.connect_timeout;
    let transport = Transport::amqp(config);
    let took = tokio::time::Instant::now();
    transport.check(&Topology::default()).await.unwrap();
    assert!(took.elapsed() < limit, "{:?}", took.elapsed());
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_ok(), "it was tried");

    let (publisher, requester) = (transport.publisher(Topology::default()), transport.requester());
    let consumer = transport.consumer(topology("silent", "silent"), Consume::new("silent"));
    for mut link in [publisher.link(), requester.link(), consumer.link()] {
        assert_eq!(on(&mut link, 1).await, node.to_string());
    }
    assert!(silent.accept().is_err(), "what failed for the check is not tried first by others");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_loss_of_a_connection_the_cluster_gets_time_to_elect_and_after_other_losses_it_does_not() {
    let node = Node::builder().start();
    let mut config = AmqpConfig::parse(&urls("guest", &[local(node.port()), local(1)])).unwrap();
    config.compare = Duration::from_millis(50);
    let publisher = publisher(config, topology("all", "#")).await;
    let mut links = publisher.link();
    let mut pauses = async |lose: &dyn Fn()| {
        let generation = up(&mut links).await;
        lose();
        let was = |link: &Link| matches!(link, Link::Up { generation: now, .. } if *now == generation);
        link(&mut links, "the link to be lost", |link| !was(link)).await;
        let since = tokio::time::Instant::now();
        on(&mut links, generation + 1).await;
        since.elapsed()
    };
    let election = Duration::from_millis(500);
    let lost = pauses(&|| node.close_connections()).await;
    assert!(lost >= election, "{lost:?}");
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        shortest = shortest.min(pauses(&|| node.delete_exchange("/", "events")).await);
    }
    assert!(shortest < election, "{shortest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_loss_the_next_host_is_tried_first() {
    let free = |address: &str| TcpListener::bind((address, 0)).ok()?.local_addr().ok();
    // without IPv6 it is two hosts
    let more: Vec<SocketAddr> = ["127.0.0.2", "::1"].into_iter().filter_map(free).collect();
    let mut builder = Node::builder();
    for (number, address) in more.iter().enumerate() {
        let (ip, port) = (address.ip(), address.port());
        builder = builder.configure(&format!("listeners.tcp.{} = {ip}:{port}", number + 2));
    }
    let node = builder.start();
    let hosts: Vec<SocketAddr> = std::iter::once(local(node.port())).chain(more).collect();
    let transport = Transport::amqp(config(&urls("guest", &hosts)));
    let publisher = transport.publisher(topology("all", "#"));
    let consumers = ["all", "all"].map(|queue| transport.consumer(topology(queue, "#"), Consume::new(queue)));
    let mut links = vec![publisher.link()];
    links.extend(consumers.iter().map(|consumer| consumer.link()));
    for generation in 1..=4 {
        let wanted = hosts[(generation - 1) % hosts.len()].to_string();
        for link in &mut links {
            assert_eq!(on(link, generation as u64).await, wanted);
        }
        node.close_connections();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_compared_with_the_name_of_the_host_that_is_tried() {
    // A second address of the loopback, which does not stand in the certificate.
    let other = TcpListener::bind(("127.0.0.2", 0)).unwrap().local_addr().unwrap();
    let node = Node::builder().tls().configure(&format!("listeners.ssl.2 = {other}")).start();
    let with_ca = |url: String| {
        let mut config = config(&url);
        config.tls = TlsFiles { ca: Some(node.certificates().ca.clone()), client: None };
        config
    };
    let known = format!("localhost:{}", node.tls_port());
    let publisher = publisher(with_ca(format!("amqps://{other},{known}/")), Topology::default()).await;
    assert!(on(&mut publisher.link(), 1).await.starts_with(&known));

    let error = amqp::check(&with_ca(format!("amqps://{other}/")), &Topology::default()).await.unwrap_err();
    assert_eq!(error.class, LinkErrorClass::Tls, "{error}");
    // Who has no certificate at all may come back with one: no person is needed as long as one host is merely away.
    let nobody = "127.0.0.1:1";
    let error = amqp::check(&with_ca(format!("amqps://{other},{nobody}/")), &Topology::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.class, LinkErrorClass::Unreachable, "{error}");
    assert!(error.what.contains("another host name") && error.what.contains(nobody), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_host_can_be_used_each_is_named_and_a_refused_login_decides_only_where_all_answer() {
    let publisher = amqp::publisher(config(&urls("hunter2", &[local(1), local(2)])), Topology::default());
    let error = down(&mut publisher.link()).await;
    assert_eq!(error.class, LinkErrorClass::Unreachable);
    assert!(error.what.contains("127.0.0.1:1: nobody listens"), "{error}");
    assert!(error.what.contains("127.0.0.1:2: nobody listens"), "{error}");

    let node = local(Node::shared().port());
    for (hosts, class) in [
        (vec![local(1), node, local(2)], LinkErrorClass::Unreachable),
        (vec![node, local(2)], LinkErrorClass::Unreachable),
        (vec![node], LinkErrorClass::AccessRefused),
    ] {
        let refused = config(&urls("hunter2", &hosts));
        let error = amqp::check(&refused, &Topology::default()).await.unwrap_err();
        assert_eq!(error.class, class, "{error}");
        assert!(error.what.contains("refused the login") && error.remedy.contains("password"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_one_host_refused_are_not_shown_to_the_others_of_the_round_and_the_next_begins_with_those()
 {
    let node = local(Node::shared().port());
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = other.local_addr().unwrap();
    let mut refused = config(&urls("hunter2", &[node, address]));
    refused.connect_timeout = Duration::from_secs(1);
    let error = amqp::check(&refused, &Topology::default()).await.unwrap_err();
    assert_eq!(error.class, LinkErrorClass::AccessRefused, "all are there: {error}");
    let (mut said, _) = other.accept().unwrap();
    assert_eq!(said.read(&mut [0; 8]).unwrap(), 0, "nothing was said to it");

    // with a copy of the same configuration: it never answers, so the one that refuses is the next
    let error = amqp::check(&refused.clone(), &Topology::default()).await.unwrap_err();
    let (mut said, _) = other.accept().unwrap();
    assert_eq!(said.read(&mut [0; 8]).unwrap(), 8, "the protocol's header");
    assert_eq!(error.class, LinkErrorClass::Unreachable, "{error}");
    assert!(error.what.contains(&address.to_string()) && error.what.contains("refused the login"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_names_other_hosts_is_followed_at_the_next_connection() {
    let node = local(Node::shared().port());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, urls("guest", &[local(1), local(2)])).unwrap();
    let mut followed = AmqpConfig::from_file(file.path()).unwrap();
    followed.backoff_max = config("amqp://h").backoff_max;
    let publisher = amqp::publisher(followed, Topology::default());
    let mut links = publisher.link();
    down(&mut links).await;
    std::fs::write(&file, urls("guest", &[local(1), node])).unwrap();
    up(&mut links).await;
    assert_eq!(on(&mut links, 1).await, node.to_string());
}
