//! The interface over real sockets, before a clock that is played by a task.

mod access;
mod ask;
mod calendars;
mod connections;
mod docs;
mod encrypted;
mod event_logs;
mod events;
mod fair;
mod feed;
mod feed_delayed;
mod follower;
mod kinds;
mod long;
mod metrics;
mod next;
mod openapi;
mod operations;
mod page;
mod pages;
mod pauses;
mod reads;
mod schedules;
mod timeline;
mod triggers;
mod versioned;

use super::{
    client::{Client, ClientError, Target},
    *,
};
use crate::{
    clock_loop::{Command, Decided, Handle, KEPT, PAGE, Status, Unchanged},
    config::MetricsConfig,
    engine::{
        Coalesced, Era, Expect, KeptPage, OldestPage, Outcome, Parked, RecordRow, Refusal, Revision, Row,
        ScheduleChange, ScheduleStatus, Sent, Verdict,
    },
    ops::{History, RecordReader, RunningClock, ScheduleView, delayed::tests::Machine},
    position::Position,
    schedule::{CalendarStore, Definition, Packed},
    store::Page,
    telemetry::Counts,
};
use ask::{asked, got, raw, refused, whole};
use axum::http::Method;
use ponos::{
    broker::Link,
    event::{EventKind, Timestamp},
    shutdown::{Trigger, shutdown},
};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

const MINUTE: i64 = 60_000;
/// Which record it is.
const RECORD: u64 = 0xab;

/// What the clock's loop writes when it is asked to, or why it can't.
type Unwritten = Arc<Mutex<Result<Vec<Row>, String>>>;

/// A clock with the schedules `one-minute` and `two-minutes`, and a record that the test writes.
struct Clock {
    client: Client,
    address: std::net::SocketAddr,
    record: Record,
    status: watch::Sender<Status>,
    state: HttpState,
    unwritten: Unwritten,
    machine: Machine,
    trigger: Trigger,
    shutdown: ponos::shutdown::Shutdown,
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE)
}

fn revision(name: &str, every: &str) -> Revision {
    let definition = Definition { name: name.into(), every: Some(every.into()), ..Definition::default() };
    Era::first(1, at(0)).of(Packed::kept(&definition))
}

fn status() -> Status {
    let link = Link::Down { attempts: 0, error: None };
    Status { reasons: vec![], ..Status::starting("khronos".into(), at(10), link, at(10)) }
}

fn confirmed(schedule: &str, minute: i64) -> Row {
    let outcome = Outcome::Confirmed { sent_at: at(minute).plus(3), lateness: 3, returned: false };
    Row {
        at: at(minute),
        schedule: schedule.into(),
        revision: 1,
        first: at(minute),
        last: at(minute),
        count: 1,
        outcome,
        kind: EventKind::Occurrence,
        creation: 0,
        queue: None,
    }
}

/// The record, which the test writes, and the loop.
#[derive(Clone)]
struct Record {
    rows: Arc<Mutex<Page>>,
    recorded: watch::Sender<u64>,
}

impl Record {
    fn add(&self, row: Row) {
        let last = {
            let mut page = self.rows.lock().unwrap();
            page.last += 1;
            let sequence = page.last;
            page.rows.push(RecordRow { sequence, row });
            sequence
        };
        self.recorded.send_replace(last);
    }
}

impl Clock {
    async fn start() -> Self {
        Self::with(Limits::patient()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::of(vec![revision("one-minute", "1 minute"), revision("two-minutes", "2 minutes")], limits).await
    }

    /// With these schedules, by name.
    async fn of(revisions: Vec<Revision>, limits: Limits) -> Self {
        let (commands, asked) = mpsc::channel(8);
        let (status, status_seen) = watch::channel(status());
        let (recorded, recorded_seen) = watch::channel(0);
        let rows = Arc::new(Mutex::new(Page { rows: vec![], first: 1, last: 0, record: RECORD }));
        let (kept, written) = (rows.clone(), Record { rows, recorded });
        let unwritten = Arc::new(Mutex::new(Ok(vec![])));
        let machine = Machine::new();
        tokio::spawn(play(asked, revisions, written.clone(), (unwritten.clone(), machine.clone())));
        let record = RecordReader::new(move |after, most| {
            let kept = kept.lock().unwrap();
            let rows = kept.rows.iter().filter(|row| row.sequence > after).take(most).cloned().collect();
            let page = Page { rows, ..*kept };
            async move { Ok(page) }
        });
        let handle = Handle { commands, status: status_seen, recorded: recorded_seen };
        let state = HttpState::new(
            RunningClock::new(
                handle,
                record,
                CalendarStore::default(),
                Counts::new("khronos", &MetricsConfig::default()),
                limits.answer,
            ),
            vec![],
            limits,
        );
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = shutdown();
        tokio::spawn(serve(listener, state.clone(), shutdown.clone()));
        let client = Client::new(Target::Tcp(address.to_string()));
        Self { client, address, record: written, status, state, unwritten, machine, trigger, shutdown }
    }

    /// The clock, whose loop the test plays: what is asked of it by this client.
    async fn unanswered() -> (Self, mpsc::Receiver<Command>, Client) {
        let mut clock = Self::start().await;
        let (commands, asked) = mpsc::channel(1);
        clock.state.clock.handle.commands = commands;
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = Client::new(Target::Tcp(listener.local_addr().unwrap().to_string()));
        tokio::spawn(serve(listener, clock.state.clone(), clock.shutdown.clone()));
        (clock, asked, client)
    }

    /// Serves its state, which the test has changed, at another address.
    async fn serve_again(&mut self) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.client = Client::new(Target::Tcp(self.address.to_string()));
        tokio::spawn(serve(listener, self.state.clone(), self.shutdown.clone()));
    }

