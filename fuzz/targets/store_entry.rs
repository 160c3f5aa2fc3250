//! Entries of the store, as they are read when it is opened. Input: a key, an empty line, and its value.
#![no_main]

// Their names in the files that are included.
use khronos::{engine, schedule};

mod store {
    //! What those files need of it.
    pub(crate) use khronos::engine::store::made_up;
}

#[path = "../../src/store/encoding.rs"]
#[allow(dead_code, unused_imports)]
mod encoding;
#[path = "../../src/store/meta.rs"]
#[allow(dead_code)]
mod meta;

use encoding::Entry;
use schedule::CalendarStore;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (key, value) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let calendars = CalendarStore::default();
    let Ok(entry) = encoding::entry(key, value, &calendars) else { return };
    match entry {
        Entry::Meta(bytes) => {
            if let Ok(meta) = encoding::read_meta(&bytes) {
                let again =
                    encoding::meta_value(&meta).ok().and_then(|bytes| encoding::read_meta(&bytes).ok());
                assert_eq!(again, Some(meta));
            }
        }
        Entry::Revision(revision, _) => {
            let definition = revision.definition.definition();
            let written = encoding::revision_value(&revision, &definition).expect("what was read is written");
            let key = encoding::revision_key(revision.definition.name(), revision.number);
            match encoding::entry(&key, &written, &calendars) {
                Ok(Entry::Revision(again, _)) => assert_eq!(again, revision),
                other => panic!("{other:?}"),
            }
        }
        Entry::Span(name, span) => same(&encoding::span_key(&name, 0), encoding::span_value(&span), &span),
        // One occurrence alone is always sent singly.
        Entry::Parked(_, parked) if parked.stands_for.count == 1 && !parked.singly => {}
        Entry::Parked(number, parked) => {
            same(&encoding::parked_key(number), encoding::parked_value(&parked), &parked)
        }
        Entry::OneShot(name, one) => same(&encoding::one_shot_key(&name), encoding::value(&one), &one),
        Entry::Pauses(name, pauses) => {
            let key = name.map_or_else(encoding::pauses_key, |name| encoding::named_pauses_key(&name));
            same(&key, encoding::pauses_value(&pauses), &pauses);
        }
        Entry::Operation(id, one) => same(&encoding::operation_key(&id), encoding::value(&one), &one),
        Entry::Message(key, one) => same(&encoding::message_key(&key), encoding::value(&one), &one),
        Entry::CreatedCalendar(one) => {
            same(&encoding::created_calendar_key(&one.name), encoding::created_calendar_value(&one), &one)
        }
        Entry::Rows(_, rows) => assert!(rows.len() <= value.len()),
        Entry::Trigger(..) | Entry::Change(_) | Entry::Calendar(..) | Entry::Zone(..) => {}
    }
    let _ = encoding::with_rules(value);
});

/// What is written of it is read as the same.
fn same<T: std::fmt::Debug>(key: &[u8], written: Result<Vec<u8>, encoding::Unreadable>, value: &T) {
    let written = written.expect("what was read is written");
    let again = encoding::entry(key, &written, &CalendarStore::default()).expect("what was written is read");
    assert!(format!("{again:?}").contains(&format!("{value:?}")), "{again:?} is not {value:?}");
}
