use super::*;
use crate::described::Takes;
use ponos::worker::Prefetch;
use std::fs;

fn read(text: &str) -> (Config, Vec<String>) {
    read_in(text, Path::new("conf"))
}

fn read_in(text: &str, folder: &Path) -> (Config, Vec<String>) {
    let (config, found) = Config::parse("ponos.toml", text, folder);
    (config, found.list().iter().map(ToString::to_string).collect())
}

const WHOLE: &str = r#"
service = "shop"
inbox = "sled:inbox"
reports = true

[broker]
url_file = "url"
consumer_timeout = "1h"
passive = true

[policy]
attempts = 3
backoff = { first = "1s", factor = 2, jitter = 0.5 }

[[policies]]
name = "slow"
timeout = "10m"
within = "1h"
concurrency = 2
prefetch = 4
fleet = true

[[queues]]
on = ["order.*.shipped"]

[[queues]]
on = ["order.item.placed", "order.item.returned"]
label = "orders"
policy = "slow"
attempts = 7

[[queues]]
task = "stock.label.print"
rate = "10/s"
exclusive = true

[publish]
events = ["order.label.printed"]
tasks = ["stock.shelf.fill"]
"#;

#[test]
fn a_whole_file_is_what_it_says() {
    let (config, faults) = read(WHOLE);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(config.url_file.as_deref(), Some(Path::new("conf/url")));
    assert_eq!(config.inbox, Some(InboxLocation::Sled("conf/inbox".into())));
    assert_eq!((config.consumer_timeout, config.passive), (Some(Duration::from_secs(3600)), true));
    assert!(config.reports);
    let described = &config.described;
    let names: Vec<_> = described.queue_names().map(|name| name.to_string()).collect();
    assert_eq!(names, ["shop.order.*.shipped", "shop.orders", "shop.stock.label.print"]);
    let [shipped, orders, labels] = &described.queues[..] else { panic!("{described:?}") };
    assert_eq!((shipped.takes, orders.takes, labels.takes), (Takes::Events, Takes::Several, Takes::Tasks));
    assert_eq!(
        (shipped.policy.attempts, shipped.policy.backoff.factor, shipped.policy.backoff.jitter),
        (3, 2.0, 0.5)
    );
    assert_eq!((orders.policy.attempts, orders.policy.timeout), (7, Duration::from_secs(600)));
    assert_eq!(
        (orders.policy.prefetch, orders.policy.backoff.first),
        (Prefetch::Fixed(4), Duration::from_secs(1))
    );
    assert!(labels.policy.exclusive && labels.policy.rate.is_some());
    assert!(orders.policy.fleet && !shipped.policy.fleet && !labels.policy.fleet);
    assert_eq!(described.slots(), 10 + 2 + 1);
    assert_eq!((described.events.len(), described.tasks.len()), (1, 1));
}

#[test]
fn all_faults_are_told_of_at_once_each_at_its_place() {
    let text = "service = \"No Service\"\ncolour = 1\n[broker]\nurl = \"http://x\"\n[policy]\ntimeout = \"5x\"\nattempts = 0\n[[queues]]\non = [\"a..b\"]\npolicy = \"slwo\"\nprefetch = 3\n[[queues]]\ntask = \"x.y\"\non = [\"a.b.c\"]\n[[policies]]\nname = \"slow\"\n[[queues]]\non = [\"a.b.c\", \"d.e.f\"]\n[publish]\nevents = [\"No\"]\n";
    let (_, faults) = read(text);
    for (place, words) in [
        ("1:11", "'No Service'"),
        ("2:1", "unknown key 'colour'"),
        ("4:7", "amqp"),
        ("6:11", "'5x' is not a valid duration"),
        ("7:12", "0 is out of bounds"),
        ("9:7", "'a..b'"),
        ("10:10", "there is no policy 'slwo'; did you mean 'slow'?"),
        ("11:12", "prefetch is 3, less than the 10 tasks"),
        ("13:8", "events or tasks, not both"),
        ("18:6", "has no label"),
        ("20:11", "publishes 'No'"),
    ] {
        let start = format!("ponos.toml:{place}: ");
        let found = faults.iter().any(|fault| fault.starts_with(&start) && fault.contains(words));
        assert!(found, "{place} {words}: {faults:#?}");
    }
    assert_eq!(faults.len(), 11, "{faults:#?}");
}

