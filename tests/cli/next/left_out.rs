//! What is said of times that days or clock changes leave out, or move.

use super::*;

#[test]
fn what_was_moved_or_left_out_is_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let schedules = r#"
[[schedule]]
name = "day"
event = "office.day.opened"
cron = "0 9 * * *"
time_zone = "Europe/Paris"
exclude = ["closed"]

[[schedule]]
name = "payday"
event = "accounting.payday.reached"
cron = "0 10 26 * *"
time_zone = "Europe/Paris"
exclude = ["closed"]
move = "next-business-day"
"#;
    std::fs::create_dir(folder.path().join("calendars")).unwrap();
    std::fs::create_dir(folder.path().join("schedules")).unwrap();
    std::fs::write(folder.path().join("calendars/closed.toml"), "yearly = [\"12-25\"]\n").unwrap();
    std::fs::write(folder.path().join("schedules/a.toml"), schedules).unwrap();
    let path = folder.path().join("schedules");
    let from = ["--schedules", path.to_str().unwrap(), "--from", "2026-12-24T12:00:00Z"];
    let (code, out, err) = khronos(&[&["next", "--count", "4"], &from[..]].concat());
    let expected = "\
LOCAL TIME               ZONE                 UTC                   IN      SCHEDULE  EVENT                      WHY
Fri 2026-12-25 09:00:00  Europe/Paris         -                     -       day       office.day.opened          left out: excluded by closed
Sat 2026-12-26 09:00:00  +01:00 Europe/Paris  2026-12-26T08:00:00Z  1d 20h  day       office.day.opened
Sun 2026-12-27 09:00:00  +01:00 Europe/Paris  2026-12-27T08:00:00Z  2d 20h  day       office.day.opened
Mon 2026-12-28 09:00:00  +01:00 Europe/Paris  2026-12-28T08:00:00Z  3d 20h  day       office.day.opened
Mon 2026-12-28 10:00:00  +01:00 Europe/Paris  2026-12-28T09:00:00Z  3d 21h  payday    accounting.payday.reached  moved from Sat 2026-12-26 (a weekend)
";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    let (_, out, _) = khronos(&[&["next", "--json", "--count", "4"], &from[..]].concat());
    let rows: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["due_at"], &rows[0]["local_time"]), (&Value::Null, &"2026-12-25T09:00:00".into()));
    assert_eq!(rows[4]["why"][0]["named"], "2026-12-26T10:00:00");
    assert_eq!(rows[1]["why"], serde_json::json!([]));
}

#[test]
fn neighbouring_times_that_are_left_out_for_one_reason_are_one_row_with_count_and_span() {
    let folder = tempfile::tempdir().unwrap();
    let schedules = r#"
[[schedule]]
name = "day"
event = "office.day.opened"
cron = "0 9 * * *"
exclude = ["weekend", "feast"]

[[schedule]]
name = "half"
event = "office.half.struck"
cron = "*/30 9-10 * * *"
exclude = ["feast"]
"#;
    std::fs::create_dir(folder.path().join("calendars")).unwrap();
    std::fs::create_dir(folder.path().join("schedules")).unwrap();
    std::fs::write(folder.path().join("calendars/weekend.toml"), "weekdays = [\"SAT\", \"SUN\"]\n").unwrap();
    std::fs::write(folder.path().join("calendars/feast.toml"), "yearly = [\"12-25\"]\n").unwrap();
    std::fs::write(folder.path().join("schedules/a.toml"), schedules).unwrap();
    let path = folder.path().join("schedules");
    let next = |name: &str, more: &[&str]| {
        let from = ["next", name, "--schedules", path.to_str().unwrap(), "--from", "2026-12-24T12:00:00Z"];
        let (code, out, err) = khronos(&[&from[..], more].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        out
    };
    let rows = |out: String| -> Vec<String> {
        let cells = |line: &str| {
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|")
        };
        out.lines().skip(1).map(cells).collect()
    };
    let day = rows(next("day", &["--count", "6"]));
    assert_eq!(day.len(), 9, "{day:#?}");
    assert_eq!(day[0], "Fri 2026-12-25 09:00:00|UTC|-|-|day|office.day.opened|left out: excluded by feast");
    let weekend = "UTC|-|-|day|office.day.opened|left out: excluded by weekend (2 times)";
    assert_eq!(day[1], format!("Sat 2026-12-26 – Sun 2026-12-27|{weekend}"));
    // What is due in between separates them.
    assert_eq!(day[7], format!("Sat 2027-01-02 – Sun 2027-01-03|{weekend}"));
    let half = rows(next("half", &["--count", "1"]));
    assert_eq!(
        half[0],
        "Fri 2026-12-25 09:00:00 – 10:30:00|UTC|-|-|half|office.half.struck|left out: excluded by feast (4 times)"
    );
    // Programs get each local day.
    let lines = next("day", &["--json", "--count", "1"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let days: Vec<_> =
        lines.iter().map(|line| (line["local_time"].as_str().unwrap(), &line["times"])).collect();
    let one = Value::from(1);
    assert_eq!(
        days,
        [
            ("2026-12-25T09:00:00", &one),
            ("2026-12-26T09:00:00", &one),
            ("2026-12-27T09:00:00", &one),
            ("2026-12-28T09:00:00", &one)
        ]
    );
}

#[test]
fn many_rows_of_what_was_left_out_are_cut_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("calendars")).unwrap();
    std::fs::create_dir(folder.path().join("schedules")).unwrap();
    std::fs::write(folder.path().join("calendars/weekend.toml"), "weekdays = [\"SAT\", \"SUN\"]\n").unwrap();
    let schedule = "[[schedule]]\nname = \"day\"\nevent = \"office.day.opened\"\ncron = \"0 9 * * *\"\nexclude = [\"weekend\"]\n";
    std::fs::write(folder.path().join("schedules/a.toml"), schedule).unwrap();
    let path = folder.path().join("schedules");
    let from =
        ["next", "day", "--schedules", path.to_str().unwrap(), "--from", "2026-12-24T12:00:00Z", "--count"];
    let (code, out, err) = khronos(&[&from[..], &["1500"]].concat());
    assert_eq!((code, out.lines().filter(|line| line.contains("left out")).count()), (0, 200));
    assert_eq!(
        err,
        "note: more was left out than is shown; name the schedule, or ask for fewer occurrences\n"
    );
    let (code, _, err) = khronos(&[&from[..], &["900"]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
}
