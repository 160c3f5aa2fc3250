//! The rules of a zone: TZif (RFC 9636) → the spans of constant offset between 1970 and the horizon. The crate jiff reads
//! the bytes, and what the rule at their end says of the years that they do not list.

use super::Segment;
use crate::content_id::content_id;
use jiff::tz::TimeZone;
use ponos_event::Timestamp;
use std::{borrow::Cow, fmt};
use uuid::Uuid;

/// UUIDv5 of the URL namespace and `urn:khronos:zone`.
const NAMESPACE: Uuid = Uuid::from_u128(0x54cc_272d_437d_58b2_9407_910c_5f04_f01d);
/// The largest zone of the IANA database has some 3,500 bytes.
const MOST_BYTES: usize = 64 << 10;
/// Two changes of the offset lie 6.96 days apart at least, over the whole database; a local time is looked for in the spans
/// around one change.
const NEAREST: i64 = 2 * 86_400_000;
/// Bytes of a TZif header.
const HEADER: usize = 44;

content_id! {
    /// What the rules of a zone are kept under: equal bytes have equal ids, whatever the zone is called.
    ZoneId, NAMESPACE
}

/// The TZif bytes of a zone, and what they mean.
pub struct ZoneRules {
    id: ZoneId,
    tzif: Cow<'static, [u8]>,
    segments: Box<[Segment]>,
}

impl ZoneRules {
    /// Understands TZif bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(tzif: Cow<'static, [u8]>) -> Result<Self, String> {
        if tzif.len() > MOST_BYTES {
            return Err(format!("it has {} bytes; a zone has {MOST_BYTES} at most", tzif.len()));
        }
        if !tzif.starts_with(b"TZif") {
            return Err("it does not begin with 'TZif'".into());
        }
        if tzif.get(4) == Some(&0) {
            return Err("it is of version 1, which ends in 2038; zic writes version 2 and later".into());
        }
        if has_leap_seconds(&tzif) {
            return Err("it counts leap seconds, as the files under 'right/' do; use those without".into());
        }
        let zone = TimeZone::tzif("", &tzif).map_err(|error| error.to_string())?;
        Ok(Self { id: ZoneId::of(&tzif), segments: segments(&zone)?, tzif })
    }

    /// What they are kept under.
    pub fn id(&self) -> ZoneId {
        self.id
    }

    /// The bytes that they were read from.
    pub fn tzif(&self) -> &[u8] {
        &self.tzif
    }

    /// The spans of constant offset, ascending; the first starts at the epoch.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Debug for ZoneRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

fn segments(zone: &TimeZone) -> Result<Box<[Segment]>, String> {
    let epoch = jiff::Timestamp::UNIX_EPOCH;
    let mut offset = i64::from(zone.to_offset(epoch).seconds()) * 1000;
    let mut segments = vec![Segment { start: 0, offset }];
    let mut last = epoch;
    for change in zone.following(epoch) {
        // Without a rule at the end of the data, jiff gives the last change again, without end.
        if change.timestamp() <= last {
            return Err("it has no rule at its end for the time after its last change; zic writes one".into());
        }
        last = change.timestamp();
        let start = last.as_millisecond();
        if start >= Timestamp::HORIZON.millis() {
            break;
        }
        let now = i64::from(change.offset().seconds()) * 1000;
        if now == offset {
            continue;
        }
        if segments.last().is_some_and(|last| last.start > 0 && start - last.start < NEAREST) {
            let at = Timestamp::from_millis(start);
            return Err(format!("it changes its offset at {at}, less than two days after another change"));
        }
        segments.push(Segment { start, offset: now });
        offset = now;
    }
    Ok(segments.into())
}

/// Whether either block of data lists leap seconds: then its instants are none of ours.
fn has_leap_seconds(tzif: &[u8]) -> bool {
    let Some([ut, standard, leap, times, types, letters]) = counts(tzif) else { return false };
    // The first block has instants of four bytes.
    let block = ut + standard + leap * 8 + times * 5 + types * 6 + letters;
    let second = usize::try_from(block).ok().and_then(|block| tzif.get(HEADER.checked_add(block)?..));
    leap > 0 || second.and_then(counts).is_some_and(|[_, _, leap, ..]| leap > 0)
}

/// What a header counts, in its order.
fn counts(header: &[u8]) -> Option<[u64; 6]> {
    let (counts, _) = header.get(20..HEADER)?.as_chunks::<4>();
    let mut all = [0; 6];
    all.iter_mut().zip(counts).for_each(|(one, bytes)| *one = u32::from_be_bytes(*bytes).into());
    Some(all)
}
