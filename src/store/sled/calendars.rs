//! Calendars lie in the store under what they are, as long as a revision refers to them.

use super::{
    SledOptions, SledStore,
    encoding::{self, Entry},
};
use crate::{
    diagnostic::Text,
    engine::{Commit, Era, Revision},
    schedule::{CalendarId, CalendarStore, Calendars, Days, Packed, Zone, calendar, file},
    store::Store,
};
use ponos::event::Timestamp;
use std::path::Path;

/// A revision that was accepted with this calendar, and the calendar's id.
fn revision(number: u32, calendar: &str) -> (Revision, CalendarId) {
    let mut calendars = Calendars::default();
    let (calendar, _) = calendar::parse(&Text::new("c.toml", calendar), false).unwrap();
    let id = calendar.days_in(&Zone::UTC).id();
    calendars.insert("c", Some(calendar));
    let text = "[[schedule]]\nname = \"a\"\nevent = \"a.b.passed\"\nevery = \"1 day\"\nexclude = [\"c\"]\n";
    let (entries, faults) = file::parse(&Text::new("f.toml", text), &calendars);
    assert_eq!(faults.to_string(), "");
    let definition = Packed::new(&entries[0].definition, &entries[0].schedule);
    (Era::first(number, Timestamp::EPOCH).of(definition), id)
}

fn days(calendar: &str) -> Days {
    calendar::parse(&Text::new("c.toml", calendar), false).unwrap().0.days_in(&Zone::UTC)
}

fn open(folder: &Path) -> SledStore {
    SledStore::open(folder, "khronos", &SledOptions::default()).unwrap()
}

#[test]
fn a_calendar_is_kept_as_long_as_a_revision_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (old, old_id) = revision(1, "dates = [\"2026-12-25\"]");
    let (new, new_id) = revision(2, "dates = [\"2026-12-26\"]");
    assert_ne!(old.definition.timing(), new.definition.timing());
    let has = |store: &SledStore, id| store.kept(&encoding::calendar_key(id)).unwrap().is_some();
    let mut store = open(folder.path());
    store.save(1, &Commit { revisions: vec![old.clone()], ..Commit::default() }).unwrap();
    store.save(1, &Commit { revisions: vec![new.clone()], ..Commit::default() }).unwrap();
    drop(store);

    let mut store = open(folder.path());
    assert!(has(&store, old_id) && has(&store, new_id));
    assert_eq!(store.load().unwrap().revisions, [old, new.clone()]);
    store.save(1, &Commit { forgotten: vec![("a".into(), 1)], ..Commit::default() }).unwrap();
    drop(store);

    let mut store = open(folder.path());
    store.save(1, &Commit::default()).unwrap();
    assert!(!has(&store, old_id) && has(&store, new_id));
    drop(store);
    assert_eq!(open(folder.path()).load().unwrap().revisions, [new]);
}

#[test]
fn a_calendar_that_is_not_what_its_key_says_is_refused() {
    let days = days("yearly = [\"05-01\"]");
    let (key, bytes) = (encoding::calendar_key(days.id()), days.to_bytes());
    let entry = |bytes: &[u8]| encoding::entry(&key, bytes, &CalendarStore::default());
    assert!(matches!(entry(&bytes), Ok(Entry::Calendar(id, same)) if id == days.id() && *same == days));
    let mut other = bytes.clone();
    other[100] ^= 1;
    assert!(entry(&other).is_err());
    assert!(entry(&bytes[..50]).is_err());
}

#[test]
fn what_earlier_versions_wrote_is_read() {
    let days = days("dates = [\"2026-12-25\"]");
    let definition =
        br#"{"name":"a","event":"a.b.passed","every":"1 day","exclude":["c"],"calendars":{"c":"53508b14-b68a-5c78-94e6-99de12b6a40d"}}"#;
    // Effective from 0, opens at 0, no instant before, not ended.
    let kept = [encoding::value(&definition.as_slice()).unwrap(), vec![0; 4]].concat();
    let calendars = CalendarStore::default();
    let id: CalendarId = "53508b14-b68a-5c78-94e6-99de12b6a40d".parse().unwrap();
    let calendar = encoding::entry(&encoding::calendar_key(id), &days.to_bytes(), &calendars).unwrap();
    let revision = encoding::entry(&encoding::revision_key("a", 1), &kept, &calendars).unwrap();
    let (Entry::Calendar(_, same), Entry::Revision(revision, named)) = (calendar, revision) else {
        panic!("other entries")
    };
    let keys: Vec<_> = named.keys(&revision).collect();
    assert_eq!((&*same, keys), (&days, vec![encoding::calendar_key(id)]));
    let definition = revision.definition.definition();
    assert_eq!(encoding::revision_value(&revision, &definition).unwrap(), kept);
    let before = |text: &str| text.parse::<Timestamp>().unwrap();
    let due = revision.definition.timing().after(before("2026-12-24T00:00:00.000Z"));
    assert_eq!(due, Some(before("2026-12-26T00:00:00.000Z")));
}
