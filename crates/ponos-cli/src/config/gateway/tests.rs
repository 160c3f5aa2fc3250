use super::super::Config;
use crate::gateway::settings::{KeySource, Unroutable};
use std::path::Path;

fn read(text: &str) -> (Config, Vec<String>) {
    let (config, found) = Config::parse("ponos.toml", text, Path::new("conf"));
    (config, found.list().iter().map(ToString::to_string).collect())
}

const DIGEST: &str = "f8e14f3db409cdaa46ad1ec13b4ea54a3e7c5a998d478f3a28e09938c44c3296";

#[test]
fn a_whole_section_is_what_it_says() {
    let text = format!(
        r#"
service = "edge"
[gateway]
listen = "0.0.0.0:7314"
unroutable = "accept"
body = 1000
batch = 10
window = 20
confirm = "5s"
rate = 7
origins = ["eventgrid.azure.net"]
[gateway.tls]
cert_file = "cert.pem"
key_file = "/key.pem"
[[gateway.tokens]]
id = "1f2e3d4c"
sha256 = "{DIGEST}"
owner = "billing"
role = "write"
domains = ["billing.*"]
plain = "billing.invoice.received"
rate = 3
[[gateway.paths]]
path = "orders"
event = "order.item.placed"
[[gateway.webhooks]]
name = "vendor"
scheme = "standard"
keys = ["file:new.key", "env:OLD_KEY"]
event = "vendor.thing.happened"
events = {{ "invoice.paid" = "vendor.invoice.paid" }}
"#
    );
    let (config, faults) = read(&text);
    assert_eq!(faults, Vec::<String>::new());
    let gateway = config.gateway.unwrap();
    assert_eq!(gateway.listen.to_string(), "0.0.0.0:7314");
    assert_eq!(gateway.unroutable, Unroutable::Accept);
    let limits = gateway.limits;
    assert_eq!((limits.body, limits.batch, limits.window), (1000, 10, 20));
    assert_eq!((limits.confirm.as_secs(), limits.rate), (5, Some(7)));
    assert_eq!(gateway.origins, ["eventgrid.azure.net"]);
    let tls = gateway.tls.unwrap();
    assert_eq!(
        (tls.cert_file.as_path(), tls.key_file.as_path()),
        (Path::new("conf/cert.pem"), Path::new("/key.pem"))
    );
    let holder = &gateway.holders[0];
    assert_eq!((holder.owner.as_str(), holder.rate), ("billing", Some(3)));
    assert!(holder.domains.cover("billing.invoice.received") && !holder.domains.cover("order.item.placed"));
    assert_eq!(gateway.paths[0].event.as_str(), "order.item.placed");
    let webhook = &gateway.webhooks[0];
    assert_eq!(webhook.keys, [KeySource::File("conf/new.key".into()), KeySource::Variable("OLD_KEY".into())]);
    assert_eq!(webhook.events["invoice.paid"].as_str(), "vendor.invoice.paid");
}

