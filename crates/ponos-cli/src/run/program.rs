//! Runs a program for an event: payload in, exit code out.

use super::{
    activity::AtWork,
    ending::Ending,
    group::{self, Group},
};
use crate::{exit::Exit, inbox, output, trouble::Trouble};
use ponos::{
    event::Event,
    worker::{Context, Failure, HandlerResult, Outcome},
};
use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdin, Command},
    sync::oneshot,
};

/// How many bytes of standard error are kept for the reason.
const KEPT: usize = 800;
/// How long to wait for the rest of standard error once the program has ended: processes that it started may hold it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A program and its arguments.
pub(super) struct Program {
    words: Vec<String>,
}

/// How a run ended.
enum RunEnd {
    Exit(ExitStatus),
    TooLong,
    /// The worker stops.
    Told,
}

/// The end of standard error so far; processes that the program started may hold it open longer.
type Tail = Arc<Mutex<VecDeque<u8>>>;

impl Program {
    /// Checks that the program exists.
    pub(super) fn new(words: &[String]) -> Result<Self, Trouble> {
        let Some(program) = words.first() else {
            return Err(Trouble::usage("no program to run; put it after --"));
        };
        if !exists(program) {
            let what =
                format!("there is no program '{program}'; write its path, or check whether it is in PATH");
            return Err(Trouble::Words(Exit::Configuration, what));
        }
        Ok(Self { words: words.to_vec() })
    }

    /// Runs the program to its end. If this future is dropped, the program is ended with everything that it started; `at_work`
    /// ends when it is gone. It gets so much time. If the worker stops, the program is ended too, and this waits to be dropped.
    pub(super) async fn run(
        &self,
        (queue, timeout): (&str, Duration),
        context: &Context,
        at_work: AtWork,
        ending: Ending,
    ) -> HandlerResult {
        if ending.is_asked() {
            drop(at_work);
            return std::future::pending().await;
        }
        let mut command = self.command(queue, context);
        let mut child = command.spawn().map_err(|error| not_started(&self.words[0], &error))?;
        let (input, errors) = (child.stdin.take(), child.stderr.take());
        let payload = context.event().data.clone();
        // in a task of its own, because a caller that drops this future can't wait for the program's end
        let (ours, theirs) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let _at_work = at_work;
            let told = async {
                tokio::select! {
                    () = ending.asked() => {}
                    _ = theirs => {}
                }
            };
            supervise(child, (input, payload), errors, timeout, told).await
        });
        let ended = task.await;
        drop(ours);
        match ended {
            Ok(Ok((RunEnd::Told, _))) => std::future::pending().await,
            Ok(Ok((end, last))) => outcome(&end, &last, timeout),
            Ok(Err(error)) => Err(Failure::new(format!("'{}' can't be waited for: {error}", self.words[0]))),
            Err(error) => Err(Failure::new(format!("running '{}': {error}", self.words[0]))),
        }
    }

    fn command(&self, queue: &str, context: &Context) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).stdin(Stdio::piped()).stdout(Stdio::inherit()).stderr(Stdio::piped());
        // it may hold a password, and is not the program's
        command.env_remove("PONOS_URL").env_remove("PONOS_URL_FILE").env_remove(inbox::VARIABLE);
        for name in ponos::stack::provided() {
            command.env_remove(name);
        }
        for (name, value) in environment(queue, context) {
            match value {
                // no system takes a zero byte there
                Some(value) => command.env(name, value.replace('\0', "")),
                None => command.env_remove(name),
            };
        }
        group::lead(&mut command);
        command
    }
}

/// A program that can't be started, for any event, unless the event made the environment too long.
fn not_started(program: &str, error: &io::Error) -> Failure {
    let what = format!("it can't be started: {error}");
    match error.kind() {
        io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => {
            Failure::new(format!("'{program}': {what}"))
        }
        _ => Failure::unavailable(format!("the program '{program}'"), what),
    }
}

