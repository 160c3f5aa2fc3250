//! The page over real sockets: who is shown it, and how it is kept in caches.

use super::{access, *};

/// What a browser says of what it wants when an address is opened.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// The whole answer to a request of a browser.
async fn opened(clock: &Clock, method: &str, path: &str, more: &str) -> String {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {BROWSER}\r\n{more}\r\n"
    );
    whole(clock, &head).await
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn the_page_is_shown_without_a_token_and_nothing_of_the_clock_is() {
    let clock = access::clock().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/page/page.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
    ] {
        let answer = opened(&clock, "GET", path, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert_eq!(header(&answer, "content-type"), Some(kind), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{path}");
        let policy = header(&answer, "content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let document = opened(&clock, "GET", "/", "").await;
    for secret in ["one-minute", "in-memory", env!("CARGO_PKG_VERSION")] {
        assert!(!document.contains(secret), "{secret}");
    }
    for path in ["/v1/caller", "/v1/schedules", "/v1/schedules:due", "/page", "/v1/openapi.json", "/metrics"]
    {
        let answer = opened(&clock, "GET", path, "").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
    assert!(opened(&clock, "POST", "/", "Content-Length: 0\r\n").await.starts_with("HTTP/1.1 401"));
    // Programs are not shown what is served where.
    assert!(
        raw(&clock, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.contains("401")
    );
}

#[tokio::test]
async fn a_file_of_the_page_is_sent_again_only_where_it_has_changed() {
    let clock = Clock::start().await;
    for path in ["/", "/page/now.js"] {
        let answer = opened(&clock, "GET", path, "").await;
        let tag = header(&answer, "etag").unwrap();
        assert_eq!(header(&answer, "cache-control"), Some("no-cache"));
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = opened(&clock, "GET", path, &format!("If-None-Match: {known}\r\n")).await;
            assert!(again.starts_with("HTTP/1.1 304"), "{known}: {again}");
            assert_eq!((header(&again, "etag"), again.ends_with("\r\n\r\n")), (Some(tag), true));
        }
        let other = opened(&clock, "GET", path, "If-None-Match: \"other\"\r\n").await;
        assert!(other.starts_with("HTTP/1.1 200"), "{other}");
        let head = opened(&clock, "HEAD", path, "").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    }
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_found() {
    let clock = Clock::start().await;
    for path in ["/page/other.js", "/page/jsconfig.json", "/page/..%2Fpage.rs", "/page/", "/page/a/b"] {
        let answer = opened(&clock, "GET", path, "").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_caller_is_told_who_he_is() {
    let clock = Clock::start().await;
    let here: Value = clock.client.get("/v1/caller").await.unwrap();
    assert_eq!(
        (&here["owner"], &here["role"], &here["has_token"]),
        (&"reader".into(), &"read".into(), &false.into())
    );
    let clock = access::clock().await;
    let authorization = format!("Authorization: Bearer {}\r\n", access::token(4).reveal());
    let answer = opened(&clock, "GET", "/v1/caller", &authorization).await;
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let expected = serde_json::json!({ "owner": "billing", "role": "write", "has_token": true, "domains": ["billing.*"], "tasks": [] });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn the_schedules_that_are_due_next_are_given_as_the_loop_has_them() {
    let clock = Clock::start().await;
    let due: Value = clock.client.get("/v1/schedules:due?limit=1").await.unwrap();
    assert_eq!(
        (due["schedules"].as_array().unwrap().len(), &due["schedules"][0]["name"]),
        (1, &"one-minute".into())
    );
    for limit in ["0", "101"] {
        let (status, detail) =
            refused(clock.client.get(&format!("/v1/schedules:due?limit={limit}")).await).await;
        assert_eq!((status, detail.contains("1 to 100")), (400, true), "{detail}");
    }
}

#[tokio::test]
async fn what_is_coming_is_counted_and_the_busiest_seconds_come_first() {
    let clock = Clock::start().await;
    let coming: Value = clock.client.get("/v1/forecast?hours=1").await.unwrap();
    assert_eq!((&coming["schedules"], &coming["occurrences"]), (&2.into(), &90.into()));
    let rows = coming["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["occurrences"].as_u64().unwrap()).sum::<u64>(), 90);
    assert!((60..=61).contains(&rows.len()), "{rows:?}");
    let busiest: Vec<u64> = coming["busiest"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["occurrences"].as_u64().unwrap())
        .collect();
    assert_eq!(busiest, [2; 10]);
    let (status, detail) = refused(clock.client.get("/v1/forecast?hours=25").await).await;
    assert_eq!((status, detail.contains("1 to 24")), (400, true), "{detail}");
}
