//! The answer to a scrape: which of the two text formats the client prefers, and the metrics in it.
//!
//! Both formats have the same metrics under the same names; exemplars are in OpenMetrics alone. The same bucket is
//! `le="1.0"` in OpenMetrics and `le="1"` in the classic text.

use hyper::{HeaderMap, header::ACCEPT};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use std::fmt;

/// The content type of OpenMetrics: <https://prometheus.io/docs/specs/om/open_metrics_spec/#text-format>.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of the classic text format.
pub const CLASSIC: &str = prometheus_text::CONTENT_TYPE;

/// The answer to a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposition {
    /// The value of its header `Content-Type`: [`OPEN_METRICS`] or [`CLASSIC`].
    pub content_type: &'static str,
    /// Its body.
    pub text: String,
}

/// The metrics of a registry, for a client with this header `Accept`: OpenMetrics where the client names that format and
/// gives it a quality (`q`) that is no lower than that of plain text, else the classic text format, which everything reads.
/// Nothing is refused: a client that names neither gets the classic text.
///
/// # Errors
/// A metric can't be written in this format, as a native histogram can't.
pub fn expose(registry: &Registry, accept: Option<&str>) -> Result<Exposition, fmt::Error> {
    let mut text = String::new();
    let content_type = match accept.is_some_and(prefers_open_metrics) {
        true => {
            text::encode(&mut text, registry)?;
            OPEN_METRICS
        }
        false => {
            prometheus_text::encode(&mut text, registry)?;
            CLASSIC
        }
    };
    Ok(Exposition { content_type, text })
}

/// All values of `Accept` in one, for [`expose`]: several headers of one name are one list (RFC 9110, 5.3).
pub fn accepted(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

/// Whether OpenMetrics 1.0.0 is named, and plain text is not preferred (RFC 9110, 12.5.1). Wildcards stand for plain text
/// alone: who does not name OpenMetrics may not know it.
fn prefers_open_metrics(accept: &str) -> bool {
    let mut open = 0.0_f64;
    // the most specific range counts, whatever its quality
    let mut plain = (0, 0.0);
    for range in accept.split(',') {
        let Some(MediaRange { name, version, quality }) = MediaRange::parse(range) else { continue };
        let specific = match name.as_str() {
            "application/openmetrics-text" => {
                if version.is_none_or(|version| version == "1.0.0") {
                    open = open.max(quality);
                }
                continue;
            }
            "text/plain" => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        if (specific, quality) > plain {
            plain = (specific, quality);
        }
    }
    open > 0.0 && open >= plain.1
}

/// One element of `Accept`: `text/plain;version=0.0.4;q=0.5`.
struct MediaRange<'a> {
    /// In small letters.
    name: String,
    version: Option<&'a str>,
    /// From 0 (not acceptable) to 1.
    quality: f64,
}

impl<'a> MediaRange<'a> {
    /// `None` for one whose quality can't be read: it says nothing.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let mut range = Self { name, version: None, quality: 1.0 };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match key.trim().to_ascii_lowercase().as_str() {
                "q" => range.quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
                "version" => range.version = Some(value),
                _ => {}
            }
        }
        Some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{
        metrics::{counter::Counter, exemplar::HistogramWithExemplars},
        registry::Unit,
    };

    fn registry() -> Registry {
        let mut registry = Registry::default();
        let events = Counter::<u64>::default();
        events.inc_by(3);
        registry.register("events", "Events handled", events);
        let took = HistogramWithExemplars::new([0.5, 1.0].into_iter());
        took.observe(0.25, Some([("trace_id", "0af7651916cd43dd8448eb211c80319c")]), None);
        registry.register_with_unit("took", "How long it took", Unit::Seconds, took);
        registry
    }

    #[test]
    fn the_client_chooses_the_format() {
        let old = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let new = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, open) in [
            (old, true),
            (new, true),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\" ; Q=0.5", true),
            ("application/openmetrics-text;q=0.001", true),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", true),
            // plain text is less wanted than the wildcard says
            ("*/*,text/plain;q=0.2,application/openmetrics-text;q=0.3", true),
            ("text/*;q=0.2,*/*;q=0.9,application/openmetrics-text;q=0.3", true),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", false),
            ("application/openmetrics-text;q=0.4,text/plain", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=0,text/plain;q=0", false),
            ("application/openmetrics-text;q=high", false),
            ("application/openmetrics-text;q=2", false),
            ("application/openmetrics-text;q=NaN", false),
            ("application/openmetrics-text;version=2.0.0", false),
            ("application/openmetrics-text;version=0.0.1", false),
            ("application/*", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("text/plain", false),
            ("image/png", false),
            ("", false),
            (",;=,q;;=\u{fffd}", false),
        ] {
            let wanted = if open { OPEN_METRICS } else { CLASSIC };
            let Exposition { content_type, text } = expose(&registry(), Some(accept)).unwrap();
            assert_eq!((content_type, text.ends_with("# EOF\n")), (wanted, open), "{accept}");
        }
        assert_eq!(expose(&registry(), None).unwrap().content_type, CLASSIC);
    }

    #[test]
    fn both_formats_have_the_same_metrics_and_open_metrics_the_exemplars() {
        let open = expose(&registry(), Some("application/openmetrics-text")).unwrap().text;
        assert_eq!(
            open,
            "# HELP events Events handled.\n\
             # TYPE events counter\n\
             events_total 3\n\
             # HELP took_seconds How long it took.\n\
             # TYPE took_seconds histogram\n\
             # UNIT took_seconds seconds\n\
             took_seconds_sum 0.25\n\
             took_seconds_count 1\n\
             took_seconds_bucket{le=\"0.5\"} 1 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.25\n\
             took_seconds_bucket{le=\"1.0\"} 1\n\
             took_seconds_bucket{le=\"+Inf\"} 1\n\
             # EOF\n"
        );
        let classic = expose(&registry(), None).unwrap().text;
        assert_eq!(
            classic,
            "# HELP events_total Events handled.\n\
             # TYPE events_total counter\n\
             events_total 3\n\
             # HELP took_seconds How long it took.\n\
             # TYPE took_seconds histogram\n\
             took_seconds_bucket{le=\"0.5\"} 1\n\
             took_seconds_bucket{le=\"1\"} 1\n\
             took_seconds_bucket{le=\"+Inf\"} 1\n\
             took_seconds_sum 0.25\n\
             took_seconds_count 1\n"
        );
    }
}
