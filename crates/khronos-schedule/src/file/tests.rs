use super::*;
use crate::{
    CatchUpDefinition, DstDefinition, ResendsDefinition, TimingDefinition,
    toml_tree::{Key, Kind, value},
};

fn parse_text(text: &str) -> (Vec<Entry>, Vec<String>) {
    let (entries, faults) = parse(&Text::new("f.toml", text), &Calendars::default());
    (entries, faults.list().iter().map(ToString::to_string).collect())
}

#[test]
fn the_keys_are_those_of_a_definition() {
    let text = || Some("x".to_owned());
    let full = Definition {
        name: "x".into(),
        event: text(),
        every: text(),
        cron: text(),
        at: text(),
        timings: Some(vec![TimingDefinition {
            every: text(),
            cron: text(),
            at: text(),
            time_zone: text(),
            phase: text(),
            anchor: text(),
            dst: Some(DstDefinition { gap: text(), fold: text() }),
        }]),
        time_zone: text(),
        phase: text(),
        anchor: text(),
        from: text(),
        until: text(),
        limit: Some(1),
        jitter: text(),
        exclude: Some(vec!["x".into()]),
        only: Some(vec!["x".into()]),
        move_to: text(),
        // What a file can't say.
        calendars: None,
        zones: None,
        dst: Some(DstDefinition { gap: text(), fold: text() }),
        catch_up: Some(CatchUpDefinition { policy: text(), grace: text(), within: text(), most: Some(1) }),
        past: text(),
        unrouted: text(),
        resends: Some(ResendsDefinition { most: Some(1), within: text() }),
        paused: Some(true),
        expires: text(),
        description: text(),
        labels: Some([("x".to_owned(), "x".to_owned())].into()),
        data: Some(Value::Null),
        created: None,
    };
    fn same(keys: &[Key], value: &Value) {
        let object = value.as_object().unwrap();
        let names: Vec<_> = keys.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, object.keys().collect::<Vec<_>>());
        for (name, kind) in keys {
            match kind {
                Kind::Table(keys) => same(keys, &object[*name]),
                Kind::Tables(keys) => same(keys, &object[*name][0]),
                _ => {}
            }
        }
    }
    same(KEYS, &serde_json::to_value(&full).unwrap());
}

#[test]
fn every_fault_of_a_file_is_found_at_its_place() {
    let text = r#"
[[schedule]]
nmae = "a"
every = 90
paused = "yes"
catch_up = { polcy = "all", most = "5" }

[[schedule]]
name = "b"
every = "1 minute"
at = 2026-12-01T09:00:00
data = { when = 2026-12-01, big = 1e999 }
dst = "first"
"#;
    let (entries, faults) = parse_text(text);
    assert_eq!(entries.len(), 0);
    assert_eq!(
        faults,
        [
            "f.toml:2:1: this schedule has no name; add name = \"...\": it must be unique and is the key of the schedule's history",
            "f.toml:3:1: unknown key 'nmae' in a schedule; did you mean 'name'?",
            "f.toml:4:9: every must be a text in quotes, not a number; write a number with its unit in quotes: \"90s\"",
            "f.toml:5:10: paused must be true or false, not a text; remove the quotes",
            "f.toml:6:14: unknown key 'polcy' in 'catch_up'; did you mean 'policy'?",
            "f.toml:6:36: catch_up.most must be a whole number, not a text; remove the quotes: 5",
            "f.toml:11:6: at must be a text in quotes, not a bare date; put it in quotes: \"2026-12-01T09:00:00\"",
            "f.toml:12:17: data: JSON has no dates: put it in quotes",
            "f.toml:13:7: dst must be a table such as { key = \"value\" }, not a text; its keys are gap, fold, as in { gap = \"...\" }",
        ]
    );
}

