//! `khronos plan`: two folders or files; the store of a clock that does not run.

use khronos::{
    engine::{Commit, Revision},
    schedule::{CalendarStore, Definition, Packed, Timing, ZoneData},
    store::{SledOptions, SledStore, Store},
};
use ponos::event::Timestamp;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

const OLD: &str = r#"
[[schedule]]
name = "report"
event = "reports.morning.requested"
cron = "0 9 * * *"
time_zone = "Europe/Paris"

[[schedule]]
name = "night"
event = "batch.night.begun"
cron = "0 1 * * *"
time_zone = "Europe/Paris"

[[schedule]]
name = "mail"
event = "mail.box.polled"
every = "60 minutes"
data = { box = "a" }

[[schedule]]
name = "old"
event = "a.old.ended"
cron = "0 0 1 * *"

[[schedule]]
name = "same"
event = "a.same.ended"
every = "100ms"
"#;

const NEW: &str = r#"
[[schedule]]
name = "report"
event = "reports.morning.requested"
cron = "30 9 * * 1-5"
time_zone = "Europe/Paris"

[[schedule]]
name = "night"
event = "batch.night.begun"
cron = "30 2 * * *"
time_zone = "Europe/Paris"

[[schedule]]
name = "mail"
event = "mail.box.polled"
every = "1 hour"
data = { box = "b" }

[[schedule]]
name = "same"
event = "a.same.ended"
every = "100ms"

[[schedule]]
name = "new"
event = "a.new.started"
at = "2027-03-20T12:00:00Z"
"#;

/// Exit code, standard output, standard error of `khronos plan` in `folder`.
fn plan(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let from = ["plan", "--from", "2027-03-14T12:00:00Z"];
    let span = if arguments.contains(&"--for") { &[][..] } else { &["--for", "14 days"] };
    khronos(folder, &[&from[..], span, arguments].concat())
}

fn khronos(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KHRONOS_")) {
        command.env_remove(name);
    }
    // A clock may run on this machine, at the usual address.
    command.env("KHRONOS_HTTP_LISTEN", "127.0.0.1:1");
    let output = command.current_dir(folder).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A store of a clock that does not run, which has accepted these.
fn store(folder: &Path, definitions: &[Definition]) {
    store_with(folder, definitions, &CalendarStore::default());
}

/// The same, with the zone data of this store.
fn store_with(folder: &Path, definitions: &[Definition], calendars: &CalendarStore) {
    let start = Timestamp::from_millis(0);
    let revision = |definition| Revision {
        number: 1,
        definition: Packed::kept_with(definition, calendars),
        effective_from: start,
        counts_from: start,
        opens: start,
        previous: None,
        ended: None,
        set_backs: 0,
    };
    let mut store =
        SledStore::open(&folder.join("khronos-data"), "khronos", &SledOptions::default()).unwrap();
    store.load().unwrap();
    let revisions = definitions.iter().map(revision).collect();
    let commit = Commit { settled: start, handed: start, revisions, ..Commit::default() };
    store.save(1, &commit).unwrap();
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("new")).unwrap();
    fs::write(folder.path().join("old.toml"), OLD).unwrap();
    fs::write(folder.path().join("new/a.toml"), NEW).unwrap();
    folder
}

