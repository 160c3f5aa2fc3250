//! `khronos check FILE…`: files that are judged as if they lay in the configured folders.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

const MINE: &str = "[[schedule]]\nname = \"mine\"\nevery = \"1 hour\"\n";
const OFFICE: &str = "[[schedule]]\nname = \"day\"\nevent = \"office.day.opened\"\ncron = \"0 9 * * *\"\nexclude = [\"closed\"]\n";
const ICS: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20991224\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// Exit code and standard output of `khronos check` with these arguments, in a folder with these files.
fn check(files: &[(&str, &str)], arguments: &[&str], input: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("config.toml", "")].iter().chain(files) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    run(folder.path(), arguments, input)
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KHRONOS_")) {
        command.env_remove(name);
    }
    let command = command.current_dir(folder).arg("check").args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who does not read it goes away.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn only_the_files_that_are_named_are_checked_and_each_fault_is_shown_as_of_the_folder() {
    let wrong = MINE.replace("1 hour", "1 hout");
    let files = [("new/a.toml", MINE), ("new/b.toml", &wrong), ("schedules/other.toml", &OFFICE[..60])];
    let (code, shown) = check(&files[..2], &["new/a.toml"], "");
    assert_eq!((code, &*shown), (0, "the configuration and 1 schedule in 1 file are valid\n"));
    let (code, shown) =
        check(&files[..2], &["new/a.toml", "new/b.toml", "./new/a.toml", "new/../new/a.toml"], "");
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("--> new/b.toml:3:12\n  |\n3 | every = \"1 hout\"\n"), "{shown}");
    assert!(shown.ends_with("\n1 error, 0 warnings; 1 schedule in 2 files can run\n"), "{shown}");
    let (code, json) = check(&files[..2], &["--json", "new/b.toml"], "");
    let found: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((code, &found["file"], &found["line"]), (1, &"new/b.toml".into(), &3.into()), "{json}");

    // What is wrong elsewhere is no fault of this file, and is no secret.
    let (code, shown) = check(&files, &["new/a.toml"], "");
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("warning: 1 error in other files of the configured folders")
            && shown.contains("; the first: schedules/other.toml:"),
        "{shown}"
    );
    let (code, shown) = check(&files[..1], &["--schedules", "gone", "new/a.toml"], "");
    assert!(code == 0 && shown.contains("the folder of schedules can't be read"), "{shown}");
    // Advice is given as well.
    let uneven = "[[schedule]]\nname = \"poll\"\nevent = \"mail.box.polled\"\ncron = \"*/7 * * * *\"\n";
    let (code, shown) = check(&[("a.toml", uneven)], &["a.toml"], "");
    assert!(code == 0 && shown.contains("'*/7' is uneven"), "{shown}");
    assert!(shown.ends_with("\n1 warning; 1 schedule in 1 file can run\n"), "{shown}");
}

#[test]
fn a_name_that_the_configured_folder_has_is_taken_unless_its_file_is_replaced() {
    let files = [("schedules/a.toml", MINE), ("new/a.toml", MINE), ("new/b.toml", MINE)];
    for right in ["new/a.toml", "schedules/a.toml"] {
        let (code, shown) = check(&files, &[right], "");
        assert_eq!(code, 0, "{right}: {shown}");
    }
    let clash = "two schedules are named 'mine': the first is at schedules/a.toml:2";
    for (arguments, input, at) in [(["new/b.toml"], "", "new/b.toml"), (["-"], MINE, "<standard input>")] {
        let (code, shown) = check(&files, &arguments, input);
        assert!(code == 1 && shown.contains(clash) && shown.contains(&format!("--> {at}:2:8")), "{shown}");
    }
    // The built-in ones are gone as soon as there is a folder.
    let standard = MINE.replace("mine", "one-hour");
    let (code, shown) = check(&[("new/a.toml", &standard)], &["new/a.toml"], "");
    assert_eq!(code, 0, "{shown}");
    // Another folder, if one is named.
    let (code, shown) = check(&files, &["--schedules", "new", "schedules/a.toml"], "");
    assert!(code == 1 && shown.contains("the first is at new/b.toml:2"), "{shown}");
}

