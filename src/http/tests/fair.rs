//! What nobody may take all of: connections, and feeds. Of owners, and of addresses that show no token.

use super::{
    super::{client::Credentials, shares::Whose},
    access::{clock as with_tokens, known, token},
    ask::asked,
    *,
};
use crate::{
    authority::{Owners, Role},
    config::TokenConfig,
};
use testkit::wait_until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const LONG: Duration = Duration::from_secs(60);

/// A clock of which two owners have tokens: 1 of billing, 2 of reports.
async fn clock(limits: Limits, rules: AccessRules) -> Clock {
    let reports = TokenConfig { owner: "reports".into(), ..known(2, Role::Read, "#") };
    serving(limits, Access::new(&[known(1, Role::Read, "#"), reports], &Owners::default(), rules)).await
}

/// A clock which takes connections from this machine as those from elsewhere; tokens in the clear it believes.
async fn serving(limits: Limits, access: Access) -> Clock {
    let mut clock = Clock::with(limits).await;
    clock.state = clock.state.with_access(access);
    clock.state.is_own = |_| false;
    clock.serve_again().await;
    clock
}

async fn connected(clock: &Clock) -> TcpStream {
    TcpStream::connect(clock.address).await.unwrap()
}

async fn idle(clock: &Clock, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(connected(clock).await);
    }
    streams
}

/// The answer on a connection that may be asked again, and whether it then is closed.
async fn asked_on(stream: &mut TcpStream, path: &str, shown: Option<u8>, lines: &str) -> (String, bool) {
    let shown = shown.map(|byte| format!("Authorization: Bearer {}\r\n", token(byte).reveal()));
    let shown = shown.unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\n{lines}{shown}\r\n");
    // One that is closed already has no answer.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = String::new();
    loop {
        let mut piece = [0; 4096];
        let length = tokio::time::timeout(LONG, stream.read(&mut piece)).await.expect("in time").unwrap_or(0);
        answer.push_str(&String::from_utf8_lossy(&piece[..length]));
        let whole = answer.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.to_lowercase().split_once("content-length: ").map(|(_, rest)| rest.to_owned());
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            length.is_some_and(|length: usize| body.len() >= length)
        });
        let closes = answer.to_lowercase().contains("\r\nconnection: close\r\n");
        if length == 0 || (whole && !closes) {
            return (answer, length == 0);
        }
    }
}

const HOST: &str = "Host: localhost\r\n";

#[tokio::test]
async fn an_owner_has_half_of_the_connections_and_others_have_the_rest() {
    let limits = Limits { connections: 4, reserve: 4, ..Limits::patient() };
    let clock = clock(limits, AccessRules::default()).await;
    let mut his = Vec::new();
    for _ in 0..2 {
        let mut stream = connected(&clock).await;
        let (answer, closed) = asked_on(&mut stream, "/healthz", Some(1), HOST).await;
        assert!(answer.contains(" 200 ") && !closed, "{answer}");
        his.push(stream);
    }
    let mut third = connected(&clock).await;
    let (answer, closed) = asked_on(&mut third, "/v1/schedules/one-minute", Some(1), HOST).await;
    assert!(answer.contains(" 429 ") && answer.contains("2 connections of yours are open"), "{answer}");
    assert!(closed, "{answer}");
    // His probe is answered, and has no place.
    let (answer, closed) = asked_on(&mut connected(&clock).await, "/healthz", Some(1), HOST).await;
    assert!(answer.contains(" 200 ") && closed, "{answer}");
    for _ in 0..2 {
        let mut stream = connected(&clock).await;
        let (answer, closed) = asked_on(&mut stream, "/v1/schedules/one-minute", Some(2), HOST).await;
        assert!(answer.contains(" 200 ") && !closed, "{answer}");
        his.push(stream);
    }
    let (answer, _) = asked_on(&mut his[0], "/v1/schedules/one-minute", Some(1), HOST).await;
    assert!(answer.contains(" 200 "), "the first one stands: {answer}");
}

