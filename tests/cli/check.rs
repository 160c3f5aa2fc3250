//! `khronos check`, as a person meets it: every finding with its place, its caret and its remedy.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn khronos(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KHRONOS_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments).output().unwrap()
}

/// Exit code and standard output of `khronos check` in a folder with these files.
fn check(files: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let output = khronos(folder.path(), &[&["check"], arguments].concat());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// What is said of one schedule with these keys.
fn finding(keys: &str) -> String {
    let text = format!("[[schedule]]\n{keys}\n");
    let (code, shown) = check(&[("config.toml", ""), ("schedules/a.toml", &text)], &[]);
    assert_eq!(code, 1, "{shown}");
    shown
}

#[test]
fn without_any_file_the_built_in_ones_are_right() {
    let (code, shown) = check(&[], &[]);
    let right =
        "the configuration and 12 schedules (built in, since there is no folder schedules) are valid\n";
    assert_eq!((code, shown.as_str()), (0, right));
}

#[test]
fn the_source_of_the_schedules_is_named_and_a_folder_counts_without_a_configuration() {
    let mine = "[[schedule]]\nname = \"mine\"\nevery = \"1 hour\"\n";
    let here = [("schedules/a.toml", mine)];
    let (code, shown) = check(&here, &[]);
    let right = "the configuration and 1 schedule in 1 file of the folder schedules are valid\n";
    assert_eq!((code, shown.as_str()), (0, right));
    let beside = [("etc/schedules/a.toml", mine), ("etc/config.toml", "")];
    let (code, shown) = check(&beside, &["--config", "etc/config.toml"]);
    assert!(
        code == 0 && shown.contains("1 schedule in 1 file of the folder etc/schedules are valid"),
        "{shown}"
    );
    // What lies beside a folder that is not there is somebody else's.
    let (code, shown) = check(&[("calendars/a.toml", "nonsense")], &[]);
    assert!(code == 0 && shown.contains("12 schedules (built in"), "{shown}");
    // A word that is no folder.
    let (code, shown) = check(&here, &["--schedules", "built-in"]);
    assert!(code == 0 && shown.contains("12 schedules (built in) are valid"), "{shown}");
    let (code, shown) = check(&here, &["--schedules", "none"]);
    assert!(
        code == 0 && shown.contains("no schedules (from no folder, since schedules.folder = \"none\")"),
        "{shown}"
    );
    let (code, shown) = check(&[("config.toml", "[schedules]\nfolder = \"none\"\n"), here[0]], &[]);
    assert!(code == 0 && shown.contains("schedules.folder = \"none\""), "{shown}");
}

#[test]
fn a_fault_is_shown_with_its_line_a_caret_and_the_remedy() {
    let shown = finding("name = \"nine\"\nevent = \"office.day.opened\"\ncron = \"0 25 * * *\"");
    let expected = r#"error: schedule 'nine': cron: 25 is out of range in the hour field: 0-23
 --> schedules/a.toml:4:11
  |
4 | cron = "0 25 * * *"
  |           ^^

1 error, 0 warnings; 0 schedules in 1 file of the folder schedules can run
"#;
    assert_eq!(shown, expected);
}

#[test]
fn a_url_that_the_clock_could_not_connect_with_is_an_error_here_too() {
    for (url, remedy) in [
        ("amqp://u:p#w@host", "written %23"),
        ("amqp://u:p/w@host", "written %2F"),
        ("amqp://host/v?frame_max=100", "at least 8192"),
        ("amqp://host/v?timeout=5", "it has an unknown parameter"),
        ("amqp://host:0", "1 to 65535"),
        ("rabbit.example", "write it as amqp://user:password@host:5672/vhost"),
    ] {
        let (code, shown) = check(&[("config.toml", &format!("[broker]\nurl = \"{url}\"\n"))], &[]);
        assert_eq!(code, 1, "{url}: {shown}");
        assert!(shown.contains(remedy) && shown.contains("--> config.toml:2:7"), "{url}: {shown}");
        assert!(!shown.contains(url), "{shown}");
    }
}

#[test]
fn each_bad_input_has_its_own_message_and_remedy() {
    let base = "name = \"a\"\nevent = \"a.b.started\"\n";
    let table = [
        ("evry = \"1 day\"", "unknown key 'evry' in a schedule", "did you mean 'every'?"),
        ("every = 90", "every must be a text in quotes, not a number", "\"90s\""),
        ("cron = \"0 0 30 2 *\"", "schedule 'a': cron: ", "never"),
        ("cron = \"0 9 * *\"", "schedule 'a': cron: ", "fields"),
        ("at = \"2026-02-30T09:00:00Z\"", "schedule 'a': at: ", "2026-02-30"),
        ("at = \"2026-12-01\"", "schedule 'a': at: ", "time"),
        ("every = \"1 day\"\ntime_zone = \"Europe/Pari\"", "schedule 'a': time_zone: ", "Europe/Paris"),
        ("every = \"1 fortnigth\"", "schedule 'a': every: ", "fortnigth"),
        ("every = \"1 day\"\ncatch_up = { policy = \"al\" }", "schedule 'a': catch_up.policy: ", "all"),
        ("every = \"1 day\"\ncron = \"* * * * *\"", "schedule 'a': ", "cron"),
    ];
    for (keys, message, remedy) in table {
        let shown = finding(&format!("{base}{keys}"));
        assert!(shown.contains(message), "{keys}: {shown}");
        assert!(shown.contains(remedy), "{keys}: {shown}");
        assert!(shown.contains("--> schedules/a.toml:"), "{keys}: {shown}");
        assert!(shown.contains('^'), "{keys}: {shown}");
    }
    let named = finding("name = \"four-hours\"\nevent = \"time.four-hours.passed\"\nevery = \"3h\"");
    assert!(named.contains("time.three-hours.passed"), "{named}");
    let grammar = finding("name = \"Big Ben\"\nevent = \"time.passed\"\nevery = \"1h\"");
    assert!(grammar.contains("write 'big-ben'") && grammar.contains("three or more words"), "{grammar}");
}

#[test]
fn all_findings_of_all_files_come_at_once() {
    let good = "[[schedule]]\nname = \"one\"\nevery = \"1h\"\n";
    let files = [
        ("config.toml", "[http]\nlisten = \"nowhere\"\nlog = 1\n[broker]\nfanuot = true\n"),
        ("schedules/a.toml", good),
        ("schedules/b.toml", "[[schedule]\nname = \"two\"\n"),
        ("schedules/c.toml", good),
        ("schedules/d.toml", "[[schedule]]\nname = \"three\"\nevery = \"1 moment\"\n"),
        ("schedules/.hidden.toml", "nonsense"),
        ("schedules/notes.txt", "nonsense"),
    ];
    let (code, shown) = check(&files, &["--json"]);
    assert_eq!(code, 1);
    let found: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<_> = found
        .iter()
        .map(|f| format!("{}:{}:{}", f["file"].as_str().unwrap(), f["line"], f["column"]))
        .collect();
    assert_eq!(
        places,
        [
            "config.toml:2:10",
            "config.toml:3:1",
            "config.toml:5:1",
            "schedules/b.toml:1:12",
            "schedules/c.toml:2:8",
            "schedules/d.toml:3:12",
        ],
        "{shown}"
    );
    let codes: Vec<_> = found.iter().map(|f| f["code"].as_str().unwrap_or("none")).collect();
    assert_eq!(
        codes,
        ["invalid-value", "unknown-key", "unknown-key", "syntax", "conflict", "invalid-value"],
        "{shown}"
    );
    let twice = found.iter().find(|f| f["file"] == "schedules/c.toml").unwrap();
    assert_eq!(twice["message"], "two schedules are named 'one': the first is at schedules/a.toml:2");
    assert_eq!(twice["source_line"], "name = \"one\"");
    assert_eq!(twice["severity"], "error");
}

#[test]
fn a_name_that_looks_misspelt_and_one_event_of_two_schedules_are_warnings() {
    let text = r#"
[[schedule]]
name = "a"
event = "time.one-hour.passsed"
cron = "0 * * * *"

[[schedule]]
name = "b"
event = "time.one-hour.passsed"
cron = "30 * * * *"
"#;
    let (code, shown) = check(&[("config.toml", ""), ("schedules/a.toml", text)], &[]);
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("warning: the event 'time.one-hour.passsed' looks misspelt ('passsed')"),
        "{shown}"
    );
    assert!(shown.contains("did you mean 'time.one-hour.passed'?"), "{shown}");
    assert!(shown.contains("is also sent by the schedule 'a' (schedules/a.toml:3)"), "{shown}");
    assert!(
        shown.ends_with("3 warnings; 2 schedules in 1 file of the folder schedules can run\n"),
        "{shown}"
    );
}

