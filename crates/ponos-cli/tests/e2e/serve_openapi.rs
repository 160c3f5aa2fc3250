//! `ponos serve` against its own description: schemathesis makes requests of it, good ones and bad ones, and looks at the
//! answers.

use super::serve::{SHOP, serve};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// Which of its checks can't be made: a description can't say which events a service declares, nor which tokens there are.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// As `test.sh` installs it.
pub(crate) fn schemathesis() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scratch = env::var_os("SCRATCH").map_or_else(|| root.join(".scratch"), PathBuf::from);
    let mut command = Command::new(scratch.join("schemathesis/bin/schemathesis"));
    // With its seed: the same requests at every run.
    command.env("PYTHONHASHSEED", "0");
    command
}

#[test]
fn no_request_is_answered_otherwise_than_described() {
    let serving = serve("serve-openapi", SHOP, &[]);
    let url = format!("http://{}/v1/openapi.json", serving.address);
    let output = schemathesis()
        .current_dir(serving.folder.path())
        .args(["run", &url, "--seed", "1", "--max-examples", "20", "--no-color"])
        .args(["--continue-on-failure", "--exclude-checks", NOT_CHECKED, "--request-timeout", "70"])
        // how long it takes to make up requests says something of the machine alone
        .args(["--suppress-health-check", "too_slow"])
        .output()
        .expect("schemathesis is there: ./test.sh installs it");
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).join("\n");
    assert!(output.status.success(), "{said}\n{}", serving.running.err());
    let tested =
        said.split_once("Tested:").and_then(|(_, rest)| rest.trim_start().split(char::is_whitespace).next());
    assert_eq!(tested, Some("5"), "{said}");
}
