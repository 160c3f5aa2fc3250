//! `khronos next` and the small verbs, as a person and as a program meet them.

mod left_out;

use serde_json::Value;
use std::process::Command;

/// Exit code, standard output, standard error; in an empty folder.
fn khronos(arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KHRONOS_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(folder.path()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> Vec<Value> {
    let (code, out, err) = khronos(&[&["next", "--json"], arguments].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn due(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["due_at"].as_str().unwrap()).collect()
}

#[test]
fn a_table_shows_local_time_zone_utc_and_how_long() {
    let (code, out, _) =
        khronos(&["next", "one-hour", "one-day", "--count", "3", "--from", "2026-11-30T21:30:00Z"]);
    let expected = "\
LOCAL TIME               ZONE        UTC                   IN      SCHEDULE  EVENT
Mon 2026-11-30 22:00:00  +00:00 UTC  2026-11-30T22:00:00Z  30m     one-hour  time.one-hour.passed
Mon 2026-11-30 23:00:00  +00:00 UTC  2026-11-30T23:00:00Z  1h 30m  one-hour  time.one-hour.passed
Tue 2026-12-01 00:00:00  +00:00 UTC  2026-12-01T00:00:00Z  2h 30m  one-day   time.one-day.passed
";
    assert_eq!((code, out.as_str()), (0, expected));
}

#[test]
fn several_schedules_are_merged_by_due_time_and_name() {
    let rows = json(&["--from", "2025-12-31T23:59:59.999Z", "--count", "12"]);
    let names: Vec<_> = rows.iter().map(|row| row["schedule"].as_str().unwrap()).collect();
    // The new year is due for all but the week, which begins on a Monday.
    let at_midnight = [
        "fifteen-minutes",
        "five-minutes",
        "four-hours",
        "one-day",
        "one-hour",
        "one-minute",
        "one-month",
        "one-year",
        "ten-minutes",
        "thirty-minutes",
        "twelve-hours",
        "one-minute",
    ];
    assert_eq!(names, at_midnight);
    assert_eq!(rows[0]["event"], "time.fifteen-minutes.passed");
    assert_eq!(due(&rows)[10..], ["2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"]);
}

#[test]
fn from_is_exclusive_and_may_be_local() {
    let rows = json(&["--every", "1h", "--count", "1", "--from", "2026-12-01T09:00:00Z"]);
    assert_eq!(due(&rows), ["2026-12-01T10:00:00.000Z"]);
    let zone = ["--cron", "0 9 * * *", "--time-zone", "Asia/Tokyo", "--from", "2026-12-01T09:00:00"];
    let rows = json(&[&zone[..], &["--count", "1"]].concat());
    assert_eq!(due(&rows), ["2026-12-02T00:00:00.000Z"]);
    assert_eq!(rows[0]["local_time"], "2026-12-02T09:00:00");
    assert_eq!((&rows[0]["utc_offset"], &rows[0]["time_zone"]), (&"+09:00".into(), &"Asia/Tokyo".into()));
}

#[test]
fn a_repeated_hour_shows_its_second_pass() {
    let arguments =
        ["--cron", "*/30 * * * *", "--time-zone", "Europe/Paris", "--from", "2026-10-25T00:29:00Z"];
    let rows = json(&[&arguments[..], &["--count", "3"]].concat());
    assert_eq!(rows.iter().map(|row| row["fold"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(rows[0]["local_time"], rows[2]["local_time"]);
    let (_, out, _) = khronos(&[&["next"], &arguments[..], &["--count", "2"]].concat());
    assert!(out.contains("Sun 2026-10-25 02:00:00 (second pass)"), "{out}");
}

#[test]
fn without_from_it_is_now() {
    let rows = json(&["--every", "1s", "--count", "2"]);
    assert!(due(&rows)[0] > "2026-01-01");
}

#[test]
fn a_wrong_expression_is_shown_with_a_caret() {
    let (code, out, err) = khronos(&["next", "--cron", "0 25 * * *"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--cron: 25 is out of range") && err.contains("  |   ^^"), "{err}");
    let (code, _, err) = khronos(&["next", "--every", "1h", "--time-zone", "Europe/Pari"]);
    assert!(code == 2 && err.contains("--time-zone:") && err.contains("Europe/Paris"), "{err}");
    let (code, _, err) = khronos(&["next", "--every", "1h", "--from", "yesterday"]);
    assert!(code == 2 && err.contains("--from:") && err.contains("with --time-zone"), "{err}");
    for (verb, from, help) in [
        ("next", "2026-01-01", "write '2026-01-01T00:00Z', or '2026-01-01T00:00' with --time-zone"),
        ("forecast", "2026-01-01", "write '2026-01-01T00:00Z', or '2026-01-01T00:00' with --time-zone"),
        ("plan", "2026-01-01", "write '2026-01-01T00:00Z'"),
        ("next", "2026-01-01T09:00", "add --time-zone, or an offset: '2026-01-01T09:00Z'"),
        ("plan", "2026-01-01T09:00", "add an offset: '2026-01-01T09:00Z'"),
        ("plan", "yesterday", "as in '2026-12-01T09:00Z'"),
    ] {
        let (code, _, err) = khronos(&[verb, "--from", from]);
        assert!(code == 2 && err.lines().any(|line| line.ends_with(&format!("help: {help}"))), "{err}");
    }
    let (code, _, err) = khronos(&["next", "--cron", "0 0 30 2 *"]);
    assert!(code == 2 && err.contains("never"), "{err}");
}

#[test]
fn a_span_that_ends_beyond_the_last_due_time_of_all_is_refused() {
    for verb in ["forecast", "plan"] {
        let late = [verb, "--from", "2099-12-30T00:00:00Z", "--for"];
        let (code, out, err) = khronos(&[&late[..], &["3 days"]].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("no schedule is due from 2100-01-01T00:00:00.000Z on"), "{err}");
    }
    let (code, _, err) = khronos(&["forecast", "--from", "2099-12-30T00:00:00Z", "--for", "2 days"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn an_unknown_schedule_is_answered_with_the_nearest() {
    let (code, _, err) = khronos(&["next", "one-huor"]);
    assert_eq!(
        (code, err.as_str()),
        (2, "error: there is no schedule 'one-huor'; did you mean 'one-hour'?\n")
    );
}

#[test]
fn where_the_schedules_are_from_is_said_beside_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let next = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
        command.env_clear().current_dir(folder.path()).arg("next").args(arguments);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (out, said) = next(&["one-minute"]);
    assert!(out.contains("time.one-minute.passed"), "{out}");
    assert_eq!(said, "note: the schedules are those built in, since there is no folder schedules\n");
    std::fs::create_dir(folder.path().join("schedules")).unwrap();
    let mine = "[[schedule]]\nname = \"mine\"\nevery = \"1 hour\"\n";
    std::fs::write(folder.path().join("schedules/a.toml"), mine).unwrap();
    let (out, said) = next(&["--count", "1"]);
    assert!(out.contains("mine"), "{out}");
    assert_eq!(said, "note: the schedules are those of the folder schedules\n");
    for quiet in [&["--count", "1", "--json"][..], &["--every", "1h"], &["--schedules", "schedules"]] {
        assert_eq!(next(quiet).1, "", "{quiet:?}");
    }
}

#[test]
fn a_broken_configuration_ends_with_its_own_code() {
    let (code, _, err) = khronos(&["--config", "no-such.toml", "next"]);
    assert_eq!(code, 78);
    assert!(err.contains("no-such.toml") && err.contains("can't be read"), "{err}");
}

#[test]
fn the_version_names_the_time_zone_data() {
    let (code, out, _) = khronos(&["--version"]);
    assert!(code == 0 && out.contains("time zones of IANA tzdb 20"), "{out}");
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = khronos(&["completions", shell]);
        assert!(code == 0 && out.contains("khronos"), "{shell}");
    }
}

#[test]
fn the_program_has_the_schemas_of_the_repository() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut names = std::collections::BTreeSet::new();
    for folder in [folder.clone(), folder.join("commands")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            let Some(name) = file.file_name().unwrap().to_str().unwrap().strip_suffix(".json") else {
                continue;
            };
            let (code, out, err) = khronos(&["schemas", name]);
            assert_eq!((code, out), (0, std::fs::read_to_string(&file).unwrap()), "{name}: {err}");
            names.insert(name.to_owned());
        }
    }
    let (_, out, _) = khronos(&["schemas"]);
    assert_eq!(out.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>(), names);
    let (code, _, err) = khronos(&["schemas", "schedule.putt"]);
    assert!(code == 2 && err.contains("schedule.put"), "{err}");
}

#[test]
fn with_jitter_the_send_time_is_shown_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[[schedule]]\nname = \"one-day\"\nevery = \"1 day\"\nphase = \"09:00\"\njitter = \"5m\"\n";
    std::fs::write(folder.path().join("a.toml"), file).unwrap();
    let schedules = folder.path().to_str().unwrap();
    let arguments = ["--schedules", schedules, "--count", "1", "--from", "2026-12-01T00:00:00Z"];
    let rows = json(&arguments);
    assert_eq!(due(&rows), ["2026-12-01T09:00:00.000Z"]);
    assert_eq!(rows[0]["send_at"], "2026-12-01T09:04:27.379Z");
    let (_, out, _) = khronos(&[&["next"], &arguments[..]].concat());
    assert!(out.contains("2026-12-01T09:00:00Z, sent 2026-12-01T09:04:27.379Z"), "{out}");
    assert!(json(&["--every", "1h", "--count", "1"])[0].get("send_at").is_none());
}

#[test]
fn the_zones_of_icalendar_files_are_those_of_the_configured_folder() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    };
    let schedule = "[[schedule]]\nname = \"day\"\nevent = \"office.day.opened\"\ncron = \"0 9 * * *\"\nexclude = [\"closed\"]\n";
    let event =
        "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Paris:20260705T223000\r\nDURATION:PT1H\r\nEND:VEVENT";
    put("schedules/a.toml", schedule.as_bytes());
    put("calendars/closed.ics", format!("BEGIN:VCALENDAR\r\n{event}\r\nEND:VCALENDAR\r\n").as_bytes());
    let config = folder.path().join("config.toml");
    let left_out = || {
        let from = ["--from", "2026-07-04T12:00:00Z", "--count", "3", "--json"];
        let (code, out, _) = khronos(&[&["next", "--config", config.to_str().unwrap()], &from[..]].concat());
        assert_eq!(code, 0);
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let days = lines.filter(|line| line["due_at"].is_null()).map(|line| line["local_time"].clone());
        days.collect::<Vec<_>>()
    };
    put("config.toml", b"");
    assert_eq!(left_out(), ["2026-07-05T09:00:00"]);
    // Where Paris has the hours of Los Angeles, that is half past five on the 6th in UTC.
    put("config.toml", b"[clock]\ntime_zones = \"zones\"\n");
    let timing = khronos::schedule::Timing::from_every("1 day", Some("America/Los_Angeles")).unwrap();
    put("zones/Europe/Paris", timing.zone().rules().unwrap().tzif());
    assert_eq!(left_out(), ["2026-07-06T09:00:00"]);
}

#[test]
fn times_that_the_clocks_skip_are_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = "[[schedule]]\nname = \"quarter\"\nevent = \"office.quarter.struck\"\ncron = \"0,15,30,45 2 * * *\"\ntime_zone = \"Europe/Paris\"\ndst = { gap = \"skip\" }\n";
    std::fs::write(folder.path().join("a.toml"), schedule).unwrap();
    let path = folder.path().to_str().unwrap();
    let (code, out, _) =
        khronos(&["next", "quarter", "--schedules", path, "--from", "2027-03-27T12:00:00Z", "--count", "1"]);
    assert!(code == 0 && out.lines().count() == 3, "{out}");
    assert!(out.contains("Sun 2027-03-28 02:00:00 – 02:45:00"), "{out}");
    assert!(out.contains("left out: 02:00 to 02:45 do not exist that day (4 times)"), "{out}");
}

#[test]
fn a_local_time_in_a_gap_is_told() {
    let arguments = [
        "next",
        "--cron",
        "30 2 * * *",
        "--time-zone",
        "Europe/Paris",
        "--from",
        "2027-03-27T12:00:00Z",
        "--count",
        "1",
    ];
    let (code, out, _) = khronos(&arguments);
    assert!(code == 0 && out.contains("Sun 2027-03-28 03:00:00"), "{out}");
    assert!(out.contains("02:30 does not exist that day"), "{out}");
}

#[test]
fn of_a_schedule_that_is_due_no_more_it_is_said_why() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
[[schedule]]
name = "campaign"
event = "marketing.mail.requested"
every = "1 day"
until = "2027-03-01T00:00:00Z"

[[schedule]]
name = "launch"
event = "marketing.launch.reached"
at = "2027-02-01T09:00:00Z"

[[schedule]]
name = "daily"
event = "a.day.passed"
every = "1 day"
"#;
    std::fs::write(folder.path().join("a.toml"), text).unwrap();
    let schedules = folder.path().to_str().unwrap();
    let next = |names: &[&str]| {
        let from = ["--from", "2027-04-01T00:00:00Z", "--schedules", schedules, "--count", "1"];
        let (code, out, err) = khronos(&[&["next"], names, &from[..]].concat());
        assert_eq!(code, 0, "{err}");
        (out, err)
    };
    let campaign = "note: campaign is finished: its until is reached, last due at 2027-02-28T00:00:00Z\n";
    let launch = "note: launch is finished: it is due once (at), last due at 2027-02-01T09:00:00Z\n";
    let nothing = "nothing is due after 2027-04-01T00:00:00.000Z\n";
    assert_eq!(next(&["campaign"]), (String::new(), format!("{nothing}{campaign}")));
    let (out, err) = next(&["daily", "launch"]);
    assert!(out.contains("2027-04-02") && err == launch, "{out}{err}");
    assert_eq!(next(&[]).1, "", "of all, those that go on are asked for");
}

#[test]
fn a_count_of_nothing_is_refused() {
    for verb in [&["tail", "--count", "0"][..], &["next", "--count", "0"], &["history", "--limit", "0"]] {
        let (code, _, err) = khronos(verb);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("0 is not in 1.."), "{err}");
    }
}

#[test]
fn triggers_of_keda_are_printed_as_values_of_the_chart() {
    let weekdays =
        ["next", "--cron", "0 9 * * 1-5", "--time-zone", "Europe/Paris", "--from", "2026-11-30T12:00:00Z"];
    let (code, out, err) = khronos(&[&weekdays[..], &["--keda"]].concat());
    let expected = "\
scale:
  cron:
    - {timezone: Europe/Paris, start: \"55 8 * * 1-5\", end: \"5 9 * * 1-5\", desiredReplicas: 1}
";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    let (code, out, _) = khronos(&[&weekdays[..], &["--keda=1h"]].concat());
    assert!(code == 0 && out.contains("start: \"0 8 * * 1-5\", end: \"5 9 * * 1-5\""), "{out}");
    // of schedules it must be said which, and what never rests needs no warning
    for (words, why) in [
        (&["next", "--keda"][..], "name them"),
        (&["next", "one-minute", "--keda"], "let one stay (scale.min: 1)"),
        (&["next", "one-day", "--keda=2d"], "too long"),
    ] {
        let (code, out, err) = khronos(words);
        assert!(code == 2 && out.is_empty() && err.contains(why), "{words:?} {code} {out}{err}");
    }
}
