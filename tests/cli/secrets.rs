//! No password is printed, wherever its URL was put: by any flag of any verb, any key, any variable.

use khronos::config::DEFAULT;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use testkit::{Sandbox, help_flags, help_words};

/// The part of a password that is looked for.
const MARK: &str = "hunter2";

/// URLs as they are mistyped: as they should be, with what must be encoded, with other schemes and hosts, two in one text; a
/// clock's token where something else belongs.
const VALUES: [&str; 13] = [
    "amqp://me:hunter2@host",
    "amqps://me:p%40hunter2@[::1]:5671/v",
    "amqp://me:a b/c#hunter2@host/v",
    "amqp://me:a://hunter2@host/v",
    "postgres://me:hunter2@host/db,amqp://you:hunter2@host",
    "http://me:hunter2@127.0.0.1:1/?x=1",
    "amqp://me:hunter2",
    // mistyped
    "amqp:/me:hunter2@host",
    "amqp:me:hunter2@host",
    "me:hunter2@host",
    // not where a URL has its password
    "http://127.0.0.1:1/?a=1&token=hunter2",
    "host=127.0.0.1 password=hunter2",
    TOKEN,
];

/// Of the form that a clock's token has.
const TOKEN: &str = "kh_1f2e3d4c_hunter2hunter2hunter2hunter2hunter2hunter2h";

/// HTTP can't be served there, so that no clock stays.
const NOWHERE: &str = "203.0.113.1:1";

/// Longer than anything takes that works, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the program to its end; all that it printed.
fn said(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let sandbox = Sandbox::new();
    let file = |name| fs::File::create(sandbox.path(name)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    command.env_clear().envs(environment.iter().copied()).args(arguments);
    command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
    // Where the files that it is to read are; what it makes there goes with the folder.
    let mut program = sandbox.start_in(&mut command, folder);
    let read = |name| fs::read_to_string(sandbox.path(name)).unwrap();
    let all = || format!("{}{}", read("out"), read("err"));
    // Who tails a broker that is not there waits for it.
    let ended = || (!program.runs() || all().contains("it is tried again")).then_some(());
    testkit::block_until_or_tell(&format!("the end of {arguments:?}"), LIMIT, ended, all);
    all()
}

/// Nothing of the password is in it.
#[track_caller]
fn is_discreet(said: &str, how: &str) {
    assert!(!said.contains(MARK), "{how}:\n{said}");
    assert!(!said.contains("panicked"), "{how}:\n{said}");
}

#[test]
fn no_flag_and_no_argument_of_any_verb_prints_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let mut tried = 0;
    for verb in help_words(&said(here, &[], &["--help"]), "Commands:") {
        if verb == "help" {
            continue;
        }
        let help = said(here, &[], &[verb, "--help"]);
        let listen = if verb == "run" { &["--listen", NOWHERE][..] } else { &[] };
        for flag in help_flags(&help).into_iter().filter(|flag| *flag != "--help") {
            for value in VALUES {
                let rest = if flag == "--listen" { &[] } else { listen };
                let arguments = [&[verb, flag, value], rest].concat();
                is_discreet(&said(here, &[], &arguments), &format!("{arguments:?}"));
                tried += 1;
            }
        }
        for value in VALUES {
            let arguments = [&[verb, value], listen].concat();
            is_discreet(&said(here, &[], &arguments), &format!("{arguments:?}"));
        }
        // The help shows the variables that flags have.
        is_discreet(&said(here, &[("KHRONOS_CONFIG", VALUES[0])], &[verb, "--help"]), verb);
    }
    assert!(tried > 100, "only {tried} were found in the help");
}

/// Every key that the default configuration shows, with its section.
fn keys() -> Vec<(String, String)> {
    let (mut keys, mut section) = (Vec::new(), String::new());
    for line in DEFAULT.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            && !section.is_empty()
        {
            keys.push((section.clone(), key.to_owned()));
        }
    }
    keys
}

