//! `list`, `history`, `audit`, `parked`, `tail` and `health`: from the store of a clock that does not run, and from one that does.

use khronos::{
    clock_loop::{Command as Ask, Decided, Handle, Status},
    engine::{
        Coalesced, Commit, KeptPage, Origin, Outcome, Parked, Revision, Row, ScheduleStatus, SkipReason,
    },
    http::{HttpState, Limits, bind, bind_control, serve, serve_control},
    ops::{RecordReader, RunningClock},
    schedule::{CalendarStore, Definition, Packed},
    store::{Page, SledOptions, SledStore, Store},
};
use ponos::{
    broker::Link,
    event::{EventKind, Timestamp},
    shutdown::shutdown,
};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};
use tokio::sync::{mpsc, watch};

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE)
}

fn revision() -> Revision {
    let definition =
        Definition { name: "one-minute".into(), every: Some("1 minute".into()), ..Definition::default() };
    Revision {
        number: 1,
        definition: Packed::kept(&definition),
        effective_from: at(0),
        counts_from: at(0),
        opens: at(0),
        previous: None,
        ended: None,
        set_backs: 0,
        origin: Origin::File,
    }
}

fn row(first: i64, last: i64, outcome: Outcome) -> Row {
    let count = u64::try_from(last - first + 1).unwrap();
    Row {
        at: at(last),
        schedule: "one-minute".into(),
        revision: 1,
        first: at(first),
        last: at(last),
        count,
        outcome,
        kind: EventKind::Occurrence,
    }
}

fn confirmed(minute: i64) -> Row {
    row(minute, minute, Outcome::Confirmed { sent_at: at(minute).plus(2), lateness: 2, returned: false })
}

fn parked() -> Parked {
    let stands_for = Coalesced { first: at(10), last: at(10), count: 1 };
    Parked {
        schedule: "one-minute".into(),
        revision: 1,
        stands_for,
        reason: "the queue is full".into(),
        at: at(10),
        released: false,
        singly: true,
    }
}

/// A store in which the minutes 1 to 10 are settled, but for those of `missing`.
fn store(folder: &Path, missing: &[i64]) {
    let mut store = SledStore::open(folder, "khronos", &SledOptions::default()).unwrap();
    store.load().unwrap();
    let confirmed: Vec<Row> = (1..=7).filter(|minute| !missing.contains(minute)).map(confirmed).collect();
    let commit = Commit {
        settled: at(10),
        handed: at(10),
        revisions: vec![revision()],
        parked: vec![(7, Some(parked()))],
        rows: vec![
            row(8, 9, Outcome::Skipped(SkipReason::Paused)),
            row(10, 10, Outcome::Parked("the queue is full".into())),
        ],
        ..Commit::default()
    };
    store.save(1, &commit).unwrap();
    store.append(1, &confirmed, at(10)).unwrap();
}

fn khronos(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_khronos"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("KHRONOS_STORE_PATH", folder.join("store"))
        .env("KHRONOS_HTTP_LISTEN", "127.0.0.1:1")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn without_a_clock_the_store_answers() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let audit = khronos(folder.path(), &["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{audit:?}");
    assert!(text(&audit.stdout).contains("record and arithmetic agree"), "{audit:?}");
    assert!(!text(&audit.stdout).contains('\x1b'), "colours only on a terminal");

    let history = khronos(folder.path(), &["history", "--json", "--limit", "5", "--outcome", "confirmed"]);
    let rows = json_lines(&history);
    assert_eq!(rows.len(), 5, "{history:?}");
    assert_eq!(rows[0]["due_at"], "1970-01-01T00:07:00.000Z");
    assert!(rows[0]["id"].is_string());

    let occurrences = khronos(folder.path(), &["history", "--kind", "occurrence", "--limit", "9"]);
    let table = text(&occurrences.stdout);
    assert!(table.lines().next().unwrap().contains("KIND") && table.matches(" occurrence ").count() == 9);
    let triggers = khronos(folder.path(), &["history", "--kind", "trigger"]);
    assert_eq!(text(&triggers.stdout), "no such row is recorded\n", "{triggers:?}");
    assert_eq!(khronos(folder.path(), &["history", "--kind", "x"]).status.code(), Some(2));

    let list = json_lines(&khronos(folder.path(), &["list", "--json"]));
    assert_eq!(list[0]["name"], "one-minute");
    assert_eq!(list[0]["next_due_at"], "1970-01-01T00:11:00.000Z");

    let parked = khronos(folder.path(), &["parked", "list"]);
    assert!(text(&parked.stdout).contains("the queue is full"), "{parked:?}");
    let release = khronos(folder.path(), &["parked", "release", "7"]);
    assert_eq!(release.status.code(), Some(69), "{release:?}");
    assert!(text(&release.stderr).contains("no clock runs on the store"), "{release:?}");
}

#[test]
fn whoever_listens_where_a_clock_would_and_says_nothing_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("khronos-data"), &[]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut list = Command::new(env!("CARGO_BIN_EXE_khronos"));
    list.arg("list").current_dir(folder.path()).env_clear();
    list.env("KHRONOS_HTTP_LISTEN", silent.local_addr().unwrap().to_string());
    let mut list = list.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let limit = std::time::Duration::from_secs(60);
    let ended = testkit::block_until("the list", limit, || list.try_wait().unwrap());
    assert!(ended.success(), "{ended:?}");
}