#[test]
fn calendars_are_those_of_the_configured_folder_and_the_ones_that_are_named() {
    let days = "dates = [\"2099-12-24\"]\n";
    let files = [
        ("schedules/x.toml", MINE),
        ("calendars/closed.toml", days),
        ("new/office.toml", OFFICE),
        ("new/closed.ics", ICS),
        ("new/shut.ics", ICS),
        ("new/closed.toml", "dates = [\"2099-12-32\"]\n"),
    ];
    assert_eq!(check(&files, &["new/office.toml"], "").0, 0);
    let (code, shown) = check(&files[2..], &["new/office.toml"], "");
    assert!(code == 1 && shown.contains("there is no calendar 'closed'"), "{shown}");
    let (code, shown) = check(&files[2..], &["new/office.toml", "new/closed.ics"], "");
    assert_eq!((code, &*shown), (0, "the configuration and 1 schedule in 1 file and 1 calendar are valid\n"));
    let (code, shown) = check(&files, &["new/shut.ics"], "");
    assert_eq!((code, &*shown), (0, "the configuration and 1 calendar are valid\n"));
    let (code, shown) = check(&files, &["new/closed.ics"], "");
    assert!(code == 1 && shown.contains("two calendars are named 'closed'"), "{shown}");
    // It replaces the right one.
    let (code, shown) = check(&files, &["new/closed.toml", "new/office.toml"], "");
    assert!(code == 1 && shown.contains("--> new/closed.toml:1:11"), "{shown}");
    assert!(shown.contains("the calendar 'closed' can't be used: its file is wrong"), "{shown}");
    assert!(
        shown.ends_with("2 errors, 0 warnings; 0 schedules in 1 file and 0 calendars can be used\n"),
        "{shown}"
    );
    // In the folder of calendars a file is a calendar whatever it holds.
    let odd =
        [("schedules/x.toml", MINE), ("calendars/odd.toml", "date = []\n"), ("odd.toml", "date = []\n")];
    let (_, shown) = check(&odd, &["calendars/odd.toml"], "");
    assert!(shown.contains("unknown key 'date' in a calendar"), "{shown}");
    let (_, shown) = check(&odd, &["./calendars/../calendars/odd.toml"], "");
    assert!(shown.contains("unknown key 'date' in a calendar"), "{shown}");
    let (_, shown) = check(&odd, &["odd.toml"], "");
    assert!(shown.contains("a schedule file holds only [[schedule]] tables"), "{shown}");
}

#[test]
fn standard_input_is_a_file_of_either_kind() {
    let calendar = "dates = [\"2099-12-24\"]\n";
    for (input, code, said) in [
        (MINE, 0, "the configuration and 1 schedule in 1 file are valid"),
        (ICS, 0, "the configuration and 1 calendar are valid"),
        (calendar, 0, "the configuration and 1 calendar are valid"),
        (&ICS.replace("20991224", "2099122"), 1, "--> <standard input>:4:"),
        (&calendar.replace("24", "32"), 1, "--> <standard input>:1:"),
        ("[[schedule]\n", 1, "<standard input>:1:12"),
        ("", 0, "this schedule file is empty"),
    ] {
        let (ended, shown) = check(&[], &["-"], input);
        assert_eq!(ended, code, "{input}: {shown}");
        assert!(shown.contains(said), "{input}: {shown}");
    }
}

#[test]
fn what_is_no_file_that_a_clock_would_read_is_an_error() {
    let files = [("new/a.txt", MINE), ("new/.a.toml", MINE), ("new/b.toml/c", "")];
    for (file, said) in [
        ("new/a.txt", "the clock does not read files of this name"),
        ("new/.a.toml", "the clock does not read files of this name"),
        ("new", "the clock does not read files of this name"),
        ("new/b.toml", "it is a folder, not a regular file"),
        ("new/c.toml", "this schedule file can't be read"),
        ("new/c.ics", "this calendar can't be read"),
    ] {
        let (code, shown) = check(&files, &[file], "");
        assert!(code == 1 && shown.contains(said) && shown.contains(file), "{file}: {shown}");
    }
}

#[test]
fn the_limits_hold_for_these_files_and_for_all_together() {
    let limits = "[limits]\nshortest_interval = \"1m\"\nschedules = 1\n";
    let fast = MINE.replace("1 hour", "1 second");
    let files = [("config.toml", limits), ("new/a.toml", &fast)];
    let (code, shown) = check(&files, &["new/a.toml"], "");
    assert!(code == 1 && shown.contains("'mine' has an interval of 1 s"), "{shown}");
    let others = [
        files[0],
        ("schedules/x.toml", &fast),
        ("new/a.toml", OFFICE),
        ("calendars/closed.toml", "yearly = [\"12-25\"]"),
    ];
    let (code, shown) = check(&others, &["new/a.toml"], "");
    assert!(
        code == 1 && shown.contains("2 schedules; 1 is allowed") && !shown.contains("interval"),
        "{shown}"
    );
    assert!(shown.contains("--> new/a.toml:2:1"), "{shown}");
}