#[test]
fn an_empty_or_missing_folder_is_an_error_that_says_what_to_do() {
    let files = [("config.toml", ""), ("schedules/readme.txt", "")];
    let (code, shown) = check(&files, &[]);
    assert!(code == 1 && shown.contains("there is no schedule file (*.toml) in this folder"), "{shown}");
    assert!(shown.contains("leave schedules.folder out for the standard time events"), "{shown}");
    let commented = [("config.toml", ""), ("schedules/a.toml", "# [[schedule]]\n")];
    assert!(check(&commented, &[]).1.contains("1 file, and all is commented out"));
    let empty = [("schedules/a.toml", "\n"), ("schedules/b.toml", "")];
    let (code, shown) = check(&empty, &[]);
    assert!(
        code == 1 && shown.contains("there is no schedule in this folder: 2 files, all empty"),
        "{shown}"
    );
    let beside =
        [("schedules/a.toml", ""), ("schedules/b.toml", "[[schedule]]\nname = \"b\"\nevery = \"1h\"\n")];
    let (code, shown) = check(&beside, &[]);
    assert!(
        code == 0 && shown.contains("warning: this schedule file is empty\n--> schedules/a.toml"),
        "{shown}"
    );
    assert!(shown.ends_with("1 warning; 1 schedule in 2 files of the folder schedules can run\n"), "{shown}");
    let (code, shown) = check(&[], &["--schedules", "no-such-folder"]);
    assert!(code == 1 && shown.contains("no-such-folder"), "{shown}");
}