#[test]
fn what_is_no_schedule_file_says_so() {
    assert!(parse_text("[schedule]\nname = \"a\"").1[0].contains("write [[schedule]], in double brackets"));
    assert!(parse_text("[[schedules]]\nname = \"a\"").1[0].contains("unknown key 'schedules'"));
    assert!(parse_text("[[schedule]\nname = \"a\"").1[0].starts_with("f.toml:1:"));
    assert!(parse_text("schedule = [1]").1[0].contains("a schedule is a table"));
    assert_eq!(parse_text("# nothing"), (vec![], vec![]));
    // Deep nesting is refused, not a stack overflow.
    let deep = format!("[[schedule]]\nname = \"a\"\ndata = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!parse_text(&deep).1.is_empty());
}

#[test]
fn a_payload_keeps_its_order_and_types() {
    let text = "{ z = 1, a = [true, \"t\", 2.5], n = { m = -7, hex = 0xff } }";
    let (table, _) = toml::de::DeTable::parse_recoverable(Box::leak(format!("v = {text}").into_boxed_str()));
    let value = value::json(table.get_ref().values().next().unwrap()).unwrap();
    assert_eq!(value.to_string(), r#"{"z":1,"a":[true,"t",2.5],"n":{"m":-7,"hex":255}}"#);
}

#[test]
fn an_event_name_that_is_cut_within_a_character_is_refused_like_others() {
    let name = format!("{}ééé", "a".repeat(254));
    let (_, faults) = parse_text(&format!("[[schedule]]\nname = \"a\"\nevery = \"1h\"\nevent = \"{name}\""));
    assert!(faults[0].contains("at most 255 bytes"), "{faults:?}");
}

#[test]
fn items_that_are_wrong_move_no_other() {
    let head = "[[schedule]]\nname = \"a\"\nevent = \"a.b.c\"\n";
    for (keys, places) in [
        ("timings = [\n7,\n{ cron = \"0 25 * * *\" }]\n", &["5:1", "6:13"][..]),
        ("timings = [\n7]\n", &["5:1"]),
        ("every = \"1h\"\nexclude = [\n7,\n\"nope\"]\n", &["6:1", "7:1"]),
        ("every = \"1h\"\nexclude = [\n7]\n", &["6:1"]),
    ] {
        let (_, found) = parse_text(&format!("{head}{keys}"));
        let found: Vec<_> = found
            .iter()
            .map(|one| one.strip_prefix("f.toml:").unwrap_or(one).split(": ").next().unwrap())
            .collect();
        assert_eq!(found, places, "{keys}");
    }
}

#[test]
fn what_is_said_of_a_schedule_is_read_and_bounded() {
    let head = "[[schedule]]\nname = \"a\"\nevery = \"1h\"\n";
    let (read, faults) = parse_text(&format!(
        "{head}description = \"Größe \\\"2\\\"\"\n[schedule.labels]\nteam = \"billing\"\nx-1_b = \"a b: c\"\n"
    ));
    assert_eq!(faults, [] as [&str; 0]);
    assert_eq!(read[0].definition.description.as_deref(), Some("Größe \"2\""));
    let labels: Vec<_> = read[0].definition.labels.iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(labels, ["team", "x-1_b"]);
    assert_eq!(parse_text(&format!("{head}labels = {{}}\n")).0[0].definition.labels, None);
    let all = |count: usize| (0..count).map(|n| format!("k{n} = \"v\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(parse_text(&format!("{head}labels = {{ {} }}", all(16))).1, [] as [&str; 0]);
    for (keys, said) in [
        ("description = 7".to_owned(), "4:15: description must be a text in quotes, not a number"),
        ("description = \"\"".to_owned(), "4:15: schedule 'a': description: it is empty"),
        (format!("description = \"{}\"", "é".repeat(501)), "501 characters; 500 are allowed"),
        ("description = \"a\\nb\"".to_owned(), "or several lines; write it on one line"),
        ("description = \"\\u001b[31m\"".to_owned(), "a terminal would not show as they are"),
        ("description = \" a\"".to_owned(), "begins or ends with a blank"),
        (
            "labels = \"x\"".to_owned(),
            "4:10: labels must be a table of texts such as { key = \"value\" }, not a text",
        ),
        ("labels = { team = 7 }".to_owned(), "4:19: labels.team must be a text in quotes, not a number"),
        (
            "labels = { team = \"a,b\" }".to_owned(),
            "4:19: schedule 'a': labels.team: ',' is not allowed here",
        ),
        (
            format!("labels = {{ team = \"{}\" }}", "x".repeat(101)),
            "labels.team: 101 characters; 100 are allowed",
        ),
        (
            "labels = { \"a.b\" = \"x\" }".to_owned(),
            "4:10: schedule 'a': labels: 'a.b' is not the key of a label",
        ),
        ("labels = { Team = \"x\" }".to_owned(), "labels: 'Team' is not the key of a label"),
        ("labels = { -a = \"x\" }".to_owned(), "labels: '-a' is not the key of a label"),
        (format!("labels = {{ {} = \"x\" }}", "k".repeat(64)), "keys are 1 to 63 of a-z, 0-9"),
        (format!("labels = {{ {} }}", all(17)), "labels: 17 labels; 16 are allowed"),
    ] {
        let (read, faults) = parse_text(&format!("{head}{keys}\n"));
        assert!(read.is_empty() && faults.len() == 1 && faults[0].contains(said), "{keys}: {faults:?}");
    }
}
