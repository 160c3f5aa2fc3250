use super::*;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{HeaderName, HeaderValue};
use std::collections::BTreeMap;

const OLD: &[u8] = b"0123456789abcdef01234567";
const NEW: &[u8] = b"abcdef0123456789abcdef01";
const NOW: i64 = 1_796_000_000;

fn route(scheme: WebhookScheme, event: Option<&str>) -> WebhookRoute {
    let name = |text: &str| text.parse::<EventName>().unwrap();
    let events = [("invoice.paid", "vendor.invoice.paid"), ("push", "source.branch.pushed")];
    let events: BTreeMap<_, _> = events.map(|(theirs, ours)| (theirs.to_owned(), name(ours))).into();
    let of = Webhook { name: "vendor".into(), scheme, keys: Vec::new(), event: event.map(name), events };
    let (source, rate) = ("/edge/webhooks/vendor".to_owned(), None);
    WebhookRoute { of, keys: Keys::of(&[NEW, OLD]), source, rate, accepted: Mutex::default() }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(line).collect()
}

fn standard(key: &[u8], id: &str, at: i64, body: &str) -> HeaderMap {
    let at = at.to_string();
    let signature = mac(key, &[id.as_bytes(), b".", at.as_bytes(), b".", body.as_bytes()]);
    let signature = format!("v1a,x v1,AAAA v1,{}", BASE64_STANDARD.encode(signature));
    headers(&[("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", &signature)])
}

