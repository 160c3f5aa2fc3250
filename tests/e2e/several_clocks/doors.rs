//! What is asked of clocks on one Postgres, whichever leads: operations, reads, the feed, other files.

use super::{SCHEDULES, term};
use crate::harness::{Arrivals, Clock, Feed, LIMIT, clocks};
use ponos::{event::Timestamp, topology::Queue};
use serde_json::Value;
use std::{collections::BTreeSet, io::Read as _};
use testkit::{Node, Postgres, Signal, block_until};

/// An answer of a clock, and how old it says that it is.
fn with_age(clock: &Clock, path: &str) -> (String, Option<u64>) {
    let mut answer = String::new();
    clock.request(path, "").unwrap().read_to_string(&mut answer).unwrap();
    let age = answer.lines().find_map(|line| line.strip_prefix("khronos-age-ms: "));
    let age = age.map(|age| age.parse().unwrap());
    (answer, age)
}

/// Which one leads, and which one follows it. The lease moves where the machine stands still for longer than it lasts: what wants them
/// asks anew.
fn roles(both: &[Clock]) -> (usize, usize) {
    block_until("one to lead and one to follow", LIMIT, || {
        let (leader, follower) = (clocks::leader(both), clocks::follower(both));
        (leader != follower).then_some((leader, follower))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_a_follower_the_leader_does_and_while_nobody_leads_it_says_so() {
    let url = Node::shared().vhost("doors");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("classic")]).await;
    let postgres = Postgres::start(false);
    let database = postgres.database("several");
    let clock = || {
        let clock = Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
        let secret = clock.sandbox.path("secret");
        std::fs::write(&secret, "sesame, open the cave").unwrap();
        clock.with("KHRONOS_HTTP_OPEN", "true").with("KHRONOS_CLUSTER_SECRET_FILE", secret.display())
    };
    let mut both = [clock(), clock()];
    both[0].start();
    both[0].until("it to lead", |status, body| status == 200 && body["role"] == "leader");
    arrivals.more(5);
    both[1].start();
    let (leader, follower) = roles(&both);
    let warm = block_until("the one that follows to be warm", LIMIT, || {
        let seen = both.iter().filter_map(|clock| clock.get("/readyz"));
        seen.map(|(_, body)| body).find(|body| body["role"] == "follower" && body["warm"] == true)
    });
    assert!(warm["warm_at"].is_string() && warm["cold"].is_null(), "{warm}");
    let seen = both[leader].until_at("/v1/cluster", "that to be seen", |_, body| {
        let mut members = body["members"].as_array().into_iter().flatten();
        members.any(|member| member["warm"] == true && member["leads"] == false)
    });
    assert!(seen.to_string().contains("warm_ms_ago"), "{seen}");
    let listed = both[follower].done(&["list"]);
    assert!(listed.contains("all-100"), "{listed}");
    let paused = both[follower].post("/v1/schedules/all-100/pause", r#"{"note": "by a follower"}"#);
    assert_eq!(paused.as_ref().map(|(status, _)| *status), Some(200), "{paused:?}");
    // Whoever is asked, the one that was asked for it included.
    for clock in &both {
        let seen = clock.get("/v1/schedules/all-100").unwrap().1;
        assert!(seen.to_string().contains("by a follower"), "{seen}");
    }
    // Once it holds what the leader keeps.
    let (told, age) = block_until("an answer of its own", LIMIT, || {
        both.iter().map(|clock| with_age(clock, "/v1/history")).find(|(_, age)| age.is_some())
    });
    assert!(told.contains(" 200 ") && age.is_some_and(|age| age < 10_000), "{told}");
    let (leader, follower) = roles(&both);
    assert_eq!(with_age(&both[leader], "/v1/history").1, None, "the leader tells what is so now");
    both[follower].done(&["at", "--in", "1h", "order.reminder.due", "7", "--name", "later"]);
    let later = both[follower].get("/v1/events/later").unwrap();
    assert_eq!((later.0, &later.1["event"]), (200, &"order.reminder.due".into()), "{later:?}");
    // Once its row is written; an event that another clock sent before is another one's.
    block_until("the clock and the term that sent the last event", LIMIT, || {
        let (id, term) =
            arrivals.look(|all| all.last().map(|last| (last.event.id.to_string(), term(last))))?;
        let why = both[follower].get(&format!("/v1/why/{id}"))?.1;
        let leader = &why["clock"]["leader"];
        (leader["term"] == term && leader["address"].is_string() && leader["since"].is_string()).then_some(())
    });
    // Who can write to the tables can't have anything sent to himself.
    let real = postgres.sql("several", "select address from khronos.shard");
    postgres.sql("several", "update khronos.shard set address = 'http://127.0.0.1:1'");
    let of_the_leader = "/v1/operations";
    // What is asked in that moment hears that nobody leads any more.
    both[follower].until_at(of_the_leader, "the address to be refused", |status, body| {
        status == 503 && body["detail"].to_string().contains("is not sealed")
    });
    postgres.sql("several", &format!("update khronos.shard set address = '{real}'"));
    both[follower].until_at(of_the_leader, "the leader to be asked again", |status, _| status == 200);
    let (leader, follower) = roles(&both);
    both[leader].signal(Signal::STOP);
    let nobody = block_until("nobody to lead", LIMIT, || {
        both[follower].get(of_the_leader).filter(|(status, _)| *status != 200)
    });
    assert_eq!(nobody.0, 503, "{nobody:?}");
    for path in ["/v1/schedules/all-100", "/v1/schedules/all-1000/next", "/v1/events/later", "/v1/parked"] {
        both[follower].until_at(path, "an answer without the one that led", |status, _| status == 200);
    }
    both[follower].until("it to lead", |status, body| status == 200 && body["role"] == "leader");
    both[leader].signal(Signal::CONT);
    let seen = both[follower].get("/v1/schedules/all-100").unwrap().1;
    assert!(seen.to_string().contains("by a follower"), "what was answered is kept: {seen}");
    both[leader].until("it to follow", |status, body| status == 200 && body["role"] == "follower");
    both[follower].stop();
    both[leader].until("it to lead again", |status, body| status == 200 && body["role"] == "leader");
    both[leader].stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_clock_changed_to_last_the_leader_applies_whose_own_files_are_older() {
    let url = Node::shared().vhost("files");
    let postgres = Postgres::start(false);
    let database = postgres.database("several");
    let clock = || Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
    let leads = |status, body: &Value| status == 200 && body["role"] == "leader";
    let follows =
        |status, body: &Value| status == 200 && body["role"] == "follower" && body["leader"].is_string();
    // The lease may move to it at once, on a machine that stands still.
    let takes_part = |status, body: &Value| follows(status, body) || leads(status, body);
    let (mut one, mut two) = (clock(), clock());
    one.start();
    one.until("it to lead", leads);
    two.start();
    two.until("it to follow", follows);
    // A rolling deployment: the one that follows has the new files first.
    let new = SCHEDULES.replace("latest-400", "latest-new");
    two.write_schedules(&new);
    let is_there = |status, _: &Value| status == 200;
    one.until_at("/v1/schedules/latest-new", "the leader to apply what another clock has", is_there);
    assert_eq!(one.get("/v1/schedules/latest-400").map(|(status, _)| status), Some(404));
    // Nothing is edited to and fro, whoever leads, and whoever is started again.
    one.kill();
    two.until("the other one to lead", leads);
    one.start();
    one.until("it to be back", takes_part);
    one.signal(Signal::HUP);
    two.stop();
    one.until("it to lead again", leads);
    one.write_schedules(&new);
    two.start();
    two.until("the other one to be back", takes_part);
    for name in ["all-100", "latest-new"] {
        let seen = one.until_at(&format!("/v1/schedules/{name}"), "the schedule", is_there);
        assert_eq!(seen["revision"], 1, "{seen}");
    }
    one.stop();
    two.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_whose_database_is_not_there_says_that_it_lives_and_what_it_waits_for() {
    let url = Node::shared().vhost("waits");
    let postgres = Postgres::start(false);
    let database = postgres.database("several");
    postgres.kill9();
    let mut clock = Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
    clock.start();
    let waits = clock.until("it to wait", |status, body| {
        status == 503 && body["reasons"].to_string().contains("the database is waited for")
    });
    assert_eq!(waits["role"], "follower");
    assert_eq!(clock.get("/healthz").map(|(status, _)| status), Some(200));
    assert!(clock.text("/metrics").is_some_and(|text| text.contains("khronos_ready 0")));
    postgres.restart();
    clock.until("it to lead", |status, body| status == 200 && body["role"] == "leader");
    clock.stop();
    // It may end while it waits, too.
    postgres.kill9();
    clock.start();
    clock.until("it to wait again", |status, _| status == 503);
    clock.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_goes_on_at_whichever_clock_and_has_no_hole_after_a_failover() {
    let url = Node::shared().vhost("feeds");
    let postgres = Postgres::start(false);
    let database = postgres.database("several");
    let clock = || Clock::new(&url, SCHEDULES).reached().with("KHRONOS_STORE_PATH", &database);
    let mut both = [clock(), clock()];
    clocks::start_all(&mut both);
    let mut last: Option<String> = None;
    // What the next leader sends again may come again.
    let mut due = BTreeSet::<Timestamp>::new();
    let time = |event: &Value| event["time"].as_str().unwrap().parse().unwrap();
    let path = "/v1/feed?match=test.all-hundred.passed";
    for by_the_other in [true, true, false] {
        let wanted = due.len() + 15;
        // Anew where it ended by itself: the lease has moved.
        let (leader, other, mut feed) = block_until("the feed to go on", LIMIT, || {
            let (leader, other) = roles(&both);
            let asked = if by_the_other { other } else { leader };
            let mut feed = Feed::open(&both[asked], path, last.as_deref());
            while due.len() < wanted
                && let Some((_, event)) = feed.next()
            {
                due.insert(time(&event));
            }
            last.clone_from(&feed.last);
            (due.len() >= wanted).then_some((leader, other, feed))
        });
        both[leader].kill();
        // What was on its way is read, too, until the feed ends.
        while let Some((_, event)) = feed.next() {
            due.insert(time(&event));
        }
        last = feed.last;
        both[other].until("the other one to lead", |status, body| status == 200 && body["role"] == "leader");
        both[leader].start();
    }
    let due: Vec<Timestamp> = due.into_iter().collect();
    let holes: Vec<_> = due.windows(2).filter(|pair| pair[1].since(pair[0]) != 100).collect();
    assert!(holes.is_empty(), "{holes:?}");
    let (leader, other) = roles(&both);
    for at in [other, leader] {
        both[at].stop();
    }
}
