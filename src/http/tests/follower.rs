//! What a follower passes on to the leader, and what keeps it from that.

use super::{
    super::{connection::Connection, telling::Telling},
    *,
};
use crate::{
    authority::Owners,
    cluster::Seen,
    engine::Reading,
    store::{Look, Warmth},
};
use axum::{
    body::{Body, Bytes},
    http::Request,
    response::Response,
};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::{convert::Infallible, net::Ipv4Addr};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

const LONG: Duration = Duration::from_secs(60);

/// Everybody on this machine may change it.
fn open() -> Access {
    Access::new(&[], &Owners::default(), AccessRules { open: true, ..AccessRules::default() })
}

/// One that follows whoever is there.
fn following(clock: &Clock, leader: std::net::SocketAddr, limits: Limits) -> Serves {
    following_as(clock, Seen { leader: Some(format!("http://{leader}")), ..Seen::default() }, limits)
}

/// One that sees this.
fn following_as(clock: &Clock, seen: Seen, limits: Limits) -> Serves {
    telling_as(clock, seen, limits, None)
}

fn telling_as(clock: &Clock, seen: Seen, limits: Limits, telling: Option<Telling>) -> Serves {
    following_so(clock, (seen, Warmth::Cold("it reads".into())), limits, telling)
}

/// The same, as warm as this.
fn following_so(
    clock: &Clock,
    (seen, warmth): (Seen, Warmth),
    limits: Limits,
    telling: Option<Telling>,
) -> Serves {
    let link = Link::Down { attempts: 0, error: None };
    let state = HttpState::new(clock.state.clock.clone(), vec![], limits).with_access(open());
    // What they say does not change, so nobody has to go on saying it.
    let (seen, link, warmth) = (watch::channel(seen), watch::channel(link), watch::channel(warmth));
    tokio::spawn(async move { (seen.0.closed().await, link.0.closed().await, warmth.0.closed().await) });
    super::super::following(state, seen.1, link.1, warmth.1, None, telling)
}

/// A request as it comes from this machine.
fn request(method: Method, path: &str, lines: &[(&str, &str)], body: Body) -> Request<Body> {
    let here = Some(Ipv4Addr::LOCALHOST.into());
    let request = Request::builder().method(method).uri(path).header("host", "localhost:1");
    let request = lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.extension(Connection { local: here, peer: here, encrypted: false }).body(body).unwrap()
}

