//! Who may do what, over real sockets; from elsewhere, where a request is told so.

use super::{
    super::{client::Credentials, connection::Connection, shares::Whose},
    *,
};
use crate::{
    authority::{
        Domains, Owners, Quota, Role,
        token::{RANDOM_BYTES, Token},
    },
    config::TokenConfig,
};
use axum::{body::Body, http::Request};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

pub(super) fn token(byte: u8) -> Token {
    Token::from_random([byte; RANDOM_BYTES])
}

pub(super) fn known(byte: u8, role: Role, domains: &str) -> TokenConfig {
    let (token, domains) = (token(byte), Domains::new(vec![domains.into()]).unwrap());
    TokenConfig {
        id: token.id(),
        digest: token.digest(),
        owner: "billing".into(),
        role,
        domains,
        tasks: None,
        quota: Quota::USUAL,
    }
}

fn owners(tokens: &[TokenConfig]) -> Owners {
    Owners::new(tokens.iter().map(|token| (&*token.owner, token.quota)))
}

/// A clock with tokens: 1 reads, 2 operates everything, 3 operates `time.*`, 4 operates `billing.*`.
pub(super) async fn clock() -> Clock {
    let mut clock = Clock::start().await;
    let tokens = [
        known(1, Role::Read, "#"),
        known(2, Role::Operate, "#"),
        known(3, Role::Operate, "time.*"),
        known(4, Role::Write, "billing.*"),
    ];
    clock.state = clock.state.with_access(Access::new(&tokens, &owners(&tokens), AccessRules::default()));
    clock.serve_again().await;
    clock
}

/// Head and body of the answer, with this token.
async fn asked(clock: &Clock, token: Option<&Token>, method: &str, path: &str, body: &str) -> (u16, String) {
    let authorization =
        token.map(|token| format!("Authorization: Bearer {}\r\n", token.reveal())).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{authorization}\r\n{body}",
        body.len()
    );
    let answer = whole(clock, &request).await;
    (answer.split(' ').nth(1).unwrap_or_default().parse().unwrap_or_default(), answer)
}

fn bearer(byte: u8) -> String {
    format!("Bearer {}", token(byte).reveal())
}

#[tokio::test]
async fn a_clock_with_tokens_wants_one_of_everybody_but_probes() {
    let clock = clock().await;
    let (status, described) = asked(&clock, Some(&token(1)), "GET", "/v1/openapi.json", "").await;
    assert_eq!(status, 200, "{described}");
    let described = serde_json::from_str(described.split_once("\r\n\r\n").unwrap().1).unwrap();
    let described: Vec<_> =
        openapi::operations(&described).into_iter().map(|(method, path, _)| (method, path)).collect();
    assert!(described.contains(&("GET".into(), "/metrics".into())), "{described:?}");
    let probes = ["/healthz", "/readyz"];
    let wanting = described.iter().filter(|(_, path)| !probes.contains(&path.as_str()));
    let paths = wanting.flat_map(|(method, path)| {
        let path = path.replace("{name}", "one-minute").replace("{id}", "x");
        [method.to_uppercase(), "HEAD".into(), "OPTIONS".into(), "DELETE".into()]
            .map(|method| (method, path.clone()))
    });
    let aliases =
        ["/feed", "/schedules", "/schedules/one-minute", "/history", "/audit", "/parked", "/nowhere"];
    let aliases = aliases.map(|path| ("GET".to_owned(), path.to_owned()));
    for (method, path) in paths.chain(aliases) {
        let (status, answer) = asked(&clock, None, &method, &path, "").await;
        assert_eq!(status, 401, "{method} {path}: {answer}");
        if method == "HEAD" {
            continue;
        }
        assert!(
            answer.to_lowercase().contains("\r\nwww-authenticate: bearer realm=\"khronos\"\r\n"),
            "{answer}"
        );
        assert!(answer.contains("Authorization: Bearer kh_"), "{answer}");
    }
    for path in ["/", "/metrics", "/v1/schedules", "/nowhere"] {
        let (status, answer) = asked(&clock, Some(&token(9)), "GET", path, "").await;
        assert_eq!(status, 401, "{path}: {answer}");
        assert!(
            answer.contains("not known") && answer.to_lowercase().contains("www-authenticate"),
            "{answer}"
        );
        assert!(!answer.contains(&token(9).reveal()[12..]), "{answer}");
    }
    for path in ["/", "/schedules", "/schedules/one-minute", "/history", "/audit", "/parked"] {
        assert_eq!(asked(&clock, Some(&token(1)), "GET", path, "").await.0, 200, "{path}");
    }
    assert_eq!(asked(&clock, None, "GET", "/healthz", "").await.0, 200);
    assert_eq!(asked(&clock, Some(&token(9)), "GET", "/healthz", "").await.0, 401);
}

