//! What goes wrong when connecting and declaring: each with its class, its words, its remedy, and no secret.

use crate::support::{self, config, down, outcomes, publisher, publishing, topology, up};
use ponos_broker::{
    LinkError, LinkErrorClass,
    amqp::{self, AmqpConfig, TlsFiles},
};
use ponos_event::topology::{Exchange, Queue, Topology};
use std::{path::Path, sync::OnceLock, time::Duration};
use testkit::{Certificates, Node};

/// Checks, and sees that a publisher reports the same and goes on trying.
async fn refused(config: AmqpConfig, topology: Topology) -> LinkError {
    let error = amqp::check(&config, &topology).await.expect_err("it is refused");
    let publisher = amqp::publisher(config, topology);
    let reported = down(&mut publisher.link()).await;
    assert_eq!(reported.class, error.class, "{reported}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert!(!error.remedy.is_empty());
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let config = config("amqp://127.0.0.1:1/");
    let error = refused(config, Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Unreachable);
    assert!(error.what.contains("127.0.0.1:1") && error.what.contains("nobody listens"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_exist() {
    let error = refused(config("amqp://no-such-host.invalid/"), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Unreachable);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_listens_and_never_answers() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut config = config(&format!("amqp://127.0.0.1:{}/", listener.local_addr().unwrap().port()));
    config.connect_timeout = Duration::from_millis(300);
    let error = refused(config, Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Unreachable);
    assert!(error.what.contains("longer than"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password() {
    let url = Node::shared().url_for("guest", "hunter2", "/");
    let error = refused(config(&url), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::AccessRefused);
    assert!(error.what.contains("'guest'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vhost_that_is_missing_or_closed_to_the_user() {
    let node = Node::shared();
    let error = refused(config(&node.url_for("guest", "guest", "nowhere")), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Vhost);
    assert!(error.what.contains("no vhost 'nowhere'"), "{error}");

    node.add_user("stranger", "hunter2");
    let error = refused(config(&node.url_for("stranger", "hunter2", "/")), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Vhost);
    assert!(error.what.contains("'stranger'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_exists_with_other_arguments() {
    let url = Node::shared().vhost("inequivalent");
    drop(publisher(config(&url), topology("all", "#")).await);

    let fanout = Topology { exchanges: vec![Exchange::fanout("events")], ..Topology::default() };
    let error = refused(config(&url), fanout).await;
    assert_eq!(error.class, LinkErrorClass::Inequivalent);
    assert!(error.what.contains("exchange 'events'") && error.what.contains("'type'"), "{error}");
    assert!(error.what.contains("we want fanout, it has topic"), "{error}");

    let shorter = Queue::classic("all").with("x-message-ttl", 1000);
    let error = refused(config(&url), Topology { queues: vec![shorter], ..Topology::default() }).await;
    assert!(error.what.contains("'x-message-ttl': we want 1000, it has none"), "{error}");
    assert!(error.remedy.contains("policy") && error.remedy.contains("new name"), "{error}");

    let quorum = Topology { queues: vec![Queue::quorum("all")], ..Topology::default() };
    let error = refused(config(&url), quorum).await;
    assert_eq!(error.class, LinkErrorClass::Inequivalent);
    assert!(error.what.contains("queue 'all'") && error.what.contains("'x-queue-type'"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_may_not_do_and_what_is_missing() {
    let node = Node::shared();
    node.vhost("forbidden");
    node.add_user("reader", "hunter2");
    node.permit("reader", "forbidden", "^$", ".*", ".*");
    let url = node.url_for("reader", "hunter2", "forbidden");
    let error = refused(config(&url), topology("all", "#")).await;
    assert_eq!(error.class, LinkErrorClass::Forbidden);
    assert!(error.what.contains("exchange 'events'") && error.what.contains("'reader'"), "{error}");

    let consumer = support::consumer(config(&url), Topology::default(), "missing", 1);
    let error = down(&mut consumer.link()).await;
    assert_eq!(error.class, LinkErrorClass::Missing);
    assert!(error.what.contains("no queue 'missing'"), "{error}");
}

fn tls_node() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| Node::builder().tls().start())
}

fn with_ca(url: &str, ca: &Path) -> AmqpConfig {
    let mut config = config(url);
    config.tls = TlsFiles { ca: Some(ca.to_owned()), client: None };
    config
}

async fn works(config: AmqpConfig) {
    let mut publisher = publisher(config, topology("all", "#")).await;
    publisher.submit((0..500).map(|token| publishing(token, "a.b.c")).collect()).await.unwrap();
    assert_eq!(outcomes(&mut publisher, 500).await.len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_an_own_authority_works() {
    works(with_ca(&tls_node().tls_url(), &tls_node().certificates().ca)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_not_trusted_is_refused() {
    let node = tls_node();
    let folder = tempfile::tempdir().unwrap();
    let other = Certificates::generate(folder.path());
    let error = refused(with_ca(&node.tls_url(), &other.ca), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Tls);
    assert!(error.what.contains("not trusted"), "{error}");
    // Without a file the machine's authorities count, and they don't know ours.
    let error = amqp::check(&config(&node.tls_url()), &Topology::default()).await.unwrap_err();
    assert!(matches!(error.class, LinkErrorClass::Tls | LinkErrorClass::Configuration), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    // A second address of the loopback, which does not stand in the certificate.
    let port = std::net::TcpListener::bind(("127.0.0.2", 0)).unwrap().local_addr().unwrap().port();
    let node = Node::builder().tls().configure(&format!("listeners.ssl.2 = 127.0.0.2:{port}")).start();
    let url = format!("amqps://127.0.0.2:{port}/");
    let error = refused(with_ca(&url, &node.certificates().ca), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Tls, "{error}");
    assert!(error.what.contains("another host name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_to_a_tls_port_and_tls_to_a_plain_port() {
    let node = tls_node();
    let error = refused(config(&format!("amqp://127.0.0.1:{}/", node.tls_port())), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Tls, "{error}");
    assert!(error.remedy.contains("amqps://"), "{error}");
    let url = format!("amqps://localhost:{}/", node.port());
    let error = refused(with_ca(&url, &node.certificates().ca), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Tls, "{error}");
    assert!(error.remedy.contains("amqp://"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_wants_a_client_certificate_gets_one() {
    let node = Node::builder().tls_with_client_certificates().start();
    let certificates = node.certificates();
    let mut known = with_ca(&node.tls_url(), &certificates.ca);
    known.tls.client = Some((certificates.client.certificate.clone(), certificates.client.key.clone()));
    works(known.clone()).await;

    let error = refused(with_ca(&node.tls_url(), &certificates.ca), Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Tls, "{error}");

    let folder = tempfile::tempdir().unwrap();
    let other = Certificates::generate(folder.path());
    let mut unknown = known;
    unknown.tls.client = Some((other.client.certificate, other.client.key));
    let error = refused(unknown, Topology::default()).await;
    assert_eq!(error.class, LinkErrorClass::Tls, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_can_not_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "no certificate").unwrap();
    let own = Certificates::generate(folder.path());
    for tls in [
        TlsFiles { ca: Some(folder.path().join("missing.pem")), client: None },
        TlsFiles { ca: Some(broken.clone()), client: None },
        TlsFiles { ca: Some(own.ca.clone()), client: Some((own.client.certificate.clone(), broken.clone())) },
        TlsFiles { ca: Some(own.ca.clone()), client: Some((own.client.certificate, own.server.key)) },
    ] {
        let mut config = config("amqps://localhost/");
        config.tls = tls;
        let error = amqp::check(&config, &Topology::default()).await.unwrap_err();
        assert_eq!(error.class, LinkErrorClass::Configuration, "{error}");
        assert!(error.what.contains(".pem"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrong_is_tried_again_and_works_once_it_is_right() {
    let node = Node::shared();
    let url = node.url_for("guest", "guest", "later");
    let publisher = amqp::publisher(config(&url), topology("all", "#"));
    let mut links = publisher.link();
    assert_eq!(down(&mut links).await.class, LinkErrorClass::Vhost);
    node.vhost("later");
    up(&mut links).await;
}
