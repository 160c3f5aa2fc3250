//! Paths under `/v1`, and those of before.

use super::*;

/// What was there before `/v1`, with what is answered.
const OLD: [(&str, u16); 8] = [
    ("/schedules", 200),
    ("/schedules/one-minute", 200),
    ("/schedules/one-minutee", 404),
    ("/calendars/x", 404),
    ("/zones/x", 404),
    ("/history?limit=1", 200),
    ("/audit?schedule=one-minute", 200),
    ("/parked", 200),
];

#[tokio::test]
async fn the_paths_of_before_are_served_and_say_where_they_are_now() {
    let clock = Clock::start().await;
    for (path, status) in OLD {
        let (old, headers, before) = got(&clock.client, path).await;
        assert_eq!(old, status, "{path}: {before}");
        assert_eq!(headers["deprecation"], "@1796083200", "{path}");
        let bare = path.split('?').next().unwrap();
        assert_eq!(headers["link"], format!("</v1{bare}>; rel=\"successor-version\"").as_str(), "{path}");
        let (new, headers, now) = got(&clock.client, &format!("/v1{path}")).await;
        assert_eq!(new, status, "{path}: {now}");
        assert!(!headers.contains_key("deprecation") && !headers.contains_key("link"), "{path}");
        let but_next = |mut body: Value| {
            body.as_object_mut().unwrap().remove("next");
            body
        };
        assert_eq!(but_next(before), but_next(now), "{path}");
    }
    for path in ["/", "/healthz", "/readyz", "/nowhere"] {
        assert!(!got(&clock.client, path).await.1.contains_key("deprecation"), "{path}");
    }
}

#[tokio::test]
async fn the_whole_list_of_before_is_as_it_was() {
    let of = |number: usize| revision(&format!("many-{number:04}"), "1 minute");
    let clock = Clock::of((0..1_500).map(of).collect(), Limits::patient()).await;
    let (_, _, all) = got(&clock.client, "/schedules").await;
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["clock", "schedules"]);
    assert_eq!(all["schedules"].as_array().unwrap().len(), 1_500);
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_answered_with_the_one_that_was_meant() {
    let clock = Clock::start().await;
    for (path, meant) in [
        ("/v1/healthz", "/healthz"),
        ("/v1/history/", "/v1/history"),
        ("/preview", "/v1/preview"),
        ("/v1/parkd", "/v1/parked"),
        ("/parkd", "/v1/parked"),
        ("/openapi.json", "/v1/openapi.json"),
    ] {
        let (status, _, problem) = got(&clock.client, path).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not-found")), "{path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.starts_with(&format!("there is nothing at {path}; did you mean {meant}?")),
            "{detail}"
        );
    }
    let (status, _, problem) = asked(&clock.client, Method::DELETE, "/v1/history", ("text/plain", "")).await;
    assert_eq!((status, problem["code"].as_str()), (405, Some("method-not-allowed")));
    assert_eq!(problem["detail"], "DELETE is not allowed at /v1/history");
}
