//! The door before the broker's twin and a clock that is played by a task. What RabbitMQ itself does, users and direct
//! reply-to above all, is tested end to end.

use super::{apart::run, *};
use crate::{
    authority::{Domains, Owners, Quota, Role},
    config::{CommandsConfig, CommandsUser},
    engine::{Era, ScheduleStatus, Sent},
    ops::{RunningClock, ScheduleList},
    schedule::{Definition, Packed},
};
use ponos::{
    broker::{Consume, Consumer, Delivery, Link, Publisher, Publishing, Settle, Transport, memory},
    event::{Message, Properties, Timestamp},
    shutdown::{Trigger, shutdown},
    topology::{Binding, Queue, Topology},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

mod bounds;
mod calendars;
mod events;
mod played;
mod reading;
mod refusing;
mod schemas;

use played::running;

const LIMIT: Duration = Duration::from_secs(60);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * 60_000)
}

fn schedule(name: &str, data: usize) -> ScheduleStatus {
    let definition = Definition {
        name: name.into(),
        every: Some("1 minute".into()),
        data: Some(json!({ "text": "x".repeat(data) })),
        ..Definition::default()
    };
    ScheduleStatus {
        revision: Era::first(1, at(0)).of(Packed::kept(&definition)),
        next: Some(at(11)),
        in_flight: None,
        outstanding: Vec::new(),
        sent: Sent::default(),
        refused: None,
        paused: None,
        finished: false,
    }
}

/// A clock that takes commands, and one who sends them.
struct Open {
    broker: memory::Broker,
    clock: RunningClock,
    publisher: Publisher,
    answers: Consumer,
    trigger: Trigger,
    warning: watch::Receiver<Option<String>>,
    door: JoinHandle<()>,
    sent: u64,
}

fn config() -> CommandsConfig {
    let user = |user: &str, owner: &str, role, domains: &[&str]| CommandsUser {
        user: user.into(),
        owner: owner.into(),
        role,
        tasks: None,
        quota: Quota::USUAL,
        domains: Domains::new(domains.iter().map(|domain| (*domain).to_owned()).collect()).unwrap(),
    };
    let users = vec![
        user("billing-service", "billing", Role::Write, &["billing.*"]),
        user("reports-service", "reports", Role::Read, &["#"]),
    ];
    CommandsConfig { enabled: true, rate: 100, users, ..CommandsConfig::default() }
}

impl Open {
    async fn with(schedules: Vec<ScheduleStatus>, config: CommandsConfig) -> Self {
        Self::before(running(schedules), config).await
    }

    /// Before this clock.
    async fn before(clock: RunningClock, config: CommandsConfig) -> Self {
        let broker = memory::Broker::new();
        let transport = Transport::memory(broker.clone());
        let (warning_in, warning) = watch::channel(None);
        let (trigger, end) = shutdown();
        let queue = Queue::classic("answers");
        let declared = Topology {
            queues: vec![queue],
            bindings: vec![Binding::queue(&*config.replies, "answers", "answers.#")],
            ..topology(&config)
        };
        let publisher = transport.publisher(topology(&config));
        let answers = transport.consumer(declared, Consume::new("answers"));
        let mut up = answers.link();
        up.wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        let mut up = publisher.link();
        up.wait_for(|link| matches!(link, Link::Up { .. })).await.unwrap();
        let owners = Owners::default();
        let door = Door { config, owners, transport, clock: clock.clone(), warning: warning_in };
        let door = tokio::spawn(run(door, end));
        Self { broker, clock, publisher, answers, trigger, warning, door, sent: 0 }
    }

    async fn start() -> Self {
        Self::with(vec![schedule("one-minute", 1), schedule("two", 1)], config()).await
    }

    /// Sends a message, whatever it says.
    async fn send(&mut self, message: Message) {
        self.sent += 1;
        let publishing =
            Publishing { token: self.sent, lane: 0, exchange: "khronos.commands".into(), message };
        self.publisher.submit(vec![publishing]).await.unwrap();
    }

    async fn answer(&mut self) -> Delivery {
        let delivery = timeout(LIMIT, self.answers.next()).await.expect("an answer").unwrap();
        self.answers.settle(delivery.tag, Settle::Ack).await.unwrap();
        delivery
    }

    /// Status and body of the answer to a command.
    async fn ask(&mut self, kind: &str, body: Value) -> (u16, Value) {
        self.send(command(kind, body)).await;
        read(&self.answer().await)
    }

    /// The dead letters so far.
    fn letters(&self) -> Vec<Message> {
        let next = || self.broker.get("khronos.commands.dlq").map(|letter| letter.message);
        std::iter::from_fn(next).collect()
    }

    /// The lines of its metrics that are about commands.
    fn counted(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::with_prefix("khronos");
        self.clock.counts.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| line.starts_with("khronos_command")).collect::<Vec<_>>().join("\n")
    }

    /// Waits until nothing of the queue is out or waiting.
    async fn until_settled(&self) {
        let settled = || async {
            let status = self.broker.queue_status("khronos.commands")?;
            (status.ready == 0 && status.unacked == 0).then_some(())
        };
        testkit::wait_until("the queue to be settled", LIMIT, settled).await;
    }
}

