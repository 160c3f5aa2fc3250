//! The log: to standard error, for people or as JSON lines. No line shows the password of a URL, and lapin,
//! which traces its login byte by byte, is never heard below debug.

use crate::config::{LogConfig, LogFormat};
pub use ponos::output::colours;
use ponos::{json_lines::JsonLines, redact::Redacted, terminal::LogLines};
use std::io;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

/// The target of the spans around lines about one event, which have the ids of its trace.
pub(crate) const EVENT_SPAN: &str = "khronos::event_span";

/// Begins to log; to be called once.
///
/// # Errors
/// When logging was begun before.
pub fn begin(config: &LogConfig) -> Result<(), tracing_subscriber::util::TryInitError> {
    let coloured = config.format == LogFormat::Pretty && colours(&io::stderr());
    let lines = fmt::layer();
    let cleaned = move || LogLines::new(io::stderr(), coloured);
    let lines = match config.format {
        LogFormat::Pretty => lines.with_writer(move || Redacted::text(cleaned())).with_ansi(coloured).boxed(),
        LogFormat::Json => {
            let lines = lines.with_writer(move || Redacted::json(cleaned()));
            lines.json().event_format(JsonLines::new(true)).boxed()
        }
    };
    // whatever the level, and only where it does not stand before each line
    let event_spans = match config.format {
        LogFormat::Pretty => LevelFilter::OFF,
        LogFormat::Json => LevelFilter::INFO,
    };
    let level = quietened(config.level.clone()).with_target(EVENT_SPAN, event_spans);
    registry().with(lines.with_filter(level.and(discreet()))).try_init()
}

/// lapin logs every returned message, its body included, and errors that are told with their remedy anyway: it is silent
/// unless the configuration speaks of it.
fn quietened(level: Targets) -> Targets {
    let told = level.iter().any(|(target, _)| target.starts_with("lapin"));
    if told { level } else { level.with_target("lapin", LevelFilter::OFF) }
}

/// Whatever the configuration says: below debug they show passwords as bytes, which nobody recognises any more.
fn discreet() -> Targets {
    let capped = ["lapin", "amq_protocol", "async_rs"].map(|target| (target, LevelFilter::DEBUG));
    capped.into_iter().collect::<Targets>().with_default(LevelFilter::TRACE)
}
