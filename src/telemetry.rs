//! Logging: to standard error, for people or as JSON lines. No line shows the password of a URL, and lapin,
//! which traces its login byte by byte, is never heard below debug.

use crate::config::{LogConfig, LogFormat};
pub use ponos::output::colours;
use ponos::{redact::Redacted, terminal::LogLines};
use std::io;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

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
            lines.with_writer(move || Redacted::json(cleaned())).json().flatten_event(true).boxed()
        }
    };
    registry().with(lines.with_filter(quietened(config.level.clone()).and(discreet()))).try_init()
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
