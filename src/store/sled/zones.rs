//! The rules of zones lie in the store under what they are, as long as a revision refers to them.

use super::{
    Added, SledOptions, SledStore,
    encoding::{self, Entry, is_of_zones},
    fixture::commit,
    meta::FORM_OF_ZONES,
    seal,
};
use crate::{
    engine::{Commit, Era, Revision},
    schedule::{CalendarStore, Definition, Packed, ZoneData, ZoneId},
    store::Store,
};
use ponos::event::Timestamp;
use std::path::Path;

/// A revision that was accepted while Europe/Paris had the rules of this zone, and the id of the rules.
fn revision(number: u32, rules_of: &str) -> (Revision, ZoneId) {
    let text = r#"{"name":"a","event":"a.b.passed","cron":"0 9 * * *","time_zone":"Europe/Paris"}"#;
    let definition = serde_json::from_str(text).unwrap();
    let store = CalendarStore::default();
    let timing = crate::schedule::Timing::from_every("1 day", Some(rules_of)).unwrap();
    let tzif = timing.zone().rules().unwrap().tzif().to_vec();
    store.zones().use_data(ZoneData::of_folder("/zones", None, [("Europe/Paris".to_owned(), tzif)]));
    let packed = Packed::build_with(&definition, &store).unwrap();
    let id = packed.zone_rules().next().unwrap().id();
    (Era::first(number, Timestamp::EPOCH).of(packed), id)
}

/// A store of a process that knows nothing but the bundled data.
fn open(folder: &Path) -> SledStore {
    SledStore::open(folder, "khronos", &SledOptions::default()).unwrap()
}

fn has(store: &SledStore, id: ZoneId) -> bool {
    store.kept(&encoding::zone_key(id)).unwrap().is_some()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_rules_of_a_zone_are_kept_as_long_as_a_revision_refers_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let (old, old_id) = revision(1, "Asia/Tokyo");
    let (new, new_id) = revision(2, "Asia/Kolkata");
    let mut store = open(folder.path());
    store.save(1, &Commit { revisions: vec![old.clone()], ..commit(0, vec![]) }).unwrap();
    store.save(1, &Commit { revisions: vec![new.clone()], ..commit(1, vec![]) }).unwrap();
    drop(store);

    let mut store = open(folder.path());
    assert!(has(&store, old_id) && has(&store, new_id));
    assert_eq!(seal::read(folder.path()).unwrap().unwrap().form, FORM_OF_ZONES);
    let revisions = store.load().unwrap().revisions;
    assert_eq!(revisions, [old, new.clone()]);
    let due: Vec<_> =
        revisions.iter().map(|one| one.timing().after(at("2026-12-01T00:00:00.000Z"))).collect();
    let expected = ["2026-12-02T00:00:00.000Z", "2026-12-01T03:30:00.000Z"].map(|text| Some(at(text)));
    assert_eq!(due, expected, "09:00 in Tokyo (the next one) and in Kolkata");
    store.save(1, &Commit { forgotten: vec![("a".into(), 1)], ..commit(2, vec![]) }).unwrap();
    drop(store);

    let mut store = open(folder.path());
    store.save(1, &commit(3, vec![])).unwrap();
    assert!(!has(&store, old_id) && has(&store, new_id));
    drop(store);
    assert_eq!(open(folder.path()).load().unwrap().revisions, [new]);
}

#[test]
fn the_rules_and_days_of_a_definition_that_is_not_understood_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (known, id) = revision(1, "Asia/Tokyo");
    let unknown = Definition { unrouted: Some("shout".into()), ..known.definition.definition() };
    let unknown = Revision { definition: Packed::kept(&unknown), number: 2, ..known.clone() };
    assert!(!unknown.definition.is_understood());
    let mut store = open(folder.path());
    store.save(1, &Commit { revisions: vec![known, unknown], ..commit(1, vec![]) }).unwrap();
    store.save(1, &Commit { forgotten: vec![("a".into(), 1)], ..commit(2, vec![]) }).unwrap();
    drop(store);
    let mut store = open(folder.path());
    store.save(1, &commit(3, vec![])).unwrap();
    assert!(has(&store, id));
}

#[test]
fn rules_that_are_not_what_their_key_says_are_refused() {
    let (revision, id) = revision(1, "Asia/Tokyo");
    let tzif = revision.definition.zone_rules().next().unwrap().tzif().to_vec();
    let entry = |bytes: &[u8]| encoding::entry(&encoding::zone_key(id), bytes, &CalendarStore::default());
    assert!(matches!(entry(&tzif), Ok(Entry::Zone(rules)) if rules.id() == id && rules.tzif() == tzif));
    let mut other = tzif.clone();
    other[100] ^= 1;
    assert!(entry(&other).is_err() && entry(&tzif[..50]).is_err());
    assert!(is_of_zones(&encoding::zone_key(id)) && !encoding::is_of_definitions(&encoding::zone_key(id)));
}

#[test]
fn what_an_earlier_version_wrote_gets_the_rules_of_the_bundled_data_with_the_next_commits() {
    let folder = tempfile::tempdir().unwrap();
    let paris = revision(1, "Europe/Paris").0;
    let mut store = open(folder.path());
    let schedules = 1_500;
    let names: Vec<String> = (0..schedules).map(|n| format!("s{n:04}")).collect();
    let revisions = names.iter().map(|name| {
        let mut definition = paris.definition.definition();
        definition.name.clone_from(name);
        Era::first(1, Timestamp::EPOCH).of(Packed::kept(&definition))
    });
    store.save(1, &Commit { revisions: revisions.collect(), ..commit(0, vec![]) }).unwrap();
    let id = paris.definition.zone_rules().next().unwrap().id();
    // As a version wrote it that knew no ids of rules.
    let key = encoding::zone_key(id);
    store
        .write(Added { rows: &[], logged: &[] }, |changes, meta| {
            meta.form = 1;
            changes.remove(key.to_vec());
            for name in &names {
                let text = format!(
                    r#"{{"name":"{name}","event":"a.b.passed","cron":"0 9 * * *","time_zone":"Europe/Paris"}}"#
                );
                let bytes = [encoding::value(&text.as_bytes())?, vec![0; 4]].concat();
                changes.put(encoding::revision_key(name, 1), bytes);
            }
            Ok(())
        })
        .unwrap();
    drop(store);

    let mut store = open(folder.path());
    let before = store.load().unwrap().revisions;
    assert!(before.len() == schedules && before.iter().all(|one| one.definition.is_understood()));
    assert!(before[0].definition.definition().zones.is_some());
    assert_eq!(seal::read(folder.path()).unwrap().unwrap().form, 1, "nothing was written yet");
    // With other data in use meanwhile.
    let other = ZoneData::of_folder("/zones", None, []);
    store.calendars.zones().use_data(other);
    let (key, text) = (encoding::revision_key("s0000", 1), b"\"zones\":{\"Europe/Paris\":\"".as_slice());
    let amended = |store: &SledStore| {
        let bytes = store.kept(&key).unwrap().unwrap();
        bytes.windows(text.len()).any(|part| part == text)
    };
    store.save(1, &commit(1, vec![])).unwrap();
    assert!(has(&store, id) && !amended(&store), "a thousand at a time");
    store.save(1, &commit(2, vec![])).unwrap();
    assert!(amended(&store) && store.without_rules.is_empty());
    drop(store);
    let mut store = open(folder.path());
    assert_eq!(store.load().unwrap().revisions, before);
    assert!(store.without_rules.is_empty() && store.unused.is_empty());
    assert_eq!(seal::read(folder.path()).unwrap().unwrap().form, FORM_OF_ZONES);
}
