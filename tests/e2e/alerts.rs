//! The rules and alerts of `deploy/prometheus`: by promtool, and beside their documentation.

use crate::harness::text;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use testkit::{Sandbox, promtool};

pub(crate) const RULES: [&str; 2] = ["khronos.rules.yml", "ponos.rules.yml"];
const TESTS: [&str; 6] = [
    "tests/khronos.yml",
    "tests/cluster.yml",
    "tests/ponos.yml",
    "tests/services.yml",
    "tests/slo.yml",
    "tests/slo-services.yml",
];
/// Nothing is wrong.
const HEALTHY: &str = "tests/healthy.yml";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// A file of `deploy/prometheus`.
pub(crate) fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn passes(folder: &Path, arguments: &[&str]) {
    let output = promtool(folder, arguments, "");
    assert!(output.status.success(), "promtool {arguments:?}: {}", text(&output));
}

#[test]
fn promtool_accepts_rules_and_sample_configuration_and_each_case_of_each_alert_passes() {
    passes(&folder(), &["check", "config", "prometheus.yml"]);
    passes(&folder(), &[&["check", "rules"][..], &RULES].concat());
    passes(&folder(), &[&["test", "rules", HEALTHY][..], &TESTS].concat());
}

#[test]
fn the_alert_that_the_documentation_shows_can_be_used() {
    let page = file("../../docs/alerts.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let rules: String = shown.lines().map(|line| format!("      {line}\n")).collect();
    let sandbox = Sandbox::new();
    let text = format!("groups:\n  - name: shown\n    rules:\n{rules}");
    std::fs::write(sandbox.path("shown.yml"), &text).unwrap();
    assert!(text.contains("alert: NightlyReportSilent"), "{text}");
    passes(&sandbox.path(""), &["check", "rules", "shown.yml"]);
}

/// The values of `key` in a file, in order, each with the rest of the file after it.
fn after<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(key).map(|(at, _)| text[at + key.len()..].split_once('\n').unwrap())
}

#[test]
fn each_alert_has_a_case_that_fires_and_one_that_is_silent_and_is_documented() {
    let page = file("../../docs/alerts.md");
    let mut cases: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for tests in TESTS.map(file) {
        for (alert, rest) in after(&tests, "alertname: ") {
            let (expected, _) = after(rest, "exp_alerts:").next().unwrap();
            cases.entry(alert.to_owned()).or_default().insert(expected.trim() != "[]");
        }
    }
    let healthy = file(HEALTHY);
    let mut alerts = BTreeSet::new();
    for rules in RULES.map(file) {
        for (alert, rest) in after(&rules, "- alert: ") {
            let rule = rest.split("- alert: ").next().unwrap();
            assert_eq!(
                cases.get(alert).map_or(0, BTreeSet::len),
                2,
                "{alert} fires in a case, is silent in one"
            );
            let silent = format!("alertname: {alert}\n        exp_alerts: []\n");
            assert!(healthy.contains(&silent), "{alert} is silent where nothing is wrong");
            for needed in ["severity: ", "summary: ", "description: "] {
                assert!(rule.contains(needed), "{alert} has no {needed}");
            }
            let runbook = format!("runbook_url: docs/alerts.md#{}\n", alert.to_lowercase());
            assert!(rule.contains(&runbook), "{alert}: {runbook}");
            let section = page.split_once(&format!("\n### {alert}\n\n")).map(|(_, rest)| rest);
            let section = section.unwrap_or_else(|| panic!("docs/alerts.md has no section {alert}"));
            assert!(
                section.split("\n#").next().unwrap().len() > 80,
                "docs/alerts.md says too little of {alert}"
            );
            alerts.insert(alert.to_owned());
        }
    }
    assert!(alerts.len() > 20, "{alerts:?}");
    let documented: BTreeSet<_> = after(&page, "\n### ").map(|(alert, _)| alert.to_owned()).collect();
    assert_eq!(documented, alerts, "what docs/alerts.md has sections of");
}