#[test]
fn a_schedule_that_there_is_not_has_no_history() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let history = khronos(folder.path(), &["history", "one-minuet"]);
    assert_eq!((history.status.code(), text(&history.stdout).as_str()), (Some(2), ""), "{history:?}");
    assert_eq!(
        text(&history.stderr),
        "error: there is no schedule 'one-minuet'; did you mean 'one-minute'?\n"
    );
    let history = khronos(folder.path(), &["history", "nosuch", "--json"]);
    assert!(history.status.code() == Some(2), "{history:?}");
    let said = "there is no schedule 'nosuch'; khronos list shows all";
    assert!(text(&history.stderr).contains(said), "{history:?}");
    // One without such rows is there all the same.
    let history = khronos(folder.path(), &["history", "one-minute", "--outcome", "dropped"]);
    assert_eq!(history.status.code(), Some(0), "{history:?}");
    assert_eq!(text(&history.stdout), "no such row is recorded\n", "{history:?}");
    let history = khronos(folder.path(), &["history", "one-minute", "--outcome", "dropped", "--json"]);
    assert_eq!(text(&history.stdout), "", "{history:?}");
}

#[test]
fn where_there_is_no_row_it_is_said_instead_of_a_bare_header() {
    let folder = tempfile::tempdir().unwrap();
    SledStore::open(&folder.path().join("store"), "khronos", &SledOptions::default())
        .unwrap()
        .load()
        .unwrap();
    for (verb, said) in [
        (&["history"][..], "nothing is recorded\n"),
        (&["history", "--outcome", "dropped"], "no such row is recorded\n"),
        (&["history", "--json"], ""),
        (&["list"], "there are no schedules\n"),
        (&["list", "--json"], ""),
        (&["parked", "list"], "nothing is parked\n"),
    ] {
        let output = khronos(folder.path(), verb);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), said), "{output:?}");
    }
}

#[test]
fn an_audit_ends_with_1_on_a_hole_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[4]);
    let audit = khronos(folder.path(), &["audit"]);
    assert_eq!(audit.status.code(), Some(1), "{audit:?}");
    assert!(text(&audit.stdout).contains("hole: one-minute 1970-01-01T00:04:00.000Z"), "{audit:?}");
    let before = khronos(folder.path(), &["audit", "--to", "1970-01-01T00:03:00Z", "--json"]);
    assert_eq!(before.status.code(), Some(0), "{before:?}");
    assert_eq!(json_lines(&before)[1]["agrees"], true);
    let after = khronos(folder.path(), &["audit", "--from", "1970-01-01T00:04:00Z"]);
    assert_eq!(after.status.code(), Some(0), "{after:?}");
}