    fn record(&self, row: Row) {
        self.record.add(row);
    }

    fn trim(&self, through: u64) {
        let mut page = self.record.rows.lock().unwrap();
        page.rows.retain(|row| row.sequence > through);
        page.first = through + 1;
    }
}

/// So many events were confirmed, and so many of these reached nobody.
fn sent(confirmed: usize, returned: usize) -> Sent {
    let mut sent = Sent::default();
    (0..confirmed).for_each(|number| sent.note(at(10), number < returned));
    sent
}

async fn play(
    mut asked: mpsc::Receiver<Command>,
    revisions: Vec<Revision>,
    record: Record,
    (unwritten, machine): (Unwritten, Machine),
) {
    let schedules: Vec<ScheduleStatus> = revisions
        .iter()
        .map(|revision| ScheduleStatus {
            revision: revision.clone(),
            next: Some(at(11)),
            in_flight: None,
            outstanding: Vec::new(),
            sent: sent(5, 2),
            refused: None,
            paused: None,
            finished: false,
        })
        .collect();
    let stands_for = Coalesced { first: at(1), last: at(2), count: 2 };
    let parked = Parked {
        schedule: "one-minute".into(),
        revision: 1,
        stands_for,
        reason: "full".into(),
        at: at(3),
        released: false,
        singly: true,
        refused: 0,
        retry_at: None,
        kind: EventKind::Occurrence,
    };
    let mut begun = operations::Begun::default();
    while let Some(command) = asked.recv().await {
        let command = pauses::looked_at(command, &schedules).and_then(calendars::looked_at);
        let Some(command) = command else { continue };
        match command {
            Command::By(..) | Command::Answered(..) => {}
            Command::Schedules(after, reply) => {
                let rest = schedules
                    .iter()
                    .filter(|known| after.as_deref().is_none_or(|after| known.revision.name() > after));
                drop(reply.send(rest.take(PAGE).cloned().collect()));
            }
            Command::Soonest(_, reply) => drop(reply.send(schedules[..1].to_vec())),
            Command::Neighbours(_, reply) => {
                drop(reply.send(revisions.iter().map(|known| known.definition.clone()).collect()));
            }
            Command::Revision(name, number, reply) => {
                let kept = revisions.iter().find(|kept| kept.name() == &*name && kept.number == number);
                drop(reply.send(kept.cloned()));
            }
            Command::Schedule(name, reply) => {
                drop(reply.send(schedules.iter().find(|known| *known.revision.name() == *name).cloned()));
            }
            Command::Kept(after, reply) => {
                let after = after.as_ref().map(|(name, number)| (&**name, *number));
                let rest = revisions.iter().filter(|kept| after < Some((kept.name(), kept.number)));
                let revisions = rest.take(KEPT).cloned().collect();
                drop(reply.send(KeptPage { settled: at(4), revisions, ..KeptPage::default() }));
            }
            Command::Change(asked, reply) => drop(reply.send(schedules::answered(&asked.changes))),
            Command::ChangeDelayed(asked, reply) => drop(reply.send(Ok(machine.decide(asked)))),
            Command::UnparkDelayed(asked, reply) => drop(reply.send(Ok(machine.unpark(asked)))),
            Command::Oldest(_, reply) => drop(reply.send(OldestPage::default())),
            Command::Parked(after, reply) => {
                let one = Some((7, parked.clone(), false)).filter(|_| after < Some(7));
                drop(reply.send(one.into_iter().collect()));
            }
            Command::Write(reply) => {
                let written = std::mem::replace(&mut *unwritten.lock().unwrap(), Ok(vec![]));
                drop(reply.send(written.map(|rows| rows.into_iter().for_each(|row| record.add(row)))));
            }
            Command::Release(ids, reply) | Command::Drop(ids, reply) => {
                let of = |wanted| ids.iter().copied().filter(|id| *id == wanted).collect();
                drop(reply.send(Ok(Decided { done: of(7), being_sent: of(9) })));
            }
            Command::Pause(request, reply) => drop(reply.send(pauses::begun(request))),
            Command::Resume(_, _, reply) => {
                let full = "nothing changed: the disk is full".into();
                drop(reply.send(Err(Unchanged::Unavailable(full))));
            }
            Command::Reload(reply) => drop(reply.send(Err("schedules/a.toml:3:1: unknown key".into()))),
            command => begun.answer(command, &schedules),
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_not_ready_says_why_and_is_alive_all_the_same() {
    let clock = Clock::start().await;
    let ready: Value = clock.client.get("/readyz").await.unwrap();
    assert_eq!(ready["ready"], true);
    clock.status.send_modify(|status| status.reasons.push("the broker is unreachable".into()));
    let (status, detail) = refused(clock.client.get("/readyz").await).await;
    assert_eq!(status, 503);
    assert!(detail.contains("the broker is unreachable"), "{detail}");
    let alive: Value = clock.client.get("/healthz").await.unwrap();
    assert_eq!(alive["status"], "alive");
}

#[tokio::test]
async fn a_loop_that_does_not_turn_is_neither_alive_nor_ready() {
    let mut clock = Clock::with(Limits { answer: Duration::from_millis(50), ..Limits::patient() }).await;
    let (commands, _never_read) = mpsc::channel(1);
    clock.state.clock.handle.commands = commands;
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = Client::new(Target::Tcp(listener.local_addr().unwrap().to_string()));
    tokio::spawn(serve(listener, clock.state.clone(), clock.shutdown.clone()));
    for path in ["/healthz", "/readyz"] {
        let (status, detail) = refused(client.get(path).await).await;
        assert!(status == 503 && detail.contains("the clock's loop did not"), "{status} {detail}");
    }
}

#[tokio::test]
async fn what_does_not_exist_or_may_not_be_done_is_a_problem_document() {
    let clock = Clock::start().await;
    let (status, detail) = refused(clock.client.get("/historyy").await).await;
    assert_eq!(status, 404);
    assert!(detail.contains("did you mean /v1/history?"), "{detail}");
    let body = serde_json::json!({ "ids": [7] });
    let (status, detail) = refused(clock.client.post("/parked/release", &body).await).await;
    assert_eq!(status, 403);
    assert!(detail.contains("over HTTP this clock is only read"), "{detail}");
    assert_eq!(refused(clock.client.post("/history", &body).await).await.0, 405);
}

#[tokio::test]
async fn the_control_socket_changes_things_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let clock = Clock::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(control_path(folder.path()), "left over").unwrap();
    let socket = bind_control(folder.path()).unwrap();
    let mode = std::fs::metadata(control_path(folder.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let serving = tokio::spawn(serve_control(socket, clock.state.clone(), clock.shutdown.clone()));
    let client = Client::new(Target::Unix(control_path(folder.path())));
    let parked: Value = client.get("/parked").await.unwrap();
    assert_eq!(parked["parked"][0]["id"], 7);
    let done: Value =
        client.post("/parked/release", &serde_json::json!({ "ids": [8, 7, 9, 7] })).await.unwrap();
    assert_eq!(done, serde_json::json!({ "done": [7], "being_sent": [9], "unknown": [8] }));
    let nothing = serde_json::json!({ "ids": [] });
    assert_eq!(refused(client.post("/parked/drop", &nothing).await).await.0, 400);
    let misspelt = serde_json::json!({ "id": [7] });
    assert_eq!(refused(client.post("/parked/drop", &misspelt).await).await.0, 422);
    let (status, detail) = refused(client.post("/reload", &Value::Null).await).await;
    assert_eq!(status, 422);
    assert!(detail.contains("unknown key"));
    clock.trigger.advance();
    tokio::time::timeout(Duration::from_secs(60), serving).await.expect("in time").unwrap();
    assert!(!control_path(folder.path()).exists());
    assert!(matches!(client.get::<Value>("/").await, Err(ClientError::NotRunning(_))));
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_on_every_path() {
    let clock = Clock::start().await;
    for path in ["/", "/v1/feed", "/v1/schedules", "/feed", "/v1/nowhere"] {
        let head = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
        let host = raw(&clock, &format!("{head}Host: evil.example\r\n\r\n")).await;
        assert!(host.contains("403"), "{path}: {host}");
        let origin =
            raw(&clock, &format!("{head}Host: localhost\r\nOrigin: http://evil.example\r\n\r\n")).await;
        assert!(origin.contains("403"), "{path}: {origin}");
    }
    let own = raw(&clock, "GET / HTTP/1.1\r\nHost: localhost:7650\r\nConnection: close\r\n\r\n").await;
    assert!(own.contains("200"), "{own}");
}

#[tokio::test]
async fn a_peer_that_does_not_finish_its_request_is_cut_off() {
    let clock = Clock::with(Limits { head: Duration::from_millis(100), ..Limits::patient() }).await;
    for unfinished in ["", "GET / HTTP/1.1\r\nHost: local"] {
        let line = raw(&clock, unfinished).await;
        assert!(line.is_empty() || line.contains("408"), "{line}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_the_remedy() {
    let clock = Clock::start().await;
    let error = bind(clock.address).await.unwrap_err();
    assert!(matches!(error, HttpError::InUse(_)));
    assert!(error.to_string().contains("http.listen"), "{error}");
}
