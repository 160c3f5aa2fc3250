use super::*;

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
        assert_eq!(packed.definition(), definition);
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
    let sizes: Vec<usize> = definitions().iter().map(|definition| Packed::kept(definition).0.len()).collect();
    assert!(sizes[2] < 110, "{sizes:?}");
    assert!(sizes[4] < 90, "{sizes:?}");
}
