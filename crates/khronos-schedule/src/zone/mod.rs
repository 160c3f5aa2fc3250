//! A time zone as the spans of constant offset between 1970 and the horizon. The rules are chrono-tz's; its own
//! conversions from local time are not used, because they do not say what a gap or a repeated hour means.

pub(super) mod dst;
pub(super) mod local_times;

mod meant;
pub(super) mod windows;

use self::meant::meant;
use super::fault::{Flaw, shown};
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use ponos_event::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, ops::Range, sync::OnceLock};

/// A zone of the IANA database: two bytes. Its spans are found once per process, when first asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(Tz);

/// From `start` (inclusive) to the next span's start, local time is UTC + `offset`. All in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: i64,
    pub(crate) offset: i64,
}

/// Two changes of the offset lie 6.96 days apart at least (measured over the whole database; a test repeats it), so
/// that none hides between two probes three days apart.
const PROBE_SECONDS: i64 = 3 * 86_400;

/// The IANA release that the rules amount to: chrono-tz's, with `AMENDMENTS` on top.
pub const ZONE_DATA: &str = "2026f";

/// What has been decreed since chrono-tz 0.10.4 (IANA 2025b) and has consequences from now on: in that span (in seconds)
/// the zones follow the rules of another. Drop a line when chrono-tz has it; a test compares all zones with an
/// independent copy of the database.
const AMENDMENTS: [(&[Tz], Range<i64>, Tz); 6] = [
    // 2026c: Morocco moves to permanent UTC on 2026-09-20.
    (&[Tz::Africa__Casablanca, Tz::Africa__El_Aaiun], 1_789_866_000..FOR_GOOD, Tz::UTC),
    // 2026b: British Columbia stays on -07 after 2026-03-08; there is no fall back on 2026-11-01.
    (&[Tz::America__Vancouver, Tz::Canada__Pacific], 1_780_000_000..FOR_GOOD, Tz::America__Phoenix),
    // 2026c to e: Alberta and the Northwest Territories stay on -06, Manitoba and Rainy River on -05.
    (
        &[Tz::America__Edmonton, Tz::America__Inuvik, Tz::America__Yellowknife, Tz::Canada__Mountain],
        1_780_000_000..FOR_GOOD,
        Tz::America__Regina,
    ),
    (
        &[Tz::America__Winnipeg, Tz::America__Rainy_River, Tz::Canada__Central],
        1_780_000_000..FOR_GOOD,
        Tz::America__Panama,
    ),
    // 2026f: Cuba stays on -04 over the winter; there is no fall back on 2026-11-01, the next one is on 2027-11-07.
    (&[Tz::America__Havana, Tz::Cuba], 1_780_000_000..1_825_563_600, Tz::America__Puerto_Rico),
    // 2026a: Moldova changes its clocks with the European Union since 2022.
    (&[Tz::Europe__Chisinau, Tz::Europe__Tiraspol], 1_640_995_200..FOR_GOOD, Tz::Europe__Bucharest),
];
const FOR_GOOD: i64 = i64::MAX;

const ZONES: usize = 1024;
static SEGMENTS: [OnceLock<Box<[Segment]>>; ZONES] = [const { OnceLock::new() }; ZONES];

impl Zone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The zone of this IANA name, in its exact spelling. Where there is none, nothing is looked for that was meant.
    pub(crate) fn named(text: &str) -> Option<Self> {
        text.parse::<Tz>().ok().map(Self)
    }

    /// Reads an IANA name, in its exact spelling.
    pub(crate) fn parse(text: &str) -> Result<Self, Flaw> {
        if let Some(zone) = Self::named(text) {
            return Ok(zone);
        }
        let flaw = Flaw::whole(format!(
            "'{}' is not a time zone; IANA names such as Europe/Paris or UTC are allowed",
            shown(text)
        ));
        Err(match meant(text) {
            Some(help) => flaw.help(help),
            None => flaw,
        })
    }

    /// The spans of constant offset, ascending; the first starts at the epoch.
    pub(crate) fn segments(self) -> &'static [Segment] {
        // The table has room for every variant (a test says so); were there more, those would share one empty span.
        match SEGMENTS.get(self.0 as usize) {
            Some(cell) => cell.get_or_init(|| spans(self.0)),
            None => &[Segment { start: 0, offset: 0 }],
        }
    }

    /// The index of the span in which `utc` (milliseconds, not before the epoch) lies.
    pub(crate) fn segment_at(self, utc: i64) -> usize {
        self.segments().partition_point(|segment| segment.start <= utc).saturating_sub(1)
    }

    /// Whether both have the same offset at every instant until the horizon (`Europe/Kiev` and `Europe/Kyiv`).
    pub(crate) fn same_clock(self, other: Self) -> bool {
        self == other || self.segments() == other.segments()
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// As its place in the database of this build: for what is kept in memory ([`Packed`](super::Packed)), never for the
/// disk.
impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.0 as u16)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let place = u16::deserialize(deserializer)?;
        let zone = TZ_VARIANTS.get(usize::from(place));
        zone.map(|zone| Self(*zone)).ok_or_else(|| de::Error::custom("there is no such zone"))
    }
}

fn offset_seconds(zone: Tz, utc: i64) -> i64 {
    let amended = AMENDMENTS.iter().find(|(zones, span, _)| span.contains(&utc) && zones.contains(&zone));
    let zone = amended.map_or(zone, |(_, _, like)| *like);
    // Every instant between the epoch and the horizon is within chrono's years.
    DateTime::from_timestamp(utc, 0)
        .map_or(0, |at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
}

fn spans(zone: Tz) -> Box<[Segment]> {
    let horizon = Timestamp::HORIZON.millis() / 1000;
    let (mut at, mut offset) = (0, offset_seconds(zone, 0));
    let mut spans = vec![Segment { start: 0, offset: offset * 1000 }];
    while at < horizon {
        let probe = (at + PROBE_SECONDS).min(horizon);
        let found = offset_seconds(zone, probe);
        if found != offset {
            let (mut before, mut after) = (at, probe);
            while after - before > 1 {
                let middle = before + (after - before) / 2;
                if offset_seconds(zone, middle) == offset { before = middle } else { after = middle }
            }
            spans.push(Segment { start: after * 1000, offset: found * 1000 });
            offset = found;
        }
        at = probe;
    }
    spans.retain(|span| span.start < horizon * 1000);
    spans.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_change_of_any_zone_hides_between_two_probes() {
        assert!(TZ_VARIANTS.iter().enumerate().all(|(place, zone)| *zone as usize == place && place < ZONES));
        let horizon = Timestamp::HORIZON.millis() / 1000;
        for &zone in &TZ_VARIANTS {
            let segments = Zone(zone).segments();
            for pair in segments.windows(2) {
                assert_ne!(pair[0].offset, pair[1].offset, "{}", zone.name());
                assert!(pair[1].start - pair[0].start > 2 * PROBE_SECONDS * 1000, "{} {pair:?}", zone.name());
            }
            let mut index = 0;
            for utc in (0..horizon).step_by(12 * 3600) {
                while segments.get(index + 1).is_some_and(|next| next.start <= utc * 1000) {
                    index += 1;
                }
                assert_eq!(offset_seconds(zone, utc) * 1000, segments[index].offset, "{} {utc}", zone.name());
            }
        }
    }
}