#[test]
fn a_file_that_says_nothing_is_told_what_is_missing() {
    let (_, faults) = read("");
    assert!(faults.iter().any(|fault| fault.contains("the service has no name")), "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("has no queue")), "{faults:?}");
    let (_, faults) = read("service = \"shop\"\n[[queues]]\n");
    assert!(faults[0].contains("this queue takes nothing"), "{faults:?}");
    let (_, faults) = read("service = \n");
    assert!(faults[0].starts_with("ponos.toml:1:") && faults[0].contains("not valid TOML"), "{faults:?}");
}

#[test]
fn a_policy_that_no_queue_names_is_checked_as_the_others_are() {
    let queue = "service = \"shop\"\n[[queues]]\non = [\"a.b.c\"]\n";
    let policies =
        "[[policies]]\nname = \"slow\"\nprefetch = 3\n[[policies]]\nname = \"good\"\nprefetch = 30\n";
    let (_, faults) = read(&format!("{queue}{policies}"));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(
        faults[0].starts_with("ponos.toml:6:12: ") && faults[0].contains("less than the 10 tasks"),
        "{faults:#?}"
    );
    // what is wrong with the one of all is told of once
    let (_, faults) = read(&format!("{queue}[policy]\nprefetch = 3\n[[policies]]\nname = \"slow\"\n"));
    assert_eq!(faults.len(), 1, "{faults:#?}");
}

#[test]
fn passwords_are_shown_nowhere() {
    let (config, _) = read("service = \"shop\"\n[broker]\nurl = \"amqp://me:hunter2@host\"\n");
    assert!(config.url.is_some() && !format!("{config:?}").contains("hunter2"), "{config:?}");
    let text = "service = \"shop\"\ninbox = \"mysql://me:hunter2@host\"\n[broker]\nurl = \"amqps://me:hunter2@host:x\"\npasword = \"hunter2\"\n";
    let (_, found) = Config::parse("ponos.toml", text, Path::new(""));
    assert!(found.errors() >= 3, "{found}");
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn contracts_come_from_the_folder_or_from_the_queue_s_own_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("schemas")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("schemas/order.item.placed.json", r#"{"type": "object"}"#);
    write("own.json", r#"{"type": "array"}"#);
    let head = "service = \"shop\"\n[contracts]\nfolder = \"schemas\"\n";
    let good = format!(
        "{head}[[queues]]\non = [\"order.item.placed\"]\n[[queues]]\non = [\"order.*.returned\"]\ncontract = \"own.json\"\n[[queues]]\non = [\"x.#\"]\n"
    );
    let (config, faults) = read_in(&good, folder.path());
    assert_eq!(faults, Vec::<String>::new());
    let contract = |at: usize| config.described.queues[at].handlers[0].1.clone();
    assert!(contract(0).unwrap().check(&serde_json::json!([])).is_err());
    assert!(contract(1).unwrap().check(&serde_json::json!([])).is_ok());
    assert!(contract(2).is_none());
    let bad = format!(
        "{head}[[queues]]\non = [\"order.item.returned\"]\ncontract = \"none.json\"\n[publish]\nevents = [\"order.item.gone\"]\n"
    );
    let (_, faults) = read_in(&bad, folder.path());
    assert!(
        faults.iter().any(|fault| fault.starts_with("ponos.toml:6:12: ") && fault.contains("none.json")),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| fault.starts_with("ponos.toml:8:11: ") && fault.contains("order.item.gone.json")),
        "{faults:?}"
    );
}

#[test]
fn the_file_that_the_guide_shows_is_valid() {
    let guide = include_str!("../../../../docs/program.md");
    let shown = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("schemas")).unwrap();
    for name in [
        "schemas/order.parcel.shipped",
        "schemas/order.item.returned",
        "schemas/order.label.printed",
        "schemas/stock.shelf.fill",
        "shelf",
    ] {
        fs::write(folder.path().join(format!("{name}.json")), "true").unwrap();
    }
    let (config, faults) = read_in(shown, folder.path());
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(config.described.queues.len(), 3);
}
