//! Names of events and schedules, ids of events and commands.
#![no_main]

use fuzz::{diagnostics, pieces};
use khronos_schedule::{Definition, Schedule, is_name, near_miss};
use ponos_event::{CommandId, EventId, EventName};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    near_miss::suspicious(text);
    match text.parse::<EventName>() {
        Ok(name) => {
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
            assert_eq!(EventName::of_task(text).as_ref(), Ok(&name));
            let json = serde_json::to_string(&name).expect("a name is always JSON");
            assert_eq!(serde_json::from_str::<EventName>(&json).ok(), Some(name));
        }
        Err(wrong) => {
            assert!(
                wrong.at <= text.len() && text.is_char_boundary(wrong.at) || wrong.at == EventName::MAX_BYTES
            );
            assert!(!wrong.reason.is_empty() && wrong.reason.len() < 400);
        }
    }
    assert_eq!(text.parse::<EventId>().is_ok(), (1..=255).contains(&text.len()));
    if let Ok(id) = text.parse::<CommandId>() {
        assert!(id.as_str() == text && !text.contains(char::is_control));
    }
    let definition = Definition {
        name: text.into(),
        event: Some(text.into()),
        every: Some("1 day".into()),
        ..Definition::default()
    };
    match Schedule::build(&definition) {
        Ok(schedule) => assert!(is_name(&schedule.name)),
        Err(found) => diagnostics::faults(&found, |_| Some(text.to_owned())),
    }
});
