//! The trace that a message belongs to, by W3C trace context: <https://www.w3.org/TR/trace-context/#traceparent-header>.

/// The ids of a `traceparent`: `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// The trace: 32 hexadecimal digits in small letters, not all zero.
    pub trace_id: &'a str,
    /// The sender's span: 16 hexadecimal digits in small letters, not all zero.
    pub parent_id: &'a str,
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
        (is_known && are_hex && !is_zero(trace_id) && !is_zero(parent_id))
            .then_some(Self { trace_id, parent_id })
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
            let read = TraceParent::parse(&text);
            assert_eq!(read, Some(TraceParent { trace_id: TRACE, parent_id: SPAN }), "{text}");
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
}
