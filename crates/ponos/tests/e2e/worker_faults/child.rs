//! The worker process: this test binary, started again with variables that say where and what.

use super::{
    CHILD, INBOX, KILLS, MARKS, NAME, QUEUE, SEEN, URL,
    plan::{Does, Job},
};
use ponos::{
    inbox::Inbox,
    prelude::*,
    worker::{Backoff, Failure, Limits},
};
use rustix::process::{Signal as Kill, getpid, kill_process};
use serde_json::json;
use std::{
    collections::HashSet,
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use testkit::{Program, Sandbox, Signal};

/// Started in a sandbox, where its log and the marks of those who died once lie.
pub(crate) struct Child {
    sandbox: Sandbox,
    url: String,
    inbox: String,
    program: Option<Program>,
    /// How often it was started.
    pub(crate) starts: usize,
}

impl Child {
    pub(crate) fn new(url: &str, inbox: &str) -> Self {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("marks")).unwrap();
        Self { sandbox, url: url.to_owned(), inbox: inbox.to_owned(), program: None, starts: 0 }
    }

    /// Which inbox it is to have.
    pub(crate) fn inbox(&mut self, inbox: impl FnOnce(&Self) -> String) {
        self.inbox = inbox(self);
    }

    pub(crate) fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.sandbox.path("log")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
            .env(URL, &self.url)
            .env(INBOX, &self.inbox)
            .env(MARKS, self.sandbox.path("marks"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.program = Some(self.sandbox.start(&mut command));
        self.starts += 1;
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::runs)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.program.take();
    }

    /// SIGTERM; it ends well.
    pub(crate) fn stop(&mut self) {
        let mut program = self.program.take().expect("it was started");
        program.signal(Signal::TERM);
        assert_eq!(program.wait(crate::real::support::LIMIT), Some(0), "{}", self.log());
    }

    /// A folder of its own.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// The end of what it said.
    pub(crate) fn log(&self) -> String {
        let log = std::fs::read(self.sandbox.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(6_000)..]).into_owned()
    }
}

#[test]
fn is_the_worker_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let inbox = inbox(&std::env::var(INBOX).unwrap()).await;
        let worker = worker(inbox, PathBuf::from(std::env::var(MARKS).unwrap()));
        let report = worker.run(&url, ponos::shutdown::on_signals()).await.unwrap();
        println!("{report}");
    });
}

async fn inbox(which: &str) -> Inbox {
    #[cfg(feature = "inbox-sled")]
    if let Some(folder) = which.strip_prefix("sled:") {
        return Inbox::sled(folder, None).unwrap();
    }
    #[cfg(feature = "postgres")]
    if which.starts_with("postgres://") {
        return Inbox::postgres(which, ponos::inbox::postgres::PostgresOptions::new("faulty")).await.unwrap();
    }
    assert_eq!(which, "none");
    Inbox::none()
}

fn worker(inbox: Inbox, marks: PathBuf) -> Worker {
    // a short time limit: what came back often is handled alone, and all others wait for it; and
    // half of what is retried goes by way of the ladder, the other half comes back at once
    let backoff = Backoff { first: Duration::from_millis(1_200), factor: 1.0, ..Backoff::default() };
    let policy = Policy::retry(3).backoff(backoff).timeout(Duration::from_millis(500)).concurrency(10);
    let marks = std::sync::Arc::new(marks);
    let ended_marks = marks.clone();
    let handler = move |job: Job, ctx: Context| handle(job, ctx, marks.clone());
    Worker::new("faulty")
        .on::<Job>(NAME, handler.with(policy))
        .publishes::<serde_json::Value>(SEEN)
        .inbox(inbox)
        .limits(Limits { flush: Duration::from_secs(10), ..Limits::default() })
        .observe(move |observed| {
            if let ponos::worker::Observed::Ended { id: Some(id), ended, .. } = observed
                && *ended != Ended::Done
            {
                println!("{id} {ended:?}");
                if matches!(ended, Ended::Retried { .. }) && id.as_str() == KILLS && mark(&ended_marks, KILLS)
                {
                    let _ = kill_process(getpid(), Kill::KILL);
                }
            }
        })
}

async fn handle(job: Job, ctx: Context, marks: std::sync::Arc<PathBuf>) -> HandlerResult {
    let first = ctx.attempt() == 1;
    #[cfg(feature = "postgres")]
    if let Some(transaction) = ctx.transaction() {
        // before anything goes wrong: what does must take it along
        let mut connection = transaction.lock().await?;
        let number = i64::try_from(job.number)?;
        sqlx::query("insert into effects values ($1)").bind(number).execute(&mut *connection).await?;
    }
    ctx.publish(SEEN, &json!({ "number": job.number }))?;
    match job.does {
        Does::FailOnce if first => return Err(Failure::new("no luck yet")),
        Does::Fail => return Err(Failure::new("no luck")),
        Does::PanicOnce if first => panic!("worse"),
        Does::Panic => panic!("much worse"),
        Does::SleepOnce if first => std::future::pending::<()>().await,
        Does::Sleep => std::future::pending::<()>().await,
        Does::AskOnce if first => return Ok(Retry { after: None, reason: None }),
        Does::ReleaseOnce if is_first_here(job.number) => return Ok(Release),
        Does::Refuse => return Ok(Outcome::dead("not mine")),
        Does::Flood => {
            for _ in 0..10_000 {
                ctx.publish(SEEN, &json!({ "number": job.number }))?;
            }
        }
        Does::DieOnce if is_first(&marks, job.number) => std::process::abort(),
        Does::Die => {
            mark(&marks, &format!("{}-{}", job.number, std::process::id()));
            std::process::abort();
        }
        _ => {}
    }
    Ok(Done)
}

/// In this process.
fn is_first_here(number: u64) -> bool {
    static RELEASED: Mutex<Option<HashSet<u64>>> = Mutex::new(None);
    let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    released.get_or_insert_default().insert(number)
}

/// Of all processes.
fn is_first(marks: &Path, number: u64) -> bool {
    mark(marks, &number.to_string())
}

fn mark(marks: &Path, name: &str) -> bool {
    OpenOptions::new().write(true).create_new(true).open(marks.join(name)).is_ok()
}

/// What stands in the name of the queue is what the tests ask the broker about.
#[test]
fn the_queue_is_named_by_service_and_event() {
    assert_eq!(QUEUE, format!("faulty.{NAME}"));
}