fn environment(queue: &str, context: &Context) -> [(&'static str, Option<String>); 12] {
    let event = context.event();
    let Event { id, name, source, subject, .. } = event;
    [
        ("PONOS_ID", Some(id.to_string())),
        ("PONOS_NAME", Some(name.to_string())),
        ("PONOS_SOURCE", Some(source.clone())),
        ("PONOS_SUBJECT", subject.clone()),
        ("PONOS_TIME", event.time_text()),
        ("PONOS_QUEUE", Some(queue.to_owned())),
        ("PONOS_ATTEMPT", Some(context.attempt().to_string())),
        ("PONOS_ATTEMPTS", Some(context.attempts().to_string())),
        ("PONOS_CORRELATION_ID", Some(context.correlation_id().to_owned())),
        ("PONOS_CAUSATION_ID", context.causation_id().map(str::to_owned)),
        ("TRACEPARENT", context.traceparent()),
        ("BAGGAGE", context.baggage().map(str::to_owned)),
    ]
}

async fn supervise(
    mut child: Child,
    (input, payload): (Option<ChildStdin>, Vec<u8>),
    errors: Option<ChildStderr>,
    timeout: Duration,
    told: impl Future<Output = ()>,
) -> io::Result<(RunEnd, String)> {
    let group = Group::of(&child);
    let feeding = tokio::spawn(feed(input, payload));
    let tail = Tail::default();
    let mut listening = tokio::spawn(listen(errors, Arc::clone(&tail)));
    let end = tokio::select! {
        status = child.wait() => status.map(RunEnd::Exit),
        () = tokio::time::sleep(timeout) => Ok(RunEnd::TooLong),
        () = told => Ok(RunEnd::Told),
    };
    // what it left behind, too: nobody else would end that
    if group.end(&mut child).await && matches!(end, Ok(RunEnd::Exit(_))) {
        tracing::warn!("the program ended, but processes that it had started still ran; they were ended too");
    }
    feeding.abort();
    if tokio::time::timeout(LAST_WORDS, &mut listening).await.is_err() {
        listening.abort();
    }
    end.map(|end| (end, last_lines(&tail)))
}

async fn feed(input: Option<ChildStdin>, payload: Vec<u8>) {
    if let Some(mut input) = input {
        // a program need not read it
        let _ = input.write_all(&payload).await;
    }
}

/// Passes standard error on as it comes, and keeps its end.
async fn listen(errors: Option<ChildStderr>, tail: Tail) {
    let Some(mut errors) = errors else { return };
    let mut buffer = [0_u8; 4096];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        let part = &buffer[..count];
        output::hand_on(part);
        let mut kept = tail.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(part);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}

/// The last lines of standard error, as one.
fn last_lines(tail: &Tail) -> String {
    let kept: Vec<u8> = tail.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    let text = String::from_utf8_lossy(&kept);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" | ")
}

/// The table in the help of `ponos run`.
fn outcome(end: &RunEnd, last: &str, timeout: Duration) -> HandlerResult {
    let because = |what: String| if last.is_empty() { what } else { format!("{what}: {last}") };
    let code = match end {
        RunEnd::Exit(status) => status.code(),
        RunEnd::TooLong | RunEnd::Told => {
            return Err(Failure::new(because(format!(
                "the program took longer than {timeout:?} and was ended"
            ))));
        }
    };
    match code {
        Some(0) => Ok(Outcome::Done),
        Some(99) => Ok(Outcome::Skip),
        Some(code @ (65 | 100)) => Ok(Outcome::dead(because(format!("exit code {code}")))),
        Some(75) => Err(Failure::new(because("exit code 75 (not now)".into()))),
        Some(code) => Err(Failure::new(because(format!("exit code {code}")))),
        None => Err(Failure::new(because("the program was ended by a signal".into()))),
    }
}

/// Whether the system would find the program.
fn exists(program: &str) -> bool {
    let path = Path::new(program);
    if path.components().count() > 1 {
        return path.is_file();
    }
    let folders: OsString = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&folders).any(|folder| folder.join(name).is_file());
    found(program) || cfg!(windows) && found(&format!("{program}.exe"))
}
