//! Positions in the record, as readers give them back.
#![no_main]

use fuzz::pieces;
use khronos::position::Position;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    match text.parse::<Position>() {
        Ok(position) => {
            let shown = position.to_string();
            assert_eq!(shown.parse(), Ok(position));
            assert!(
                shown.len() <= 255 && shown.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
            );
            let json = serde_json::to_string(&position).expect("a position is always JSON");
            assert_eq!(serde_json::from_str::<Position>(&json).ok(), Some(position));
        }
        Err(wrong) => assert!(wrong.to_string().chars().count() < 400),
    }
});
