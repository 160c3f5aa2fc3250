//! Log lines as JSON objects, for programs: what `tracing-subscriber` writes, and at the top level of each line the trace that
//! it belongs to, as `trace_id` and `span_id`.
//!
//! They are the fields of these names of the innermost span around the line that has both. So a line of a handler has them
//! too, whatever spans of its own the handler is in.

use serde::{Deserialize, Serialize};
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{Format, Json, JsonFields, Writer, json},
    },
    registry::LookupSpan,
};

/// The format: `layer().json().event_format(JsonLines::new(…))`.
#[derive(Debug)]
pub struct JsonLines(Format<Json>);

/// As they stand in a span, and in a line.
#[derive(Debug, Serialize, Deserialize)]
struct TraceIds {
    trace_id: String,
    span_id: String,
}

impl JsonLines {
    /// The fields of a line flat, the span that it is in as `span`; with `list`, all spans around it as `spans`.
    pub fn new(list: bool) -> Self {
        Self(json().flatten_event(true).with_span_list(list))
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        // a line that says itself which trace or span it is about has said it: no name stands in it twice
        let says_it = ["trace_id", "span_id"].iter().any(|id| event.metadata().fields().field(id).is_some());
        let ids = context.event_scope().into_iter().flatten().filter(|_| !says_it).find_map(|span| {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>()?;
            serde_json::from_str::<TraceIds>(&fields.fields).ok()
        });
        match (line.trim_end().strip_suffix('}'), ids.and_then(|ids| serde_json::to_string(&ids).ok())) {
            (Some(line), Some(ids)) => writeln!(out, "{line},{}", ids.trim_start_matches('{')),
            _ => out.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex, PoisonError},
    };
    use tracing::info_span;
    use tracing_subscriber::{fmt::layer, layer::SubscriberExt, registry};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` logs.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let lines = layer().with_writer(move || writer.clone()).json().event_format(JsonLines::new(false));
        tracing::subscriber::with_default(registry().with(lines), work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    #[test]
    fn the_ids_of_the_span_stand_at_the_top_of_each_line_in_it() {
        let delivery = || info_span!("process", trace_id = "a1", span_id = "b2", queue = "q");
        let found = lines(|| {
            delivery().in_scope(|| {
                tracing::warn!(count = 7, "one");
                info_span!("inner", trace_id = "only half").in_scope(|| tracing::warn!("two"));
                info_span!("inner", trace_id = "c3", span_id = "d\"4}").in_scope(|| tracing::warn!("three"));
                tracing::warn!(trace_id = "of its own", "four");
                tracing::warn!(span_id = "of its own", "half of its own");
            });
            info_span!("other").in_scope(|| tracing::warn!("five"));
            tracing::warn!("six }}");
        });
        let ids = |number: usize| (found[number]["trace_id"].as_str(), found[number]["span_id"].as_str());
        assert_eq!((ids(0), ids(1)), ((Some("a1"), Some("b2")), (Some("a1"), Some("b2"))));
        assert_eq!(ids(2), (Some("c3"), Some("d\"4}")));
        assert_eq!((ids(3), ids(4)), ((Some("of its own"), None), (None, Some("of its own"))));
        assert_eq!((ids(5), ids(6)), ((None, None), (None, None)));
        // all else is as it was
        assert_eq!((&found[0]["message"], &found[0]["count"]), (&"one".into(), &7.into()));
        assert_eq!((&found[0]["level"], &found[0]["span"]["queue"]), (&"WARN".into(), &"q".into()));
        assert_eq!(found[6]["message"], "six }");
    }

    #[test]
    fn ids_that_a_span_gets_later_count_too() {
        use tracing::field::Empty;
        let found = lines(|| {
            let span = info_span!("process", trace_id = Empty, span_id = Empty);
            span.in_scope(|| tracing::warn!("before"));
            span.record("trace_id", "a1");
            span.record("span_id", "b2");
            span.in_scope(|| tracing::warn!("after"));
        });
        assert_eq!((&found[0]["trace_id"], &found[1]["trace_id"]), (&Value::Null, &"a1".into()));
    }
}