fn command(kind: &str, body: Value) -> Message {
    let properties = Properties {
        kind: Some(kind.to_owned()),
        message_id: Some("m-1".into()),
        user_id: Some("billing-service".into()),
        reply_to: Some("answers.billing".into()),
        correlation_id: Some("c-1".into()),
        ..Properties::default()
    };
    Message {
        routing_key: kind.to_owned(),
        properties,
        body: body.to_string().into_bytes(),
        ..Message::default()
    }
}

fn read(answer: &Delivery) -> (u16, Value) {
    assert_eq!((&*answer.exchange, &*answer.message.routing_key), ("khronos.replies", "answers.billing"));
    assert_eq!(answer.message.properties.content_type.as_deref(), Some("application/json"));
    let answer: Value = serde_json::from_slice(&answer.message.body).unwrap();
    (answer["status"].as_u64().unwrap().try_into().unwrap(), answer["body"].clone())
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_answered_as_over_http() {
    let mut open = Open::start().await;
    let (status, view) = open.ask("schedule.get", json!({ "name": "one-minute" })).await;
    assert_eq!((status, &view["name"], &view["revision"]), (200, &json!("one-minute"), &json!(1)));
    let (status, list) = open.ask("schedule.list", json!({ "limit": 1 })).await;
    assert_eq!(
        (status, &list["clock"], &list["schedules"][0]["name"]),
        (200, &json!("khronos"), &json!("one-minute"))
    );
    let (status, rest) = open.ask("schedule.list", json!({ "page": list["next"] })).await;
    assert_eq!((status, rest["schedules"].as_array().unwrap().len(), &rest["next"]), (200, 1, &Value::Null));
    serde_json::from_value::<ScheduleList>(rest).unwrap();
    let from = "2026-12-01T09:00:00Z";
    let (status, preview) =
        open.ask("schedule.preview", json!({ "name": "two", "from": from, "count": 1 })).await;
    assert_eq!((status, &preview["occurrences"][0]["due_at"]), (200, &json!("2026-12-01T09:01:00.000Z")));
    let definition = json!({ "name": "x", "event": "a.b.c", "cron": "0 9 * * *" });
    let (status, preview) =
        open.ask("schedule.preview", json!({ "definition": definition, "from": from, "count": 1 })).await;
    assert_eq!((status, &preview["occurrences"][0]["due_at"]), (200, &json!("2026-12-02T09:00:00.000Z")));
    open.until_settled().await;
    let counted = open.counted();
    for kind in ["get", "list", "preview"] {
        assert!(
            counted.contains(&format!(r#"khronos_commands_total{{type="schedule.{kind}",result="done"}}"#)),
            "{counted}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_is_answered_as_over_http() {
    let mut open = Open::start().await;
    let definition = json!({ "name": "invoices", "event": "billing.invoice.due", "cron": "0 9 * * *" });
    let (status, view) =
        open.ask("schedule.put", json!({ "definition": definition, "if_absent": true })).await;
    assert_eq!((status, &view["outcome"], &view["revision"]), (201, &json!("created"), &json!(1)), "{view}");
    let (status, body) = open.ask("schedule.delete", json!({ "name": "invoices" })).await;
    assert_eq!((status, body), (204, Value::Null));
    let taken = json!({ "name": "one-minute", "event": "billing.invoice.due", "cron": "0 9 * * *" });
    let (status, problem) = open.ask("schedule.put", json!({ "definition": taken })).await;
    assert_eq!(status, 409, "{problem}");
    let wrong = json!({ "name": "invoices", "event": "billing.invoice.due", "cron": "0 0 30 2 *" });
    let (status, problem) = open.ask("schedule.put", json!({ "definition": wrong })).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/definition/cron")), "{problem}");
    // Who may only read changes nothing, and is told the rule.
    let mut reader = command("schedule.delete", json!({ "name": "invoices" }));
    reader.properties.user_id = Some("reports-service".into());
    open.send(reader).await;
    let (status, problem) = read(&open.answer().await);
    assert_eq!(status, 403, "{problem}");
    open.until_settled().await;
    assert_eq!(open.letters().len(), 1, "the definition that makes no sense");
}

#[tokio::test(start_paused = true)]
async fn an_answer_belongs_to_its_question_and_to_its_trace() {
    let mut open = Open::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut question = command("schedule.get", json!({ "name": "two" }));
    question.headers.set("traceparent", trace);
    open.send(question.clone()).await;
    let answer = open.answer().await.message;
    assert_eq!(answer.properties.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(answer.properties.kind.as_deref(), Some("schedule.get"));
    assert_eq!(answer.headers.text("traceparent"), Some(trace));
    let first = answer.properties.message_id.unwrap();
    question.properties.correlation_id = None;
    open.send(question).await;
    let answer = open.answer().await.message;
    assert_eq!(answer.properties.correlation_id.as_deref(), Some("m-1"));
    assert_ne!(answer.properties.message_id.unwrap(), first, "each answer has an id of its own");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_answered_and_is_no_dead_letter() {
    let mut open = Open::start().await;
    for (kind, body, status, code) in [
        ("schedule.get", json!({ "name": "one-minutee" }), 404, "not-found"),
        ("schedule.preview", json!({ "name": "three" }), 404, "not-found"),
    ] {
        let (answered, problem) = open.ask(kind, body).await;
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    open.until_settled().await;
    assert_eq!(open.broker.queue_depth("khronos.commands.dlq").unwrap(), 0);
    assert!(open.counted().contains(r#"type="schedule.get",result="refused"} 1"#), "{}", open.counted());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_a_command_is_answered_and_goes_to_the_dead_letters_with_the_reason() {
    let mut open = Open::start().await;
    let good = || command("schedule.get", json!({ "name": "two" }));
    let with = |change: &dyn Fn(&mut Message)| {
        let mut message = good();
        change(&mut message);
        message
    };
    let cases = [
        (with(&|message| message.properties.user_id = None), 401, "unauthenticated"),
        (with(&|message| message.headers.set("x-death", 1)), 401, "unauthenticated"),
        (with(&|message| message.properties.kind = None), 400, "invalid-request"),
        (with(&|message| message.properties.kind = Some("schedule.gett".into())), 400, "invalid-request"),
        (with(&|message| message.properties.kind = Some("schedule.backfill".into())), 400, "invalid-request"),
        (with(&|message| message.routing_key = "schedule.list".into()), 400, "invalid-request"),
        (with(&|message| message.body = b"{".to_vec()), 400, "malformed"),
        (with(&|message| message.body = br#"{"name":"two","name":"two"}"#.to_vec()), 400, "malformed"),
        (with(&|message| message.body = b"[]".to_vec()), 422, "invalid"),
        (with(&|message| message.body = br#"{"nam":"two"}"#.to_vec()), 422, "invalid"),
        (with(&|message| message.body = vec![b' '; 600_000]), 413, "too-large"),
        (
            with(&|message| message.properties.content_type = Some("text/plain".into())),
            415,
            "unsupported-media-type",
        ),
        (
            with(&|message| message.properties.content_encoding = Some("gzip".into())),
            415,
            "unsupported-media-type",
        ),
    ];
    let mut expected = Vec::new();
    for (message, status, code) in cases {
        open.send(message.clone()).await;
        let (answered, problem) = read(&open.answer().await);
        assert_eq!((answered, problem["code"].as_str()), (status, Some(code)), "{problem}");
        // What is too long is not kept; the reason says how long it was.
        let body = if status == 413 { Vec::new() } else { message.body };
        expected.push((body, code, problem["detail"].as_str().unwrap().to_owned()));
    }
    open.until_settled().await;
    let letters = open.letters();
    assert_eq!(letters.len(), expected.len());
    for (letter, (body, code, detail)) in letters.iter().zip(&expected) {
        let header = |name| letter.headers.text(name).unwrap_or_default();
        assert_eq!((&letter.body, header("dead-kind"), header("dead-reason")), (body, *code, &**detail));
        assert_eq!(header("dead-queue"), "khronos.commands");
    }
    assert!(open.counted().contains(r#"type="unknown",result="invalid"} 4"#), "{}", open.counted());
}

/// All that is answered with 422 is wrong by itself, but for what the time makes so.
#[tokio::test(start_paused = true)]
async fn what_the_clock_refuses_as_wrong_goes_to_the_dead_letters_too() {
    let mut open = Open::start().await;
    let put = |name: &str| {
        let definition = json!({ "name": name, "event": "billing.invoice.due", "cron": "0 9 * * *" });
        json!({ "definition": definition })
    };
    for (name, code) in [("no-calendar", "no-such-calendar"), ("never-due", "never-due")] {
        let (status, problem) = open.ask("schedule.put", put(name)).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some(code)), "{problem}");
    }
    open.until_settled().await;
    let kinds: Vec<_> =
        open.letters().iter().map(|letter| letter.headers.text("dead-kind").map(str::to_owned)).collect();
    assert_eq!(kinds, [Some("no-such-calendar".to_owned())]);
    for result in ["invalid", "refused"] {
        let line = format!(r#"type="schedule.put",result="{result}"}} 1"#);
        assert!(open.counted().contains(&line), "{}", open.counted());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_known_is_told_so() {
    let mut open = Open::start().await;
    let mut message = command("schedule.get", json!({ "name": "two" }));
    message.properties.user_id = Some("stranger".into());
    open.send(message).await;
    let (status, problem) = read(&open.answer().await);
    assert_eq!((status, problem["code"].as_str()), (403, Some("forbidden")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("[[commands.users]]"), "{problem}");
}
