use super::super::Config;
use crate::gateway::settings::{Contracts, Unroutable};
use std::path::Path;

fn read(text: &str) -> (Config, Vec<String>) {
    let (config, found) = Config::parse("ponos.toml", text, Path::new("conf"));
    (config, found.list().iter().map(ToString::to_string).collect())
}

#[test]
fn a_whole_section_is_what_it_says() {
    let (config, faults) = read(
        r#"
service = "edge"
[source.sqs]
region = "eu-central-1"
endpoint = "http://127.0.0.1:4566"
access_key_id_file = "id"
secret_access_key_file = "/secret"
session_token_file = "token"
unroutable = "accept"
body = 262144
bytes = 8388608
confirm = "5s"
[[source.sqs.queues]]
url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
event = "order.item.placed"
domains = ["order.*"]
wait = "5s"
visibility = "2m"
prefetch = 50
[[source.sqs.queues]]
url = "http://127.0.0.1:4566/000000000000/orders"
name = "files"
events = { "ObjectCreated:*" = "files.object.created" }
"#,
    );
    assert_eq!(faults, Vec::<String>::new());
    let sqs = config.sqs.unwrap();
    assert_eq!((sqs.region.as_deref(), sqs.unroutable), (Some("eu-central-1"), Unroutable::Accept));
    assert_eq!(sqs.endpoint.unwrap().uri.to_string(), "http://127.0.0.1:4566/");
    let keys =
        [sqs.keys.access_key_id, sqs.keys.secret_access_key, sqs.keys.session_token].map(Option::unwrap);
    assert_eq!(keys, ["conf/id", "/secret", "conf/token"].map(std::path::PathBuf::from));
    assert_eq!((sqs.limits.body, sqs.limits.bytes, sqs.limits.confirm.as_secs()), (262_144, 8 << 20, 5));
    let [orders, files] = &sqs.queues[..] else { panic!("{:?}", sqs.queues) };
    assert_eq!(
        (orders.name.as_str(), orders.wait, orders.visibility, orders.prefetch),
        ("orders", 5, 120, 50)
    );
    assert_eq!(orders.event.as_ref().unwrap().as_str(), "order.item.placed");
    assert!(orders.domains.as_ref().unwrap().cover("order.item.placed"));
    assert_eq!((files.name.as_str(), files.wait, files.visibility, files.prefetch), ("files", 20, 30, 100));
    assert_eq!(files.events["ObjectCreated:*"].as_str(), "files.object.created");
}

#[test]
fn each_queue_has_room_for_the_largest_message() {
    let file = |bytes: u32| {
        format!(
            "service = \"edge\"\n[source.sqs]\nbytes = {bytes}\n{}{}",
            "[[source.sqs.queues]]\nurl = \"https://sqs.eu-west-1.amazonaws.com/1/a\"\nevent = \"order.item.placed\"\n",
            "[[source.sqs.queues]]\nurl = \"https://sqs.eu-west-1.amazonaws.com/1/b\"\nevent = \"order.item.placed\"\n",
        )
    };
    assert_eq!(read(&file(2 << 20)).1, Vec::<String>::new());
    let faults = read(&file((2 << 20) - 1)).1;
    assert!(faults.len() == 1 && faults[0].contains("2097151 bytes are too few for 2 queues"), "{faults:?}");
}

#[test]
fn one_queue_is_named_once_under_whatever_name() {
    let file = |first: &str, second: &str| {
        let table = |url: &str, name: &str| {
            format!(
                "[[source.sqs.queues]]\nurl = \"{url}\"\nname = \"{name}\"\nevent = \"order.item.placed\"\n"
            )
        };
        format!("service = \"edge\"\n{}{}", table(first, "a"), table(second, "b"))
    };
    let faults =
        read(&file("https://sqs.eu-west-1.amazonaws.com/1/q", "https://SQS.eu-west-1.amazonaws.com:443/1/q"))
            .1;
    assert!(faults.len() == 1 && faults[0].contains("named twice"), "{faults:?}");
    let others = file("https://sqs.eu-west-1.amazonaws.com/1/q", "https://sqs.eu-west-2.amazonaws.com/1/q");
    assert_eq!(read(&others).1, Vec::<String>::new());
    let faults = read(&file("https://sqs.eu-west-1.amazonaws.com/1/q.fifo/", "https://h/1/q")).1;
    assert!(faults.len() == 1 && faults[0].contains("it ends with '/'"), "{faults:?}");
}

