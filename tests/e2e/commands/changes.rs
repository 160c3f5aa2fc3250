//! Schedules that are put and deleted by message: whose they are, what comes again, and what a crash leaves of them.

use super::{Client, Reply, Scene};
use crate::harness::{Arrivals, LIMIT, Pace, let_pass, random};
use ponos::topology::Queue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use testkit::{Node, block_until_or_tell, wait_until};

fn definition(name: &str, every: &str) -> Value {
    json!({ "name": name, "event": "billing.invoice.due", "every": every })
}

fn put(name: &str, every: &str) -> Value {
    json!({ "definition": definition(name, every) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_put_runs_is_changed_by_its_owner_alone_and_deleted() {
    let scene = Scene::started("commands-put");
    let url = scene.node.url_for("guest", "guest", scene.vhost);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut billing = scene.client("billing-service").await;
    let reply = billing.ask("schedule.put", put("invoices", "1 second")).await;
    assert_eq!((reply.status, &reply.body["outcome"]), (201, &json!("created")), "{reply:?}");
    let revision = reply.body["revision"].clone();
    let tag = format!("{}.{revision}", reply.body["creation"]);
    arrivals.first("an event of what was put", |one| one.message.routing_key == "billing.invoice.due");
    let reply = billing.ask("schedule.get", json!({ "name": "invoices" })).await;
    assert_eq!((reply.status, &reply.body["revision"]), (200, &revision), "{reply:?}");
    let reply = billing.ask("schedule.list", json!({ "owner": "billing" })).await;
    assert_eq!(reply.body["schedules"].as_array().unwrap().len(), 1, "{reply:?}");
    let reply = billing.ask("schedule.put", put("invoices", "1 second")).await;
    assert_eq!((reply.status, &reply.body["outcome"]), (200, &json!("unchanged")), "{reply:?}");

    let refused = [
        ("reports-service", "schedule.put", put("invoices", "2 seconds"), 403),
        ("reports-service", "schedule.delete", json!({ "name": "invoices" }), 403),
        ("payroll-service", "schedule.put", put("invoices", "2 seconds"), 403),
        ("payroll-service", "schedule.delete", json!({ "name": "invoices" }), 403),
        ("billing-service", "schedule.put", put("daily", "2 seconds"), 409),
        ("billing-service", "schedule.delete", json!({ "name": "daily" }), 409),
        (
            "billing-service",
            "schedule.put",
            json!({ "definition": definition("invoices", "2 seconds"), "if_absent": true }),
            412,
        ),
        (
            "billing-service",
            "schedule.put",
            json!({ "definition": definition("invoices", "2 seconds"), "if_revision": "99.1" }),
            412,
        ),
        (
            "billing-service",
            "schedule.put",
            json!({ "definition": { "name": "x", "event": "payroll.run.due", "every": "1h" } }),
            403,
        ),
        ("billing-service", "schedule.put", put("x", "never"), 422),
    ];
    for (user, kind, body, status) in refused {
        let mut client = scene.client(user).await;
        let reply = client.ask(kind, body.clone()).await;
        assert_eq!(reply.status, status, "{user} {kind} {body}: {reply:?}");
    }
    let reply = billing.ask("schedule.get", json!({ "name": "invoices" })).await;
    assert_eq!(reply.body["revision"], revision, "what was refused changed nothing");

    let body = json!({ "definition": definition("invoices", "2 seconds"), "if_revision": tag });
    let reply = billing.ask("schedule.put", body).await;
    assert_eq!((reply.status, &reply.body["outcome"]), (200, &json!("changed")), "{reply:?}");
    assert_eq!(billing.ask("schedule.delete", json!({ "name": "invoices" })).await.status, 204);
    assert_eq!(billing.ask("schedule.get", json!({ "name": "invoices" })).await.status, 404);
    assert_eq!(billing.ask("schedule.delete", json!({ "name": "invoices" })).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_comes_again_gets_its_old_answer_and_undoes_nothing_newer() {
    let mut scene = Scene::started("commands-again");
    let mut billing = scene.client("billing-service").await;
    let first = billing.ask_as("first", "schedule.put", put("invoices", "1 hour")).await;
    assert_eq!(first.status, 201, "{first:?}");
    let second = billing.ask_as("second", "schedule.put", put("invoices", "2 hours")).await;
    assert_eq!((second.status, &second.body["outcome"]), (200, &json!("changed")), "{second:?}");
    for round in 0..3 {
        let again = billing.ask_as("first", "schedule.put", put("invoices", "1 hour")).await;
        assert_eq!((again.status, &again.body["revision"]), (201, &first.body["revision"]), "{again:?}");
        let there = billing.ask("schedule.get", json!({ "name": "invoices" })).await;
        assert_eq!(there.body["definition"]["every"], "2 hours", "{round}: {there:?}");
        // Whatever becomes of the clock.
        match round {
            0 => scene.clock.kill(),
            _ => scene.clock.stop(),
        }
        scene.clock.start();
        scene.until_open();
    }
    let other = billing.ask_as("first", "schedule.put", put("invoices", "3 hours")).await;
    assert_eq!(other.status, 422, "another command under the id of one: {other:?}");
    assert_eq!(billing.ask_as("gone", "schedule.delete", json!({ "name": "invoices" })).await.status, 204);
    assert_eq!(billing.ask_as("third", "schedule.put", put("invoices", "4 hours")).await.status, 201);
    assert_eq!(billing.ask_as("gone", "schedule.delete", json!({ "name": "invoices" })).await.status, 204);
    assert_eq!(billing.ask("schedule.get", json!({ "name": "invoices" })).await.status, 200);
    // Ids are of an owner: another's are others.
    let mut payroll = scene.client("payroll-service").await;
    let body = json!({ "definition": { "name": "wages", "event": "payroll.run.due", "every": "1h" } });
    assert_eq!(payroll.ask_as("first", "schedule.put", body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_definitions_in_one_message_are_done_once_and_each_is_answered() {
    let mut scene = Scene::started("commands-batch");
    let mut billing = scene.client("billing-service").await;
    let mut definitions: Vec<Value> = (0..500).map(|n| definition(&format!("b-{n:03}"), "1 day")).collect();
    definitions.push(definition("wrong", "never"));
    let body = json!({ "definitions": definitions });
    let first = billing.ask_as("batch", "schedules.put", body.clone()).await;
    let told = |reply: &Reply| (reply.status, reply.body["done"].clone(), reply.body["refused"].clone());
    assert_eq!(told(&first), (200, json!(500), json!(1)), "{}", first.body["results"][0]);
    assert_eq!(first.body["results"][500]["problem"]["code"], "invalid");
    assert_eq!(billing.ask("schedule.delete", json!({ "name": "b-007" })).await.status, 204);
    scene.clock.kill();
    scene.clock.start();
    scene.until_open();
    // The same message gets the same answer, and creates nothing anew.
    let again = billing.ask_as("batch", "schedules.put", body).await;
    assert_eq!((told(&again), &again.body["results"][7]["outcome"]), (told(&first), &json!("created")));
    assert_eq!(billing.ask("schedule.get", json!({ "name": "b-007" })).await.status, 404);
    let whole = json!({ "definitions": [definition("b-008", "2 days"), definition("wrong", "never")], "atomic": true });
    let none = billing.ask("schedules.put", whole).await;
    assert_eq!(told(&none), (200, json!(0), json!(2)), "{:?}", none.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_clock_is_killed_what_was_answered_is_there_and_each_command_is_answered() {
    const COMMANDS: usize = 400;
    let mut scene = Scene::started("commands-killed");
    let mut random = random();
    let mut sender = scene.client("billing-service").await;
    // What each schedule is to be after its last command: how often, or not there.
    let mut wanted: BTreeMap<String, Option<String>> = BTreeMap::new();
    // By correlation: which schedule it is about, and how it was answered.
    let mut sent: BTreeMap<String, String> = BTreeMap::new();
    let note = |reply: Reply, answered: &mut BTreeMap<String, u64>| {
        // What was answered before a crash may be answered once more, or be refused then.
        let status = answered.entry(reply.correlation.unwrap()).or_insert(reply.status);
        *status = (*status).max(reply.status);
    };
    let mut answered: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..8 {
        scene.clock.kill();
        for number in 0..COMMANDS / 8 {
            let name = format!("s-{:02}", random.usize(0..60));
            let is_put = random.u8(..) < 180;
            let every = format!("{} hours", 1 + number);
            let body = if is_put { put(&name, &every) } else { json!({ "name": name }) };
            let kind = if is_put { "schedule.put" } else { "schedule.delete" };
            sent.insert(sender.send_for_reply(kind, body).await, name.clone());
            wanted.insert(name, is_put.then_some(every));
        }
        scene.clock.start();
        // In the middle of them.
        let reply = sender.reply().await;
        note(reply, &mut answered);
        let_pass(random.u64(0..30));
        while let Some(reply) = sender.reply_now() {
            note(reply, &mut answered);
        }
    }
    while answered.len() < sent.len() {
        note(sender.reply().await, &mut answered);
    }
    assert!(answered.keys().eq(sent.keys()), "{answered:?}");
    assert!(answered.values().all(|status| matches!(status, 200..300 | 429)), "{answered:?}");
    // Where the machine stood still, some waited for a place of their owner in vain, and others about the same names did not:
    // these are put once more.
    let refused = answered.iter().filter(|(_, status)| **status == 429);
    let refused: Vec<String> = refused.map(|(correlation, _)| sent[correlation].clone()).collect();
    assert!(refused.len() <= COMMANDS / 4, "{} of {COMMANDS} were refused", refused.len());
    let refused = BTreeSet::from_iter(refused);
    for name in &refused {
        let every = "1000 hours".to_owned();
        let put_again = async || {
            let reply = sender.ask("schedule.put", put(name, &every)).await;
            assert!(matches!(reply.status, 200..300 | 429), "{name}: {reply:?}");
            (reply.status != 429).then_some(())
        };
        wait_until("what was refused to be put", LIMIT, put_again).await;
        wanted.insert(name.clone(), Some(every));
    }
    let mut reader: Client = scene.client("billing-service").await;
    let reply = reader.ask("schedule.list", json!({ "owner": "billing", "limit": 1000 })).await;
    let there: BTreeMap<String, Option<String>> = reply.body["schedules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&one["name"]), Some(text(&one["definition"]["every"])))
        })
        .collect();
    wanted.retain(|_, every| every.is_some());
    assert_eq!(there, wanted);
    let settled = || async { scene.depth("khronos.commands").filter(|depth| *depth == 0) };
    wait_until("the queue to be empty", LIMIT, settled).await;
    println!(
        "{} commands, of which some about {} schedules were too many at once; {} came again",
        sent.len(),
        refused.len(),
        scene.metric("khronos_commands_redelivered_total").unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_changes_delays_no_event_and_all_are_there() {
    const MANY: usize = 4_000;
    let scene = Scene::started("commands-changes");
    let url = scene.node.url_for("guest", "guest", scene.vhost);
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("all")]).await;
    arrivals.more(10);
    let (begun, pace) = (arrivals.len(), Pace::begin(&scene.clock));
    let mut billing = scene.client("billing-service").await;
    let asked = khronos::clock::now();
    let (mut done, mut number) = (0, 0);
    while done < MANY {
        // A window of a thousand, which is what the rate permits at once.
        let bodies = (number..number + 1_000).map(|number| put(&format!("p-{number:05}"), "10 years"));
        billing.send_all("schedule.put", bodies).await;
        number += 1_000;
        for _ in 0..1_000 {
            let reply = billing.reply().await;
            assert!(matches!(reply.status, 201 | 429), "{reply:?}");
            done += usize::from(reply.status == 201);
        }
    }
    let took = khronos::clock::now().since(asked);
    arrivals.more(5);
    let all = arrivals.so_far();
    let often = |one: &&crate::harness::Arrival| one.message.routing_key == "test.often.passed";
    let mut late: Vec<i64> = all[begun..]
        .iter()
        .filter(often)
        .map(|one| one.message.headers.int("khronos-lateness-ms").unwrap())
        .collect();
    late.sort_unstable();
    println!(
        "{done} puts in {took} ms; {} events meanwhile, late p50 {} p99 {} at most {} ms",
        late.len(),
        late[late.len() / 2],
        late[(late.len() - 1) * 99 / 100],
        late[late.len() - 1]
    );
    // Where a connection breaks, an event comes again, and behind what is newer.
    let due: BTreeSet<_> = all.iter().filter(often).map(|one| one.event.time.unwrap()).collect();
    let due: Vec<_> = due.into_iter().collect();
    assert!(due.windows(2).all(|pair| pair[1].since(pair[0]) == 100), "none is lost");
    let allowed = pace.allows(2_000);
    assert!(late[(late.len() - 1) * 99 / 100] < allowed, "{allowed} ms: {late:?}");
    let mut there = 0;
    let mut page = json!({ "owner": "billing", "limit": 1000 });
    loop {
        let reply = billing.ask("schedule.list", page).await;
        there += reply.body["schedules"].as_array().unwrap().len();
        page = json!({ "owner": "billing", "limit": 1000, "page": reply.body["next"] });
        if reply.body["next"].is_null() {
            break;
        }
    }
    assert_eq!(there, done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_has_confirmed_is_done_though_it_is_killed() {
    let node: &'static Node = Box::leak(Box::new(Node::start()));
    let mut scene = Scene::on(node, "commands-broker");
    // Answers go with the broker; the log stays.
    let clock = scene.clock.with("KHRONOS_LOG_LEVEL", "info,khronos::commands=debug");
    scene.clock = clock.with("KHRONOS_LOG_FORMAT", "json");
    scene.clock.start();
    scene.until_open();
    // The broker notes on its disk which quorum queues it has some time after they are declared; killed before, it never has
    // them again.
    node.write_down();
    let url = node.url_for("billing-service", "secret-billing-service", scene.vhost);
    // By message id: which schedule it is about.
    let mut sent = BTreeMap::new();
    for round in 0..2 {
        // The queue has a leader, and the clock takes from it.
        let seen = || format!("{:?}\n{}", node.queue(scene.vhost, "khronos.commands"), scene.clock.log());
        let taken = || node.queue(scene.vhost, "khronos.commands").filter(|(_, consumers)| *consumers == 1);
        block_until_or_tell("the clock to take commands", LIMIT, taken, seen);
        let mut billing = Client::connect(&url, "billing-service").await;
        let names = (0..200).map(|number| format!("b-{round}-{number}"));
        let ids = billing.send_all("schedule.put", names.clone().map(|name| put(&name, "1 day"))).await;
        sent.extend(ids.into_iter().zip(names));
        node.restart();
    }
    let all = async || {
        let mut billing = Client::try_connect(&url, "billing-service").await?;
        let reply = billing.try_ask("schedule.list", json!({ "prefix": "b-", "limit": 1000 })).await?;
        let there = reply.body["schedules"].as_array()?.iter();
        let there: BTreeSet<&str> = there.filter_map(|one| one["name"].as_str()).collect();
        // What waited for a place of its owner in vain was refused, which is an answer too.
        let log = scene.clock.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let limited = lines.filter(|line| line["status"] == 429);
        let refused: BTreeSet<String> =
            limited.filter_map(|line| line["id"].as_str().map(str::to_owned)).collect();
        let is_done = |(id, name): (&String, &String)| there.contains(&**name) || refused.contains(id);
        sent.iter().all(is_done).then_some(())
    };
    wait_until("all commands to be done", 3 * LIMIT, all).await;
    assert_eq!(sent.len(), 400);
    scene.clock.stop();
    node.kill9();
}
