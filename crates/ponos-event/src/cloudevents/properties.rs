//! Random events and messages: what is written is read again, what is moved out goes back, and no message makes the reader panic.

use super::Event;
use crate::{HeaderValue, Headers, Message, Properties, Timestamp};
use proptest::{collection::vec, option, prelude::*};

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,40}"
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000_000..Timestamp::HORIZON.millis()).prop_map(Timestamp::from_millis)
}

fn extension() -> impl Strategy<Value = (String, HeaderValue)> {
    let value = prop_oneof![
        text().prop_map(HeaderValue::Text),
        any::<i64>().prop_map(HeaderValue::Int),
        any::<bool>().prop_map(HeaderValue::Bool),
        vec(any::<u8>(), 0..9).prop_map(HeaderValue::Bytes),
    ];
    ("(khronos-|cloudEvents_z)[a-z]{1,8}", value)
}

prop_compose! {
    fn events()(
        id in "\\PC{1,60}",
        source in text(),
        name in "[a-z]{1,8}\\.[a-z0-9]{1,8}(-[a-z]{1,3})?\\.passed",
        texts in vec(option::of(text()), 6),
        times in vec(option::of(instant()), 3),
        mut extensions in vec(extension(), 0..4),
        data in vec(any::<u8>(), 0..200),
    ) -> Event {
        // a table's order means nothing; reading puts attributes behind the other headers
        extensions.sort_by_key(|(name, _)| name.starts_with("cloudEvents_"));
        Event {
            subject: texts[0].clone(),
            time: times[0],
            expiry_time: times[1],
            recorded_time: times[2],
            correlation_id: texts[1].clone(),
            causation_id: texts[2].clone(),
            traceparent: texts[3].clone(),
            tracestate: texts[4].clone(),
            data_schema: texts[5].clone(),
            extensions: extensions.into_iter().collect::<Headers>(),
            ..Event::new(id.parse().unwrap(), source, name.parse().unwrap(), data)
        }
    }
}

/// What a header may hold, nested too.
fn value() -> impl Strategy<Value = HeaderValue> {
    let flat = prop_oneof![
        "\\PC{0,20}".prop_map(HeaderValue::Text),
        any::<i64>().prop_map(HeaderValue::Int),
        (-1e9..1e9).prop_map(HeaderValue::Float),
        any::<bool>().prop_map(HeaderValue::Bool),
        instant().prop_map(HeaderValue::Time),
        vec(any::<u8>(), 0..9).prop_map(HeaderValue::Bytes),
        Just(HeaderValue::Null),
    ];
    flat.prop_recursive(3, 8, 3, |inner| {
        let table = vec(("[a-z]{1,4}", inner.clone()), 0..3);
        let table = table.prop_map(|entries| HeaderValue::Table(entries.into_iter().collect()));
        prop_oneof![vec(inner, 0..3).prop_map(HeaderValue::List), table]
    })
}

prop_compose! {
    /// Events under any of the prefixes, among other headers for the same things and for others; some can't be read.
    fn messages()(
        event in events(),
        prefix in "(cloudEvents_|cloudEvents:|ce-)",
        more in vec(("(cloudEvents_|cloudEvents:|ce-|)(id|source|subject|time|traceparent|tracestate|z|x-death|baggage)", value()), 0..8),
        at_the_end in any::<bool>(),
        structured in proptest::bool::weighted(0.1),
    ) -> Message {
        let mut message = event.into_message();
        let own = std::mem::take(&mut message.headers).into_iter();
        let own: Vec<_> = own.map(|(name, value)| (name.replace("cloudEvents_", &prefix), value)).collect();
        message.headers = if at_the_end {
            own.into_iter().chain(more).collect()
        } else {
            more.into_iter().chain(own).collect()
        };
        if structured {
            message.properties.content_type = Some("application/cloudevents+json".into());
            message.body = br#"{"specversion":"1.0","id":"1","source":"/a","type":"a.b.c","data":{}}"#.to_vec();
        }
        message
    }
}

proptest! {
    #[test]
    fn what_moved_out_of_a_message_goes_back_and_a_message_that_is_no_event_stays_whole(before in messages()) {
        let mut message = before.clone();
        let taken = Event::take_from(&mut message);
        prop_assert_eq!(&taken, &Event::from_message(&before));
        if let Ok(event) = taken {
            event.put_back(&mut message);
        }
        prop_assert_eq!(message, before);
    }

    #[test]
    fn what_is_written_is_read_again_unchanged(event in events()) {
        prop_assert_eq!(Event::from_message(&event.to_message()), Ok(event));
    }

    #[test]
    fn no_message_makes_the_reader_panic(
        content_type in option::of("(application/cloudevents\\+json|application/json|\\PC{0,20})"),
        headers in vec(("(cloudEvents_|ce-)?(id|type|source|time|specversion|x)", extension()), 0..8),
        body in vec(any::<u8>(), 0..60),
    ) {
        let headers = headers.into_iter().map(|(name, (_, value))| (name, value)).collect();
        let properties = Properties { content_type, ..Properties::default() };
        let _ = Event::from_message(&Message { properties, headers, body, ..Message::default() });
    }
}
