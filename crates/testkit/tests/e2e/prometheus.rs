//! A private Prometheus starts on the configuration that it is given, answers, and leaves nothing behind.

use std::{net::TcpStream, time::Duration};
use testkit::{Prometheus, Sandbox, block_until_or_tell, promtool};

#[test]
fn a_prometheus_obeys_its_configuration_answers_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let configuration = sandbox.path("prometheus.yml");
    let rules = "groups:\n- name: test\n  rules:\n  - record: test:answer\n    expr: vector(6) * 7\n";
    std::fs::write(sandbox.path("rules.yml"), rules).unwrap();
    std::fs::write(&configuration, "global: {evaluation_interval: 1s}\nrule_files: [rules.yml]\n").unwrap();

    let prometheus = Prometheus::start(&configuration);
    let query = || prometheus.get("/api/v1/query", &[("query", "test:answer{} + 0")]);
    let recorded = || query().1.contains("\"42\"").then_some(());
    let limit = Duration::from_secs(60);
    block_until_or_tell("the rule", limit, recorded, || format!("{:?}\n{}", query(), prometheus.log()));
    assert_eq!(prometheus.get("/api/v1/query", &[("query", "no query (")]).0, 400);

    let port = prometheus.port();
    drop(prometheus);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
#[should_panic(expected = "not_a_key")]
fn a_configuration_that_prometheus_refuses_is_said_with_its_words() {
    let sandbox = Sandbox::new();
    let configuration = sandbox.path("prometheus.yml");
    std::fs::write(&configuration, "not_a_key: 1\n").unwrap();
    Prometheus::start(&configuration);
}

#[test]
fn promtool_says_whether_a_configuration_or_a_scrape_can_be_used() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("good.yml"), "global: {}\n").unwrap();
    std::fs::write(sandbox.path("bad.yml"), "global: []\n").unwrap();
    let folder = sandbox.path("");
    assert!(promtool(&folder, ["check", "config", "good.yml"], "").status.success());
    assert!(!promtool(&folder, ["check", "config", "bad.yml"], "").status.success());
    let metrics = "# HELP a_total What.\n# TYPE a_total counter\na_total 1\n";
    assert!(promtool(&folder, ["check", "metrics"], metrics).status.success());
    assert!(
        !promtool(&folder, ["check", "metrics"], &metrics.replace("a_total 1", "a_total one"))
            .status
            .success()
    );
}
