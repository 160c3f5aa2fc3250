//! Log lines on standard error: short ones for people, or JSON.

use crate::{exit::Exit, output, trouble::Trouble};
use ponos::{clock::Clock, json_lines::JsonLines, log_filter, redact::Redacted, terminal::LogLines};
use std::{
    fmt::{self, Write},
    io::{IsTerminal, stderr},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, layer},
    layer::SubscriberExt,
    registry,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One short line for each
    Text,
    /// One JSON object for each, with all fields and the span
    Json,
}

/// The most characters of a value in a line for people.
const VALUE: usize = 500;
/// The names of fields in a line for people; `None` for fields that every line of a worker has, which are left out.
const NAMES: [(&str, Option<&str>); 4] = [
    ("messaging.message.id", Some("id")),
    ("messaging.process.duration", Some("took")),
    ("messaging.system", None),
    ("messaging.operation.name", None),
];

/// Where the spans of deliveries are.
const WORKER: &str = "ponos::worker";

/// Begins to log, by the filter in `PONOS_LOG` (as `RUST_LOG` elsewhere). lapin is never logged below debug, where it shows
/// passwords as bytes.
///
/// # Errors
/// `PONOS_LOG` is not a valid filter.
pub(crate) fn begin(format: Format) -> Result<(), Trouble> {
    let wanted = std::env::var_os("PONOS_LOG").filter(|text| !text.is_empty());
    let wanted =
        wanted.map_or("warn,ponos=info,lapin=off".into(), |text| text.to_string_lossy().into_owned());
    let wanted = log_filter::checked(&wanted).map_err(|wrong| {
        Trouble::Words(Exit::Configuration, format!("PONOS_LOG: {}; {}", wrong.what, wrong.help))
    })?;
    let filter = EnvFilter::new(wanted);
    let coloured = format == Format::Text && stderr().is_terminal();
    let cleaned = move || LogLines::new(stderr(), coloured);
    let lines = match format {
        Format::Text => layer()
            .with_writer(move || Redacted::text(cleaned()))
            .with_ansi(coloured)
            .event_format(Short)
            .boxed(),
        Format::Json => {
            output::speak_json();
            let lines = layer().with_writer(move || Redacted::json(cleaned()));
            lines.json().event_format(JsonLines::new(false)).boxed()
        }
    };
    let discreet = ["lapin", "amq_protocol", "async_rs"]
        .map(|target| (target, LevelFilter::DEBUG))
        .into_iter()
        .collect::<Targets>()
        .with_default(LevelFilter::TRACE);
    // an error means that there is one already, which can't be
    let _ = match format {
        Format::Text => registry().with(lines.with_filter(filter.and(discreet))).try_init(),
        // whatever the level, for it has the trace of each line
        Format::Json => {
            let filter = filter.or(filter_fn(|line| line.is_span() && line.target().starts_with(WORKER)));
            registry().with(lines.with_filter(filter.and(discreet))).try_init()
        }
    };
    Ok(())
}

/// `2026-12-01T09:00:00.123Z WARN failed; it will be tried again  queue=… id=… reason=…`
struct Short;

impl<S, N> FormatEvent<S, N> for Short
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = event.metadata().level();
        let mut line = LogLine::default();
        event.record(&mut line);
        let LogLine { message, fields } = line;
        write!(out, "{} ", Clock::system().now())?;
        match colour(*level).filter(|_| out.has_ansi_escapes()) {
            Some(colour) => write!(out, "\u{1b}[{colour}m{level}\u{1b}[0m")?,
            None => write!(out, "{level}")?,
        }
        writeln!(out, " {message}{fields}")
    }
}

fn colour(level: Level) -> Option<u8> {
    match level {
        Level::ERROR => Some(31),
        Level::WARN => Some(33),
        _ => None,
    }
}

/// Collects a line's parts; text from outside is cleaned, so that it can't begin another line.
#[derive(Default)]
struct LogLine {
    message: String,
    fields: String,
}

impl LogLine {
    fn add(&mut self, field: &Field, value: &str) {
        let value = output::shortened(value, VALUE);
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let renamed = NAMES.iter().find(|(name, _)| *name == field.name()).map(|(_, short)| *short);
        let Some(name) = renamed.unwrap_or(Some(field.name())) else { return };
        let separator = if self.fields.is_empty() { "  " } else { " " };
        // a text of several words is told from what follows it
        let quote = if value.is_empty() || value.contains(' ') { "\"" } else { "" };
        let _ = write!(self.fields, "{separator}{name}={quote}{value}{quote}");
    }
}

impl Visit for LogLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &format!("{value:.3}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}