#[test]
fn all_faults_are_reported_at_once_each_at_its_place_and_no_secret_with_them() {
    let (_, faults) = read(
        r#"
service = "edge"
[source.sqs]
region = "Frankfurt"
endpoint = "https://user:hunter2@sqs.local"
secret_access_key_file = "hunter2"
unroutable = "maybe"
body = 9999999
bytes = 1
confirm = "2m"
[[source.sqs.queues]]
url = "arn:aws:sqs:eu-central-1:1:hunter2"
event = "time.one-day.passed"
wait = "30s"
visibility = "1500ms"
prefetch = 0
[[source.sqs.queues]]
name = "or ders"
events = { "ObjectCreated:*" = "created" }
domains = []
[[source.sqs.queues]]
url = "https://sqs.eu-west-1.amazonaws.com/1/orders"
[[source.sqs.queues]]
url = "http://sqs.local/1/orders"
event = "order.item.placed"
secret_access_key = "hunter2"
"#,
    );
    for (place, words) in [
        ("4:10", "'Frankfurt' is not a region"),
        ("5:12", "may not contain a user"),
        ("6:26", "half of a key"),
        ("7:14", "'maybe' is neither refuse nor accept"),
        ("8:8", "9999999"),
        ("9:9", "out of bounds"),
        ("10:11", "not within 0 to 60 s"),
        ("12:7", "it is not a URL"),
        ("13:9", "an event of the clock's"),
        ("14:8", "out of bounds"),
        ("15:14", "out of bounds"),
        ("16:12", "out of bounds"),
        ("17:1", "the key url is missing"),
        ("18:8", "'or ders' is not the name of a queue"),
        ("19:32", "'created' is not a valid event name"),
        ("20:11", "at least one domain"),
        ("21:1", "of no message which event"),
        ("24:7", "not encrypted"),
        ("24:7", "another queue is called 'orders'"),
        ("26:1", "unknown key 'secret_access_key'"),
    ] {
        let start = format!("ponos.toml:{place}: ");
        let found = faults.iter().any(|fault| fault.starts_with(&start) && fault.contains(words));
        assert!(found, "{place} {words}: {faults:#?}");
    }
    assert_eq!(faults.len(), 20, "{faults:#?}");
    assert!(!format!("{faults:?}").contains("hunter2"), "{faults:#?}");
}

#[test]
fn a_source_needs_no_queue_of_rabbitmq_and_at_least_one_of_sqs() {
    let (config, faults) = read("service = \"edge\"\n[source.sqs]\n");
    assert!(config.sqs.unwrap().queues.is_empty());
    assert!(faults.len() == 1 && faults[0].contains("no queue of SQS is named"), "{faults:#?}");
    let queue = |n: usize| format!("[[source.sqs.queues]]\nurl = \"https://h/1/q{n}\"\nevent = \"a.b.c\"\n");
    let many = |count: usize| (0..count).map(queue).collect::<String>();
    assert_eq!(read(&format!("service = \"edge\"\n{}", many(32))).1, Vec::<String>::new());
    let (_, faults) = read(&format!("service = \"edge\"\n{}", many(33)));
    assert!(faults.len() == 1 && faults[0].contains("33 queues are named, and 32"), "{faults:#?}");
}

#[test]
fn the_file_that_the_guide_shows_is_valid() {
    let guide = include_str!("../../../../../docs/sources.md");
    let shown = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("schemas/order.item.placed.json"), "true").unwrap();
    let (config, found) = Config::parse("ponos.toml", shown, folder.path());
    assert_eq!(found.list(), [], "{found}");
    let sqs = config.sqs.unwrap();
    assert_eq!(sqs.queues.len(), 2);
    assert!(matches!(sqs.contracts, Contracts::Folder(_)));
    // what it says is usual is so
    assert_eq!(sqs.limits, crate::source::sqs::settings::Limits::default());
    let usual = |name: &str| sqs.queues.iter().find(|queue| queue.name == name).unwrap();
    let orders = usual("orders");
    assert_eq!((orders.wait, orders.visibility, orders.prefetch), (20, 30, 100));
}
