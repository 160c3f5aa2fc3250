//! The trace that a message belongs to, by W3C trace context: <https://www.w3.org/TR/trace-context/#traceparent-header>; and
//! which traces are recorded.

use std::fmt;

/// The ids of a `traceparent`: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// The trace: 32 hexadecimal digits in small letters, not all zero.
    pub trace_id: &'a str,
    /// The sender's span: 16 hexadecimal digits in small letters, not all zero.
    pub parent_id: &'a str,
    /// What the sender says of the trace: the lowest bit that he records it, the next one that its id is random.
    pub flags: u8,
}

impl<'a> TraceParent<'a> {
    /// Reads a header; `None` for what is not a trace context. Of a later version than `00`, what comes after the flags is
    /// not read.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let (version, trace_id, parent_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_known = version != "ff" && (version != "00" || parts.next().is_none());
        let are_hex = is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(parent_id, 16) && is_hex(flags, 2);
        let is_right = is_known && are_hex && !is_zero(trace_id) && !is_zero(parent_id);
        let flags = u8::from_str_radix(flags, 16).ok().filter(|_| is_right)?;
        Some(Self { trace_id, parent_id, flags })
    }

    /// Whether the sender records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// One span of a trace, as what follows from it refers to it. `Display` writes its `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace, not 0.
    pub trace_id: u128,
    /// The span, not 0.
    pub span_id: u64,
    /// As of a [`TraceParent`]. Who goes on in a trace passes them on as they came, those that nobody knows yet included.
    pub flags: u8,
}

impl SpanContext {
    /// Of a trace that begins here.
    pub fn new(trace_id: u128, span_id: u64, is_sampled: bool) -> Self {
        Self { trace_id, span_id, flags: if is_sampled { SAMPLED } else { 0 } }
    }

    /// Reads a `traceparent`, as [`TraceParent::parse`].
    pub fn parse(text: &str) -> Option<Self> {
        let TraceParent { trace_id, parent_id, flags } = TraceParent::parse(text)?;
        let trace_id = u128::from_str_radix(trace_id, 16).ok()?;
        Some(Self { trace_id, span_id: u64::from_str_radix(parent_id, 16).ok()?, flags })
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Another span of the same trace.
    pub fn with_span(self, span_id: u64) -> Self {
        Self { span_id, ..self }
    }
}

impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags } = *self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

/// Which traces are recorded: a share of them, decided by a trace's id alone, so that it is the same wherever and however
/// often it is asked.
///
/// By the last 56 bits of the id, as <https://www.w3.org/TR/trace-context-2/#random-trace-id-flag> and OpenTelemetry's
/// [probability sampling](https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/) have it. More of
/// them would be wrong: the ids of the clock's traces are UUIDs, of which two bits before these are always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Of 2^56 values, those from here on.
    from: u64,
}

impl Sampling {
    /// All traces.
    pub const ALL: Self = Self { from: 0 };
    const VALUES: u64 = 1 << 56;

    /// This share of all traces, from 0 to 1; `None` for any other number.
    pub fn of(ratio: f64) -> Option<Self> {
        let left_out = (1.0 - ratio) * Self::VALUES as f64;
        (0.0..=1.0).contains(&ratio).then_some(Self { from: left_out as u64 })
    }

    /// Whether the trace of this id is recorded.
    pub fn includes(self, trace_id: u128) -> bool {
        (trace_id as u64) % Self::VALUES >= self.from
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self::ALL
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn the_ids_are_read() {
        for text in [
            format!("00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-00"),
            format!("cc-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
        ] {
            let (read, flags) = (TraceParent::parse(&text), u8::from(!text.ends_with("-00")));
            assert_eq!(read, Some(TraceParent { trace_id: TRACE, parent_id: SPAN, flags }), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_trace_context_has_no_ids() {
        for text in [
            String::new(),
            "---".into(),
            "of the maker".into(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-zz"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}x-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "\"".repeat(32)),
            format!("00-{}-{SPAN}-01", "é".repeat(16)),
            format!("0-{TRACE}-{SPAN}-01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text}");
        }
    }
    #[test]
    fn a_context_is_written_as_it_was_read() {
        for flags in ["00", "01", "02", "03", "ff"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            assert_eq!(SpanContext::parse(&text).unwrap().to_string(), text);
        }
        let read =
            |flags: &str| SpanContext::parse(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap().is_sampled();
        assert!(read("03") && read("ff") && !read("02") && !read("fe"));
        let small = SpanContext::new(1, 2, true);
        assert_eq!(SpanContext::parse(&small.to_string()), Some(small));
    }

    #[test]
    fn the_share_of_traces_is_the_one_asked_for_also_of_uuids() {
        let ids: Vec<u128> = (0..20_000_u32)
            .map(|n| uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, &n.to_be_bytes()).as_u128())
            .collect();
        for (ratio, least, most) in
            [(0.0, 0, 0), (0.01, 150, 250), (0.5, 9_700, 10_300), (1.0, 20_000, 20_000)]
        {
            let sampling = Sampling::of(ratio).unwrap();
            let sampled = ids.iter().filter(|id| sampling.includes(**id)).count();
            assert!((least..=most).contains(&sampled), "{ratio}: {sampled}");
        }
        for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampling::of(wrong), None);
        }
    }

    #[test]
    fn what_a_small_share_has_a_larger_one_has_too() {
        let (few, more) = (Sampling::of(0.1).unwrap(), Sampling::of(0.2).unwrap());
        let ids = (0..1_000_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        assert!(ids.clone().all(|id| !few.includes(id) || more.includes(id)));
        assert!(ids.clone().any(|id| few.includes(id)) && ids.clone().any(|id| !more.includes(id)));
    }
}
