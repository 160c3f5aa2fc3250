//! Zone data of a running clock: another release in its folder takes effect by itself, and through kills whatever is sent
//! again is what it was.

use crate::harness::{Arrivals, Clock, let_pass, random, text};
use khronos::schedule::Timing;
use ponos::{event::Timestamp, topology::Queue};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
};
use testkit::{Node, Signal};

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
time_zone = "Europe/Paris"
catch_up = { policy = "all", most = 100000 }

[[schedule]]
name = "seconds"
event = "test.seconds.passed"
cron = "* * * * * *"
time_zone = "Europe/Paris"
catch_up = { policy = "all", most = 100000 }

[[schedule]]
name = "daily"
event = "test.daily.passed"
cron = "0 9 * * *"
time_zone = "Europe/Paris"
"#;

/// Whose rules Paris has, release by release, and its offset. Seoul's are Tokyo's, in other bytes.
const RELEASES: [(&str, &str); 4] = [
    ("Asia/Kolkata", "+05:30"),
    ("Asia/Tokyo", "+09:00"),
    ("Asia/Seoul", "+09:00"),
    ("Asia/Dubai", "+04:00"),
];

/// Installs a release, as a package manager does: file by file, in one step each.
fn install(clock: &Clock, release: usize) {
    let zones = clock.sandbox.path("zoneinfo");
    fs::create_dir_all(zones.join("Europe")).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let unfinished = zones.join(".unfinished");
        fs::write(&unfinished, bytes).unwrap();
        fs::rename(unfinished, zones.join(name)).unwrap();
    };
    let timing = Timing::from_every("1 day", Some(RELEASES[release % RELEASES.len()].0)).unwrap();
    put("Europe/Paris", timing.zone().rules().unwrap().tzif());
    put("tzdata.zi", format!("# version 2027{release}\n").as_bytes());
}

fn with_zones(broker: &str) -> Clock {
    let clock = Clock::new(broker, SCHEDULES);
    let zones = clock.sandbox.path("zoneinfo");
    let clock = clock.with("KHRONOS_CLOCK_TIME_ZONES", zones.display());
    install(&clock, 0);
    clock
}

/// Waits until the schedules run with the rules of that release.
fn until_in_effect(clock: &Clock, release: usize) {
    let offset = RELEASES[release % RELEASES.len()].1;
    clock.until(&format!("release {release}"), |_, body| {
        body["time_zones"].as_str().is_some_and(|shown| shown.starts_with(&format!("2027{release} (")))
    });
    // 09:00 there, in UTC.
    let due = match offset {
        "+05:30" => "T03:30:00.000Z",
        "+04:00" => "T05:00:00.000Z",
        _ => "T00:00:00.000Z",
    };
    clock.until_at("/schedules/daily", offset, |_, body| {
        body["next_due_at"].as_str().is_some_and(|next| next.ends_with(due))
    });
}

fn agrees(clock: &Clock) {
    let audit = clock.verb(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}\n{}", text(&audit), clock.log());
}

fn revision(clock: &Clock, name: &str) -> u64 {
    clock.get(&format!("/schedules/{name}")).unwrap().1["revision"].as_u64().unwrap()
}

#[test]
fn another_release_takes_effect_by_itself_and_changes_what_it_has_other_rules_for() {
    let mut clock = with_zones("memory:").started();
    until_in_effect(&clock, 0);
    let first = revision(&clock, "daily");
    install(&clock, 1);
    until_in_effect(&clock, 1);
    assert_eq!(revision(&clock, "daily"), first + 1);
    assert_eq!(revision(&clock, "often"), first + 1, "its events name the local time");
    install(&clock, 2);
    clock.signal(Signal::HUP);
    until_in_effect(&clock, 2);
    clock.until_calm();
    assert_eq!(revision(&clock, "daily"), first + 1, "the same rules in other bytes change nothing");
    // The rules are told to whoever evaluates the definition elsewhere.
    let known = clock.get("/schedules/daily").unwrap().1;
    let id = known["definition"]["zones"]["Europe/Paris"].as_str().unwrap().to_owned();
    let (status, zone) = clock.get(&format!("/zones/{id}")).unwrap();
    assert_eq!((status, &zone["id"]), (200, &id.clone().into()));
    assert_eq!(clock.get("/zones/Paris").unwrap().0, 404);
    let url = format!("http://127.0.0.1:{}", clock.port);
    let planned = clock.verb(&["plan", "--url", &url]);
    assert_eq!(planned.status.code(), Some(0), "{}", text(&planned));
    // A folder that is gone is a refusal: the last accepted schedules go on, through a restart too.
    fs::rename(clock.sandbox.path("zoneinfo"), clock.sandbox.path("gone")).unwrap();
    clock.signal(Signal::HUP);
    clock.until("the refusal", |_, body| body["warnings"].to_string().contains("time zones"));
    clock.kill();
    clock.start();
    clock.until("the refusal again", |_, body| body["warnings"].to_string().contains("time zones"));
    let next = clock.get("/schedules/daily").unwrap().1["next_due_at"].as_str().unwrap().to_owned();
    assert!(next.ends_with("T00:00:00.000Z"), "{next}");
    agrees(&clock);
    clock.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn through_kills_and_changes_of_zone_data_an_id_has_one_body_and_the_audit_agrees() {
    let node = Node::start();
    let arrivals = Arrivals::of_all_events(&node.url(), &[Queue::classic("all")]).await;
    let mut clock = with_zones(&node.url()).started();
    let mut random = random();
    arrivals.more(20);
    for release in 1..=8 {
        // Before the kill, or while the clock is down.
        if random.bool() {
            install(&clock, release);
            clock.signal(Signal::HUP);
            let_pass(random.u64(0..300));
            clock.kill();
        } else {
            let_pass(random.u64(0..300));
            clock.kill();
            install(&clock, release);
        }
        agrees(&clock);
        clock.start();
        clock.until_ready();
        until_in_effect(&clock, release);
        arrivals.more(15);
    }
    clock.stop_calm();
    agrees(&clock);

    let so_far = arrivals.so_far();
    let mut bodies: HashMap<String, &str> = HashMap::new();
    let (mut again, mut offsets) = (0, BTreeSet::new());
    for arrival in &so_far {
        let body = std::str::from_utf8(&arrival.event.data).unwrap();
        let shown: serde_json::Value = serde_json::from_str(body).unwrap();
        offsets.insert(shown["utc_offset"].as_str().unwrap().to_owned());
        if let Some(before) = bodies.insert(arrival.event.id.to_string(), body) {
            assert_eq!(before, body, "{}", arrival.event.id);
            again += 1;
        }
    }
    assert_eq!(offsets.len(), 3, "{offsets:?}");
    println!("{} arrivals, {again} of them again", so_far.len());
    // Nothing is missing between the first and the last.
    for (name, step) in [("often", 100), ("seconds", 1000)] {
        let due: BTreeSet<Timestamp> = so_far
            .iter()
            .filter(|arrival| arrival.event.subject.as_deref() == Some(name))
            .filter_map(|arrival| arrival.event.time)
            .collect();
        let (first, last) = (due.first().unwrap().millis(), due.last().unwrap().millis());
        assert_eq!(due.len() as i64, (last - first) / step + 1, "{name}");
    }
}
