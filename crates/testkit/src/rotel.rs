//! A collector of traces that is not ours: rotel, which says what it received.

use crate::{Program, Sandbox, block_until_or_tell};
use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// It listens within a second; on a busy machine it may take much longer.
const BOOT: Duration = Duration::from_secs(90);

/// A private collector on 127.0.0.1; gone when dropped, and gone when the test's process is gone.
#[derive(Debug)]
pub struct Rotel {
    port: u16,
    // Dropped in this order: the server, then its folder.
    _server: Program,
    sandbox: Sandbox,
}

/// A span that it received. Ids are hexadecimal digits, instants nanoseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedSpan {
    /// `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// `PRODUCER`, `CONSUMER`, …
    pub kind: String,
    /// Its trace.
    pub trace_id: String,
    /// Its own id.
    pub span_id: String,
    /// The span above it; empty if there is none.
    pub parent: String,
    /// `ERROR`, or `UNSET`.
    pub status: String,
    /// Why it is an error.
    pub reason: String,
    /// When it began, …
    pub begun: u64,
    /// … and ended.
    pub ended: u64,
    /// As it shows them: `Str(a)`, `Int(1)`, `Bool(true)`.
    pub attributes: BTreeMap<String, String>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
}

impl Rotel {
    /// Starts it.
    ///
    /// # Panics
    /// When it is not installed, or does not listen within 90 s.
    pub fn start() -> Self {
        let sandbox = Sandbox::new();
        let free = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
        // held together, so that they differ
        let [one, other] = [free(), free()];
        let [port, grpc] = [&one, &other].map(|listener| listener.local_addr().unwrap().port());
        drop((one, other));
        let log = std::fs::File::create(sandbox.path("log")).unwrap();
        let mut command = Command::new(program());
        command.env_clear().arg("start").arg("--pid-file").arg(sandbox.path("pid"));
        command.arg(format!("--otlp-http-endpoint=127.0.0.1:{port}"));
        command.arg(format!("--otlp-grpc-endpoint=127.0.0.1:{grpc}"));
        command.args(["--exporter=blackhole", "--debug-log=traces", "--debug-log-verbosity=detailed"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = sandbox.start(&mut command);
        let said = || std::fs::read_to_string(sandbox.path("log")).unwrap_or_default();
        let listens = || {
            assert!(server.runs(), "rotel ended at its start:\n{}", said());
            TcpStream::connect(("127.0.0.1", port)).ok()
        };
        block_until_or_tell("rotel", BOOT, listens, said);
        Self { port, _server: server, sandbox }
    }

    /// Where it takes traces.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    /// All that it received so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let log = std::fs::read_to_string(self.sandbox.path("log")).unwrap_or_default();
        // it is being written: the last line may be a half
        read(log.rsplit_once('\n').map_or("", |(whole, _)| whole))
    }
}

/// In the folder into which `test.sh` installs it.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scratch = std::env::var_os("SCRATCH").map_or_else(|| root.join(".scratch"), PathBuf::from);
    let python = std::fs::read_dir(scratch.join("rotel/lib")).into_iter().flatten().flatten();
    let mut found = python.map(|entry| entry.path().join("site-packages/rotel/rotel-agent"));
    found
        .find(|path| path.exists())
        .expect("rotel is installed: run ./test.sh, which installs what the tests need")
}

/// What its log says.
fn read(log: &str) -> Vec<ReceivedSpan> {
    let (mut spans, mut service, mut is_resource) = (Vec::<ReceivedSpan>::new(), String::new(), false);
    for line in log.lines() {
        let line = line.trim();
        if line.starts_with("Resource attributes") {
            is_resource = true;
        } else if line.starts_with("ScopeSpans #") {
            is_resource = false;
        } else if line.starts_with("Span #") {
            spans.push(ReceivedSpan { service: service.clone(), ..ReceivedSpan::default() });
        }
        let (entry, line) = (line.starts_with("->"), line.trim_start_matches("->").trim());
        let Some((name, value)) = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()))
        else {
            continue;
        };
        if is_resource {
            if name == "service.name" {
                service = value.trim_start_matches("Str(").trim_end_matches(')').to_owned();
            }
            continue;
        }
        let Some(span) = spans.last_mut() else { continue };
        match (name, entry) {
            ("Trace ID", false) => span.trace_id = value.to_owned(),
            ("Parent ID", false) => span.parent = value.to_owned(),
            ("ID", false) => span.span_id = value.to_owned(),
            ("Name", false) => span.name = value.to_owned(),
            ("Kind", false) => span.kind = value.trim_start_matches("SPAN_KIND_").to_owned(),
            ("Start time", false) => span.begun = value.parse().unwrap(),
            ("End time", false) => span.ended = value.parse().unwrap(),
            ("Status code", false) => span.status = value.trim_start_matches("STATUS_CODE_").to_owned(),
            ("Status message", false) => span.reason = value.to_owned(),
            ("Trace ID", true) => span.links.push((value.to_owned(), String::new())),
            ("ID", true) => {
                if let Some((_, id)) = span.links.last_mut() {
                    *id = value.to_owned();
                }
            }
            ("TraceState" | "DroppedAttributesCount", true) => {}
            (name, true) => drop(span.attributes.insert(name.to_owned(), value.to_owned())),
            _ => {}
        }
    }
    spans
}
