//! Instants: in files and on the command line (local or with an offset), in messages of others, in our own records.
#![no_main]

use fuzz::{diagnostics, pieces, schedules};
use khronos_schedule::{Definition, Zone, parse_instant};
use ponos_event::Timestamp;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    own(text);
    let zone = pieces::choose(bytes, &[None, Some("Europe/Paris"), Some("Pacific/Apia"), Some("UTC")]);
    match parse_instant(text, zone, "from", Some("--time-zone")) {
        Ok(at) => {
            assert!(at.to_utc().is_some(), "{at}");
            assert_eq!(parse_instant(&at.to_string(), None, "from", None), Ok(at));
        }
        Err(fault) => diagnostics::faults(&[fault], |_| Some(text.to_owned())),
    }
    let given = || Some(text.to_owned());
    let base = Definition { time_zone: zone.map(str::to_owned), ..schedules::definition() };
    schedules::build("at", text, &Definition { at: given(), ..base.clone() });
    let every = Definition { every: Some("1 month".into()), ..base };
    schedules::build("anchor", text, &Definition { anchor: given(), ..every.clone() });
    schedules::build("from", text, &Definition { from: given(), limit: Some(3), ..every.clone() });
    schedules::build("until", text, &Definition { until: given(), ..every });
    let _ = Zone::UTC.name();
});

/// What is read is written and read again as the same; what others wrote is at most a millisecond later than that.
fn own(text: &str) {
    let floored = Timestamp::floored(text);
    if let Ok(read) = text.parse::<Timestamp>() {
        assert_eq!(floored, Ok(read));
    }
    let Ok(read) = floored else { return };
    let shown = read.to_string();
    // RFC 3339 knows the years 0 to 9999; an offset may lead out of them.
    if shown.ends_with('Z') {
        assert_eq!(shown.parse(), Ok(read));
        let json = serde_json::to_string(&read).expect("an instant is always JSON");
        assert_eq!(json, format!("\"{shown}\""));
        assert_eq!(serde_json::from_str::<Timestamp>(&json).ok(), Some(read));
    }
}
