//! `at` and `delayed`: on a clock that runs, played by a task, and the machine that decides of delayed events.

use super::record::{json_lines, khronos, text};
use khronos::{
    clock_loop::{ChangesAnswer, Command as Ask, Decided, DecidedAnswer, Handle, Status, UnparkAsked},
    config::MetricsConfig,
    delayed::{
        DelayedAction, DelayedBatch, DelayedInput, DelayedLimits, DelayedMemory, DelayedRequest,
        DelayedRules, DelayedStep, DelayedStore, DelayedTuning, Marks, MemoryDelayed, ParkedHead, Sending,
        UnparkRequest, Unparked, open_memory,
    },
    engine::{Ceilings, Outcome, Verdict},
    http::{HttpState, Limits, bind_control, serve_control},
    ops::{RecordReader, RunningClock},
    schedule::CalendarStore,
    store::Page,
    telemetry::Counts,
};
use ponos::{broker::Link, event::Timestamp, shutdown::shutdown};
use std::{fs, path::Path, process::Output};
use tokio::sync::{mpsc, oneshot, watch};

/// What the clock believes the time to be.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Decides and writes at once, and sends nothing. What is named `parked…` is given up on as soon as it is there.
async fn play(mut asked: mpsc::Receiver<Ask>, mut store: MemoryDelayed) {
    let mut sending = Sending::new(DelayedRules::default(), &store.load().unwrap());
    let marks = Marks { now: NOW, handed: NOW, reached: NOW, created: 0, since: None };
    let mut command = 0;
    while let Some(next) = asked.recv().await {
        command += 1;
        let (first, reply) = match next {
            Ask::ChangeDelayed(asked, reply) => {
                let (by, message, atomic, changes) = (asked.by, asked.message, asked.atomic, asked.changes);
                let request = DelayedRequest { command, by, message, atomic, changes };
                (DelayedInput::Change(Box::new(request)), Reply::Changed(reply))
            }
            Ask::UnparkDelayed(UnparkAsked { by, what, creations }, reply) => {
                let request = UnparkRequest { command, by, what, creations };
                (DelayedInput::Unpark(Box::new(request)), Reply::Unparked(reply))
            }
            _ => continue,
        };
        let mut inputs = vec![first];
        let mut verdicts: Option<Vec<Verdict>> = None;
        let mut unparked: Option<Unparked> = None;
        // Very many are decided in several steps.
        let wait = |is_answered: bool| (!is_answered).then_some(DelayedInput::Tick);
        while let Some(input) = inputs.pop().or_else(|| wait(verdicts.is_some() || unparked.is_some())) {
            for action in sending.step(marks, &mut Ceilings::default(), input) {
                match action {
                    DelayedAction::Find { ticket, names, messages } => {
                        let reader = store.reader();
                        let (found, answered) =
                            (reader.find(&names).unwrap(), reader.answers(&messages).unwrap());
                        inputs.push(DelayedInput::Found { ticket, found, answered });
                    }
                    DelayedAction::Write { ticket, batch } => {
                        store.write(0, &batch).unwrap();
                        store.write(0, &given_up(&batch)).unwrap();
                        inputs.push(DelayedInput::Written(ticket));
                    }
                    DelayedAction::FindParked { ticket, creations } => {
                        let find =
                            |one| store.reader().parked_as(one).unwrap().as_ref().map(ParkedHead::from);
                        let found = creations.into_iter().map(find).collect();
                        inputs.push(DelayedInput::FoundParked { ticket, found });
                    }
                    DelayedAction::LoadParked { ticket, after, most } => {
                        let parked = store.reader().parked(after, most).unwrap();
                        let heads = parked.iter().map(ParkedHead::from).collect();
                        inputs.push(DelayedInput::Parked { ticket, heads });
                    }
                    DelayedAction::Unparked(_, all) => unparked = Some(all),
                    DelayedAction::Decided(all) => verdicts = all.into_iter().next().map(|(_, all)| all),
                    DelayedAction::TooMany(_) | DelayedAction::NotFound(_) => panic!("they are taken"),
                    _ => {}
                }
            }
        }
        let decided = "each request is decided";
        match reply {
            Reply::Changed(reply) => drop(reply.send(Ok(verdicts.expect(decided)))),
            Reply::Unparked(reply) => {
                let Unparked { done, being_sent } = unparked.expect(decided);
                drop(reply.send(Ok(Decided { done, being_sent })));
            }
        }
    }
}