async fn told(answer: Result<Response, Infallible>) -> (u16, String) {
    let (head, body) = answer.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (head.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_page_of_a_follower_may_operate_the_leader_and_a_page_of_another_site_may_not() {
    let mut clock = Clock::start().await;
    clock.state = clock.state.clone().with_access(open());
    clock.serve_again().await;
    let follower = TowerToHyperService::new(following(&clock, clock.address, Limits::patient()));
    let ask = async |origin| {
        let lines = [("origin", origin), ("content-type", "application/json")];
        told(follower.call(request(Method::POST, "/v1/reload", &lines, Body::from("null"))).await).await
    };
    let (_, said) = ask("http://localhost:1").await;
    assert!(said.contains("schedules/a.toml:3:1"), "the leader was asked: {said}");
    let (status, said) = ask("http://evil.example").await;
    assert!(status == 403 && said.contains("pages of the origin"), "{said}");
}

#[tokio::test]
async fn bodies_that_do_not_come_keep_out_nobody() {
    let clock = Clock::start().await;
    let limits = Limits { answer: Duration::from_millis(50), ..Limits::patient() };
    let follower = TowerToHyperService::new(following(&clock, clock.address, limits));
    let mut asked = JoinSet::new();
    for _ in 0..40 {
        let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
        asked.spawn(follower.call(request(Method::POST, "/v1/reload", &[("content-length", "9")], body)));
    }
    asked.spawn(follower.call(request(Method::GET, "/v1/schedules", &[], Body::empty())));
    let all = timeout(LONG, asked.join_all()).await.expect("nobody waits for ever");
    let statuses: Vec<u16> = all.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
    let of = |status| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((of(408), of(200)), (40, 1), "{statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_answer_is_waited_for_a_little_longer_than_it_may_take() {
    let clock = Clock::start().await;
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let follower = following(&clock, deaf.local_addr().unwrap(), Limits::default());
    let follower = TowerToHyperService::new(follower);
    for (path, limit) in [("/v1/schedules", 25), ("/v1/audit", 305)] {
        let answer = follower.call(request(Method::GET, path, &[], Body::empty())).await;
        let (status, said) = told(answer).await;
        assert!(status == 503 && said.contains(&format!("no answer within {limit} s")), "{said}");
    }
}

#[tokio::test]
async fn a_follower_shows_in_figures_how_it_is_and_nothing_that_the_leader_counts() {
    let clock = Clock::start().await;
    let (failing, hindered) = (Some("no answer".to_owned()), Some("its time is wrong".to_owned()));
    clock.state.clock.counts.lease().saw(7, Some(1_250));
    for (seen, degraded) in [
        (Seen::default(), vec!["broker"]),
        (Seen { failing, hindered, ..Seen::default() }, vec!["broker", "store", "hindered"]),
    ] {
        let follower = TowerToHyperService::new(following_as(&clock, seen, Limits::patient()));
        let answer = follower.call(request(Method::GET, "/metrics", &[], Body::empty())).await;
        let (status, text) = told(answer).await;
        assert_eq!(status, 200, "{text}");
        for line in [
            "khronos_leader 0",
            "khronos_ready 0",
            "khronos_broker_connected 0",
            "khronos_term 7",
            "khronos_warm 0",
            "khronos_hand_over_seconds 1.25",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} of {text}");
        }
        for reason in crate::clock_loop::Degraded::ALL.map(crate::clock_loop::Degraded::word) {
            let is_so = u8::from(degraded.contains(&reason));
            assert!(text.contains(&format!("khronos_degraded{{reason=\"{reason}\"}} {is_so}")), "{text}");
        }
        let page = include_str!("../../../docs/operating.md");
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is a figure of the leader's, too");
        }
        assert!(!text.contains("khronos_occurrences"), "{text}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_known_for_a_members_is_asked_nothing() {
    let clock = Clock::start().await;
    let seen = Seen { unsealed: Some("it is not sealed".into()), ..Seen::default() };
    let follower = TowerToHyperService::new(following_as(&clock, seen, Limits::patient()));
    let answer = follower.call(request(Method::GET, "/v1/schedules", &[], Body::empty())).await;
    let (status, said) = told(answer).await;
    assert!(status == 503 && said.contains("it is not sealed"), "{said}");
    let ready = told(follower.call(request(Method::GET, "/readyz", &[], Body::empty())).await).await.1;
    assert!(ready.contains("it is not sealed"), "{ready}");
}

#[tokio::test]
async fn a_follower_says_whether_it_would_take_over_at_once_and_why_not() {
    let clock = Clock::start().await;
    // Of looks that fail for a minute, and of one that was just made, whatever the wall clock showed.
    let boot = crate::clock::reading().boot;
    let old = Reading { wall: Timestamp::from_millis(4_070_908_800_000), boot: boot - 60_000 };
    let new = Reading { wall: Timestamp::from_millis(1_000), boot };
    for (warmth, parts) in [
        (Warmth::Warm(new), ["\"warm\":true", "\"warm_at\":\"1970-01-01T00:00:01.000Z\""]),
        (Warmth::Warm(old), ["\"warm\":false", "\"warm_at\":\"2099-01-01T00:00:00.000Z\""]),
        (Warmth::Cold("it reads".into()), ["\"warm\":false", "\"cold\":\"it reads\""]),
    ] {
        let follower = following_so(&clock, (Seen::default(), warmth), Limits::patient(), None);
        let asked = request(Method::GET, "/readyz", &[], Body::empty());
        let said = told(TowerToHyperService::new(follower).call(asked).await).await.1;
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert_eq!(said.contains("warm_at"), !said.contains("\"cold\""), "{said}");
    }
}

#[tokio::test]
async fn a_follower_answers_the_page_and_who_asks_itself_also_while_nobody_leads() {
    let clock = Clock::start().await;
    let nobody = "127.0.0.1:1".parse().unwrap();
    let follower = TowerToHyperService::new(following(&clock, nobody, Limits::patient()));
    for (path, accept, status, part) in [
        ("/", "text/html", 200, "<!doctype html>"),
        ("/page/app.js", "*/*", 200, "import"),
        ("/page/other.js", "*/*", 404, "the page has no file"),
        ("/v1/caller", "application/json", 200, "\"role\":\"admin\""),
        ("/v1/cluster", "application/json", 404, "is alone"),
        ("/", "application/json", 503, "the leader does not answer"),
        ("/v1/schedules", "application/json", 503, "the leader does not answer"),
    ] {
        let asked = request(Method::GET, path, &[("accept", accept)], Body::empty());
        let (found, said) = told(follower.call(asked).await).await;
        assert!(found == status && said.contains(part), "{path}: {found} {said}");
    }
}

/// One that tells by itself, and what it looked at last.
fn telling(clock: &Clock, leader: std::net::SocketAddr, look: Look) -> (Serves, watch::Sender<Look>) {
    let (looks, seen) =
        (watch::Sender::new(look), Seen { leader: Some(format!("http://{leader}")), ..Seen::default() });
    let again = looks.clone();
    let look = move || {
        again.send_replace(Look { at: Some(crate::clock::reading().boot + 1), ..Look::default() });
    };
    let telling = Telling::new(looks.subscribe(), look, watch::channel(status()).0);
    (telling_as(clock, seen, Limits::patient(), Some(telling)), looks)
}

fn seen(milliseconds_ago: i64) -> Look {
    Look { at: Some(crate::clock::reading().boot - milliseconds_ago), ..Look::default() }
}

#[tokio::test]
async fn a_follower_answers_reads_while_nobody_leads_and_says_how_old_they_are() {
    let clock = Clock::start().await.with_events().await;
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (follower, looks) = telling(&clock, nobody, seen(200));
    let follower = TowerToHyperService::new(follower);
    let ask = async |method: Method, path: &str| {
        let answer = follower.call(request(method, path, &[], Body::empty())).await.unwrap();
        let age =
            answer.headers().get("khronos-age-ms").map(|age| age.to_str().unwrap().parse::<u64>().unwrap());
        (answer.status().as_u16(), age)
    };
    let told = [
        "/v1/schedules",
        "/v1/schedules/one-minute",
        "/v1/schedules/one-minute/next",
        "/v1/schedules:due",
        "/v1/history",
        "/v1/timeline",
        "/v1/changes",
        "/v1/parked",
        "/v1/events",
        "/v1/events:history",
        "/v1/events:changes",
        "/v1/parked-events",
    ];
    for path in told {
        let (status, age) = ask(Method::GET, path).await;
        assert!(
            status == 200 && age.is_some_and(|age| (200..10_000).contains(&age)),
            "{path}: {status} {age:?}"
        );
    }
    assert_eq!(ask(Method::GET, "/v1/schedules/none").await.0, 404);
    for (method, path) in [
        (Method::DELETE, "/v1/schedules/one-minute"),
        (Method::PUT, "/v1/events/a"),
        (Method::GET, "/v1/audit"),
        (Method::GET, "/v1/operations"),
    ] {
        assert_eq!(ask(method.clone(), path).await, (503, None), "{method} {path} is the leader's");
    }
    // What is not held, or too old, the leader is asked for.
    looks.send_replace(Look::default());
    assert_eq!(ask(Method::GET, "/v1/schedules").await, (503, None));
    let (follower, _looks) = telling(&clock, nobody, seen(20_000));
    let follower = TowerToHyperService::new(follower);
    let answer = follower.call(request(Method::GET, "/v1/schedules", &[], Body::empty())).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("khronos-age-ms")), (503, None));
}

#[tokio::test]
async fn who_changes_something_by_way_of_a_follower_reads_there_what_was_looked_at_since() {
    let mut clock = Clock::start().await;
    clock.state = clock.state.clone().with_access(open());
    clock.serve_again().await;
    let (follower, looks) = telling(&clock, clock.address, seen(0));
    let follower = TowerToHyperService::new(follower);
    let before = looks.borrow().at;
    let read = || request(Method::GET, "/v1/schedules", &[], Body::empty());
    assert_eq!(told(follower.call(read()).await).await.0, 200);
    assert_eq!(looks.borrow().at, before, "nothing was changed");
    let lines = [("content-type", "application/json")];
    told(follower.call(request(Method::POST, "/v1/reload", &lines, Body::from("null"))).await).await;
    assert_eq!(told(follower.call(read()).await).await.0, 200);
    assert!(looks.borrow().at > before);
}

#[tokio::test]
async fn a_change_counts_once_the_leader_has_it_also_where_nobody_waits_for_its_end() {
    let clock = Clock::start().await;
    let leader = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (follower, looks) = telling(&clock, leader.local_addr().unwrap(), seen(0));
    let follower = TowerToHyperService::new(follower);
    let before = looks.borrow().at;
    let read =
        async || told(follower.call(request(Method::GET, "/v1/schedules", &[], Body::empty())).await).await.0;
    for (path, is_a_change) in [("/v1/preview", false), ("/v1/reload", true)] {
        let lines = [("content-type", "application/json")];
        let asked = follower.call(request(Method::POST, path, &lines, Body::from("null")));
        let has_it = async { leader.accept().await.unwrap().0.readable().await.unwrap() };
        tokio::select! {
            biased;
            () = has_it => {}
            _ = asked => panic!("the leader says nothing"),
        }
        assert_eq!(read().await, 200);
        assert_eq!(looks.borrow().at > before, is_a_change, "{path}");
    }
}

#[tokio::test]
async fn what_did_not_come_to_the_leader_is_no_change() {
    let clock = Clock::start().await;
    let nobody = "127.0.0.1:1".parse().unwrap();
    let (follower, looks) = telling(&clock, nobody, seen(0));
    let follower = TowerToHyperService::new(follower);
    let before = looks.borrow().at;
    let changed = request(Method::DELETE, "/v1/schedules/one-minute", &[], Body::empty());
    assert_eq!(told(follower.call(changed).await).await.0, 503);
    assert_eq!(
        told(follower.call(request(Method::GET, "/v1/schedules", &[], Body::empty())).await).await.0,
        200
    );
    assert_eq!(looks.borrow().at, before);
}

#[tokio::test]
async fn a_read_that_a_follower_can_not_answer_is_asked_of_the_leader() {
    let leader = Clock::start().await;
    // As where what it holds was taken, or the tables do not answer.
    let (silent, asked, _) = Clock::unanswered().await;
    drop(asked);
    let ask = async |address, path: &str| {
        let (follower, _looks) = telling(&silent, address, seen(200));
        let follower = TowerToHyperService::new(follower);
        let answer = follower.call(request(Method::GET, path, &[], Body::empty())).await.unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("khronos-age-ms"))
    };
    assert_eq!(ask(leader.address, "/v1/schedules").await, (200, false));
    assert_eq!(ask(leader.address, "/v1/history").await, (200, true), "that it can");
    let (status, has_age) = ask(leader.address, "/v1/history?limit=0").await;
    assert!((400..500).contains(&status) && !has_age, "what is wrong has no age: {status}");
    let nobody = "127.0.0.1:1".parse().unwrap();
    assert_eq!(ask(nobody, "/v1/schedules").await, (503, false));
}