#[test]
fn people_see_each_schedule_and_the_sum() {
    let folder = folder();
    let (code, out, err) = plan(folder.path(), &["old.toml", "new", "--show", "2"]);
    let expected = "\
old.toml → new, 14 days after 2027-03-14T12:00:00.000Z

~ mail: due as before
    every: \"60 minutes\" → \"1 hour\"
    data: {\"box\":\"a\"} → {\"box\":\"b\"}
+ new: +1 −0 ~0
    + 2027-03-20 12:00:00 UTC
~ night: +0 −0 ~14
    cron: \"0 1 * * *\" → \"30 2 * * *\"
    ~ 2027-03-15 01:00:00 Europe/Paris → 02:30:00
    ~ 2027-03-16 01:00:00 Europe/Paris → 02:30:00
    … and 12 more
    in a gap: 2027-03-28 02:30 Europe/Paris, due at 03:00
- old: +0 −0 ~0
~ report: +0 −4 ~10
    cron: \"0 9 * * *\" → \"30 9 * * 1-5\"
    ~ 2027-03-15 09:00:00 Europe/Paris → 09:30:00
    ~ 2027-03-16 09:00:00 Europe/Paris → 09:30:00
    … and 12 more

schedules: 1 added, 1 removed, 3 changed, 1 unchanged
+1 −4 ~24 in 14 days; 1 falls into a DST gap (2027-03-28 02:30 Europe/Paris → 03:00)
";
    assert_eq!(err, "");
    assert_eq!(out, expected, "{out}");
    assert_eq!(code, 2);
}

#[test]
fn programs_get_one_object_and_nothing_differs_from_itself() {
    let folder = folder();
    let (code, out, _) = plan(folder.path(), &["old.toml", "new", "--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 2);
    assert_eq!((&shown["added"], &shown["removed"], &shown["moved"]), (&1.into(), &4.into(), &24.into()));
    assert_eq!(
        (&shown["in_gaps"], &shown["unchanged"], &shown["at_least"]),
        (&1.into(), &1.into(), &false.into())
    );
    let schedules = shown["schedules"].as_array().unwrap();
    let of = |name: &str| schedules.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!((&of("new")["change"], &of("old")["change"]), (&"added".into(), &"removed".into()));
    assert_eq!(of("mail")["keys"][1]["key"], "data");
    assert_eq!(of("report")["first"][0]["was"]["due_at"], "2027-03-15T08:00:00.000Z");
    assert_eq!(of("report")["first"][0]["now"]["local_time"], "2027-03-15T09:30:00");
    assert_eq!(of("night")["gaps"][0]["due_at"], "2027-03-28T01:00:00.000Z");
    let (code, out, _) = plan(folder.path(), &["new", "new/a.toml"]);
    assert!(code == 0 && out.ends_with("\n+0 −0 ~0 in 14 days\n"), "{out}");
}

#[test]
fn what_is_paused_calls_for_nothing_and_what_is_fast_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = |more: &str| format!("[[schedule]]\nname = \"x\"\nevent = \"a.x.ended\"\n{more}\n");
    for (name, more) in
        [("a", "every = \"100ms\""), ("b", "every = \"1s\""), ("c", "every = \"1s\"\npaused = true")]
    {
        fs::write(folder.path().join(name), schedule(more)).unwrap();
    }
    let (code, out, _) = plan(folder.path(), &["a", "b", "--for", "30 days"]);
    assert!(code == 2 && out.contains("≥ +0 −23328000 ~0: 25920000 before, 2592000 now"), "{out}");
    let (code, out, _) = plan(folder.path(), &["b", "c"]);
    assert!(code == 2 && out.contains("~ x: +0 −1209600 ~0\n    paused: left out → true"), "{out}");
}

#[test]
fn jitter_alone_moves_nothing_and_the_help_says_what_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    for (name, jitter) in [("a", "5m"), ("b", "20m")] {
        let text = format!(
            "[[schedule]]\nname = \"x\"\nevent = \"a.x.ended\"\nevery = \"1h\"\njitter = \"{jitter}\"\n"
        );
        fs::write(folder.path().join(name), text).unwrap();
    }
    let (code, out, _) = plan(folder.path(), &["a", "b"]);
    assert!(code == 2 && out.contains("~ x: due as before\n    jitter: \"5m\" → \"20m\""), "{out}");
    let (code, out, _) = plan(folder.path(), &["--help"]);
    assert!(code == 0 && out.contains("is when schedules are due, not when they are sent"), "{out}");
}

#[test]
fn without_old_the_clock_is_compared() {
    let folder = folder();
    let definition = Definition {
        name: "new".into(),
        event: Some("a.new.started".into()),
        at: Some("2027-03-20T13:00:00Z".into()),
        ..Definition::default()
    };
    store(folder.path(), &[definition]);
    let (code, out, err) = plan(folder.path(), &["new"]);
    assert_eq!((code, err.as_str()), (2, ""));
    assert!(out.starts_with("the store of the clock 'khronos' → new, 14 days"), "{out}");
    assert!(
        out.contains("~ new: +0 −0 ~1\n    at: \"2027-03-20T13:00:00Z\" → \"2027-03-20T12:00:00Z\""),
        "{out}"
    );
}

#[test]
fn of_a_usual_folder_that_is_gone_each_verb_says_what_the_clock_goes_on_with() {
    const LOST: &str = "there is no folder of schedules here, but this clock has run the schedules of one; \
                        the clock continues with the last accepted ones (1 schedule)";
    let mine = Definition {
        name: "mine".into(),
        event: Some("a.mine.passed".into()),
        every: Some("1 hour".into()),
        ..Definition::default()
    };
    let folder = tempfile::tempdir().unwrap();
    store(folder.path(), &[mine]);
    let (code, out, err) = khronos(folder.path(), &["check"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains(LOST) && out.contains("\"built-in\" or \"none\""), "{out}");
    let sum = "1 error, 0 warnings; 1 schedule (the last accepted ones; not with --strict) can run\n";
    assert!(out.ends_with(sum), "{out}");
    let (code, out, err) = khronos(folder.path(), &["check", "--json"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["severity"], &found["message"]), (&"error".into(), &LOST.into()), "{out}");
    for verb in ["plan", "next", "forecast"] {
        let (code, out, err) = khronos(folder.path(), &[verb]);
        assert!(code == 78 && out.is_empty() && err.contains(LOST), "{verb}: {code} {out} {err}");
    }
    // It is said what is meant, or the folder is back.
    let (code, out, _) = khronos(folder.path(), &["check", "--schedules", "built-in"]);
    assert!(code == 0 && out.contains("12 schedules (built in) are valid"), "{out}");
    fs::create_dir(folder.path().join("schedules")).unwrap();
    fs::write(folder.path().join("schedules/a.toml"), NEW).unwrap();
    let (code, out, _) = khronos(folder.path(), &["check"]);
    assert_eq!(code, 0, "{out}");
    let (code, out, err) = plan(folder.path(), &[]);
    assert!(code == 2 && out.contains("- mine") && err.is_empty(), "{out}{err}");
}

#[test]
fn a_store_that_knows_only_what_is_built_in_never_saw_a_folder_and_one_that_is_unreadable_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let hour = Definition { name: "one-hour".into(), every: Some("1 hour".into()), ..Definition::default() };
    store(folder.path(), &[hour]);
    let (code, out, err) = khronos(folder.path(), &["check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("12 schedules (built in, since there is no folder schedules) are valid"), "{out}");
    let seal = folder.path().join("khronos-data/seal");
    assert!(seal.is_file());
    fs::write(seal, "nonsense").unwrap();
    let (code, out, err) = khronos(folder.path(), &["check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("can't tell whether this clock has run the schedules of a folder"), "{out}");
}

#[test]
fn what_can_not_be_compared_has_the_usual_codes() {
    let folder = folder();
    fs::write(folder.path().join("broken.toml"), "[[schedule]]\nname = 1\n").unwrap();
    for (arguments, code, said) in [
        (&["old.toml", "broken.toml"][..], 78, "name must be a text"),
        (&["old.toml", "missing"], 78, "can't be read"),
        (&["new"], 74, "there is no store"),
        (&["old.toml", "new", "--for", "soon"], 2, "'soon' found where a number is needed"),
        (&["old.toml", "new", "new"], 2, "unexpected"),
    ] {
        let (found, out, err) = plan(folder.path(), arguments);
        assert!(found == code && out.is_empty() && err.contains(said), "{arguments:?}: {found} {err}");
    }
}

/// The TZif bytes of a zone of the bundled data.
fn tzif(name: &str) -> Vec<u8> {
    let timing = Timing::from_every("1 day", Some(name)).unwrap();
    timing.zone().rules().unwrap().tzif().to_vec()
}

/// A folder of zone data in which these zones have the rules of others.
fn zones(folder: &Path, zones: &[(&str, &str)]) {
    for (name, rules_of) in zones {
        let file = folder.join("zones").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, tzif(rules_of)).unwrap();
    }
    fs::write(folder.join("zones/tzdata.zi"), "# version 2027a\n").unwrap();
}

#[test]
fn newer_zone_data_is_shown_by_what_it_changes_and_nothing_else_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = |name: &str, keys: &str| {
        format!("[[schedule]]\nname = \"{name}\"\nevent = \"a.{name}.begun\"\n{keys}\n")
    };
    let text = [
        schedule("report", "cron = \"0 9 * * *\"\ntime_zone = \"Europe/Paris\""),
        schedule("pulse", "every = \"1h\"\ntime_zone = \"Europe/Paris\""),
        schedule("korea", "cron = \"0 9 * * *\"\ntime_zone = \"Asia/Seoul\""),
        schedule("plain", "cron = \"0 9 * * *\""),
    ];
    fs::create_dir(folder.path().join("schedules")).unwrap();
    fs::write(folder.path().join("schedules/a.toml"), text.concat()).unwrap();
    let read = khronos::sources::read_path(&folder.path().join("schedules"), &CalendarStore::default());
    let definitions: Vec<Definition> = read.list.into_iter().map(|source| source.definition).collect();
    // Seoul's and Tokyo's clocks have been alike for decades, and were not before.
    let before = CalendarStore::default();
    let files = [("Europe/Paris", "Europe/London"), ("Asia/Seoul", "Asia/Tokyo")];
    let files = files.map(|(name, rules_of)| (name.to_owned(), tzif(rules_of)));
    before.zones().use_data(ZoneData::of_folder("/zones", Some("2026e".into()), files));
    store_with(folder.path(), &definitions, &before);

    let (code, out, err) = plan(folder.path(), &[]);
    assert_eq!(code, 2, "{out}{err}");
    for line in [
        "~ pulse: due as before\n    other rules of Europe/Paris\n",
        "~ report: +0 −0 ~14\n    other rules of Europe/Paris\n    ~ 2027-03-15 09:00:00 Europe/Paris (2027-03-15T09:00:00.000Z → 2027-03-15T08:00:00.000Z)\n",
        "schedules: 0 added, 0 removed, 2 changed, 2 unchanged\n",
        "tzdata 2026f (bundled): ~14 in 14 days (2 schedules)\n",
    ] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    let (_, out, _) = plan(folder.path(), &["--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["zone_data"]["moved"], &shown["zone_data"]["schedules"]), (&14.into(), &2.into()));
    assert_eq!(shown["schedules"][1]["zones"], serde_json::json!(["Europe/Paris"]));

    // A folder that says what the clock has already changes nothing.
    zones(folder.path(), &[("Europe/Paris", "Europe/London"), ("Asia/Seoul", "Asia/Seoul")]);
    fs::write(folder.path().join("config.toml"), "[clock]\ntime_zones = \"zones\"\n").unwrap();
    let (code, out, err) = plan(folder.path(), &[]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("4 unchanged") && !out.contains("tzdata"), "{out}");
    let (code, out, _) = khronos(folder.path(), &["check"]);
    assert!(code == 0 && out.contains("time zones: IANA 2027a (zones)"), "{out}");
    let (_, out, _) = khronos(
        folder.path(),
        &[
            "next",
            "--every",
            "1 day",
            "--time-zone",
            "Europe/Paris",
            "--from",
            "2026-12-01T00:00",
            "--count",
            "1",
        ],
    );
    assert!(out.contains("2026-12-02 00:00:00  +00:00 Europe/Paris"), "{out}");
    let (code, _, err) = khronos(folder.path(), &["next", "--every", "1 day", "--time-zone", "Asia/Tokyo"]);
    assert!(code == 2 && err.contains("there is no time zone 'Asia/Tokyo' in zones"), "{err}");
    // A file of the folder that is none.
    fs::write(folder.path().join("zones/Europe/Paris"), b"TZif\0").unwrap();
    let (code, out, _) = khronos(folder.path(), &["check"]);
    assert!(
        code != 0 && out.contains("the zone 'Europe/Paris' of zones can't be used: it is of version 1"),
        "{out}"
    );
    fs::remove_dir_all(folder.path().join("zones")).unwrap();
    let (code, out, _) = khronos(folder.path(), &["check"]);
    assert!(code != 0 && out.contains("the folder of time zones can't be read"), "{out}");
}