#[test]
fn a_time_of_which_nothing_can_be_known_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    for (arguments, reason) in [
        (
            &["audit", "--from", "2099-01-01T00:00:00Z"][..],
            "from (2099-01-01T00:00:00.000Z) is in the future",
        ),
        (&["audit", "--from", "2099-01-01T00:00:00Z", "--to", "2099-02-01T00:00:00Z"], "is in the future"),
        (
            &["audit", "--from", "1970-01-01T00:04:00Z", "--to", "1970-01-01T00:03:00Z"],
            "from (1970-01-01T00:04:00.000Z) must be before to (1970-01-01T00:03:00.000Z)",
        ),
        (&["audit", "--to", "1969-12-31T23:59:00Z"], "is before the clock's first schedule"),
        (&["history", "--after", "10"], "after (10) is beyond the record, whose last row is number 9"),
    ] {
        let output = khronos(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(
            output.stdout.is_empty() && text(&output.stderr).contains(reason),
            "{arguments:?}: {output:?}"
        );
    }
    // Whoever has read all goes on from there.
    let rest = khronos(folder.path(), &["history", "--after", "9"]);
    assert_eq!(rest.status.code(), Some(0), "{rest:?}");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for verb in [&["list"][..], &["history"], &["audit"], &["parked", "list"]] {
        let output = khronos(folder.path(), verb);
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        assert!(text(&output.stderr).contains("there is no store at"), "{output:?}");
    }
    assert!(!folder.path().join("store").exists());
}

#[test]
fn a_feed_that_nobody_serves_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let tail = khronos(folder.path(), &["tail"]);
    assert_eq!(tail.status.code(), Some(69), "{tail:?}");
    assert!(text(&tail.stderr).contains("no clock answers at http://127.0.0.1:1"), "{tail:?}");
    let health = khronos(folder.path(), &["health"]);
    assert_eq!(health.status.code(), Some(1), "{health:?}");
    assert!(text(&health.stderr).starts_with("not alive: no clock answers at"), "{health:?}");
    let memory = khronos(folder.path(), &["tail", "--broker", "memory:"]);
    assert_eq!(memory.status.code(), Some(2), "{memory:?}");
}

