//! Answers that are long: whole, a few at a time, and never in the way of the rest.

use super::*;
use crate::http::shares::Whose;
use std::collections::BTreeMap;
use testkit::wait_until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A clock with so many schedules, each with so many bytes of data.
async fn many(count: usize, bytes: usize, limits: Limits) -> Clock {
    let data: BTreeMap<&str, String> = BTreeMap::from([("text", "x".repeat(bytes))]);
    let revision = |number: usize| {
        let definition = Definition {
            name: format!("many-{number:05}"),
            every: Some("1 minute".into()),
            data: Some(serde_json::to_value(&data).unwrap()),
            ..Definition::default()
        };
        Revision { definition: Packed::kept(&definition), ..revision("x", "1 minute") }
    };
    Clock::of((0..count).map(revision).collect(), limits).await
}

#[tokio::test]
async fn a_list_of_many_pages_is_whole_and_in_order() {
    for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7] {
        let clock = many(count, 100, Limits::patient()).await;
        let all: Value = clock.client.get("/schedules").await.unwrap();
        assert_eq!(all["clock"], "khronos");
        let names: Vec<&str> =
            all["schedules"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..count).map(|number| format!("many-{number:05}")).collect();
        assert_eq!(names, expected);
    }
}

#[tokio::test]
async fn an_audit_of_many_pages_is_whole_and_in_order() {
    let clock = many(2 * KEPT + 3, 10, Limits::patient()).await;
    let report: crate::engine::audit::Report = clock.client.get("/audit").await.unwrap();
    let names: Vec<String> = report.schedules.into_iter().map(|one| one.schedule).collect();
    let expected: Vec<String> = (0..2 * KEPT + 3).map(|number| format!("many-{number:05}")).collect();
    assert_eq!(names, expected);
}

