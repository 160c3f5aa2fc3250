//! Calendar files in TOML.
#![no_main]

use fuzz::{diagnostics, pieces};
use khronos_schedule::{Days, Zone, calendar, diagnostic::Text};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    match calendar::parse(&Text::new("fuzz.toml", text), false) {
        Ok((calendar, found)) => {
            diagnostics::placed(text, &found);
            let days = calendar.days_in(&Zone::UTC);
            assert_eq!(Days::from_bytes(&days.to_bytes()), Some(days.clone()));
            assert_eq!(Days::from_dates(&days.to_dates()), Some(days));
        }
        Err(found) => diagnostics::placed(text, &found),
    }
    // The same words as a list of dates, as a clock gives them to its readers.
    let dates: Vec<&str> = text.lines().collect();
    if let Some(days) = Days::from_dates(&dates) {
        assert_eq!(Days::from_dates(&days.to_dates()), Some(days));
    }
    if let Some(days) = Days::from_bytes(bytes) {
        assert_eq!(days.to_bytes(), bytes);
    }
});
