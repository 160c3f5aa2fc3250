//! `ponos gateway` against its own description: schemathesis makes requests of it, good ones and bad ones, and looks at the
//! answers.

use super::{gateway::gateway, serve_openapi::schemathesis};

/// Which of its checks can't be made: a description can't say which events, paths and webhooks are configured, and any JSON may be
/// the data of an event.
const NOT_CHECKED: &str = "positive_data_acceptance,negative_data_rejection";

#[test]
fn no_request_is_answered_otherwise_than_described() {
    let text = "[gateway]\nlisten = \"127.0.0.1:0\"\norigins = [\"*\"]\n[[gateway.paths]]\npath = \"orders\"\nevent = \"order.item.placed\"\n";
    let gateway = gateway("gateway-openapi", text);
    gateway.is_ready();
    let url = format!("http://{}/v1/openapi.json", gateway.address);
    let output = schemathesis()
        .current_dir(gateway.folder.path())
        .args(["run", &url, "--seed", "1", "--max-examples", "20", "--no-color"])
        .args(["--continue-on-failure", "--exclude-checks", NOT_CHECKED, "--request-timeout", "30"])
        .args(["--suppress-health-check", "too_slow"])
        .output()
        .expect("schemathesis is there: ./test.sh installs it");
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).join("\n");
    assert!(output.status.success(), "{said}\n{}", gateway.running.err());
    let tested =
        said.split_once("Tested:").and_then(|(_, rest)| rest.trim_start().split(char::is_whitespace).next());
    assert_eq!(tested, Some("6"), "{said}");
}
