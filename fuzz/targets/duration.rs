//! Durations, in each place that has one: how long, how often, how far from where, how late.
#![no_main]

use fuzz::{pieces, schedules};
use khronos_schedule::{Definition, parse_length};
use ponos_event::duration::{DurationError, WrittenDuration, parse_span};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    match WrittenDuration::parse(text) {
        Ok(read) => {
            assert_eq!(WrittenDuration::parse(&read.to_string()).as_ref(), Ok(&read), "{read}");
            assert_eq!(WrittenDuration::of(read.parts().to_vec()).as_ref(), Some(&read));
            // As a distance it may have parts that are 0.
            let distance = WrittenDuration::parse_distance(text).map(|read| read.amount());
            assert_eq!(distance, Ok(read.amount()));
            if let (Ok(span), Ok(millis)) = (parse_span(text), read.millis()) {
                assert_eq!(span.as_millis(), u128::from(millis.unsigned_abs()));
            }
        }
        Err(DurationError { at, what, help }) => {
            assert!(at.is_none_or(|at| text.get(at).is_some()), "{what}");
            assert!(!what.is_empty() && what.len() < 500 && help.is_none_or(|help| help.len() < 500));
        }
    }
    const MOST: i64 = 1 << 40;
    assert!(parse_length(text, MOST, "length").map_or(true, |length| (1..=MOST).contains(&length)));
    let own = || Some(text.to_owned());
    let zone = Some(pieces::choose(bytes, &["UTC", "Europe/Paris", "Pacific/Apia"]).to_owned());
    let every = Definition { every: own(), time_zone: zone.clone(), ..schedules::definition() };
    schedules::build("every", text, &every);
    let yearly = Definition { every: Some("1 year".into()), time_zone: zone, ..schedules::definition() };
    schedules::build("phase", text, &Definition { phase: own(), ..yearly.clone() });
    schedules::build("jitter", text, &Definition { jitter: own(), ..yearly.clone() });
    schedules::build("expires", text, &Definition { expires: own(), ..yearly });
});
