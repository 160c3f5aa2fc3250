//! Zone data from another hand than ours: the crate chrono-tz has its own copy of the database, compiled from its text form
//! by its own program. It is a year behind (IANA 2025b); what was decreed since stands here as it was announced.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use std::ops::Range;

/// 2100-01-01T00:00:00Z.
pub(crate) const HORIZON: i64 = 4_102_444_800;
/// Two changes of the offset lie 6.96 days apart at least: none hides between two probes three days apart.
const PROBE: i64 = 3 * 86_400;
const FOR_GOOD: i64 = i64::MAX;

/// In that span (in seconds) the zones follow the rules of another.
const DECREED: [(&[Tz], Range<i64>, Tz); 6] = [
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

/// The names of all zones.
pub(crate) fn names() -> impl ExactSizeIterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// How far the zone's clock is ahead of UTC at `utc`, in seconds.
fn offset(zone: Tz, utc: i64) -> i64 {
    let decreed = DECREED.iter().find(|(zones, span, _)| span.contains(&utc) && zones.contains(&zone));
    let zone = decreed.map_or(zone, |(_, _, like)| *like);
    let at = DateTime::from_timestamp(utc, 0).unwrap().naive_utc();
    zone.offset_from_utc_datetime(&at).fix().local_minus_utc().into()
}

/// The offset at the epoch, and every change of it until the horizon: since when, and the new offset.
pub(crate) fn offsets(zone: &str) -> Vec<(i64, i64)> {
    let zone: Tz = zone.parse().unwrap();
    let (mut at, mut known) = (0, offset(zone, 0));
    let mut found = vec![(0, known)];
    while at < HORIZON {
        let probe = (at + PROBE).min(HORIZON);
        let now = offset(zone, probe);
        if now != known {
            let (mut before, mut after) = (at, probe);
            while after - before > 1 {
                let middle = before + (after - before) / 2;
                if offset(zone, middle) == known { before = middle } else { after = middle }
            }
            found.push((after, now));
            known = now;
        }
        at = probe;
    }
    found.retain(|(at, _)| *at < HORIZON);
    found
}
