//! HTTPS: asked by our own client, and by peers that do not do as they should.

use super::{
    super::{client::Credentials, connection::Connection},
    *,
};
use axum::{body::Body, http::Request};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use testkit::{Certificates, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LONG: Duration = Duration::from_secs(60);

/// A clock that encrypts; its client trusts the authority of its certificate.
async fn clock(limits: Limits) -> (Clock, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let made = Certificates::generate(folder.path());
    let mut clock = Clock::with(limits).await;
    let tls = Tls::read("[http.tls]", &made.server.certificate, &made.server.key).unwrap();
    clock.state = clock.state.with_tls(Some(tls));
    clock.serve_again().await;
    let target = Target::Tls(format!("localhost:{}", clock.address.port()));
    clock.client = Client::new(target).with(Credentials { token: None, ca_file: Some(made.ca) });
    (clock, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_feeds_are_encrypted() {
    let (clock, _folder) = clock(Limits::patient()).await;
    let schedules: Value = clock.client.get("/schedules").await.unwrap();
    assert_eq!(schedules["schedules"][0]["name"], "one-minute");
    let mut feed = clock.client.feed("", None).await.unwrap();
    clock.record(confirmed("one-minute", 1));
    let event = tokio::time::timeout(LONG, feed.next()).await.expect("in time").unwrap();
    assert_eq!(event.unwrap().event, "time.one-minute.passed");
    // Of another authority, its certificate is not believed.
    let other = tempfile::tempdir().unwrap();
    let stranger = Credentials { token: None, ca_file: Some(Certificates::generate(other.path()).ca) };
    let refused = clock.client.clone().with(stranger).get::<Value>("/schedules").await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("no encrypted connection: invalid peer certificate"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_begin_or_end_its_handshake_is_cut_off() {
    let (clock, _folder) = clock(Limits { head: Duration::from_millis(100), ..Limits::patient() }).await;
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x00\xff", b"\x16not tls at all, but for its first byte"] {
        let mut stream = TcpStream::connect(clock.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        // A connection that is closed with something unread is reset.
        let closed = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
        drop(closed.expect("it is closed"));
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_in_the_clear_is_told_so_and_that_his_token_is_to_be_replaced() {
    let (clock, _folder) = clock(Limits::patient()).await;
    let head = "GET /schedules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let answer = whole(&clock, &format!("{head}\r\n")).await;
    assert!(answer.contains(" 400 ") && answer.contains("this port speaks HTTPS"), "{answer}");
    assert!(!answer.contains("replace") && !answer.contains("one-minute"), "{answer}");
    // What stays on this machine nobody reads.
    let answer = whole(&clock, &format!("{head}Authorization: Bearer kh_x\r\n\r\n")).await;
    assert!(answer.contains(" 400 ") && !answer.contains("replace"), "{answer}");
    let clear = TowerToHyperService::new(routes::clear(clock.state.access.clone()));
    for (peer, burnt) in [("127.0.0.1", false), ("10.0.0.7", true)] {
        let request = Request::builder()
            .uri("/schedules")
            .header("authorization", "Bearer kh_x")
            .extension(Connection { peer: peer.parse().ok(), ..Connection::UNKNOWN })
            .body(Body::empty())
            .unwrap();
        let answer = clear.call(request).await.unwrap();
        assert_eq!(answer.status(), 400);
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        let said = String::from_utf8_lossy(&body).contains("replace it (khronos token new)");
        assert_eq!(said, burnt, "{peer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_answered_by_https_however_many_connections_are_open() {
    let limits = Limits { connections: 4, reserve: 2, ..Limits::patient() };
    let (clock, _folder) = clock(limits).await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(TcpStream::connect(clock.address).await.unwrap());
    }
    let health = || async { clock.client.get::<Value>("/healthz").await.ok() };
    wait_until("health to be answered", LONG, health).await;
    drop(crowd);
    let again = || async { clock.client.get::<Value>("/schedules").await.ok() };
    wait_until("all to be answered again", LONG, again).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_has_not_ended_holds_up_no_shutdown() {
    let (clock, _folder) = clock(Limits { head: LONG * 10, farewell: LONG * 10, ..Limits::patient() }).await;
    let mut stream = TcpStream::connect(clock.address).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x00\xff").await.unwrap();
    // It is being served: others that came later are.
    clock.client.get::<Value>("/healthz").await.unwrap();
    clock.trigger.advance();
    let mut rest = Vec::new();
    drop(tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("it is closed"));
    assert!(rest.is_empty(), "{rest:?}");
}