#[tokio::test]
async fn a_crowd_at_an_address_shuts_out_nobody_there_who_shows_a_token() {
    let limits = Limits { connections: 8, reserve: 2, ..Limits::patient() };
    for (open_reads, status) in [(false, " 401 "), (true, " 429 ")] {
        let clock = clock(limits, AccessRules { open_reads, ..AccessRules::default() }).await;
        let _crowd = idle(&clock, 20).await;
        let path = "/v1/schedules/one-minute";
        let (answer, _) = asked_on(&mut connected(&clock).await, path, None, HOST).await;
        assert!(answer.contains(status), "{answer}");
        let said = answer.contains("4 connections of your address are open");
        assert_eq!(said, open_reads, "{answer}");
        let (answer, _) = asked_on(&mut connected(&clock).await, path, Some(1), HOST).await;
        assert!(answer.contains(" 200 "), "{answer}");
        // With a token a feed leaves the reserve to others, too.
        let mut feeds = Vec::new();
        for byte in [1, 2, 1] {
            let mut stream = connected(&clock).await;
            let shown = token(byte).reveal().to_owned();
            let request = format!("GET /v1/feed HTTP/1.1\r\n{HOST}Authorization: Bearer {shown}\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut start = [0; 15];
            stream.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 200 OK");
            feeds.push(stream);
        }
        let (answer, _) = asked_on(&mut connected(&clock).await, "/healthz", None, HOST).await;
        assert!(answer.contains(" 200 "), "{answer}");
    }
}

#[tokio::test]
async fn who_shows_no_token_where_one_is_wanted_keeps_no_connection() {
    let clock = clock(Limits::patient(), AccessRules::default()).await;
    for (path, shown, lines, status) in [
        ("/healthz", None, HOST, 200),
        ("/readyz", None, HOST, 200),
        ("/v1/schedules", None, HOST, 401),
        ("/healthz", None, "Host: evil.example\r\n", 403),
        ("/healthz", None, "", 400),
        ("/healthz", Some(9), HOST, 401),
        ("/healthz", Some(1), "Host: localhost\r\nX-Forwarded-Proto: http\r\n", 403),
    ] {
        let (answer, closed) = asked_on(&mut connected(&clock).await, path, shown, lines).await;
        assert!(answer.contains(&format!(" {status} ")) && closed, "{path} {lines}: {answer}");
    }
    let (answer, closed) = asked_on(&mut connected(&clock).await, "/healthz", Some(1), HOST).await;
    assert!(answer.contains(" 200 ") && !closed, "{answer}");
    // Where everybody may read, he may go on.
    let open = AccessRules { open_reads: true, ..AccessRules::default() };
    let clock = self::clock(Limits::patient(), open).await;
    let (answer, closed) = asked_on(&mut connected(&clock).await, "/healthz", None, HOST).await;
    assert!(answer.contains(" 200 ") && !closed, "{answer}");
}

#[tokio::test]
async fn without_tokens_an_address_leaves_feeds_to_others() {
    let limits = Limits { feeds: 4, ..Limits::patient() };
    let clock = serving(
        limits,
        Access::new(&[], &Owners::default(), AccessRules { open_reads: true, ..AccessRules::default() }),
    );
    let clock = clock.await;
    let _feeds = [clock.client.feed("", None).await.unwrap(), clock.client.feed("", None).await.unwrap()];
    let third = clock.client.feed("", None).await.map(drop);
    let Err(ClientError::Refused { status: 429, detail, .. }) = third else { panic!("{third:?}") };
    assert!(detail.contains("2 feeds of your address are open"), "{detail}");
    drop(clock.state.feeds.take(Whose::address("192.0.2.9".parse().unwrap())).unwrap());
}

#[tokio::test]
async fn what_is_refused_where_even_the_reserve_is_busy_is_told_so() {
    let limits = Limits { connections: 4, reserve: 1, ..Limits::patient() };
    let mut clock = clock(limits, AccessRules::default()).await;
    // Health is not answered meanwhile, for the loop does not turn.
    let (commands, _never_read) = mpsc::channel(1);
    clock.state.clock.handle.commands = commands;
    clock.serve_again().await;
    let _crowd = idle(&clock, 2).await;
    let mut probes = Vec::new();
    for _ in 0..2 {
        let mut probe = connected(&clock).await;
        probe.write_all(format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n").as_bytes()).await.unwrap();
        probes.push(probe);
    }
    let refused = || async {
        let mut stream = connected(&clock).await;
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(1), stream.read_to_string(&mut answer)).await;
        read.is_ok_and(|read| read.is_ok()).then_some(answer).filter(|answer| !answer.is_empty())
    };
    let answer = wait_until("a refusal in words", LONG, refused).await;
    assert!(answer.contains(" 503 ") && answer.contains("Retry-After: 2"), "{answer}");
}

#[tokio::test]
async fn to_look_up_many_parked_events_costs_as_much_as_many_changes() {
    let mut clock = with_tokens().await;
    let (reply, page) = tokio::sync::oneshot::channel();
    clock.state.clock.handle.commands.send(Command::Parked(None, reply)).await.unwrap();
    let (_, parked, _) = page.await.unwrap().remove(0);
    // Each number stands on a page of its own.
    let (commands, mut asked_of_loop) = mpsc::channel(8);
    let rest = std::mem::replace(&mut clock.state.clock.handle.commands, commands);
    tokio::spawn(async move {
        while let Some(command) = asked_of_loop.recv().await {
            match command {
                Command::Parked(after, reply) => {
                    drop(reply.send(vec![(after.map_or(0, |after| after + 1), parked.clone(), false)]));
                }
                other => rest.send(other).await.unwrap(),
            }
        }
    });
    clock.serve_again().await;
    let release = async |byte, count: u64| {
        let credentials = Credentials { token: Some(token(byte)), ca_file: None };
        let client = clock.client.clone().with(credentials);
        let body = serde_json::json!({ "ids": (1..=count).collect::<Vec<_>>() }).to_string();
        let answer = asked(&client, Method::POST, "/v1/parked/release", ("application/json", &body)).await;
        (answer.0, answer.2["detail"].as_str().unwrap_or_default().to_owned())
    };
    // Whoever is of everything has nothing looked up; 2 and 3 are of one owner.
    assert_eq!(release(2, 1_000).await.0, 200);
    assert_eq!(release(2, 1_000).await.0, 200);
    assert_eq!(release(3, 1_000).await.0, 200);
    let (status, detail) = release(3, 1).await;
    assert!(status == 429 && detail.contains("asks for changes too often"), "{detail}");
    // While he has his long answers, nothing is looked up.
    let billing = Whose::Owner("billing".into());
    let _all: Vec<_> = std::iter::from_fn(|| clock.state.large.take(&billing).ok()).collect();
    let (status, detail) = release(3, 1).await;
    assert!(status == 429 && detail.contains("long answers of yours are open"), "{detail}");
}
