//! `ponos gateway`: webhooks that others sign: the library of Standard Webhooks for Node, and Node's own crypto as GitHub uses it.

use super::{
    config::file,
    gateway::{QUEUE, gateway_at, seen},
    support::{declare_all, holds, look},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};
use testkit::Node;

/// Prints the statuses of what it posts, one a line.
const SENDER: &str = r#"
import { createRequire } from "node:module";
import { createHmac } from "node:crypto";
const { Webhook } = createRequire(process.argv[2])("standardwebhooks");
const [address, now] = [process.argv[3], Date.now()];

async function post(name, headers, body) {
  const answer = await fetch(`http://${address}/v1/webhooks/${name}`, {
    method: "POST", headers: { "content-type": "application/json", ...headers }, body,
  });
  const { code, repeated } = await answer.json();
  console.log(name, answer.status, code ?? (repeated ? "repeated" : "accepted"));
}

const paid = JSON.stringify({ type: "invoice.paid", data: { amount: 7 } });
const key = (text) => "whsec_" + Buffer.from(text).toString("base64");
function standard(secret, id, at, body = paid) {
  const signature = new Webhook(key(secret)).sign(id, new Date(at), body);
  return { "webhook-id": id, "webhook-timestamp": String(Math.floor(at / 1000)), "webhook-signature": signature };
}
await post("vendor", standard("0123456789abcdef01234567", "msg_1", now), paid);
await post("vendor", standard("abcdef0123456789abcdef01", "msg_2", now), paid); // the key to come
await post("vendor", standard("another key, of somebody else", "msg_3", now), paid);
await post("vendor", standard("0123456789abcdef01234567", "msg_4", now - 6 * 60 * 1000), paid);
await post("vendor", standard("0123456789abcdef01234567", "msg_5", now), paid + " ");
await post("vendor", standard("0123456789abcdef01234567", "msg_1", now), paid); // replayed

const pushed = JSON.stringify({ ref: "refs/heads/main" });
const github = (id, secret) => ({
  "x-github-delivery": id, "x-github-event": "push",
  "x-hub-signature-256": "sha256=" + createHmac("sha256", secret).update(pushed).digest("hex"),
});
await post("github", github("0b989ba4-242f-11e5-81e1-c7b6966d2516", "it's a secret to everybody"), pushed);
await post("github", github("0b989ba4-242f-11e5-81e1-c7b6966d2516", "it's a secret to everybody"), pushed);
await post("github", github("0b989ba4-242f-11e5-81e1-c7b6966d2518", "it's a secret to everybody"), pushed); // another delivery
await post("github", github("0b989ba4-242f-11e5-81e1-c7b6966d2517", "hunter2hunter2hunter2"), pushed);
"#;

const CONFIG: &str = r#"
service = "edge"

[gateway]
listen = "127.0.0.1:0"

[[gateway.webhooks]]
name = "vendor"
scheme = "standard"
keys = ["file:vendor.new", "file:vendor.old"]
events = { "invoice.paid" = "vendor.invoice.paid" }

[[gateway.webhooks]]
name = "github"
scheme = "github"
keys = ["env:GITHUB_KEY"]
events = { push = "source.branch.pushed" }
"#;

#[test]
fn webhooks_that_others_sign_are_events_once_and_wrong_and_old_ones_are_not() {
    let url = Node::shared().vhost("gateway-webhooks");
    declare_all(&url, &seen());
    let (folder, _) = file(CONFIG);
    // base64 of the two keys that the sender has
    fs::write(folder.path().join("vendor.old"), "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n").unwrap();
    fs::write(folder.path().join("vendor.new"), "whsec_YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAx\n").unwrap();
    let gateway = gateway_at(url, folder, ("GITHUB_KEY", "it's a secret to everybody"));
    gateway.is_ready();
    let script = gateway.folder.path().join("sender.mjs");
    fs::write(&script, SENDER).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scratch = env::var_os("SCRATCH").map_or_else(|| root.join(".scratch"), PathBuf::from);
    let output = Command::new("node")
        .arg(&script)
        .arg(scratch.join("webhooks/package.json"))
        .arg(&gateway.address)
        .output()
        .expect("node is there: ./test.sh installs it");
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "vendor 202 accepted",
            "vendor 202 accepted",
            "vendor 401 wrong-signature",
            "vendor 401 old-signature",
            "vendor 401 wrong-signature",
            "vendor 202 repeated",
            "github 202 accepted",
            "github 202 repeated",
            "github 202 accepted",
            "github 401 wrong-signature",
        ],
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        gateway.running.err()
    );
    let found = look(&gateway.url, QUEUE, 4);
    let id = |at: usize| found[at].properties.message_id.clone().unwrap();
    assert_eq!([id(0), id(1), id(2)], ["msg_1", "msg_2", "0b989ba4-242f-11e5-81e1-c7b6966d2516"]);
    assert_eq!(found[0].body, br#"{"type":"invoice.paid","data":{"amount":7}}"#);
    assert_eq!(found[2].headers.text("cloudEvents_type"), Some("source.branch.pushed"));
    assert_eq!(id(3), "0b989ba4-242f-11e5-81e1-c7b6966d2518");
    holds(&gateway.url, QUEUE, 4);
    assert!(!gateway.running.err().contains("secret to everybody"));
}