/// Sends a request and reads nothing.
async fn ask(clock: &Clock, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(clock.address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_few_long_answers_are_given_at_a_time_and_the_rest_goes_on_beside_them() {
    // More than the system takes in on behalf of a reader that does not read.
    let clock = many(400, 60_000, Limits { large: 2, hold: LONG, ..Limits::patient() }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = ask(&clock, "/schedules").await;
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        slow.push(stream);
    }
    for path in ["/schedules", "/parked", "/history", "/audit", "/calendars/x"] {
        let (status, detail) = refused(clock.client.get(path).await).await;
        assert_eq!(status, 503, "{path}");
        assert!(detail.contains("2 long answers"), "{detail}");
        let head = raw_head(&clock, path).await;
        assert!(head.contains("retry-after: 2"), "{head}");
    }
    for path in ["/healthz", "/readyz", "/schedules/many-00001", "/"] {
        clock.client.get::<Value>(path).await.unwrap();
    }
    // The machine's own operator has places of his own.
    let folder = tempfile::tempdir().unwrap();
    let socket = bind_control(folder.path()).unwrap();
    tokio::spawn(serve_control(socket, clock.state.clone(), clock.shutdown.clone()));
    let operator = Client::new(Target::Unix(control_path(folder.path())));
    for path in ["/schedules", "/parked", "/history", "/audit"] {
        operator.get::<Value>(path).await.unwrap();
    }
    // One that goes away, and one that reads to the end, make room.
    drop(slow.pop());
    let mut last = slow.pop().unwrap();
    let (mut read, mut piece) = (0, vec![0; 1 << 16]);
    while read < 400 * 60_000 {
        read += last.read(&mut piece).await.unwrap();
    }
    let room = || async { clock.client.get::<Value>("/parked").await.ok() };
    wait_until("room for another long answer", Duration::from_secs(60), room).await;
}

/// Longer than anything takes that works, on a busy machine.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn slow_readers_give_way_to_others_once_they_had_their_time() {
    let hold = Duration::from_millis(200);
    let clock = many(400, 60_000, Limits { large: 2, hold, ..Limits::patient() }).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = ask(&clock, "/schedules").await;
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        slow.push(stream);
    }
    for path in ["/parked", "/history", "/audit", "/schedules"] {
        let given = || async { clock.client.get::<Value>(path).await.ok() };
        wait_until("a place that a slow reader had", LONG, given).await;
    }
    // The first of them was cut off, and so it has no whole answer; the other one was in nobody's way.
    for (number, mut stream) in slow.into_iter().enumerate() {
        let (mut read, mut piece) = (0, vec![0; 1 << 16]);
        // At the end the connection waits for another request.
        let whole = tokio::time::timeout(LONG, async {
            while read < 400 * 60_000 {
                match stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return false,
                    Ok(more) => read += more,
                }
            }
            true
        });
        assert_eq!(whole.await.expect("in time"), number == 1, "{number}: {read} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_share_of_an_owner_his_oldest_answer_gives_way_and_no_other_ones() {
    use super::super::{places::Places, shares::NoShare};
    use axum::body::Body;
    use http_body_util::BodyExt;
    let places = Places::new(4, LONG);
    let [ann, bob] = ["ann", "bob"].map(|name| Whose::Owner(name.into()));
    let given = |whose| places.hold(Body::from("slow"), places.take(whose).unwrap());
    let mut others = given(&bob);
    let (mut first, mut second) = (given(&ann), given(&ann));
    assert_eq!(places.take(&ann).unwrap_err(), NoShare::Owner(2));
    tokio::time::advance(LONG).await;
    let third = given(&ann);
    assert!(first.frame().await.unwrap().unwrap_err().to_string().contains("read too slowly"));
    assert!(others.frame().await.unwrap().is_ok() && second.frame().await.unwrap().is_ok());
    drop(third);
}

async fn raw_head(clock: &Clock, path: &str) -> String {
    let mut stream = ask(clock, path).await;
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap();
    String::from_utf8_lossy(&head[..length]).to_ascii_lowercase()
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_whole_answer() {
    let mut clock = many(1000, 60_000, Limits::patient()).await;
    // The loop answers the first page and is gone then.
    let (commands, mut asked) = mpsc::channel(1);
    clock.state.clock.handle.commands = commands;
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = Client::new(Target::Tcp(listener.local_addr().unwrap().to_string()));
    tokio::spawn(serve(listener, clock.state.clone(), clock.shutdown.clone()));
    let answer = tokio::spawn(async move { client.get::<Value>("/schedules").await });
    let status = ScheduleStatus {
        revision: revision("one-minute", "1 minute"),
        next: None,
        in_flight: None,
        outstanding: vec![],
        sent: Sent::default(),
        refused: None,
        paused: None,
        finished: false,
    };
    match asked.recv().await {
        Some(Command::Schedules(None, reply)) => reply.send(vec![status; PAGE]).unwrap(),
        other => panic!("{other:?}"),
    }
    drop(asked);
    match answer.await.unwrap() {
        Err(ClientError::Broken { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_name_is_not_looked_for() {
    let (_clock, mut asked, client) = Clock::unanswered().await;
    for name in
        ["x".repeat(60_000), "x".repeat(129), "One-Minute".into(), "one%20minute".into(), "%1B".into()]
    {
        for path in ["/schedules/", "/audit?schedule="] {
            let (status, detail) = refused(client.get(&format!("{path}{name}")).await).await;
            assert_eq!(status, 404, "{detail}");
            assert!(detail.contains("is not the name of a schedule") && detail.len() < 300, "{detail}");
        }
    }
    let (status, detail) = refused(client.get("/schedules/%FF").await).await;
    assert_eq!(status, 400, "{detail}");
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn another_sites_page_leads_to_nothing_dear() {
    let clock = Clock::start().await;
    let from = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let asked = |path: &'static str, from: &'static str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{from}\r\n");
        let clock = &clock;
        async move { raw(clock, &request).await }
    };
    for path in ["/audit", "/schedules", "/history", "/parked", "/calendars/x"] {
        let line = asked(path, from).await;
        assert!(line.contains("403"), "{path}: {line}");
        let line = asked(path, "Sec-Fetch-Site: same-origin\r\n").await;
        assert!(line.contains("200") || path == "/calendars/x", "{path}: {line}");
    }
    assert!(asked("/feed", from).await.contains("403"));
    for path in ["/", "/healthz", "/schedules/one-minute"] {
        let line = asked(path, from).await;
        assert!(line.contains("200"), "{path}: {line}");
    }
}

#[tokio::test]
async fn what_is_missing_is_told_as_data_too_for_a_client_that_lists_all_elsewhere() {
    let clock = Clock::start().await;
    for (name, hint, suggestion) in [
        ("one-minutee", "did you mean 'one-minute'?", Some("one-minute")),
        ("nosuch", "GET /v1/schedules lists them all", None),
    ] {
        match clock.client.get::<Value>(&format!("/schedules/{name}")).await {
            Err(ClientError::Refused { detail, missing: Some(missing), .. }) => {
                assert_eq!(missing.what, format!("there is no schedule '{name}'"));
                assert_eq!(missing.suggestion.as_deref(), suggestion);
                assert_eq!(detail, format!("{}; {hint}", missing.what));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_needs_many_answers_waits_for_a_place() {
    let clock = Clock::with(Limits { large: 1, hold: LONG, ..Limits::patient() }).await;
    let place = clock.state.large.take(&Whose::Owner("somebody".into())).unwrap();
    let asked = tokio::spawn({
        let client = clock.client.clone();
        async move { client.get_patiently::<Value>("/v1/schedules").await }
    });
    let is_refused = || async { refused(clock.client.get("/v1/schedules").await).await.0 == 503 };
    assert!(is_refused().await && !asked.is_finished());
    drop(place);
    assert_eq!(asked.await.unwrap().unwrap()["schedules"].as_array().unwrap().len(), 2);
}
