//! `khronos forecast`, as a person and as a program meet it.

use khronos::schedule::Timing;
use serde_json::Value;
use std::{fs, process::Command};

/// Exit code, standard output, standard error; in an empty folder, with these schedules if there are any.
fn forecast(schedules: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    if !schedules.is_empty() {
        fs::create_dir(folder.path().join("s")).unwrap();
        fs::write(folder.path().join("s/a.toml"), schedules).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KHRONOS_")) {
        command.env_remove(name);
    }
    command
        .env("COLUMNS", "60")
        .env("LC_ALL", "C")
        .current_dir(folder.path())
        .arg("forecast")
        .args(arguments);
    if !schedules.is_empty() {
        command.args(["--schedules", "s"]);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn people_see_rates_a_chart_and_what_is_behind_the_peaks() {
    let arguments =
        ["--from", "2026-12-31T12:00:00Z", "one-hour", "four-hours", "one-day", "--for", "16 hours"];
    let (code, out, err) = forecast("", &arguments);
    let expected = "\
3 schedules, 21 occurrences in 16 hours after 2026-12-31T12:00:00.000Z

          MEAN    PEAK  AT
a second  0.0004  3     2027-01-01 00:00:00
a minute  0.0219  3     2027-01-01 00:00:00

UTC               COUNT
2026-12-31 12:00      0
2026-12-31 13:00      1  ############
2026-12-31 14:00      1  ############
2026-12-31 15:00      1  ############
2026-12-31 16:00      2  #######################
";
    assert_eq!(
        (code, err.as_str()),
        (0, "note: the schedules are those built in, since there is no folder schedules\n")
    );
    assert!(out.starts_with(expected), "{out}");
    assert!(out.contains("2027-01-01 00:00      3  ###################################\n"), "{out}");
    assert!(out.contains("2027-01-01 00:00:00  3      four-hours, one-day, one-hour\n"), "{out}");
    assert!(out.lines().skip(1).all(|line| line.len() <= 60 && !line.contains('\x1b')), "{out}");
}

#[test]
fn programs_get_one_object() {
    let schedules = "\
[[schedule]]
name = \"quick\"
event = \"a.quick.started\"
every = \"100ms\"

[[schedule]]
name = \"nine\"
event = \"a.nine.started\"
cron = \"0 9 * * *\"
time_zone = \"Europe/Paris\"

[[schedule]]
name = \"off\"
event = \"a.off.started\"
every = \"100ms\"
paused = true
";
    let (code, out, err) = forecast(
        schedules,
        &["--json", "--from", "2026-12-01T00:00:00", "--time-zone", "Europe/Paris", "--for", "7 days"],
    );
    assert_eq!((code, err.as_str()), (0, ""));
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["schedules"], 2);
    assert_eq!(shown["occurrences"], 7 * 864_000 + 7);
    assert_eq!(shown["from"], "2026-11-30T23:00:00.000Z");
    assert_eq!((&shown["per_second"]["peak"], &shown["per_minute"]["peak"]), (&11.into(), &601.into()));
    assert_eq!(shown["per_second"]["peak_at"], "2026-12-01T08:00:00.000Z");
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["occurrences"].as_u64().unwrap()).sum::<u64>(), 7 * 864_000 + 7);
    assert!(rows.len() <= 33);
    let busiest = shown["busiest"].as_array().unwrap();
    assert_eq!(busiest.len(), 5);
    assert_eq!(busiest[0]["schedules"][0]["name"], "quick");
    assert_eq!(busiest[0]["schedules"][0]["occurrences"], 10);
    assert_eq!(busiest[0]["schedules"][1]["event"], "a.nine.started");
    let (_, named, _) = forecast(schedules, &["--json", "off"]);
    assert_eq!(serde_json::from_str::<Value>(&named).unwrap()["occurrences"], 864_000);
}

/// In Kolkata the day begins at half past six of UTC's evening.
#[test]
fn rows_are_the_days_of_the_zone_that_is_shown() {
    let schedules = "[[schedule]]\nname = \"h\"\nevent = \"a.h.passed\"\nevery = \"1h\"\n";
    let arguments = ["--from", "2026-12-01T00:00:00", "--time-zone", "Asia/Kolkata", "--for", "31 days"];
    let (code, out, err) = forecast(schedules, &arguments);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("\n2026-12-01 00:00     24  ###"), "{out}");
    assert!(out.contains("\n2026-12-31 00:00     24  ###"), "{out}");
    let (_, out, _) = forecast(schedules, &[&arguments[..], &["--json"]].concat());
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["rows"][1]["at"], "2026-12-01T18:30:00.000Z");
}

/// A zone that only the configured folder has: in it too the rows are its days.
#[test]
fn rows_follow_the_zone_data_that_is_configured() {
    let folder = tempfile::tempdir().unwrap();
    let kolkata = Timing::from_every("1 day", Some("Asia/Kolkata")).unwrap();
    fs::create_dir_all(folder.path().join("zones/Test")).unwrap();
    fs::write(folder.path().join("zones/Test/Own"), kolkata.zone().rules().unwrap().tzif()).unwrap();
    fs::write(folder.path().join("config.toml"), "[clock]\ntime_zones = \"zones\"\n").unwrap();
    fs::create_dir(folder.path().join("schedules")).unwrap();
    let hourly = "[[schedule]]\nname = \"h\"\nevent = \"a.h.passed\"\nevery = \"1h\"\n";
    fs::write(folder.path().join("schedules/a.toml"), hourly).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_khronos"))
        .env_clear()
        .current_dir(folder.path())
        .args(["forecast", "--json", "--from", "2026-12-01T00:00:00", "--time-zone", "Test/Own"])
        .args(["--for", "31 days"])
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(shown["rows"][1]["at"], "2026-12-01T18:30:00.000Z");
}

#[test]
fn what_can_not_be_foretold_is_refused_with_the_reason() {
    for (arguments, said) in [
        (["--for", "60 days"], "'60 days' is too long; 31 days at most"),
        (["--for", "1 month"], "no fixed length"),
        (["--from", "tomorrow"], "--from:"),
        (["--time-zone", "Europe/Pari"], "did you mean 'Europe/Paris'?"),
    ] {
        let (code, out, err) = forecast("", &arguments);
        assert!(code == 2 && out.is_empty() && err.contains(said), "{arguments:?}: {err}");
    }
    let (code, _, err) = forecast("", &["one-huor"]);
    assert!(code == 2 && err.contains("did you mean 'one-hour'?"), "{err}");
}
