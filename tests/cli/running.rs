//! `list`, `history`, `audit`, `parked`, `tail` and `health`: from a clock that runs, played by a task.

use super::past;
use super::record::{at, confirmed, json_lines, khronos, parked, revision, text, tried};
use khronos::{
    clock_loop::{Command as Ask, Decided, Handle, PauseChanged, PauseLength, Status, Unchanged},
    config::MetricsConfig,
    engine::{
        Covered, KeptPage, OldestPage, OnResume, Parked, Pause, PauseEnd, Reached, RecordRow, Refusal,
        Revision, ScheduleStatus, Sent, Triggered,
    },
    http::{HttpState, Limits, bind, bind_control, serve, serve_control},
    ops::{RecordReader, RunningClock},
    schedule::{CalendarStore, Definition, Packed},
    store::Page,
    telemetry::Counts,
};
use ponos::{broker::Link, shutdown::shutdown};
use std::{
    io::{BufRead, BufReader, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// `write` is what the loop does when it is asked to write; once `removed`, the schedule is no more.
async fn play(
    mut asked: mpsc::Receiver<Ask>,
    write: impl Fn() -> Result<(), String>,
    removed: Arc<AtomicBool>,
) {
    let schedule = ScheduleStatus {
        revision: revision(),
        next: Some(at(11)),
        in_flight: None,
        outstanding: Vec::new(),
        sent: (0..7).fold(Sent::default(), |mut sent, number| {
            sent.note(at(10), number == 0);
            sent
        }),
        refused: None,
        paused: None,
        finished: false,
    };
    while let Some(command) = asked.recv().await {
        let command = if let Ask::By(_, command) = command { *command } else { command };
        match command {
            Ask::Schedules(after, reply) => {
                let page = if after.is_none() { vec![schedule.clone()] } else { vec![] };
                drop(reply.send(page));
            }
            Ask::Soonest(_, reply) => drop(reply.send(vec![schedule.clone()])),
            Ask::Neighbours(_, reply) => drop(reply.send(vec![schedule.revision.definition.clone()])),
            Ask::Revision(_, _, reply) => drop(reply.send(Some(schedule.revision.clone()))),
            Ask::Schedule(name, reply) => {
                drop(
                    reply.send((*name == *"one-minute" && !removed.load(Relaxed)).then(|| schedule.clone())),
                );
            }
            Ask::Kept(after, reply) => {
                let all = [former(), revision()].into_iter();
                let is_after = |kept: &Revision| {
                    after
                        .as_ref()
                        .is_none_or(|(name, number)| (kept.name(), kept.number) > (&**name, *number))
                };
                let revisions = all.filter(is_after).collect();
                drop(reply.send(KeptPage { settled: at(7), revisions, ..KeptPage::default() }));
            }
            // No verb asks for it yet.
            Ask::Change(..)
            | Ask::ChangeDelayed(..)
            | Ask::UnparkDelayed(..)
            | Ask::By(..)
            | Ask::Answered(..)
            | Ask::Calendars(..)
            | Ask::Calendar(..) => {}
            Ask::Oldest(_, reply) => drop(reply.send(OldestPage::default())),
            Ask::Parked(after, reply) => {
                drop(reply.send(if after.is_none() { entries() } else { vec![] }));
            }
            Ask::Write(reply) => drop(reply.send(write())),
            Ask::Release(ids, reply) | Ask::Drop(ids, reply) => {
                let of = |wanted| ids.iter().copied().filter(|id| *id == wanted).collect();
                drop(reply.send(Ok(Decided { done: of(7), being_sent: of(9) })));
            }
            Ask::Pause(asked, reply) => {
                let why = match asked.end {
                    Some((PauseLength::Until(_), _)) => Unchanged::Invalid("until: it is past".into()),
                    _ => Unchanged::Unavailable("nothing changed: the disk is full".into()),
                };
                drop(reply.send(Err(why)));
            }
            Ask::Operations(_, reply) => drop(reply.send(vec![])),
            Ask::Operation(_, reply) => drop(reply.send(None)),
            Ask::Covered(_, _, reply) => {
                let (status, ranges) = (schedule.clone(), Vec::new());
                drop(reply.send(Some(Covered { status, at: at(12), comes_from: at(11), ranges })));
            }
            Ask::Operate(_, _, reply) | Ask::Cancel(_, reply) => {
                drop(reply.send(Err(Unchanged::Conflict("another one runs".into()))));
            }
            Ask::Trigger(name, _, reply) if *name != *"one-minute" => {
                drop(reply.send(Err(Unchanged::Refused(Refusal::NoSuchSchedule { name }))));
            }
            Ask::Trigger(_, _, reply) => drop(reply.send(Ok(Triggered { due: at(9), creation: 0 }))),
            Ask::Resume(_, OnResume::CatchUp, reply) => drop(reply.send(Ok(PauseChanged::default()))),
            // It had come to its own end before, and would have been caught up with.
            Ask::Resume(_, OnResume::Skip, reply) => drop(reply.send(Ok(ended()))),
            Ask::Reload(reply) => drop(reply.send(Ok("nothing changed".into()))),
        }
    }
}

/// One that waits for a person, and one that is sent again by itself, just now.
fn entries() -> Vec<(u64, Parked, bool)> {
    vec![(7, parked(), false), (9, tried(3), true)]
}

fn ended() -> PauseChanged {
    let end = PauseEnd { at: at(4), on_resume: OnResume::CatchUp };
    let reached = Reached { lately: at(3), ever: at(3), set_backs: 0 };
    let pause = Pause { since: at(3), by: "ann".into(), note: "x".into(), until: Some(end), reached };
    PauseChanged { before: Some(pause), ended: Some(end), ..PauseChanged::default() }
}

/// Of a schedule that was removed before it was ever due.
fn former() -> Revision {
    let definition = Definition { name: "gone".into(), ..revision().definition.definition() };
    let definition = Packed::kept(&definition);
    Revision { definition, ended: Some(revision().effective_from), ..revision() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_clock_answers_by_its_control_socket_and_its_feed() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let row = |k| RecordRow { sequence: u64::try_from(k).unwrap(), row: confirmed(k) };
    // The last row is settled, and not written before the loop is asked to.
    let rows = Arc::new(Mutex::new((1..=6).map(row).collect::<Vec<_>>()));
    let (kept, disk) = (rows.clone(), Arc::new(Mutex::new(Ok(()))));
    let (full, written) = (disk.clone(), rows.clone());
    let write = move || {
        let mut written = written.lock().unwrap();
        if disk.lock().unwrap().is_ok() && written.len() < 7 {
            written.push(row(7));
        }
        disk.lock().unwrap().clone()
    };
    let record = RecordReader::new(move |after, most| {
        let kept = kept.lock().unwrap();
        let rows = kept.iter().filter(|row| row.sequence > after).take(most).cloned().collect();
        let page = Page { rows, first: 1, last: kept.len() as u64, record: 1 };
        async move { Ok(page) }
    });
    let (commands, asked) = mpsc::channel(8);
    let removed = Arc::new(AtomicBool::new(false));
    tokio::spawn(play(asked, write, removed.clone()));
    let link = Link::Down { attempts: 0, error: None };
    let begun = Status::starting("khronos".into(), at(7), link, at(7));
    let status = Status { reasons: vec![], confirmed: 7, returned: 1, parked: 1, ..begun };
    let (show, status) = watch::channel(status);
    let (_recorded, recorded) = watch::channel(6);
    let handle = Handle { commands, status, recorded };
    let limits = Limits::default();
    let clock = RunningClock::new(
        handle,
        record,
        CalendarStore::default(),
        Counts::new("khronos", &MetricsConfig::default()),
        limits.answer,
    );
    let state = HttpState::new(clock, vec![], limits);
    let (_trigger, shutdown) = shutdown();
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, state.clone(), shutdown.clone()));
    tokio::spawn(serve_control(bind_control(&store).unwrap(), state, shutdown));

    let here = folder.path().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let run = |arguments: &[&str]| khronos(&here, arguments);
        let list = run(&["list"]);
        assert!(text(&list.stdout).contains("time.one-minute.passed"), "{list:?}");
        let listed = &json_lines(&run(&["list", "--json"]))[0];
        assert_eq!((&listed["confirmed"], &listed["returned"]), (&7.into(), &1.into()));
        assert_eq!(listed["last_sent_at"], "1970-01-01T00:10:00.000Z");
        for (filter, listed) in [
            (&["--domain", "time", "--state", "active"][..], true),
            (&["--domain", "tim"], false),
            (&["--state", "paused"], false),
        ] {
            let list = run(&[&["list"], filter].concat());
            let said = text(&list.stdout);
            assert_eq!(said.contains("one-minute"), listed, "{list:?}");
            assert_eq!(said == "there are no such schedules\n", !listed, "{list:?}");
        }
        let misspelt = run(&["list", "--state", "pausd"]);
        assert!(
            misspelt.status.code() == Some(2) && text(&misspelt.stderr).contains("paused"),
            "{misspelt:?}"
        );
        for at in [&[][..], &["--url", &url]] {
            rows.lock().unwrap().truncate(6);
            *full.lock().unwrap() = Err("the disk is full".to_owned());
            let audit = run(&[&["audit"], at].concat());
            let said = "the record can't be completed: the disk is full";
            assert!(audit.status.code() == Some(69) && text(&audit.stderr).contains(said), "{audit:?}");
            *full.lock().unwrap() = Ok(());
            let audit = run(&[&["audit"], at].concat());
            assert_eq!(audit.status.code(), Some(0), "{audit:?}");
        }
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
        for filter in [&[][..], &["--outcome", "dropped"], &["--url", &url]] {
            let history = run(&[&["history", "gone"], filter].concat());
            let (code, said) = (history.status.code(), text(&history.stdout));
            assert_eq!((code, said.as_str()), (Some(0), "no such row is recorded\n"), "{history:?}");
        }
        let release = run(&["parked", "release", "7", "8"]);
        assert_eq!(text(&release.stdout), "7 released\n", "{release:?}");
        assert_eq!(release.status.code(), Some(2));
        let drop = run(&["parked", "drop", "--all"]);
        assert_eq!((text(&drop.stdout).as_str(), drop.status.code()), ("7 dropped\n", Some(0)), "{drop:?}");
        let resume = run(&["resume", "--all", "--skip"]);
        let said = format!(
            "resumed; what fell due since {} through {} is caught up with, as each schedule's catch_up says\n",
            at(3),
            at(4)
        );
        assert_eq!(text(&resume.stdout), said, "{resume:?}");
        let resume = run(&["resume", "--all", "--catch-up"]);
        assert_eq!(text(&resume.stdout), "the clock was not paused; nothing changed\n", "{resume:?}");
        let pause = ["pause", "--all", "--note", "x"];
        for (arguments, code, said) in [
            (&[][..], 69, "nothing changed: the disk is full"),
            (&["--for", "2h"], 2, "--catch-up|--skip"),
            (&["--for", "2h", "--skip", "--until", "2099-01-01T00:00:00Z"], 2, "cannot be used with"),
            (&["--for", "2 parsecs", "--skip"], 2, "error: for: "),
            (&["--until", "2020-01-01T00:00:00Z", "--skip"], 2, "is past"),
            (&["--skip"], 2, "on_resume belongs to until or for"),
            (&["--by", "x\ny"], 2, "by: it has characters"),
            (&["--url", &url], 77, "over HTTP this clock is only read"),
        ] {
            let paused = run(&[&pause[..], arguments].concat());
            assert_eq!(paused.status.code(), Some(code), "{paused:?}");
            assert!(text(&paused.stderr).contains(said), "{arguments:?}: {paused:?}");
        }
        for (arguments, said) in [
            (&["pause", "--all"][..], "--note <TEXT>"),
            (&["pause", "--note", "x"], "--all"),
            (&["resume", "--all"], "--catch-up|--skip"),
            (&["resume", "--skip"], "--all"),
            (&["resume", "--all", "--skip", "--catch-up"], "cannot be used with"),
            (&["pause", "one-minute", "--all", "--note", "x"], "cannot be used with"),
            (&["pause", "one-minute", "--domain", "time", "--note", "x"], "cannot be used with"),
            (&["pause", "--all", "--dry-run", "--note", "x"], "cannot be used with"),
        ] {
            let refused = run(arguments);
            assert!(refused.status.code() == Some(2) && text(&refused.stderr).contains(said), "{refused:?}");
        }
        for (arguments, code, out, said) in [
            (
                &["pause", "one-minute", "--note", "x", "--dry-run"][..],
                0,
                "would be paused: 1 schedule (one-minute)\n",
                "",
            ),
            (
                &["pause", "--domain", "time", "--note", "x", "--dry-run"],
                0,
                "would be paused: 1 schedule (one-minute)\n",
                "",
            ),
            (&["pause", "--prefix", "zz", "--note", "x"], 0, "paused: 0 schedules\n", ""),
            (&["resume", "one-minute", "--skip"], 0, "resumed: 0 schedules\n", ""),
            (&["pause", "one-minute", "--note", "x"], 69, "", "nothing changed: the disk is full"),
            (&["pause", "one-minut", "--note", "x"], 2, "", "did you mean 'one-minute'?"),
            (
                &["pause", "--domain", "time", "--note", "x", "--expect-count", "2"],
                2,
                "",
                "1 are found, and 2 were expected",
            ),
        ] {
            let done = run(arguments);
            assert_eq!((text(&done.stdout).as_str(), done.status.code()), (out, Some(code)), "{done:?}");
            assert!(text(&done.stderr).contains(said), "{arguments:?}: {done:?}");
        }
        past::backfills_are_begun_and_operations_watched(&run);
        let triggered = run(&["trigger", "one-minute", "--key", "k-1"]);
        let said = "triggered one-minute: event 1815c0b2-e1b9-5ef1-b856-cb2e5f5082f3, due at 1970-01-01T00:09:00.000Z, key k-1\n";
        assert_eq!(text(&triggered.stdout), said, "{triggered:?}");
        for (arguments, code, said) in [
            (&["trigger", "one-minut"][..], 2, "did you mean 'one-minute'?"),
            (&["trigger", "one-minute", "--key", "a b"], 2, "visible ASCII"),
            (&["trigger", "one-minute", "--url", &url], 77, "over HTTP this clock is only read"),
        ] {
            let refused = run(arguments);
            assert_eq!(refused.status.code(), Some(code), "{refused:?}");
            assert!(text(&refused.stderr).contains(said), "{arguments:?}: {refused:?}");
        }
        let list = text(&run(&["parked", "list"]).stdout);
        let is_being_sent = |line: &&str| line.starts_with('9') && line.contains("being sent");
        assert!(list.lines().any(|line| is_being_sent(&line)), "{list}");
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
        removed.store(true, Relaxed);
        for at in [&[][..], &["--url", &url]] {
            let history = run(&[&["history", "one-minute", "--outcome", "dropped"], at].concat());
            let (code, said) = (history.status.code(), text(&history.stdout));
            assert_eq!((code, said.as_str()), (Some(0), "no such row is recorded\n"), "{history:?}");
            let history = run(&[&["history", "one-minutes", "--outcome", "dropped"], at].concat());
            assert_eq!(history.status.code(), Some(2), "{history:?}");
        }
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

/// How long a tail may take to ask.
const LIMIT: Duration = Duration::from_secs(60);

/// Takes one request and answers it with the beginning of a feed. Gives the head of the request.
fn serve_feed(listener: &std::net::TcpListener, feed: &str) -> String {
    listener.set_nonblocking(true).unwrap();
    let (stream, _) = testkit::block_until("the tail to ask", LIMIT, || listener.accept().ok());
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    (&stream).write_all(format!("{answer}{feed}").as_bytes()).unwrap();
    head.join("\n").to_lowercase()
}

#[test]
fn a_tail_that_has_seen_no_event_yet_resumes_where_its_feed_began() {
    let folder = tempfile::tempdir().unwrap();
    let clock = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", clock.local_addr().unwrap());
    let tail = std::thread::spawn(move || khronos(folder.path(), &["tail", "--feed", &url, "--count", "1"]));
    let began =
        serve_feed(&clock, ": khronos\nid: r00000000000000ab.7\n\nid: r00000000000000ab.8\nevent: x\n");
    assert!(!began.contains("last-event-id"), "{began}");
    // The event that was cut off is asked for again.
    let event = r#"{"time":"1970-01-01T00:08:00.000Z","type":"time.x.passed","subject":"x"}"#;
    let resumed = serve_feed(&clock, &format!("id: r00000000000000ab.8\nevent: x\ndata: {event}\n\n"));
    assert!(resumed.contains("last-event-id: r00000000000000ab.7"), "{resumed}");
    let tail = tail.join().unwrap();
    assert_eq!(tail.status.code(), Some(0), "{tail:?}");
    assert_eq!(text(&tail.stdout), "1970-01-01T00:08:00.000Z  time.x.passed  x\n", "{tail:?}");
}
