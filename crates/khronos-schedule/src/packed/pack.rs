//! The bytes of a definition and of the schedule built from it.

use super::{
    ANNOTATED, COUNTED, DATA, DeliveryPolicy, EVENT, JITTER, ONE_SHOT, PAUSED, Schedule, UNDERSTOOD,
    short::shorten,
};
use crate::definition::Definition;

pub(super) fn pack(
    definition: &Definition,
    schedule: Option<&Schedule>,
    annotations: Option<&[u8]>,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let name = definition.name.as_bytes();
    let json = serde_json::to_vec(definition)?;
    let mut rest = json.strip_prefix(b"{\"name\":").unwrap_or_default();
    // A name of plain letters stands there as it is; one that needs escapes was never accepted.
    rest = rest.get(name.len() + 2..).unwrap_or_default();
    let mut bytes = Vec::with_capacity(256);
    let length = u16::try_from(name.len())?;
    let length = if annotations.is_some() { length | ANNOTATED } else { length };
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(name);
    let flags = bytes.len();
    bytes.push(0);
    bytes.extend_from_slice(annotations.unwrap_or_default());
    if let Some(schedule) = schedule {
        let Schedule { event, timing, data, .. } = schedule;
        let policy = schedule.delivery_policy();
        let usual = policy == DeliveryPolicy::default();
        bytes[flags] |= UNDERSTOOD;
        if timing.jitter() > 0 {
            bytes[flags] |= JITTER;
        }
        if timing.is_one_shot() {
            bytes[flags] |= ONE_SHOT;
        }
        if policy.paused {
            bytes[flags] |= PAUSED;
        }
        if timing.is_counted_since_creation() {
            bytes[flags] |= COUNTED;
        }
        bytes = postcard::to_extend(&((!usual).then_some(policy), timing, event.as_str()), bytes)?;
        if let Some(after) = rest
            .strip_prefix(b",\"event\":\"")
            .and_then(|rest| rest.strip_prefix(event.as_str().as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"\""))
        {
            bytes[flags] |= EVENT;
            rest = after;
        }
        if let Some(data) = data {
            let data = serde_json::to_string(data)?;
            let before = rest
                .strip_suffix(b"}")
                .and_then(|rest| rest.strip_suffix(data.as_bytes()))
                .and_then(|rest| rest.strip_suffix(b",\"data\":"));
            if let Some(before) = before {
                bytes[flags] |= DATA;
                bytes = postcard::to_extend(data.as_str(), bytes)?;
                shorten(before, &mut bytes);
                shorten(b"}", &mut bytes);
                return Ok(bytes);
            }
        }
    }
    shorten(rest, &mut bytes);
    Ok(bytes)
}
