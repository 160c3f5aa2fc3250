//! CloudEvents in binary mode: from the headers of a message. See `messages.rs` for the form of an input.
#![no_main]

use fuzz::messages;
use ponos_event::{Event, identity};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let before = messages::message(bytes);
    let mut message = before.clone();
    let taken = Event::take_from(&mut message);
    assert_eq!(taken, Event::from_message(&before));
    let (id, name) = identity(&before);
    let Ok(event) = taken else {
        assert_eq!(message, before, "what is no event is changed");
        return;
    };
    event.put_back(&mut message);
    assert_eq!(message, before, "what was taken does not go back");
    assert_eq!((id.as_deref(), name.as_deref()), (Some(event.id.as_str()), Some(event.name.as_str())));
    messages::written(event);
});