enum Reply {
    Changed(oneshot::Sender<ChangesAnswer>),
    Unparked(oneshot::Sender<DecidedAnswer>),
}

fn given_up(batch: &DelayedBatch) -> DelayedBatch {
    let parks = |step: &DelayedStep| match step {
        DelayedStep::Put(event) if event.head.key.name.starts_with("parked") => Some(DelayedStep::Settle {
            key: event.head.key.clone(),
            outcome: Outcome::Parked("the queue is full".into()),
            keeps_content: false,
        }),
        _ => None,
    };
    DelayedBatch {
        now: NOW,
        steps: batch.steps.iter().filter_map(parks).collect(),
        ..DelayedBatch::default()
    }
}

/// A clock with delayed events, by its control socket in this folder, while `work` runs.
pub(super) async fn with_clock(work: impl FnOnce(&Path) + Send + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::create_dir(&path).unwrap();
    let disk = DelayedMemory::default();
    let store = disk.open("khronos", DelayedLimits::default()).unwrap();
    let opened = open_memory(disk, "khronos".into(), DelayedLimits::default(), DelayedTuning::default());
    let delayed = opened.await.unwrap().0;
    let (commands, asked) = mpsc::channel(8);
    tokio::spawn(play(asked, store));
    let link = Link::Down { attempts: 0, error: None };
    let status = Status::starting("khronos".into(), Timestamp::HORIZON, link, NOW);
    let (_show, status) = watch::channel(Status { believed: NOW, reasons: vec![], ..status });
    let (_recorded, recorded) = watch::channel(0);
    let record = RecordReader::new(|_, _| async { Ok(Page { rows: vec![], first: 1, last: 0, record: 1 }) });
    let handle = Handle { commands, status, recorded };
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let limits = Limits::default();
    let clock = RunningClock::new(handle, record, CalendarStore::default(), counts, limits.answer);
    let state = HttpState::new(clock.with_delayed(delayed), vec![], limits);
    let (_trigger, shutdown) = shutdown();
    tokio::spawn(serve_control(bind_control(&path).unwrap(), state, shutdown));
    let here = folder.path().to_owned();
    tokio::task::spawn_blocking(move || work(&here)).await.unwrap();
}

pub(super) fn is_done(output: &Output, said: &str) {
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), (said, Some(0)), "{output:?}");
}