#[tokio::test]
async fn a_follower_says_how_it_is_while_what_it_sees_changes_all_the_time() {
    let clock = Clock::start().await;
    let state = HttpState::new(clock.state.clock.clone(), vec![], Limits::patient()).with_access(open());
    let (seen, shown) = watch::channel(Seen::default());
    let (_link, link) = watch::channel(Link::Down { attempts: 0, error: None });
    let (_warmth, warmth) = watch::channel(Warmth::Cold("it reads".into()));
    let follower = super::super::following(state, shown, link, warmth, None, None);
    let is_asked = Arc::new(());
    let asked = Arc::downgrade(&is_asked);
    std::thread::spawn(move || {
        while asked.strong_count() > 0 {
            seen.send_modify(|_| {});
        }
    });
    // Apart: one that waits for itself never ends.
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let follower = TowerToHyperService::new(follower);
        let ready = || request(Method::GET, "/readyz", &[], Body::empty());
        let statuses =
            (0..3_000).map(|_| runtime.block_on(async { told(follower.call(ready()).await).await.0 }));
        let _ = ended.send(statuses.filter(|status| *status == 503).count());
    });
    let answered = tokio::task::spawn_blocking(move || end.recv_timeout(LONG)).await.unwrap();
    drop(is_asked);
    assert_eq!(answered, Ok(3_000));
}
