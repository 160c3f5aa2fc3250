//! The services of `examples/services`, which docs/patterns.md tells of: each file and program as it stands, with a real sidecar and
//! a real RabbitMQ.

use super::{
    run_http::Server,
    serve::{Serving, serve},
    serve_clients::{Beside, end},
    support::{LIMIT, declare_seen, holds, look, publish_all},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// What stands in a file of that folder.
fn text(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/services");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// One of them, while it runs.
struct Service {
    serving: Serving,
    program: Beside,
}

impl Service {
    fn start(name: &str) -> Self {
        Self::start_with(name, "", ("", ""))
    }

    /// One at a time, so that what is handled first is what was published first.
    fn start_in_order(name: &str) -> Self {
        Self::start_with(name, "concurrency = 1\n", ("", ""))
    }

    /// With more about its last queue, and with other words in its program.
    fn start_with(name: &str, more: &str, (words, others): (&str, &str)) -> Self {
        let toml = text(&format!("{name}.toml")) + more;
        let program = text(&format!("{name}.py"));
        assert!(program.contains(words), "'{words}' is not in {name}.py");
        let serving = serve(&format!("services-{name}"), &toml, &[]);
        let program = Beside::python(&serving, &program.replacen(words, others, 1));
        Self { serving, program }
    }

    fn url(&self) -> &str {
        &self.serving.url
    }

    fn publish(&self, events: &[(&str, Value)]) {
        publish_all(self.url(), events);
    }

    /// Waits until it has printed so many lines, and ends it; gives all that it printed.
    fn prints(mut self, count: usize) -> Vec<String> {
        testkit::block_until_or_tell(
            &format!("{count} lines"),
            LIMIT,
            || (self.program.lines().len() >= count).then_some(()),
            || self.program.said(),
        );
        end(self.serving, &mut self.program);
        self.program.lines()
    }
}

#[test]
fn a_sweep_is_made_at_night_alone_and_in_small_parts() {
    let service = Service::start_with("sweep", "", ("BATCH = 500", "BATCH = 1"));
    service.publish(&[1, 2].map(|basket| ("basket.item.added", json!({ "basket": basket }))));
    service.program.says("basket 1 is in use");
    service.program.says("basket 2 is in use");
    let hour = |due: &str, says: &str| {
        service.publish(&[("time.one-hour.passed", json!({ "due_at": due }))]);
        service.program.says(says);
    };
    // in Paris: in the afternoon; at one o'clock, long before a basket was touched; at ten o'clock in the evening
    hour("2040-06-01T12:00:00.000Z", "the shop is open");
    hour("2020-06-01T23:00:00.000Z", "swept: 0");
    hour("2040-06-01T20:00:00.000Z", "swept: 1");
    let printed = service.prints(7);
    let swept = ["the shop is open: nothing is swept", "swept: 0", "swept: 1", "swept: 1", "swept: 0"];
    assert_eq!(printed[2..], swept, "{printed:?}");
}

#[test]
fn a_service_that_hears_itself_answers_once() {
    let service = Service::start("echo");
    let name = "customer.address.changed";
    declare_seen(service.url(), name);
    service.publish(&[(name, json!({ "customer": 7, "postcode": "ec1a1bb" }))]);
    service.program.says("heard myself");
    holds(service.url(), "seen", 2);
    let seen = look(service.url(), "seen", 2);
    let tidied: Value = serde_json::from_slice(&seen[1].body).unwrap();
    assert_eq!(tidied, json!({ "customer": 7, "postcode": "EC1A 1BB" }));
    assert_eq!(service.prints(2), ["customer 7 lives at EC1A 1BB", "heard myself"]);
}

#[test]
fn a_version_that_comes_too_early_is_tried_again_and_one_without_its_predecessor_waits_for_a_person() {
    let service = Service::start_in_order("versions");
    let moved = |account: u64, version: u64, amount: i64| {
        let data = json!({ "account": account, "version": version, "amount": amount });
        ("account.balance.moved", data)
    };
    let all = [moved(7, 3, -30), moved(7, 2, 50), moved(7, 1, 100), moved(7, 1, 100), moved(8, 9, 1)];
    service.publish(&all);
    service.program.says("account 7 has 120 at version 3");
    let letters = "accounts.account.balance.moved.dlq";
    holds(service.url(), letters, 1);
    let letter = look(service.url(), letters, 1).remove(0);
    assert_eq!(letter.headers.text("dead-reason"), Some("it builds upon version 8, and account 8 is at 0"));
    let printed = service.prints(11);
    let first = [
        "version 3 of account 7 is too early",
        "version 2 of account 7 is too early",
        "account 7 has 100 at version 1",
        "version 1 of account 7 came before",
        "version 9 of account 8 is too early",
    ];
    assert_eq!(printed[..5], first, "{printed:?}");
    let attempts = printed.iter().filter(|line| line.contains("account 8")).count();
    assert_eq!(attempts, 5, "{printed:?}");
}

#[test]
fn of_states_that_come_out_of_order_the_newest_stays() {
    let service = Service::start_in_order("newest");
    let counted = |version: u64, left: u64| {
        ("stock.item.counted", json!({ "item": "tea", "version": version, "left": left }))
    };
    service.publish(&[counted(3, 5), counted(1, 9), counted(3, 5), counted(4, 2)]);
    let printed = service.prints(4);
    let expected = [
        "tea: 5 left at version 3",
        "tea: version 1 is old",
        "tea: version 3 is old",
        "tea: 2 left at version 4",
    ];
    assert_eq!(printed, expected);
}

#[test]
fn who_is_busy_is_asked_later_and_who_refuses_is_asked_no_more() {
    let printer = Server::start(&[
        "429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n",
        "500 Internal Server Error\r\nContent-Length: 0\r\n",
        "400 Bad Request\r\nContent-Length: 0\r\n",
        "201 Created\r\nContent-Length: 0\r\n",
    ]);
    let service = Service::start_with("letters", "", ("http://127.0.0.1:8080/letters", &printer.url));
    service.publish(&[7, 8, 9].map(|invoice| ("order.invoice.written", json!({ "invoice": invoice }))));
    let letters = "letters.order.invoice.written.dlq";
    holds(service.url(), letters, 1);
    let letter = look(service.url(), letters, 1).remove(0);
    assert_eq!(letter.headers.text("dead-reason"), Some("the printer refuses invoice 9 (400)"));
    let mut printed = service.prints(5);
    printed[3..].sort_unstable();
    let expected = [
        "invoice 7: 429 at attempt 1",
        "invoice 8: 500 at attempt 1",
        "invoice 9: 400 at attempt 1",
        "invoice 7: 201 at attempt 1",
        "invoice 8: 201 at attempt 2",
    ];
    assert_eq!(printed, expected);
    let requests = printer.wait(5);
    let key = |invoice: u64| {
        let body = format!("{{\"invoice\": {invoice}}}");
        let key = |request: &String| {
            request.lines().find(|line| line.starts_with("Idempotency-Key: ")).map(str::to_owned)
        };
        requests.iter().filter(|request| request.ends_with(&body)).map(key).collect::<Vec<_>>()
    };
    let keys = key(7);
    assert!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "{requests:?}");
    assert_ne!(keys[0], key(8)[0]);
}

#[test]
fn that_nothing_came_in_a_window_is_an_event() {
    let service = Service::start("missing");
    declare_seen(service.url(), "bank.statement.missed");
    let closed =
        |from: &str, to: &str| ("office.day.closed", json!({ "window": { "from": from, "to": to } }));
    let (first, second, third) =
        ("2020-01-03T17:00:00.000Z", "2090-01-06T17:00:00.000Z", "2090-01-07T17:00:00.000Z");
    service.publish(&[
        ("bank.statement.received", json!({})),
        closed(first, second),
        ("office.day.closed", json!({ "window": null })),
        closed(second, third),
    ]);
    holds(service.url(), "seen", 1);
    let missed: Value = serde_json::from_slice(&look(service.url(), "seen", 1)[0].body).unwrap();
    assert_eq!(missed, json!({ "from": second, "to": third }));
    let printed = service.prints(3);
    let expected = [
        "a statement came".to_owned(),
        format!("1 statements until {second}"),
        format!("0 statements until {third}"),
    ];
    assert_eq!(printed, expected);
}
