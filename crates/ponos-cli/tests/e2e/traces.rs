//! Traces of `ponos gateway` and `ponos run`, as a collector that is not ours received them.

use super::{
    config::file,
    gateway::{CLOUD_EVENT, event, gateway_at, seen},
    support::{LIMIT, declare_all, ponos_ends, start, start_in},
};
use serde_json::Value;
use testkit::{Node, ReceivedSpan, Rotel, Signal, block_until_or_tell};

const SENDER: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

#[test]
fn a_request_and_what_programs_make_of_it_are_one_trace_and_the_log_says_the_same() {
    let (rotel, url) = (Rotel::start(), Node::shared().vhost("traces"));
    declare_all(&url, &seen());
    let about = ["--service", "shop", "--on", "order.item.placed"];
    ponos_ends(&url, &[&["declare"][..], &about].concat(), 0);
    let folder = file("service = \"edge\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n").0;
    let endpoint = rotel.endpoint();
    let gateway = gateway_at(url.clone(), folder, ("PONOS_TRACES", &endpoint));
    gateway.is_ready();
    let (trace, parent) = SENDER;
    let head = format!(
        "Content-Type: {CLOUD_EVENT}\r\ntraceparent: 00-{trace}-{parent}-01\r\nbaggage: tenant=7\r\n"
    );
    let posted = event("7", "order.item.placed").to_string();
    assert_eq!(gateway.ask(("POST", "/v1/events"), &head, &posted).status, 202);
    gateway.running.program.signal(Signal::TERM);
    let words = ["--attempts", "1", "--log-format", "json", "--traces", &endpoint, "--"];
    let script = ["sh", "-c", "echo \"$TRACEPARENT and $BAGGAGE\" >&2; exit 3"];
    let runs = start(&url, &[&["run"][..], &about, &words, &script].concat());

    let process = "process shop.order.item.placed";
    let both = || {
        let spans = rotel.spans();
        let of = |name: &str| spans.iter().find(|span| span.trace_id == trace && span.name == name).cloned();
        Some((of("send order.item.placed")?, of(process)?))
    };
    let tell = || format!("{:#?}\n{}", rotel.spans(), runs.err());
    let (sent, handled): (ReceivedSpan, ReceivedSpan) = block_until_or_tell("both spans", LIMIT, both, tell);
    // it lives until they are there: at its end it has two seconds for them
    runs.program.signal(Signal::TERM);
    let ended = runs.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!((sent.service.as_str(), sent.parent.as_str()), ("edge", parent));
    assert_eq!((handled.service.as_str(), &handled.parent), ("shop", &sent.span_id));
    assert_eq!((handled.status.as_str(), &*handled.attributes["ponos.outcome"]), ("ERROR", "Str(dead)"));
    assert_eq!(handled.attributes["error.type"], "Str(attempts)");
    let said = format!("00-{trace}-{}-01 and tenant=7", handled.span_id);
    assert!(handled.reason.contains(&said), "{said}: {}", handled.reason);
    let lines: Vec<Value> = ended.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let dead = lines.iter().find(|line| line["message"] == "dead-lettered").unwrap();
    assert_eq!((&dead["trace_id"], &dead["span_id"]), (&trace.into(), &handled.span_id.as_str().into()));
}

#[test]
fn an_address_that_is_none_is_refused_before_anything_is_taken() {
    let words = ["run", "--service", "shop", "--on", "a.b.c", "--traces"];
    for (more, word) in [
        (&["localhost:4318"][..], "neither http:// nor https://"),
        (&["http://a:4318/v1/traces", "--traces-ratio", "2"], "2 is no share of traces"),
        (&["http://a:4318/v1/traces", "--traces-ratio", "1%"], "'1%' is no share of traces"),
        (&["", "--traces-linked"], "--traces-linked is set, but no spans are sent anywhere"),
        (&["http://a:4318/v1/traces", "--traces-headers-file", "/no/such"], "/no/such can't be used"),
    ] {
        let words = [&words[..], more, &["--", "true"]].concat();
        let ended = start_in("amqp://127.0.0.1:1", &words, ("PONOS_LOG", "error")).end();
        assert_eq!(ended.code, Some(78), "{}", ended.err);
        assert!(ended.err.contains(word), "{}", ended.err);
    }
}
