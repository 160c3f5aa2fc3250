//! CloudEvents in structured mode: the input is the body. Batches are refused.
#![no_main]

use fuzz::messages;
use ponos_event::{Event, Message, Properties, identity, is_structured};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let with = |content_type: &str| Message {
        properties: Properties { content_type: Some(content_type.into()), ..Properties::default() },
        body: bytes.to_vec(),
        ..Message::default()
    };
    let batch = with("application/cloudevents-batch+json");
    assert!(is_structured(&batch) && Event::from_message(&batch).is_err());
    let message = with("application/cloudevents+json; charset=utf-8");
    let (id, name) = identity(&message);
    match Event::from_message(&message) {
        Ok(event) => {
            assert_eq!(
                (id.as_deref(), name.as_deref()),
                (Some(event.id.as_str()), Some(event.name.as_str()))
            );
            messages::written(event);
        }
        Err(wrong) => assert!(!wrong.0.is_empty()),
    }
});
