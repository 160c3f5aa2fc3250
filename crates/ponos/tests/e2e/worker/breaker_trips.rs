//! Ten outages with deliveries in hand, and a kill in one of them: every message is handled.
//!
//! The worker is a process of its own, this test binary started again. What its handlers need is there while no file `down` is;
//! while its queue is paused it keeps a file `paused`.

use super::{
    NAME, QUEUE, parcels,
    stage::{COUNTED, declare_counted, nothing_is_left},
};
use crate::{
    real::{
        Sender,
        support::{LIMIT, config},
    },
    worker_faults::Came,
};
use ponos::{broker::Transport, prelude::*, topology::worker::dead_letters, worker::Breaker};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{Node, Program, Sandbox, Signal, wait_until};

const CHILD: &str = "worker::breaker_trips::is_the_worker_process";
const URL: &str = "TEST_TRIPS_URL";
const FOLDER: &str = "TEST_TRIPS_FOLDER";
const ROUNDS: usize = 10;
/// In each, before it is down and afterwards: 1,200 in all.
const EACH: usize = 60;

#[test]
fn is_the_worker_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let ready = worker(folder.join("down")).ready().unwrap();
        let liveness = ready.liveness();
        tokio::spawn(async move {
            loop {
                match liveness.paused().is_empty() {
                    true => drop(fs::remove_file(folder.join("paused"))),
                    false => fs::write(folder.join("paused"), "").unwrap(),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let report = Box::pin(ready.run_on(Transport::amqp(config(&url)), ponos::shutdown::on_signals()))
            .await
            .unwrap();
        println!("{report}");
    });
}

fn worker(down: PathBuf) -> Worker {
    let handler = move |data: Value, ctx: Context| {
        let is_down = down.exists();
        async move {
            assert_eq!(ctx.attempt(), 1, "no attempt is spent");
            if is_down {
                return Err(Failure::unavailable("billing-api", "connection refused"));
            }
            // so that an outage finds something in hand, and the last one too though this test's own process may stand still for a while
            tokio::time::sleep(Duration::from_millis(20)).await;
            ctx.publish(COUNTED, &data)?;
            Ok(Done)
        }
    };
    let breaker = Breaker::default().pauses(Duration::from_millis(200), Duration::from_secs(1));
    Worker::new("shop")
        .on::<Value>(NAME, handler.with(Policy::retry(1).breaker(breaker)))
        .publishes::<Value>(COUNTED)
}

fn start(sandbox: &Sandbox, url: &str, down: &Path) -> Program {
    let log = OpenOptions::new().create(true).append(true).open(sandbox.path("log")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(URL, url)
        .env(FOLDER, down.parent().unwrap())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    sandbox.start(&mut command)
}

async fn exists(file: &Path, wanted: bool) {
    wait_until(&format!("{} to be there: {wanted}", file.display()), LIMIT, async || {
        (file.exists() == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_outages_with_deliveries_in_hand_and_a_kill_lose_nothing() {
    let (node, vhost) = (Node::shared(), "breaker-trips");
    let url = node.vhost(vhost);
    declare_counted(&url).await;
    let sandbox = Sandbox::new();
    let (down, paused) = (sandbox.path("down"), sandbox.path("paused"));
    let mut program = start(&sandbox, &url, &down);
    wait_until("its queue", LIMIT, async || node.queue(vhost, QUEUE).filter(|(_, consumers)| *consumers > 0))
        .await;
    let came = Came::watch(&url, COUNTED, true);
    let mut sender = Sender::new(&url).await;
    for round in 0..ROUNDS {
        // some of these are at work, or in hand
        sender.send(parcels(&format!("up-{round}"), EACH)).await;
        fs::write(&down, "").unwrap();
        sender.send(parcels(&format!("down-{round}"), EACH)).await;
        exists(&paused, true).await;
        if round == 5 {
            // SIGKILL
            drop(program);
            fs::remove_file(&paused).unwrap();
            program = start(&sandbox, &url, &down);
            exists(&paused, true).await;
        }
        fs::remove_file(&down).unwrap();
        exists(&paused, false).await;
    }
    wait_until("all to be done", LIMIT, async || (came.count() == ROUNDS * EACH * 2).then_some(())).await;
    assert_eq!(node.queue(vhost, &dead_letters(QUEUE)), Some((0, 0)));
    program.signal(Signal::TERM);
    assert_eq!(program.wait(LIMIT), Some(0));
    nothing_is_left(node, vhost).await;
}
