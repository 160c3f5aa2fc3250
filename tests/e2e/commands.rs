//! Commands by message on a real RabbitMQ, sent by a plain client: what is answered, to whom, and what becomes of the rest.

mod changes;
pub(crate) mod client;
mod holding;

use crate::harness::{Arrivals, Clock, LIMIT, Pace};
use client::{Client, Reply};
use ponos::topology::Queue;
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use testkit::{Node, block_until, wait_until};

const SCHEDULES: &str = "
[[schedule]]
name = \"often\"
event = \"test.often.passed\"
every = \"100ms\"
[[schedule]]
name = \"daily\"
event = \"billing.day.closed\"
cron = \"0 9 * * *\"
";

/// What `[commands]` says in these tests.
const CONFIG: &str = "
[commands]
enabled = true
[[commands.users]]
user = \"billing-service\"
owner = \"billing\"
role = \"write\"
domains = [\"billing.*\"]
[[commands.users]]
user = \"reports-service\"
owner = \"reports\"
role = \"read\"
[[commands.users]]
user = \"payroll-service\"
owner = \"payroll\"
role = \"write\"
domains = [\"payroll.*\", \"billing.*\"]
";

/// A vhost with users, and a clock that takes their commands.
struct Scene {
    node: &'static Node,
    vhost: &'static str,
    clock: Clock,
}

/// What the pages say that the clock needs, and a client.
const CLOCK: [&str; 3] = [
    r"^(events|khronos\.(commands|replies|commands\.dlq))$",
    r"^(events|khronos\.(commands|replies|commands\.dlq)|amq\.default)$",
    r"^khronos\.(commands|replies)$",
];
const SERVICE: [&str; 3] = ["^$", r"^khronos\.commands$", "^$"];

impl Scene {
    fn new(vhost: &'static str) -> Self {
        let node = Node::shared();
        Self::on(node, vhost)
    }

    fn on(node: &'static Node, vhost: &'static str) -> Self {
        node.vhost(vhost);
        for (user, [configure, write, read]) in [
            ("clock", CLOCK),
            ("billing-service", SERVICE),
            ("reports-service", SERVICE),
            ("payroll-service", SERVICE),
            ("stranger", SERVICE),
        ] {
            // It may be there from another test.
            node.eval(&format!(
                "catch rabbit_auth_backend_internal:add_user(<<\"{user}\">>, <<\"secret-{user}\">>, <<\"test\">>)"
            ));
            node.permit(user, vhost, configure, write, read);
        }
        let clock = Clock::new(&node.url_for("clock", "secret-clock", vhost), SCHEDULES);
        let config = clock.sandbox.path("config.toml");
        std::fs::write(&config, CONFIG).unwrap();
        let clock = clock.with("KHRONOS_CONFIG", config.display());
        Self { node, vhost, clock }
    }

    fn started(vhost: &'static str) -> Self {
        let mut scene = Self::new(vhost);
        scene.clock.start();
        scene.until_open();
        scene
    }

    /// Waits until commands are taken.
    fn until_open(&self) {
        self.clock.until_ready();
        self.clock
            .until("commands to be taken", |_, body| !body["warnings"].to_string().contains("commands:"));
    }

    async fn client(&self, user: &str) -> Client {
        Client::connect(&self.node.url_for(user, &format!("secret-{user}"), self.vhost), user).await
    }

    /// The broker's own user, who may do everything.
    async fn guest(&self) -> Client {
        Client::connect(&self.node.url_for("guest", "guest", self.vhost), "guest").await
    }

    fn depth(&self, queue: &str) -> Option<u64> {
        self.node.queue(self.vhost, queue).map(|(ready, _)| ready)
    }

    fn metric(&self, line: &str) -> Option<u64> {
        let text = self.clock.text("/metrics")?;
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_asks_by_direct_reply_to_with_the_least_of_rights() {
    let scene = Scene::started("commands");
    let mut billing = scene.client("billing-service").await;
    let reply = billing.ask("schedule.get", json!({ "name": "daily" })).await;
    assert_eq!((reply.status, &reply.body["name"]), (200, &json!("daily")), "{reply:?}");
    assert_eq!(reply.correlation.as_deref(), Some("1"));
    assert_eq!(reply.user.as_deref(), Some("clock"), "the broker vouches for who answers");
    let reply = billing.ask("schedule.list", json!({ "limit": 1 })).await;
    assert_eq!((reply.status, &reply.body["schedules"][0]["name"]), (200, &json!("daily")), "{reply:?}");
    let reply = billing.ask("schedule.list", json!({ "page": reply.body["next"] })).await;
    assert_eq!(reply.body["schedules"][0]["name"], "often", "{reply:?}");
    let definition = json!({ "name": "x", "event": "billing.invoice.due", "cron": "0 0 30 2 *" });
    let reply = billing.ask("schedule.preview", json!({ "definition": definition })).await;
    assert_eq!(
        (reply.status, &reply.body["errors"][0]["pointer"]),
        (422, &json!("/definition/cron")),
        "{reply:?}"
    );
    let reply = billing.ask("schedule.get", json!({ "name": "dayly" })).await;
    assert_eq!((reply.status, &reply.body["code"]), (404, &json!("not-found")), "{reply:?}");
    let done = r#"khronos_commands_total{type="schedule.get",result="done"}"#;
    let counted = || async { scene.metric(done).filter(|count| *count == 1) };
    wait_until("the count of commands", LIMIT, counted).await;
    assert!(!scene.clock.log().contains("secret-"), "{}", scene.clock.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_say_who_he_is_or_is_not_known_is_refused() {
    let scene = Scene::started("commands-users");
    let mut stranger = scene.client("stranger").await;
    let reply = stranger.ask("schedule.get", json!({ "name": "daily" })).await;
    assert_eq!((reply.status, &reply.body["code"]), (403, &json!("forbidden")), "{reply:?}");
    let mut billing = scene.client("billing-service").await;
    billing.user = None;
    let reply = billing.ask("schedule.get", json!({ "name": "daily" })).await;
    assert_eq!((reply.status, &reply.body["code"]), (401, &json!("unauthenticated")), "{reply:?}");
    assert!(reply.body["detail"].as_str().unwrap().contains("user_id"), "{reply:?}");
    // The broker itself keeps anybody from using another's name.
    let mut forger = scene.client("stranger").await;
    forger.user = Some("billing-service".into());
    assert!(forger.is_refused("schedule.get", json!({ "name": "daily" })).await);
    let letter = || async { scene.depth("khronos.commands.dlq").filter(|depth| *depth == 1) };
    wait_until("the dead letter of what nobody vouches for", LIMIT, letter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_command_is_answered_and_lies_in_the_dead_letters_with_the_reason() {
    let scene = Scene::started("commands-dead");
    let mut billing = scene.client("billing-service").await;
    let reply = billing.ask_raw("schedule.get", "schedule.get", b"{\"name\"").await;
    assert_eq!((reply.status, &reply.body["code"]), (400, &json!("malformed")), "{reply:?}");
    let reply = billing.ask_raw("schedule.fly", "schedule.fly", b"{}").await;
    assert_eq!((reply.status, &reply.body["errors"][0]["parameter"]), (400, &json!("type")), "{reply:?}");
    let reply = billing.ask_raw("schedule.get", "schedule.list", b"{}").await;
    assert_eq!(
        (reply.status, &reply.body["errors"][0]["parameter"]),
        (400, &json!("routing_key")),
        "{reply:?}"
    );
    let mut guest = scene.guest().await;
    let mut letters = Vec::new();
    for _ in 0..3 {
        let letter = guest.next_of("khronos.commands.dlq").await;
        assert_eq!(letter.header("dead-user").as_deref(), Some("billing-service"));
        letters.push((letter.header("dead-kind").unwrap(), letter.raw));
    }
    let of = |kind: &str, body: &str| (kind.to_owned(), body.as_bytes().to_vec());
    assert_eq!(
        letters,
        [of("malformed", "{\"name\""), of("invalid-request", "{}"), of("invalid-request", "{}")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_by_the_exchange_and_to_no_queue_that_the_asker_names() {
    let scene = Scene::started("commands-replies");
    let mut guest = scene.guest().await;
    guest.declare("strangers", None).await;
    guest.declare("answers", Some(("khronos.replies", "billing.answers"))).await;
    let mut billing = scene.client("billing-service").await;
    for name in ["strangers", "khronos.commands", "khronos.commands.dlq", "amq.rabbitmq.reply-to.made.up"] {
        billing.send("schedule.get", json!({ "name": "daily" }), Some(name)).await;
    }
    billing.send("schedule.get", json!({ "name": "daily" }), Some("billing.answers")).await;
    let reply = guest.next_of("answers").await;
    assert_eq!((reply.status, &reply.body["name"]), (200, &json!("daily")), "{reply:?}");
    let dropped =
        || async { scene.metric("khronos_command_replies_dropped_total").filter(|count| *count >= 3) };
    wait_until("the answers that nobody takes to be dropped", LIMIT, dropped).await;
    assert_eq!(scene.depth("strangers"), Some(0));
    assert_eq!(scene.depth("khronos.commands.dlq"), Some(0));
    assert_eq!(billing.ask("schedule.get", json!({ "name": "daily" })).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asker_who_is_gone_holds_nothing_up() {
    let scene = Scene::started("commands-gone");
    let mut billing = scene.client("billing-service").await;
    for _ in 0..100 {
        let mut gone = scene.client("billing-service").await;
        gone.send("schedule.list", json!({}), Some("amq.rabbitmq.reply-to")).await;
        gone.close().await;
        if billing.ask("schedule.get", json!({ "name": "daily" })).await.status != 200 {
            panic!("{}", scene.clock.log());
        }
    }
    let settled = || async { scene.depth("khronos.commands").filter(|depth| *depth == 0) };
    wait_until("the queue to be empty", LIMIT, settled).await;
    assert_eq!(scene.depth("khronos.commands.dlq"), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_clock_is_away_is_answered_when_it_is_back() {
    let mut scene = Scene::started("commands-away");
    let mut billing = scene.client("billing-service").await;
    assert_eq!(billing.ask("schedule.get", json!({ "name": "daily" })).await.status, 200);
    for round in 0..3 {
        if round % 2 == 0 {
            scene.clock.stop()
        } else {
            scene.clock.kill()
        }
        let (mut sent, mut again) = (BTreeSet::new(), 0);
        for _ in 0..50 {
            sent.insert(billing.send_for_reply("schedule.get", json!({ "name": "daily" })).await);
        }
        scene.clock.start();
        let mut answered = BTreeSet::new();
        while answered.len() < sent.len() {
            let reply = billing.reply().await;
            let is_open = |one: &String| sent.contains(one) && !answered.contains(one);
            let Some(correlation) = reply.correlation.clone().filter(is_open) else {
                // What was answered before the clock was killed, and not acked, is answered once more.
                continue;
            };
            if reply.status == 429 {
                // More than one owner's share of the places waited for longer than they may: the same again.
                again += 1;
                assert!(again < 500, "the 50 of round {round} were refused {again} times: {reply:?}");
                sent.remove(&correlation);
                sent.insert(billing.send_for_reply("schedule.get", json!({ "name": "daily" })).await);
                continue;
            }
            assert_eq!(reply.status, 200, "{reply:?}");
            answered.insert(correlation);
        }
        assert_eq!(answered, sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_opens_again_after_lost_connections_and_deleted_queues_and_says_so_meanwhile() {
    let scene = Scene::started("commands-lost");
    let mut guest = scene.guest().await;
    guest.send("schedule.get", json!({ "name": "daily" }), None).await;
    scene.node.delete_queue(scene.vhost, "khronos.commands");
    scene.node.delete_queue(scene.vhost, "khronos.commands.dlq");
    scene.node.delete_exchange(scene.vhost, "khronos.commands");
    let declared = || async {
        let there = scene.node.queue(scene.vhost, "khronos.commands")?;
        scene.depth("khronos.commands.dlq").filter(|_| there.1 == 1)
    };
    wait_until("everything to be declared again", 3 * LIMIT, declared).await;
    let mut billing = scene.client("billing-service").await;
    let answered = async || {
        let reply = billing.try_ask("schedule.get", json!({ "name": "daily" })).await;
        match reply {
            Some(reply) => (reply.status == 200).then_some(()),
            None => {
                billing = scene.client("billing-service").await;
                None
            }
        }
    };
    wait_until("an answer", LIMIT, answered).await;
    // What it may not do, it says.
    scene.node.permit("clock", scene.vhost, CLOCK[0], CLOCK[1], "^$");
    scene.node.close_connections_of(scene.vhost);
    let told =
        |_, body: &serde_json::Value| body["warnings"].to_string().contains("commands: nothing is taken");
    scene.clock.until("a warning about the door", told);
    assert_eq!(scene.metric(r#"khronos_degraded{reason="commands"}"#), Some(1));
    let [configure, write, read] = CLOCK;
    scene.node.permit("clock", scene.vhost, configure, write, read);
    scene.until_open();
    let mut billing = scene.client("billing-service").await;
    assert_eq!(billing.ask("schedule.get", json!({ "name": "daily" })).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_commands_delays_no_event_and_another_owner_is_answered() {
    let mut scene = Scene::new("commands-flood");
    std::fs::write(
        scene.clock.sandbox.path("config.toml"),
        CONFIG.replace("enabled = true", "enabled = true\nrate = 20"),
    )
    .unwrap();
    let url = scene.node.url_for("guest", "guest", scene.vhost);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("all")]).await;
    scene.clock.start();
    scene.until_open();
    arrivals.more(10);
    let (begun, pace) = (arrivals.len(), Pace::begin(&scene.clock));
    let mut flood = scene.client("billing-service").await;
    let mut other = scene.client("reports-service").await;
    let kinds: [(&str, &[u8]); 5] = [
        ("schedule.get", br#"{"name":"daily"}"#),
        ("schedule.list", br#"{"limit":1000}"#),
        ("schedule.preview", br#"{"name":"daily","count":1000}"#),
        ("schedule.get", b"{"),
        ("schedule.nothing", b"{}"),
    ];
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        for _ in 0..100 {
            for (kind, body) in kinds {
                flood.send_raw(kind, kind, body, Some("amq.rabbitmq.reply-to")).await;
            }
        }
        let asked = khronos::clock::now();
        let reply = other.ask("schedule.get", json!({ "name": "daily" })).await;
        assert_eq!(reply.status, 200, "{round}: {reply:?}");
        slowest = slowest.max(Duration::from_millis(khronos::clock::now().since(asked).max(0) as u64));
        flood.forget();
    }
    arrivals.more(10);
    block_until("the flood to be over", 4 * LIMIT, || {
        scene.depth("khronos.commands").filter(|depth| *depth == 0)
    });
    let limited = scene.metric(r#"khronos_commands_total{type="schedule.get",result="limited"}"#);
    let done = scene.metric(r#"khronos_commands_total{type="schedule.get",result="done"}"#);
    let all = arrivals.so_far();
    let mut late: Vec<i64> = all[begun..]
        .iter()
        .map(|arrival| arrival.message.headers.int("khronos-lateness-ms").unwrap())
        .collect();
    late.sort_unstable();
    let quantile = |percent: usize| late[(late.len() - 1) * percent / 100];
    println!(
        "{} events, late p50 {} p99 {} at most {} ms; the other waited for at most {slowest:?}; limited {limited:?}, done {done:?}",
        late.len(),
        quantile(50),
        quantile(99),
        quantile(100)
    );
    // Where a connection breaks, an event comes again, and behind what is newer.
    let due: BTreeSet<_> = all.iter().map(|arrival| arrival.event.time.unwrap()).collect();
    let due: Vec<_> = due.into_iter().collect();
    let gaps: Vec<_> = due.windows(2).filter(|pair| pair[1].since(pair[0]) != 100).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    let allowed = pace.allows(2_000);
    assert!(quantile(99) < allowed, "p99 {} ms late, of {allowed}", quantile(99));
    assert!(limited > Some(100) && done > Some(40), "{limited:?} {done:?}");
}

#[test]
fn a_door_that_is_closed_declares_nothing() {
    let node = Node::shared();
    let url = node.vhost("commands-off");
    let clock = Clock::new(&url, SCHEDULES).started();
    assert_eq!(node.queue("commands-off", "khronos.commands"), None);
    assert!(!clock.text("/metrics").unwrap().contains("khronos_degraded{reason=\"commands\"} 1"));
}

/// What a reply is printed as where a test fails.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}
