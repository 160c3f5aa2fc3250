//! Headers as a broker delivers them: the bytes of a table, lapin's reading of them, ours of that, and back onto the wire.
//! Input: the table's bytes.
#![no_main]

use amq_protocol_types::{FieldTable, generation::gen_field_table, parsing::parse_field_table};
use lapin::BasicProperties;
use ponos_broker::stack;
use ponos_event::{Event, Headers};

// Their names in the file that is included.
use ponos_broker::{Delivery, DeliveryTag, NO_FRAME, TOO_DEEP};

#[path = "."]
mod amqp {
    //! Where the file stands in its crate.
    #[path = "../../crates/ponos-broker/src/amqp/convert.rs"]
    #[allow(dead_code, unused_imports)]
    mod convert;

    pub(super) fn arrived(delivery: lapin::message::Delivery) -> ponos_event::Message {
        convert::delivery(delivery, 1).message
    }

    pub(super) fn sent(message: &ponos_event::Message, frame: u32) -> Result<lapin::BasicProperties, String> {
        convert::properties(message.properties.clone(), message.headers.clone(), None, frame)
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut sized = u32::try_from(bytes.len()).expect("inputs are short").to_be_bytes().to_vec();
    sized.extend_from_slice(bytes);
    let Ok((_, table)) = parse_field_table(&sized[..]) else { return };
    let message = arrived(table);
    assert!(message.headers.are_shallow());
    let _ = Event::from_message(&message);
    // What is read can be published again, in a frame that is large enough; and then arrives as it was.
    let wire = amqp::sent(&message, 0);
    let wire = wire.expect("what arrived can be sent");
    let Some(table) = wire.headers().clone() else { return assert!(message.headers.is_empty()) };
    let size = encoded(&table).len();
    let room = u32::try_from(16 * size + 4096).expect("inputs are short");
    assert!(amqp::sent(&message, room).is_ok());
    let again = arrived(table).headers;
    assert!(same(&again, &message.headers), "{again:?} is not {:?}", message.headers);
});

fn arrived(table: FieldTable) -> ponos_event::Message {
    let mut delivery = lapin::message::Delivery::mock(1, "e".into(), "a.b.c".into(), false, Vec::new());
    delivery.properties = BasicProperties::default().with_headers(table);
    amqp::arrived(delivery)
}

/// The table's own bytes.
fn encoded(table: &FieldTable) -> Vec<u8> {
    cookie_factory::gen_simple(gen_field_table(table), Vec::new()).expect("memory suffices")
}

/// As text, in which not a number is itself; the order of a table means nothing.
fn same(one: &Headers, other: &Headers) -> bool {
    let lines = |headers: &Headers| {
        let mut lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        lines.sort();
        lines
    };
    lines(one) == lines(other)
}
