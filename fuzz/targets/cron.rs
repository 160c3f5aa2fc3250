//! Cron expressions, in zones of every kind.
#![no_main]

use fuzz::{pieces, schedules};
use khronos_schedule::{Definition, DstDefinition};

const ZONES: [Option<&str>; 6] = [
    None,
    Some("UTC"),
    Some("Europe/Paris"),
    Some("Australia/Lord_Howe"),
    Some("Pacific/Apia"),
    Some("Africa/Casablanca"),
];
const GAPS: [Option<&str>; 4] = [None, Some("after"), Some("shift"), Some("skip")];
const FOLDS: [Option<&str>; 4] = [None, Some("first"), Some("last"), Some("both")];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    let (zone, gap) = (pieces::choose(bytes, &ZONES), pieces::choose(&bytes[bytes.len() / 2..], &GAPS));
    let fold = pieces::choose(&bytes[bytes.len() / 3..], &FOLDS);
    let dst = DstDefinition { gap: gap.map(str::to_owned), fold: fold.map(str::to_owned) };
    let definition = Definition {
        cron: Some(text.to_owned()),
        time_zone: zone.map(str::to_owned),
        dst: (gap.is_some() || fold.is_some()).then_some(dst),
        ..schedules::definition()
    };
    schedules::build("cron", text, &definition);
});