pub(super) fn is_refused(output: &Output, code: i32, said: &str) {
    let wrong = text(&output.stderr);
    assert!(output.status.code() == Some(code) && wrong.contains(said), "{said}: {output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_put_for_later_seen_moved_sent_now_and_cancelled() {
    with_clock(|here| {
        let run = |arguments: &[&str]| khronos(here, arguments);
        let put =
            ["at", "2030-12-24T18:00", "order.reminder.due", r#"{"order":7}"#, "--zone", "Europe/Paris"];
        let named = [&put[..], &["--name", "reminder-7", "--header", "k=v", "--new"]].concat();
        let due = "2030-12-24T17:00:00.000Z (Tue 2030-12-24 18:00:00 +01:00 Europe/Paris)";
        is_done(&run(&named), &format!("reminder-7 created, revision 1; due at {due}\n"));
        is_refused(&run(&named), 2, "reminder-7");
        let again = [&put[..], &["--name", "reminder-7", "--header", "k=v"]].concat();
        is_done(&run(&again), &format!("reminder-7 unchanged, revision 1; due at {due}\n"));
        let seen = &json_lines(&run(&["delayed", "get", "reminder-7", "--json"]))[0];
        assert_eq!((&seen["state"], &seen["data"]["order"]), (&"pending".into(), &7.into()), "{seen}");
        assert_eq!(seen["headers"]["k"], "v", "{seen}");
        let shown = text(&run(&["delayed", "get", "reminder-7", "--zone", "Europe/Paris"]).stdout);
        for line in [
            "reminder-7: order.reminder.due, pending\n",
            &format!("due at {due}\n"),
            "data {\"order\":7}\n",
            "headers {\"k\":\"v\"}\n",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        let later = ["at", "--in", "10m", "order.reminder.due", "--name", "reminder-7"];
        is_refused(&run(&[&later[..], &["--if-revision", "999.1"]].concat()), 2, "reminder-7");
        let tag = format!("{}.1", seen["creation"]);
        let moved = run(&[&later[..], &["--if-revision", &tag]].concat());
        let due = NOW.plus(600_000);
        is_done(&moved, &format!("reminder-7 changed, revision 2; due at {due}\n"));
        let sent = text(&run(&["delayed", "send-now", "reminder-7"]).stdout);
        assert!(sent.starts_with("reminder-7 is sent now: event "), "{sent}");
        assert!(sent.ends_with(&format!(", due at {NOW}\n")), "{sent}");
        is_refused(&run(&["delayed", "cancel", "reminder-7"]), 2, "may have been sent");
        is_done(
            &run(&["at", "--in", "1h", "order.reminder.due", "--name", "x"]).clone(),
            &format!("x created, revision 1; due at {}\n", NOW.plus(3_600_000)),
        );
        is_done(&run(&["delayed", "cancel", "x"]), "x is cancelled\n");
        is_done(&run(&["delayed", "cancel", "x"]), "there is no delayed event 'x'; nothing is cancelled\n");
        is_refused(&run(&["delayed", "get", "x"]), 2, "khronos delayed list shows what is pending");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_without_a_name_is_one_for_each_key() {
    with_clock(|here| {
        let put = |more: &[&str]| {
            let words = [&["at", "--in", "1h", "order.reminder.due", "--json"], more].concat();
            json_lines(&khronos(here, &words)).pop().unwrap()
        };
        let (one, again, other) = (put(&["--key", "k-1"]), put(&["--key", "k-1"]), put(&[]));
        assert_eq!((&one["outcome"], &again["outcome"]), (&"created".into(), &"unchanged".into()));
        assert!(one["name"] == again["name"] && one["name"] != other["name"], "{one} {other}");
        is_refused(&khronos(here, &["at", "--in", "1h", "a.b.c", "--key", "a b"]), 2, "visible ASCII");
        let task = put(&["--task", "docker.clean"]);
        let name = task["name"].as_str().unwrap();
        let shown = text(&khronos(here, &["delayed", "get", name]).stdout);
        assert!(shown.contains("order.reminder.due, a task to docker.clean, pending"), "{shown}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_are_put_from_a_file_and_listed_in_pages() {
    with_clock(|here| {
        let run = |arguments: &[&str]| khronos(here, arguments);
        let item = |number: usize| {
            let domain = if number.is_multiple_of(2) { "billing" } else { "order" };
            format!(
                "{{\"name\":\"n-{number:04}\",\"event\":\"{domain}.reminder.due\",\"in\":\"{}s\"}}\n",
                number + 60
            )
        };
        let items: String = (0..1_500).map(item).collect();
        fs::write(here.join("items.ndjson"), items + "\n{\"name\":\"wrong\",\"event\":\"a.b.c\"}\n").unwrap();
        let put = run(&["at", "-f", "items.ndjson"]);
        assert_eq!(text(&put.stdout).lines().count(), 1_500, "{put:?}");
        is_refused(&put, 2, "error: line 1502 ('wrong') is refused: ");
        let none = run(&["at", "-f", "items.ndjson", "--atomic", "--json"]);
        assert_eq!((none.status.code(), json_lines(&none).len()), (Some(2), 1_501));
        let list = json_lines(&run(&["delayed", "list", "--json", "--limit", "1200"]));
        assert_eq!((list.len(), &list[1_199]["name"]), (1_200, &"n-1199".into()));
        let first = run(&["delayed", "list", "--limit", "700", "--json"]);
        let note = text(&first.stderr);
        let (_, page) = note.trim().split_once("--page ").unwrap();
        let rest = json_lines(&run(&["delayed", "list", "--json", "--page", page, "--limit", "2000"]));
        assert_eq!((rest.len(), &rest[0]["name"]), (800, &"n-0700".into()));
        for (filter, count) in [
            (&["--prefix", "n-00"][..], 100),
            (&["--domain", "billing"], 750),
            (&["--owner", "nobody"], 0),
            (&["--due-before", &NOW.plus(70_000).to_string()], 10),
            (&["--due-after", &NOW.plus(1_549_000).to_string(), "--domain", "order"], 5),
        ] {
            let words = [&["delayed", "list", "--json", "--limit", "5000"], filter].concat();
            assert_eq!(json_lines(&run(&words)).len(), count, "{filter:?}");
        }
        is_done(&run(&["delayed", "list", "--prefix", "zz"]), "no such delayed events are pending\n");
        let table = text(&run(&["delayed", "list", "--prefix", "n-0001"]).stdout);
        let line = table.lines().nth(1).unwrap();
        let due = NOW.plus(61_000).to_string();
        assert!(
            table.starts_with("NAME") && line.contains("order.reminder.due") && line.contains(&due),
            "{table}"
        );
        fs::write(here.join("items.ndjson"), "{}\n[").unwrap();
        is_refused(&run(&["at", "-f", "items.ndjson"]), 2, "line 2 is not JSON");
        fs::write(here.join("items.ndjson"), "\n").unwrap();
        is_refused(&run(&["at", "-f", "items.ndjson"]), 2, "it has no items");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_event_is_said_before_or_by_the_clock() {
    with_clock(|here| {
        let run = |arguments: &[&str]| khronos(here, arguments);
        for (arguments, said) in [
            (&["at", "2030-12-24T18:00", "order.reminder.due"][..], "--zone"),
            (&["at", "2030-12-24T18:00", "order.reminder.due", "--zone", "Europe/Pari"], "Europe/Paris"),
            (&["at", "--in", "1h", "order.reminder.due", "--zone", "Europe/Pari"], "Europe/Paris"),
            (&["at", "2030-12-24", "order.reminder.due"], "without a time"),
            (&["at", "order.reminder.due"], "a time and an event are needed"),
            (&["at", "--in", "1h", "2030-12-24T18:00Z", "order.reminder.due", "1"], "exclude each other"),
            (&["at", "--in", "soon", "order.reminder.due"], "in: "),
            (&["at", "--in", "1h", "order"], "event: "),
            (&["at", "--in", "1h", "order.reminder.due", "hello"], "DATA is not JSON"),
            (&["at", "--in", "1h", "order.reminder.due", "@nowhere.json"], "nowhere.json"),
            (&["at", "2020-12-24T18:00Z", "order.reminder.due", "--past", "refuse"], "past"),
            (&["at", "-f", "nowhere.ndjson"], "nowhere.ndjson"),
            (&["delayed", "send-now", "nowhere"], "there is no delayed event 'nowhere'"),
            (&["delayed", "cancel", "a", "b", "--if-revision", "17.3"], "name one"),
            (&["delayed", "list", "--due-after", "2030-12-24T18:00"], "--zone"),
        ] {
            is_refused(&run(arguments), 2, said);
        }
        let gap = run(&["at", "2031-03-30T02:30", "order.reminder.due", "--zone", "Europe/Paris"]);
        assert!(text(&gap.stderr).contains("does not exist in Europe/Paris"), "{gap:?}");
        assert!(text(&gap.stdout).contains("Sun 2031-03-30 03:00:00 +02:00 Europe/Paris"), "{gap:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_parked_is_listed_released_and_dropped() {
    with_clock(|here| {
        let run = |arguments: &[&str]| khronos(here, arguments);
        is_done(&run(&["delayed", "parked"]), "no delayed events are parked\n");
        for name in ["parked-a", "parked-b"] {
            let put = run(&["at", "--in", "1h", "order.reminder.due", "--name", name]);
            assert_eq!(put.status.code(), Some(0), "{put:?}");
        }
        let listed = run(&["delayed", "parked"]);
        let said = text(&listed.stdout);
        assert!(said.contains("parked-a") && said.contains("the queue is full"), "{said}");
        is_done(&run(&["delayed", "release", "1"]), "1 released\n");
        let dropped = run(&["delayed", "drop", "2", "9"]);
        assert_eq!(text(&dropped.stdout), "2 dropped\n");
        is_refused(&dropped, 2, "no delayed event of the creation 9 is parked");
        let again = run(&["delayed", "release", "1"]);
        is_refused(&again, 2, "1 is being sent, so it is not released");
        let left = run(&["delayed", "parked", "--json"]);
        let left = json_lines(&left);
        assert!(left.len() == 1 && left[0]["creation"] == 1 && left[0]["released"] == true, "{left:?}");
        // Its send time lies ahead: so it waits to be sent.
        is_done(&run(&["delayed", "drop", "1"]), "1 dropped\n");
    })
    .await;
}

#[test]
fn without_a_clock_nothing_is_put() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    for (arguments, verb) in [
        (&["at", "--in", "1h", "order.reminder.due"][..], "at needs a running one"),
        (&["delayed", "list"], "delayed list needs a running one"),
        (&["delayed", "parked"], "delayed parked needs a running one"),
    ] {
        is_refused(&khronos(folder.path(), arguments), 69, verb);
    }
}
