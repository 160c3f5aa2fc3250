//! Services and tenants that share a broker: what `ponos topology --permissions` gives a user is enough to work with, and lets him
//! do nothing as another.

use super::support::{LIMIT, declare_all, holds, import, look, ponos_ends, start};
use ponos::topology::{Queue, Topology};
use std::fs;
use testkit::{Node, Sandbox, Signal};

const VHOST: &str = "tenants";
/// It dies of the second attempt, so that it is on the ladder once and then among the dead letters.
const SHOP: &str = r#"
service = "shop"

[broker]
passive = true

[policy]
attempts = 2
backoff = { first = "1s", jitter = 0 }

[[queues]]
on = ["time.one-day.passed"]

[[queues]]
on = ["order.parcel.made"]

[[queues]]
task = "stock.shelf.clean"

[publish]
events = ["order.label.printed"]
"#;
/// Sends tasks, and none of its own.
const BILLING: &str = r#"
service = "billing"

[broker]
passive = true

[[queues]]
on = ["order.label.printed"]

[publish]
events = ["order.invoice.mail.sent"]
tasks = ["invoice.archive.filled"]
"#;

/// Makes a user who runs that service; gives its URL and the file.
fn tenant(node: &Node, sandbox: &Sandbox, service: &str, text: &str) -> (String, String) {
    let file = sandbox.path(format!("{service}.toml")).to_str().unwrap().to_owned();
    fs::write(&file, text).unwrap();
    node.add_user(service, "sesame");
    // first the exchanges: newer versions take no topic permissions for one that is not there
    for more in [&["--part", "shared"][..], &["--part", "service", "--permissions", service]] {
        let words = [&["topology", "--config", &file, "--vhost", VHOST][..], more].concat();
        import(node, &ponos_ends(&node.url_for("guest", "guest", VHOST), &words, 0).out);
    }
    (node.url_for(service, "sesame", VHOST), file)
}

#[test]
fn a_tenant_works_with_what_is_its_own_and_neither_reads_nor_publishes_as_another() {
    let (node, sandbox) = (Node::shared(), Sandbox::new());
    let clock = node.vhost(VHOST);
    let elsewhere = node.vhost("tenants-elsewhere");
    let (shop, file) = tenant(node, &sandbox, "shop", SHOP);
    let (billing, _) = tenant(node, &sandbox, "billing", BILLING);

    // it does its work: an event of the clock, one that fails, a retry, a dead letter
    let script = r#"test "$PONOS_NAME" != order.parcel.made"#;
    let words = ["run", "--config", &file, "--", "sh", "-c", script];
    let mut worker = start(&shop, &words);
    ponos_ends(&clock, &["publish", "time.one-day.passed", "{}", "--mandatory"], 0);
    ponos_ends(&clock, &["publish", "order.parcel.made", "{}", "--mandatory"], 0);
    holds(&clock, "shop.order.parcel.made.dlq", 1);
    let letter = &look(&clock, "shop.order.parcel.made.dlq", 1)[0];
    assert_eq!(letter.headers.int("dead-attempt"), Some(2), "{letter:?}");
    holds(&clock, "shop.order.parcel.made.dlq", 1);
    holds(&clock, "shop.time.one-day.passed", 0);
    worker.program.signal(Signal::TERM);
    assert_eq!(worker.program.wait(LIMIT), Some(0), "{}", worker.err());
    // what is its own it may publish, and look at
    ponos_ends(&shop, &["publish", "order.label.printed", "{}", "--mandatory"], 0);
    ponos_ends(&shop, &["publish", "stock.shelf.clean", "{}", "--task", "shop"], 0);
    holds(&clock, "shop.stock.shelf.clean", 1);
    let listed = ponos_ends(&shop, &["dead", "list", "--queue", "shop.order.parcel.made"], 0);
    assert!(listed.out.contains("order.parcel.made"), "{}", listed.out);

    // nobody forges time, or speaks as another
    for (url, name) in [
        (&shop, "time.one-day.passed"),
        (&shop, "order.invoice.mail.sent"),
        (&shop, "order.parcel.made"),
        (&billing, "time.one-day.passed"),
        (&billing, "order.label.printed"),
        // as good as its own, were an expression not anchored, or a dot any letter
        (&billing, "order.invoice.mail.sent.again"),
        (&billing, "an.order.invoice.mail.sent"),
        (&billing, "order.invoice-mail.sent"),
    ] {
        let refused = ponos_ends(url, &["publish", name, "{}"], 1);
        assert!(refused.err.contains("ACCESS_REFUSED"), "{}", refused.err);
    }
    // nobody reads what is another's
    for queue in ["shop.time.one-day.passed", "shop.order.parcel.made"] {
        ponos_ends(&billing, &["dead", "list", "--queue", queue], 77);
    }
    ponos_ends(&billing, &["tail", "--count", "1"], 77);
    // nobody declares, and so nobody takes another's events by a queue or a binding of his
    ponos_ends(&billing, &["declare", "--service", "billing", "--on", "order.parcel.made"], 77);
    // another vhost is closed altogether
    declare_all(&elsewhere, &Topology { queues: vec![Queue::quorum("shop.x")], ..Topology::default() });
    let there = shop.replace(VHOST, "tenants-elsewhere");
    ponos_ends(&there, &["publish", "order.label.printed", "{}"], 77);

    // what one vhost does not keep apart, as docs/tenants.md says: the exchange of tasks goes by the queue's name
    ponos_ends(&billing, &["publish", "stock.shelf.clean", "{}", "--task", "shop"], 0);
    holds(&clock, "shop.stock.shelf.clean", 2);
}
