//! The payload, held to the contract of its handler.

use crate::{
    event::{Event, from_json},
    schema::Contract,
    worker::ended::{DeadKind, Death},
};
use serde_json::Value;

/// The payload as JSON; an empty body is `null`. Whether it must be an object is for the contract to say.
pub(super) fn payload(contract: &Contract, event: &Event) -> Result<Value, Death> {
    let value = parse(&event.data)?;
    match contract.check(&value) {
        Ok(()) => Ok(value),
        Err(mismatch) => Err(Death::new(DeadKind::Schema, mismatch.to_string())),
    }
}

/// The payload again, for what runs after it was checked.
pub(super) fn again(event: &Event) -> Value {
    parse(&event.data).unwrap_or_default()
}

fn parse(data: &[u8]) -> Result<Value, Death> {
    if data.is_empty() {
        return Ok(Value::Null);
    }
    from_json(data)
        .map_err(|error| Death::new(DeadKind::Malformed, format!("the payload is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_malformed_and_nothing_is_null() {
        assert_eq!(parse(b"").unwrap(), Value::Null);
        assert_eq!(parse(b"[1]").unwrap(), serde_json::json!([1]));
        for broken in [&b"{"[..], b"hello", b"\xff", b"{} {}"] {
            assert_eq!(parse(broken).unwrap_err().kind, DeadKind::Malformed);
        }
        assert!(parse(b"\xef\xbb\xbf{}").unwrap_err().reason.contains("byte order mark"));
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).unwrap_err().reason.contains("recursion limit"));
    }
}