fn github(key: &[u8], id: &str, event: &str, body: &str) -> HeaderMap {
    let hex: String = mac(key, &[body.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect();
    headers(&[
        ("content-type", "application/json"),
        ("x-github-delivery", id),
        ("x-github-event", event),
        ("x-hub-signature-256", &format!("sha256={hex}")),
    ])
}

fn ask(route: &WebhookRoute, headers: &HeaderMap, body: &str) -> Result<Verified, (u16, &'static str)> {
    let now = Timestamp::from_millis(NOW * 1_000);
    route.verify(headers, body.as_bytes(), now).map_err(|problem| (problem.status(), problem.code()))
}

#[track_caller]
fn event(verified: Result<Verified, (u16, &'static str)>) -> Event {
    match verified {
        Ok(Verified::New(event, _)) => *event,
        other => panic!("{other:?}"),
    }
}

const PAID: &str = r#"{"type": "invoice.paid", "data": {"n": 1}}"#;

#[test]
fn a_standard_webhook_is_an_event_of_its_id_whichever_key_signed() {
    let route = route(WebhookScheme::Standard, None);
    for key in [OLD, NEW] {
        let event = event(ask(&route, &standard(key, "msg_1", NOW, PAID), PAID));
        assert_eq!((event.id.as_str(), event.name.as_str()), ("msg_1", "vendor.invoice.paid"));
        assert_eq!(
            (event.source.as_str(), event.data.as_slice()),
            ("/edge/webhooks/vendor", PAID.as_bytes())
        );
    }
}

#[test]
fn a_signature_that_is_wrong_or_old_is_refused() {
    let route = route(WebhookScheme::Standard, None);
    let good = standard(NEW, "msg_1", NOW, PAID);
    assert_eq!(ask(&route, &good, &PAID.replace('1', "2")).unwrap_err(), (401, "wrong-signature"));
    assert_eq!(
        ask(&route, &standard(b"another key altogether", "msg_1", NOW, PAID), PAID).unwrap_err().1,
        "wrong-signature"
    );
    for (name, value) in
        [("webhook-id", "msg_2"), ("webhook-timestamp", "1796000001"), ("webhook-signature", "v1,")]
    {
        let mut changed = good.clone();
        changed.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        assert_eq!(ask(&route, &changed, PAID).unwrap_err(), (401, "wrong-signature"), "{name}");
        changed.remove(name);
        assert_eq!(ask(&route, &changed, PAID).unwrap_err(), (400, "no-webhook"), "{name}");
        changed.append(name.parse::<HeaderName>().unwrap(), good[name].clone());
        changed.append(name.parse::<HeaderName>().unwrap(), good[name].clone());
        assert_eq!(ask(&route, &changed, PAID).unwrap_err(), (400, "no-webhook"), "{name} twice");
    }
    for (at, is_good) in [
        (NOW - 300, true),
        (NOW - 301, false),
        (NOW + 300, true),
        (NOW + 301, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        let asked = ask(&route, &standard(NEW, "msg_1", at, PAID), PAID);
        assert_eq!(asked.is_ok(), is_good, "{at}");
        assert!(is_good || asked.unwrap_err() == (401, "old-signature"), "{at}");
    }
    // a right signature behind more than are looked at
    let many = format!("{} {}", "v1,AAAA ".repeat(SIGNATURES), good["webhook-signature"].to_str().unwrap());
    let mut flood = good.clone();
    flood.insert("webhook-signature", many.parse().unwrap());
    assert_eq!(ask(&route, &flood, PAID).unwrap_err(), (401, "wrong-signature"));
}

#[test]
fn github_s_delivery_is_an_event_of_its_id_and_its_ping_is_none() {
    let route = route(WebhookScheme::GitHub, None);
    let pushed = event(ask(&route, &github(OLD, "d-1", "push", "{}"), "{}"));
    assert_eq!((pushed.id.as_str(), pushed.name.as_str()), ("d-1", "source.branch.pushed"));
    assert!(matches!(ask(&route, &github(NEW, "d-2", "ping", "{}"), "{}"), Ok(Verified::Ping)));
    assert_eq!(ask(&route, &github(NEW, "d-3", "star", "{}"), "{}").unwrap_err(), (422, "unmapped"));
    assert_eq!(ask(&route, &github(NEW, "d-4", "push", "{}"), "{ }").unwrap_err(), (401, "wrong-signature"));
    assert_eq!(ask(&route, &github(NEW, "d-5", "push", "no"), "no").unwrap_err().0, 400);
    let mut form = github(NEW, "d-6", "push", "{}");
    form.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    assert_eq!(ask(&route, &form, "{}").unwrap_err(), (415, "not-json"));
    for signature in ["", "sha1=00", "sha256=", "sha256=zz", "sha256=\u{31}"] {
        let mut wrong = github(NEW, "d-7", "push", "{}");
        wrong.insert("x-hub-signature-256", signature.parse().unwrap());
        assert!(ask(&route, &wrong, "{}").is_err(), "{signature}");
    }
}

#[test]
fn an_event_that_is_not_named_is_the_one_for_all_or_refused() {
    let body = r#"{"type": "other"}"#;
    let with = route(WebhookScheme::Standard, Some("vendor.thing.happened"));
    assert_eq!(
        event(ask(&with, &standard(NEW, "1", NOW, body), body)).name.as_str(),
        "vendor.thing.happened"
    );
    assert_eq!(
        event(ask(&with, &standard(NEW, "1", NOW, "[]"), "[]")).name.as_str(),
        "vendor.thing.happened"
    );
    let without = route(WebhookScheme::Standard, None);
    assert_eq!(ask(&without, &standard(NEW, "1", NOW, body), body).unwrap_err(), (422, "unmapped"));
}

#[test]
fn a_delivery_of_github_is_known_by_its_id_and_two_with_one_body_are_two() {
    let route = route(WebhookScheme::GitHub, Some("vendor.thing.happened"));
    let verified = ask(&route, &github(NEW, "d-1", "push", "{}"), "{}");
    let Ok(Verified::New(event, signed)) = verified else { panic!("{verified:?}") };
    // as long as it is not accepted, it is new
    assert!(matches!(ask(&route, &github(NEW, "d-1", "push", "{}"), "{}"), Ok(Verified::New(..))));
    route.remember(signed, event.id.clone());
    // which event it is, is not signed, and makes it no other delivery
    for kind in ["push", "star"] {
        let again = ask(&route, &github(OLD, "d-1", kind, "{}"), "{}");
        assert!(matches!(&again, Ok(Verified::Repeated(id)) if id.as_str() == "d-1"), "{again:?}");
    }
    let other = ask(&route, &github(NEW, "d-2", "push", "{}"), "{}");
    assert!(matches!(&other, Ok(Verified::New(event, _)) if event.id.as_str() == "d-2"), "{other:?}");
    // what somebody else sends under an id that he guessed takes nothing from the delivery that has it
    assert!(matches!(ask(&route, &github(NEW, "d-1", "push", "[]"), "[]"), Ok(Verified::New(..))));
    for number in 0..REMEMBERED {
        route.remember(Signed::of(&[number.to_string().as_bytes()]), event.id.clone());
    }
    let accepted = route.accepted();
    assert_eq!((accepted.ids.len(), accepted.order.len()), (REMEMBERED, REMEMBERED));
    assert!(!accepted.ids.contains_key(&signed.0), "the oldest goes first");
}

#[test]
fn a_delivery_of_github_says_once_which_event_it_is() {
    let route = route(WebhookScheme::GitHub, Some("vendor.thing.happened"));
    let mut headers = github(NEW, "d-1", "push", "{}");
    headers.append("x-github-event", "star".parse().unwrap());
    assert_eq!(ask(&route, &headers, "{}").unwrap_err(), (400, "no-webhook"));
    headers.remove("x-github-event");
    assert_eq!(ask(&route, &headers, "{}").unwrap_err(), (400, "no-webhook"));
}

/// Nothing that nobody signed is accepted, whatever its headers are.
#[test]
fn headers_that_are_anything_panic_nothing_and_open_nothing() {
    let mut random = fastrand::Rng::with_seed(32);
    let names = [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-github-delivery",
        "x-github-event",
        "x-hub-signature-256",
    ];
    let words = [
        "",
        "v1,",
        "v1, v1,",
        "sha256=",
        "sha256=0",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "99999999999999999999",
        "=",
        " ",
        "\u{e9}",
        "ping",
    ];
    let routes = [route(WebhookScheme::Standard, Some("a.b.c")), route(WebhookScheme::GitHub, Some("a.b.c"))];
    for _ in 0..20_000 {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        for _ in 0..random.usize(..8) {
            let value: String = (0..random.usize(..4)).map(|_| words[random.usize(..words.len())]).collect();
            headers.append(
                names[random.usize(..names.len())],
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        for route in &routes {
            let (status, _) = ask(route, &headers, "{}").unwrap_err();
            assert!([400, 401].contains(&status), "{headers:?}");
        }
    }
}
