//! Connections: however many there are, health is answered; none is held for ever.

use super::*;
use testkit::wait_until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LONG: Duration = Duration::from_secs(60);

async fn idle(clock: &Clock, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(clock.address).await.unwrap());
    }
    streams
}

#[tokio::test]
async fn health_is_answered_however_many_connections_are_open() {
    let clock = Clock::with(Limits { connections: 4, reserve: 2, ..Limits::patient() }).await;
    let crowd = idle(&clock, 100).await;
    for _ in 0..3 {
        for path in ["/healthz", "/readyz"] {
            clock.client.get::<Value>(path).await.unwrap();
        }
        let (status, detail) = refused(clock.client.get("/schedules").await).await;
        assert_eq!(status, 503);
        assert!(detail.contains("4 connections are open"), "{detail}");
    }
    let foreign = raw(&clock, "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert!(foreign.contains("403"), "{foreign}");
    drop(crowd);
    let again = || async { clock.client.get::<Value>("/schedules").await.ok() };
    wait_until("all to be answered again", LONG, again).await;
}

#[tokio::test]
async fn health_is_answered_however_many_feeds_are_wanted() {
    let clock = Clock::with(Limits { connections: 8, reserve: 2, feeds: 6, ..Limits::patient() }).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for _ in 0..50 {
        match clock.client.feed("", None).await {
            Ok(feed) => held.push(feed),
            Err(ClientError::Refused { status: 503, .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((held.len(), refused), (6, 44));
    let _crowd = idle(&clock, 50).await;
    clock.client.get::<Value>("/healthz").await.unwrap();
    // Those that were there first go on.
    clock.record(confirmed("one-minute", 1));
    for feed in &mut held {
        let event = tokio::time::timeout(LONG, feed.next()).await.expect("in time").unwrap();
        assert_eq!(event.unwrap().event, "time.one-minute.passed");
    }
}

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Asks on an open connection; `None` once it is closed.
async fn asked_again(stream: &mut TcpStream) -> Option<String> {
    stream.write_all(ASK).await.ok()?;
    let mut answer = vec![0; 4096];
    match tokio::time::timeout(LONG, stream.read(&mut answer)).await.expect("in time") {
        Ok(0) | Err(_) => None,
        Ok(length) => Some(String::from_utf8_lossy(&answer[..length]).into_owned()),
    }
}

#[tokio::test]
async fn a_connection_that_was_used_and_is_idle_is_closed() {
    let clock = Clock::with(Limits { head: Duration::from_millis(200), ..Limits::patient() }).await;
    // One whose first request comes too late for that is closed before it was used.
    let used = || async {
        let mut stream = TcpStream::connect(clock.address).await.ok()?;
        let answer = asked_again(&mut stream).await?;
        answer.contains("200 OK").then_some(stream)
    };
    let mut stream = wait_until("an answer", LONG, used).await;
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
    closed.expect("an idle connection is closed").unwrap();
}

/// An open feed and what was read of it; `None` if the connection was too old already when the request came.
async fn opened(clock: &Clock, path: &str) -> Option<(TcpStream, String)> {
    let mut stream = TcpStream::connect(clock.address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut begun = [0; 4096];
    let length = tokio::time::timeout(LONG, stream.read(&mut begun)).await.expect("in time").ok()?;
    let begun = String::from_utf8_lossy(&begun[..length]).into_owned();
    begun.contains("200 OK").then_some((stream, begun))
}

#[tokio::test]
async fn an_old_connection_takes_no_more_requests_but_a_feed_goes_on() {
    let short = Duration::from_millis(100);
    let clock = Clock::with(Limits { age: short, audit: short, ..Limits::patient() }).await;
    let feed = || async { clock.client.feed("", None).await.ok() };
    let mut feed = wait_until("a feed that was asked for in time", LONG, feed).await;
    let alias = || async { opened(&clock, "/feed").await };
    let (mut alias, mut read) = wait_until("another one", LONG, alias).await;
    for _ in 0..5 {
        let mut stream = TcpStream::connect(clock.address).await.unwrap();
        // It asks for as long as it is let.
        while asked_again(&mut stream).await.is_some() {}
    }
    clock.record(confirmed("one-minute", 1));
    let event = tokio::time::timeout(LONG, feed.next()).await.expect("in time").unwrap();
    assert_eq!(event.expect("the feed goes on").event, "time.one-minute.passed");
    while !read.contains("time.one-minute.passed") {
        let mut piece = [0; 4096];
        let length = tokio::time::timeout(LONG, alias.read(&mut piece)).await.expect("in time").unwrap();
        assert!(length > 0, "the feed of before goes on too: {read}");
        read.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_does_not_keep_an_old_connection() {
    let short = Duration::from_millis(100);
    let clock = Clock::with(Limits { age: short, audit: short, connections: 1, ..Limits::patient() }).await;
    (1..=1000).for_each(|minute| clock.record(confirmed("one-minute", minute)));
    let mut stream = TcpStream::connect(clock.address).await.unwrap();
    // Requests without end, whose answers nobody reads.
    let request = b"GET /history?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let write = tokio::time::timeout(LONG, stream.write_all(&request)).await;
    drop(write.expect("in time"));
    let again = || async { clock.client.get::<Value>("/parked").await.ok() };
    wait_until("the one place to be free again", LONG, again).await;
}

#[tokio::test]
async fn http_on_a_thread_of_its_own_answers_while_this_one_is_busy() {
    let clock = Clock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = bind_control(folder.path()).unwrap();
    let serving = start(Some(listener), Some(control), clock.state.clone(), clock.shutdown.clone()).unwrap();
    // This thread, on which the sockets were made, does nothing else meanwhile.
    let answer = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.join().unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
    let client = Client::new(Target::Unix(control_path(folder.path())));
    client.get::<Value>("/healthz").await.unwrap();
    clock.trigger.advance();
    tokio::time::timeout(LONG, serving.ended()).await.expect("in time");
    assert!(!control_path(folder.path()).exists());
}