#[test]
fn what_is_no_text_is_named_and_the_other_files_are_still_checked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), [0xff, 0xfe, 0]).unwrap();
    fs::write(folder.path().join("b.toml"), "[[schedule]]\nname = \"b\"\n").unwrap();
    let output = khronos(folder.path(), &["check", "--schedules", ".", "--json"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("a.toml") && shown.contains("b.toml"), "{shown}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn no_password_is_shown() {
    let text = "[broker]\nurl = \"amqp://me:hunter2@host:port\"\nwindwo = 1\n";
    for arguments in [&[][..], &["--json"]] {
        let (code, shown) = check(&[("config.toml", text)], arguments);
        assert!(code == 1 && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("the port is not a number"), "{shown}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_khronos"))
        .args(["next", "--every", "1s", "--count", "100000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn what_can_run_and_was_seldom_meant_is_a_warning_at_its_place() {
    let text = r#"
[[schedule]]
name = "hourly"
event = "report.sales.requested"
cron = "30 2 31 * *"
time_zone = "Europe/Paris"

[[schedule]]
name = "poll"
event = "mail.box.polled"
cron = "*/7 * * * *"
"#;
    let files = [("config.toml", ""), ("schedules/a.toml", text)];
    let (code, shown) = check(&files, &[]);
    assert_eq!(code, 0, "{shown}");
    let uneven = "\
warning: schedule 'poll': cron: '*/7' is uneven: after 56 comes 0 again, 4 minutes later, not 7
  --> schedules/a.toml:11:9
   |
11 | cron = \"*/7 * * * *\"
   |         ^^^
   |
   = help: every = \"7 minutes\" has even intervals
";
    assert!(shown.contains(uneven), "{shown}");
    assert!(shown.contains("'L' is the last day of every month"), "{shown}");
    assert!(shown.contains("'hourly' says hourly, but it is due about every"), "{shown}");
    let (code, json) = check(&files, &["--json"]);
    assert!(code == 0 && json.lines().count() == 3, "{json}");
    assert!(json.lines().all(|line| line.contains("\"severity\":\"warning\"")), "{json}");
}

/// A calendar that ended long ago, one that goes on, and schedules that name them.
const CALENDARS: [(&str, &str); 4] = [
    ("calendars/holidays.toml", "dates = [\"2020-05-01\", \"2020-12-25\"]\n"),
    ("calendars/yearly.toml", "yearly = [\"12-25\"]\n"),
    (
        "schedules/a.toml",
        "[[schedule]]\nname = \"day\"\nevent = \"office.day.opened\"\ncron = \"0 9 * * *\"\ntime_zone = \"Europe/Paris\"\nexclude = [\"yearly\", \"holidays\"]\n",
    ),
    (
        "schedules/b.toml",
        "[[schedule]]\nname = \"feast\"\nevent = \"office.feast.begun\"\ncron = \"0 9 * * *\"\nonly = [\"holidays\"]\n",
    ),
];

#[test]
fn a_calendar_that_has_run_out_is_told_with_its_last_day() {
    let (code, shown) = check(&CALENDARS, &[]);
    assert_eq!(code, 0, "{shown}");
    let excluded = "schedule 'day': exclude.1: the calendar 'holidays' has run out: its last day was 2020-12-25, and it no longer excludes anything";
    assert!(shown.contains(excluded) && shown.contains("add the coming days to it"), "{shown}");
    let only = "schedule 'feast': only.0: the calendar 'holidays' has run out: its last day was 2020-12-25, and what is due only on its days";
    assert!(shown.contains(only), "{shown}");
    assert!(
        shown.ends_with("2 warnings; 2 schedules in 2 files of the folder schedules can run\n"),
        "{shown}"
    );

    let folder = tempfile::tempdir().unwrap();
    for (name, text) in CALENDARS {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let said = |arguments: &[&str]| {
        let output =
            khronos(folder.path(), &[&["next", "day", "--schedules", "schedules"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let note = "note: the calendar 'holidays' has run out: its last day was 2020-12-25, and it no longer excludes anything\n";
    assert_eq!(said(&[]), (Some(0), note.to_owned()));
    // It ends with its last day, in the schedule's zone.
    assert_eq!(said(&["--from", "2020-12-23T22:59:59Z", "--count", "1"]), (Some(0), String::new()));
    assert_eq!(said(&["--from", "2020-12-25T23:00:00Z"]), (Some(0), note.to_owned()));
    // Before that, of what is shown from then on.
    let coming = "note: the calendar 'holidays' runs out: its last day is 2020-12-25, and it excludes nothing from then on\n";
    let until = ["--from", "2020-12-24T22:59:59Z", "--count"];
    assert_eq!(said(&[&until[..], &["1"]].concat()), (Some(0), coming.to_owned()));
    assert_eq!(said(&["--from", "2020-12-20T22:59:59Z", "--count", "2"]), (Some(0), String::new()));
}

#[test]
fn what_can_never_fire_any_more_is_a_warning() {
    for (keys, said) in [
        ("at = \"2020-01-01T00:00:00Z\"", "at: it was due at 2020-01-01 00:00:00 UTC, which is past"),
        ("every = \"1 day\"\nuntil = \"2020-01-01T00:00:00Z\"", "until: it will never fire again"),
        (
            "cron = \"0 0 9 1 1 ? 2020\"",
            "cron: it will never fire again: it was last due at 2020-01-01 09:00:00 UTC",
        ),
    ] {
        let text = format!("[[schedule]]\nname = \"a\"\nevent = \"a.b.started\"\n{keys}\n");
        let (code, shown) = check(&[("schedules/a.toml", &text)], &[]);
        assert!(code == 0 && shown.contains(&format!("warning: schedule 'a': {said}")), "{shown}");
    }
    let derived = "[[schedule]]\nname = \"ninety-minutes\"\nevery = \"90 minutes\"\n";
    let (code, shown) = check(&[("schedules/a.toml", derived)], &[]);
    assert_eq!((code, shown.lines().count()), (0, 1), "{shown}");
}

#[test]
fn what_goes_beyond_the_limits_is_refused_with_the_numbers_and_the_key() {
    let config = "[limits]\nshortest_interval = \"1s\"\nrate = 1\n";
    let fast = "[[schedule]]\nname = \"fast\"\nevent = \"x.fast.came\"\nevery = \"500ms\"\n";
    let (code, shown) = check(&[("config.toml", config), ("schedules/a.toml", fast)], &[]);
    assert_eq!(code, 1, "{shown}");
    for part in [
        "'fast' has an interval of 500 ms; the shortest interval allowed is 1 s",
        "due 2.00 times a second",
        "limits.shortest_interval",
        "KHRONOS_LIMITS_RATE",
        "schedules/a.toml:2",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_fault_in_one_of_several_timings_has_its_caret_there() {
    let shown = finding(
        "name = \"a\"\nevent = \"x.a.came\"\ntimings = [{ every = \"4h\" }, { cron = \"0 25 * * *\" }]",
    );
    assert!(shown.contains("timings.1.cron: 25 is out of range"), "{shown}");
    let line = shown.lines().find(|line| line.contains('^')).unwrap();
    let written = shown.lines().find(|line| line.contains("timings = [")).unwrap();
    assert_eq!(line.find('^'), written.find("25 * * *"), "{shown}");
    let shown = finding("name = \"a\"\nevent = \"x.a.came\"\ntimings = [\"4h\", { evry = \"4h\" }]");
    assert!(
        shown.contains("timings.0 must be a table") && shown.contains("unknown key 'evry' in 'timings.1'"),
        "{shown}"
    );
}
