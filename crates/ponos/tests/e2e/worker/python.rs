//! `examples/python/publisher.py`, the publisher of docs/publishing.md: what it publishes is handled as ours is.

use crate::real::{Running, letters, verdict};
use ponos::{inbox::Inbox, prelude::*};
use serde_json::{Value, json};
use std::{
    env,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};
use testkit::Node;

const EVENT: &str = "order.item.shipped";
const TASK: &str = "stock.shelf.clean";

/// With Debian's pika: another Python may come first in PATH.
fn publish(url: &str, words: &[&str]) -> Output {
    let publisher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/publisher.py");
    let python = env::var_os("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into());
    let mut command = Command::new(python);
    command.arg(publisher).args(words).args(["--source", "/python", "--url", url]).output().unwrap()
}

fn published(url: &str, words: &[&str]) -> String {
    let output = publish(url, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_publishes_is_handled_once_and_held_to_the_contract() {
    #[derive(serde::Deserialize, ponos::schemars::JsonSchema)]
    #[schemars(crate = "ponos::schemars")]
    struct Shelf {
        #[allow(dead_code)] // it is what must be there
        number: u32,
    }
    let url = Node::shared().vhost("python-publishes");
    let seen: Arc<Mutex<Vec<(String, String, Value)>>> = Arc::default();
    let sees = Arc::clone(&seen);
    let handler = move |payload: Value, ctx: Context| {
        let event = ctx.event();
        assert!(event.time.is_some());
        sees.lock().unwrap().push((event.id.to_string(), event.source.clone(), payload));
        async { Ok(Done) }
    };
    let worker = Worker::new("stock")
        .on::<Value>(EVENT, handler)
        .task(TASK, async |_: Shelf, _: Context| Ok(Done))
        .inbox(Inbox::memory(100));
    let running = Running::start(&url, worker).await;
    let id = published(&url, &[EVENT, r#"{"item": "täglich"}"#]);
    published(&url, &[EVENT, r#"{"item": "täglich"}"#, "--id", &id]);
    published(&url, &[TASK, r#"{"number": 7}"#, "--task", "stock"]);
    published(&url, &[TASK, r#"{"number": "seven"}"#, "--task", "stock"]);
    let letters = letters(&url, "stock.stock.shelf.clean", 1).await;
    let (kind, reason) = verdict(&letters[0]);
    assert!(kind == "schema" && reason.contains("/number"), "{kind}: {reason}");
    // an event that nobody wants is no fault; a task that nobody takes is
    published(&url, &["order.item.lost", "null"]);
    let refused = publish(&url, &["stock.shelf.paint", "null", "--task", "stock"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("no queue takes the task"), "{said}");
    let ended = |ended: &[(String, Ended)]| ended.len() == 4;
    running.ends.satisfy("all four to end", ended).await;
    let report = running.stop().await;
    assert_eq!((report.handled, report.dead), (3, 1), "{report}");
    assert_eq!(*seen.lock().unwrap(), [(id, "/python".to_owned(), json!({ "item": "täglich" }))]);
}