#[test]
fn no_key_and_no_variable_prints_a_password() {
    let keys = keys();
    assert!(keys.len() > 30, "{keys:?}");
    for (section, key) in keys.iter().map(|(section, key)| (section.as_str(), key.as_str())) {
        let variable = format!("KHRONOS_{section}_{key}").to_uppercase().replace('.', "_");
        for value in [VALUES[0], VALUES[2], TOKEN] {
            let folder = tempfile::tempdir().unwrap();
            let here = folder.path();
            let listen = if key == "listen" { vec![] } else { vec![("KHRONOS_HTTP_LISTEN", NOWHERE)] };
            let by_variable = [&listen[..], &[(variable.as_str(), value)]].concat();
            for verb in ["check", "run"] {
                is_discreet(&said(here, &by_variable, &[verb]), &format!("{verb}, {variable}={value}"));
            }
            for written in [format!("\"{value}\""), format!("[\"{value}\"]"), value.to_owned()] {
                fs::write(here.join("config.toml"), format!("[{section}]\n{key} = {written}\n")).unwrap();
                for words in [&["check"][..], &["check", "--json"], &["run"]] {
                    is_discreet(
                        &said(here, &listen, words),
                        &format!("{words:?}, {section}.{key} = {written}"),
                    );
                }
            }
        }
    }
}

#[test]
fn no_fault_of_a_token_prints_it() {
    for key in ["id", "sha256", "owner", "role", "domains", "token", "secret"] {
        for value in
            [format!("\"{TOKEN}\""), format!("[\"{TOKEN}\"]"), TOKEN.to_owned(), "\"hunter2\"".into()]
        {
            if value == "\"hunter2\"" && !["id", "sha256", "token", "secret"].contains(&key) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let text = format!("[[http.tokens]]\n{key} = {value}\n");
            fs::write(folder.path().join("config.toml"), &text).unwrap();
            for words in [&["check"][..], &["check", "--json"], &["list"]] {
                let said = said(folder.path(), &[("KHRONOS_TOKEN", TOKEN)], words);
                is_discreet(&said, &text);
                assert!(said.contains("config.toml"), "it says where:\n{said}");
            }
        }
    }
}

#[test]
fn a_folder_that_is_there_and_named_like_a_url_is_shown_without_its_password() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("amqp:/me:hunter2@host/schedules");
    fs::create_dir_all(&folder).unwrap();
    let schedule = "[[schedule]]\nname = \"a\"\nevery = \"1 hour\"\n";
    fs::write(folder.join("a.toml"), schedule).unwrap();
    let here = sandbox.path("");
    for arguments in [
        ["check", "--schedules", "amqp://me:hunter2@host/schedules"],
        ["check", "--config", "amqp://me:hunter2@host/x"],
        ["next", "--schedules", "amqp://me:hunter2@host/schedules"],
    ] {
        is_discreet(&said(&here, &[], &arguments), arguments[0]);
    }
    let store = [("KHRONOS_STORE_PATH", "amqp://me:hunter2@host/store")];
    let refused = said(&here, &store, &["check"]);
    is_discreet(&refused, "store.path");
    assert!(refused.contains("this is a URL, but not that of a Postgres"), "{refused}");
}

#[test]
fn no_unknown_key_unknown_variable_or_schedule_prints_a_password() {
    for text in [
        "[broker]\npasword = \"hunter2\"\n",
        "[broker]\npassword = hunter2\n",
        "[broker]\nurl = \"amqp://h\" # hunter2\nx = 1\n",
        "[broker.tls]\npassphrase = '''hunter2'''\n",
        "password = \"hunter2\"\n",
        "[broker]\n\"hunter2\"\n",
        "[broker]\nulr = \"amqp://me:hunter2@host\"\n",
        "[clock]\nname = \"a\" password = \"hunter2\"\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), text).unwrap();
        for words in [&["check"][..], &["check", "--json"], &["list"]] {
            let said = said(folder.path(), &[], words);
            is_discreet(&said, text);
            assert!(said.contains("config.toml"), "it says where:\n{said}");
        }
    }
    for name in ["KHRONOS_BROKER_PASSWORD", "KHRONOS_URL", "KHRONOS_CONFIG"] {
        let folder = tempfile::tempdir().unwrap();
        for words in ["check", "list"] {
            is_discreet(&said(folder.path(), &[(name, VALUES[0])], &[words]), name);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let schedules = folder.path().join("schedules");
    fs::create_dir(&schedules).unwrap();
    fs::write(folder.path().join("config.toml"), "").unwrap();
    let text = "[[schedule]]\nname = \"a\"\nevent = \"amqp://me:hunter2@host\"\nevery = \"amqp://me:hunter2@host\"\n";
    fs::write(schedules.join("a.toml"), text).unwrap();
    let said = said(folder.path(), &[], &["check"]);
    is_discreet(&said, text);
    assert!(said.contains("amqp://me:***@host"), "{said}");
}