#[test]
fn all_faults_are_reported_at_once_each_at_its_place_and_no_secret_with_them() {
    let text = r#"
service = "edge"
[gateway]
listen = "0.0.0.0:1"
unroutable = "maybe"
body = 99999999
confirm = "2m"
[[gateway.tokens]]
id = "kh_1f2e3d4c_hunter2"
sha256 = "hunter2"
owner = "kh_hunter2"
role = "admin"
[[gateway.paths]]
path = "Orders"
event = "time.one-day.passed"
[[gateway.webhooks]]
name = "vendor"
scheme = "other"
keys = ["whsec_hunter2"]
events = { push = "push" }
[[gateway.webhooks]]
"#;
    let (_, faults) = read(text);
    for (place, words) in [
        ("4:10", "it does not encrypt"),
        ("5:14", "'maybe' is neither refuse nor accept"),
        ("6:8", "99999999"),
        ("7:11", "not within 0 to 60 s"),
        ("8:1", "at least one domain"),
        ("9:6", "8 hexadecimal digits"),
        ("10:10", "64 hexadecimal digits"),
        ("11:9", "not a valid name of an owner"),
        ("12:8", "the role 'admin'"),
        ("14:8", "'Orders' is not a word"),
        ("15:9", "an event of the clock's"),
        ("18:10", "no such scheme"),
        ("19:9", "where the key is"),
        ("20:19", "'push' is not a valid event name"),
        ("21:1", "the key name is missing"),
        ("21:1", "the key scheme is missing"),
        ("21:1", "without a key"),
        ("21:1", "of no event"),
    ] {
        let start = format!("ponos.toml:{place}: ");
        let found = faults.iter().any(|fault| fault.starts_with(&start) && fault.contains(words));
        assert!(found, "{place} {words}: {faults:#?}");
    }
    assert_eq!(faults.len(), 18, "{faults:#?}");
    assert!(!format!("{faults:?}").contains("hunter2"), "{faults:#?}");
}

#[test]
fn a_gateway_needs_no_queue_and_beyond_this_machine_tokens_and_tls() {
    let (config, faults) = read("service = \"edge\"\n[gateway]\n");
    assert_eq!(faults, Vec::<String>::new());
    let gateway = config.gateway.unwrap();
    assert!(gateway.listen.ip().is_loopback() && !gateway.are_tokens_wanted);
    let (_, faults) = read("service = \"No\"\n[gateway]\nlisten = \"0.0.0.0:1\"\n");
    assert!(faults.len() == 3, "{faults:#?}");
    assert!(
        faults[0].contains("'No'") && faults[1].contains("encrypt") && faults[2].contains("a token"),
        "{faults:#?}"
    );
    for (half, missing) in [("", 2), ("cert_file = \"c\"\n", 1)] {
        let (_, faults) = read(&format!("service = \"edge\"\n[gateway.tls]\n{half}"));
        assert!(faults.len() == missing && faults[0].contains("_file is missing"), "{faults:#?}");
    }
    let twice = format!("id = \"1f2e3d4c\"\nsha256 = \"{DIGEST}\"\nowner = \"a\"\ndomains = [\"#\"]\n");
    let (_, faults) = read(&format!(
        "service = \"edge\"\n[gateway]\n[[gateway.tokens]]\n{twice}[[gateway.tokens]]\n{twice}"
    ));
    assert!(faults.len() == 1 && faults[0].contains("another token has the id 1f2e3d4c"), "{faults:#?}");
}

#[test]
fn the_file_that_the_guide_shows_is_valid() {
    let guide = include_str!("../../../../../docs/gateway.md");
    let shown = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("schemas/billing.invoice.sent.json"), "true").unwrap();
    let (config, found) = Config::parse("ponos.toml", shown, folder.path());
    assert_eq!(found.list(), [], "{found}");
    let gateway = config.gateway.unwrap();
    assert_eq!((gateway.holders.len(), gateway.paths.len(), gateway.webhooks.len()), (1, 1, 2));
    // what it says is usual is so
    let usual = crate::gateway::settings::Limits { rate: Some(100), ..Default::default() };
    assert_eq!(gateway.limits, usual);
}

#[test]
fn a_batch_is_no_larger_than_half_of_the_window() {
    let batch = |lines: &str| {
        let (config, faults) = read(&format!("service = \"edge\"\n[gateway]\n{lines}"));
        (config.gateway.unwrap().limits.batch, faults)
    };
    assert_eq!(batch(""), (100, Vec::new()));
    assert_eq!(batch("window = 20"), (10, Vec::new()));
    assert_eq!(batch("window = 1"), (1, Vec::new()));
    assert_eq!(batch("window = 20\nbatch = 10").1, Vec::<String>::new());
    assert!(batch("window = 20\nbatch = 11").1[0].contains("more than half of a window of 20"));
}