#[tokio::test]
async fn probes_without_a_token_are_told_whether_and_not_why() {
    let clock = clock().await;
    let (status, answer) = asked(&clock, None, "GET", "/readyz", "").await;
    assert!(status == 200 && answer.contains("\"ready\":true") && !answer.contains("broker"), "{answer}");
    clock.status.send_modify(|status| status.reasons.push("the queue of billing is full".into()));
    let (status, answer) = asked(&clock, None, "GET", "/readyz", "").await;
    assert!(status == 503 && answer.contains("\"ready\":false") && !answer.contains("billing"), "{answer}");
    let (status, answer) = asked(&clock, Some(&token(1)), "GET", "/readyz", "").await;
    assert!(status == 503 && answer.contains("the queue of billing is full"), "{answer}");
}

#[tokio::test]
async fn a_change_takes_a_role_and_its_domain() {
    let clock = clock().await;
    let seven = r#"{"ids":[7]}"#;
    let pause = r#"{"all":true,"by":"ann","note":"new disks"}"#;
    let resume = r#"{"all":true,"on_resume":"skip"}"#;
    for (holder, path, body, status, said) in [
        (None, "/parked/release", seven, 401, "wants a token"),
        (
            Some(1),
            "/parked/release",
            seven,
            403,
            "has the role read; to change something takes the role operate",
        ),
        (Some(1), "/parked/drop", seven, 403, "to change something takes the role operate"),
        (Some(1), "/reload", "", 403, "to change something takes the role operate"),
        (Some(2), "/parked/release", seven, 200, r#""done":[7]"#),
        (Some(2), "/reload", "", 422, "unknown key"),
        // 7 is of `one-minute`, whose event is time.one-minute.passed.
        (Some(3), "/parked/release", seven, 200, r#""done":[7]"#),
        (Some(3), "/parked/drop", r#"{"ids":[1,7,8,100000]}"#, 200, r#""unknown":[1,8,100000]"#),
        (Some(3), "/reload", "", 403, "concerns all events"),
        (
            Some(4),
            "/parked/release",
            r#"{"ids":[8,7]}"#,
            403,
            "domains billing.*; the event 'time.one-minute.passed'",
        ),
        (Some(4), "/parked/drop", seven, 403, "is outside of them"),
        (Some(4), "/parked/drop", r#"{"ids":[8]}"#, 200, r#""unknown":[8]"#),
        // 9 is not in the list, so that nobody has looked whose it is: it may be parked as this is decided.
        (Some(2), "/parked/release", r#"{"ids":[9]}"#, 200, r#""being_sent":[9]"#),
        (
            Some(3),
            "/parked/release",
            r#"{"ids":[7,9]}"#,
            200,
            r#"{"done":[7],"being_sent":[],"unknown":[9]}"#,
        ),
        (Some(4), "/parked/release", r#"{"ids":[9]}"#, 200, r#""unknown":[9]"#),
        (Some(4), "/parked/drop", r#"{"ids":[9]}"#, 200, r#""unknown":[9]"#),
        (Some(1), "/v1/pause", "not even json", 403, "to change something takes the role operate"),
        (Some(3), "/v1/pause", pause, 403, "to pause everything concerns all events"),
        (Some(4), "/v1/resume", resume, 403, "to resume everything concerns all events"),
        (Some(2), "/v1/pause", pause, 200, "the token 02020202 of 'billing' as ann"),
        (Some(9), "/reload", "", 401, "not known"),
    ] {
        let token = holder.map(token);
        let (found, answer) = asked(&clock, token.as_ref(), "POST", path, body).await;
        assert!(found == status && answer.contains(said), "{holder:?} {path}: {answer}");
    }
    // What a page of another site has a browser ask is refused whatever it shows.
    let head = format!(
        "POST /reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer {}\r\n",
        token(2).reveal()
    );
    let foreign = whole(&clock, &format!("{head}Sec-Fetch-Site: cross-site\r\n\r\n")).await;
    assert!(foreign.contains(" 403 "), "{foreign}");
}

#[tokio::test]
async fn an_owner_takes_half_of_the_feeds_and_long_answers_and_leaves_the_rest() {
    let mut clock = Clock::with(Limits { feeds: 4, large: 3, ..Limits::patient() }).await;
    let mut other = known(2, Role::Read, "#");
    other.owner = "reports".into();
    let tokens = [known(1, Role::Read, "#"), other, known(3, Role::Write, "billing.*")];
    clock.state = clock.state.with_access(Access::new(&tokens, &owners(&tokens), AccessRules::default()));
    clock.serve_again().await;
    let client = |byte| {
        let credentials = Credentials { token: Some(token(byte)), ca_file: None };
        Client::new(Target::Tcp(clock.address.to_string())).with(credentials)
    };
    let mut feeds = vec![client(1).feed("", None).await.unwrap(), client(3).feed("", None).await.unwrap()];
    for byte in [1, 3] {
        let answer = client(byte).feed("", None).await.map(drop);
        let Err(ClientError::Refused { status: 429, detail, .. }) = answer else { panic!("{answer:?}") };
        assert!(detail.contains("2 feeds of yours are open"), "{detail}");
        let (status, answer) = asked(&clock, Some(&token(byte)), "GET", "/feed", "").await;
        assert!(status == 429 && answer.to_lowercase().contains("\r\nretry-after: 2\r\n"), "{answer}");
    }
    feeds.extend([client(2).feed("", None).await.unwrap(), client(2).feed("", None).await.unwrap()]);
    feeds.remove(0);
    let again = || async { client(3).feed("", None).await.ok() };
    feeds.push(testkit::wait_until("a place that was given back", Duration::from_secs(60), again).await);

    let billing = Whose::Owner("billing".into());
    let places = [&billing, &billing].map(|owner| clock.state.large.take(owner).unwrap());
    let (status, answer) = asked(&clock, Some(&token(3)), "GET", "/v1/schedules", "").await;
    assert!(status == 429 && answer.contains("2 long answers of yours are open"), "{answer}");
    assert_eq!(asked(&clock, Some(&token(3)), "GET", "/v1/operations", "").await.0, 429);
    assert_eq!(asked(&clock, Some(&token(2)), "GET", "/v1/schedules", "").await.0, 200);
    drop(places);
    assert_eq!(asked(&clock, Some(&token(3)), "GET", "/v1/schedules", "").await.0, 200);
}

#[tokio::test]
async fn an_owner_changes_things_at_his_rate_and_the_operator_at_any() {
    let clock = clock().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = bind_control(folder.path()).unwrap();
    tokio::spawn(serve_control(socket, clock.state.clone(), clock.shutdown.clone()));
    let operator = Client::new(Target::Unix(control_path(folder.path())));
    let seven = serde_json::json!({ "ids": [7] });
    let two = token(2);
    let release = || asked(&clock, Some(&two), "POST", "/v1/parked/release", r#"{"ids":[7]}"#);
    assert_eq!(release().await.0, 200);
    // He has asked for so many that the next one is taken in an hour.
    let bearer = [("authorization".parse().unwrap(), bearer(2).parse().unwrap())];
    let here = Connection { peer: "127.0.0.1".parse().ok(), ..Connection::UNKNOWN };
    let headers = bearer.into_iter().collect();
    let billing = clock.state.access.caller(here, &headers).ok().flatten().unwrap();
    let later = tokio::time::Instant::now() + Duration::from_secs(3_600);
    while billing.take_change(later).is_ok() {}
    let (status, answer) = release().await;
    assert_eq!(status, 429, "{answer}");
    let wait = answer.to_lowercase().split_once("\r\nretry-after: ").unwrap().1.to_owned();
    let wait: u64 = wait.split("\r\n").next().unwrap().parse().unwrap();
    assert!((3_000..=3_601).contains(&wait), "{answer}");
    assert!(answer.contains("'billing' asks for changes too often"), "{answer}");
    // Nothing else of his has to wait, and nobody else.
    assert_eq!(asked(&clock, Some(&token(2)), "GET", "/v1/parked", "").await.0, 200);
    operator.post::<Value>("/v1/parked/release", &seven).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_open_takes_changes_from_its_machine_and_from_no_foreign_page() {
    let mut clock = Clock::start().await;
    clock.state = clock.state.with_access(Access::new(
        &[],
        &Owners::default(),
        AccessRules { open: true, ..AccessRules::default() },
    ));
    clock.serve_again().await;
    let (status, answer) = asked(&clock, None, "POST", "/parked/release", r#"{"ids":[7]}"#).await;
    assert!(status == 200 && answer.contains(r#""done":[7]"#), "{answer}");
    for foreign in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
        let head = "POST /reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n";
        let answer = whole(&clock, &format!("{head}{foreign}\r\n\r\n")).await;
        assert!(answer.contains(" 403 "), "{answer}");
    }
}

#[tokio::test]
async fn a_token_in_the_clear_from_elsewhere_is_refused_before_anything_is_done() {
    let mut clock = clock().await;
    // The loop is the test's: nothing is asked of it, unless the request was encrypted.
    let (commands, mut loop_asked) = mpsc::channel(8);
    let loops = std::mem::replace(&mut clock.state.clock.handle.commands, commands);
    let router = routes::public(clock.state.clone(), clock.shutdown.clone());
    let service = TowerToHyperService::new(router);
    for (path, method) in [("/schedules", "GET"), ("/healthz", "GET"), ("/parked/release", "POST")] {
        for (encrypted, refused) in [(false, true), (true, false)] {
            let peer = "10.0.0.7".parse().ok();
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "localhost")
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {}", token(2).reveal()))
                .extension(Connection { local: None, peer, encrypted })
                .body(Body::from(r#"{"ids":[7]}"#))
                .unwrap();
            let mut count = 0;
            let forward = async {
                while let Some(command) = loop_asked.recv().await {
                    count += 1;
                    loops.send(command).await.unwrap();
                }
            };
            let answer = async {
                let answer = service.call(request).await.unwrap();
                let status = answer.status();
                (status, http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes())
            };
            let (status, body) = tokio::select! {
                answer = answer => answer,
                () = forward => panic!("the state of the clock was dropped"),
            };
            assert_eq!(count == 0 && loop_asked.try_recv().is_err(), refused, "{path}");
            assert_eq!(status == 403, refused, "{path}: {status}");
            let said = String::from_utf8_lossy(&body).contains("replace it (khronos token new)");
            assert_eq!(said, refused, "{path}");
        }
    }
}