async fn play(mut asked: mpsc::Receiver<Ask>) {
    let schedule = ScheduleStatus {
        revision: revision(),
        next: Some(at(11)),
        outstanding: Vec::new(),
        confirmed: 7,
        returned: 1,
        refused: None,
    };
    while let Some(command) = asked.recv().await {
        match command {
            Ask::Schedules(after, reply) => {
                let page = if after.is_none() { vec![schedule.clone()] } else { vec![] };
                drop(reply.send(page));
            }
            Ask::Neighbours(_, reply) => drop(reply.send(vec![schedule.revision.definition.clone()])),
            Ask::Revision(_, _, reply) => drop(reply.send(Some(schedule.revision.clone()))),
            Ask::Schedule(name, reply) => {
                drop(reply.send((*name == *"one-minute").then(|| schedule.clone())));
            }
            Ask::Kept(after, reply) => {
                let revisions = if after.is_none() { vec![revision()] } else { vec![] };
                drop(reply.send(KeptPage { settled: at(7), revisions, ..KeptPage::default() }));
            }
            Ask::Parked(after, reply) => {
                drop(reply.send(if after.is_none() { vec![(7, parked())] } else { vec![] }));
            }
            Ask::Write(reply) => drop(reply.send(Ok(()))),
            Ask::Release(ids, reply) | Ask::Drop(ids, reply) => {
                let of = |wanted| ids.iter().copied().filter(|id| *id == wanted).collect();
                drop(reply.send(Decided { done: of(7), being_sent: of(9) }));
            }
            Ask::Reload(reply) => drop(reply.send(Ok("nothing changed".into()))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_clock_answers_by_its_control_socket_and_its_feed() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("store");
    std::fs::create_dir(&kept).unwrap();
    let rows: Vec<_> = (1..=7)
        .map(|k| khronos::engine::RecordRow { sequence: u64::try_from(k).unwrap(), row: confirmed(k) })
        .collect();
    let record = RecordReader::new(move |after, most| {
        let rows = rows.iter().filter(|row| row.sequence > after).take(most).cloned().collect();
        async move { Ok(Page { rows, first: 1, last: 7, record: 1 }) }
    });
    let (commands, asked) = mpsc::channel(8);
    tokio::spawn(play(asked));
    let status = Status {
        clock: "khronos".into(),
        now: at(7),
        reasons: vec![],
        warnings: vec![],
        link: Link::Down { attempts: 0, error: None },
        confirmed: 7,
        returned: 1,
        parked: 1,
        outstanding: 0,
        settled: at(7),
    };
    let (show, status) = watch::channel(status);
    let (_recorded, recorded) = watch::channel(7);
    let handle = Handle { commands, status, recorded };
    let state = HttpState::new(
        RunningClock::new(handle, record, CalendarStore::default()),
        vec![],
        Limits::default(),
    );
    let (_trigger, shutdown) = shutdown();
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, state.clone(), shutdown.clone()));
    tokio::spawn(serve_control(bind_control(&kept).unwrap(), state, shutdown));

    let here = folder.path().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let run = |arguments: &[&str]| khronos(&here, arguments);
        let list = run(&["list"]);
        assert!(text(&list.stdout).contains("time.one-minute.passed"), "{list:?}");
        assert_eq!(json_lines(&run(&["list", "--json"]))[0]["confirmed"], 7);
        assert_eq!(run(&["audit"]).status.code(), Some(0));
        assert_eq!(run(&["audit", "--url", &url]).status.code(), Some(0));
        assert_eq!(json_lines(&run(&["history", "--json", "--after", "5"])).len(), 2);
        for at in [&[][..], &["--url", &url]] {
            let history = run(&[&["history", "one-minuet"], at].concat());
            assert_eq!(history.status.code(), Some(2), "{history:?}");
            let said = text(&history.stderr);
            assert!(said.contains("there is no schedule 'one-minuet'; did you mean 'one-minute'?"), "{said}");
            for (name, said) in
                [("nosuch", "no schedule 'nosuch'; "), ("No Such", "not the name of a schedule: ")]
            {
                let history = run(&[&["history", name], at].concat());
                let shown = text(&history.stderr);
                assert!(shown.contains(said) && shown.ends_with("; khronos list shows all\n"), "{shown}");
                assert!(!shown.contains("GET"), "{shown}");
            }
        }
        let release = run(&["parked", "release", "7", "8"]);
        assert_eq!(text(&release.stdout), "7 released\n", "{release:?}");
        assert_eq!(release.status.code(), Some(2));
        assert_eq!(text(&run(&["parked", "drop", "--all"]).stdout), "7 dropped\n");
        // More than a clock takes in one request.
        let many: Vec<String> = (1_000_000..1_012_000).map(|id| id.to_string()).chain(["7".into()]).collect();
        let words = ["parked", "release"].into_iter().chain(many.iter().map(String::as_str));
        let release = run(&words.collect::<Vec<_>>());
        assert_eq!((text(&release.stdout), release.status.code()), ("7 released\n".to_owned(), Some(2)));
        assert_eq!(text(&release.stderr).lines().count(), 12_000);
        let tail =
            run(&["tail", "--feed", &url, "--after", "4", "--count", "2", "--match", "time.#", "--json"]);
        let events = json_lines(&tail);
        assert_eq!(events.len(), 2, "{tail:?}");
        assert_eq!(events[0]["time"], "1970-01-01T00:05:00.000Z");
        let plain = run(&["tail", "--feed", &url, "--after", "6", "--count", "1"]);
        assert_eq!(
            text(&plain.stdout),
            "1970-01-01T00:07:00.000Z  time.one-minute.passed  one-minute  2 ms late\n"
        );
        let alive = run(&["health", "--url", &url]);
        assert_eq!((alive.status.code(), text(&alive.stdout)), (Some(0), "alive\n".into()), "{alive:?}");
        assert_eq!(json_lines(&run(&["health", "--ready", "--url", &url, "--json"]))[0]["ready"], true);
        show.send_modify(|status| status.reasons = vec!["broker: gone".into()]);
        let ready = run(&["health", "--ready", "--url", &url]);
        assert_eq!(ready.status.code(), Some(1), "{ready:?}");
        assert_eq!(text(&ready.stderr), "not ready: broker: gone\n");
    });
    ran.await.unwrap();
}
