//! No password is printed, wherever its URL was put; and one that was changed is used without a restart.

use super::support::{LIMIT, Running, declare, holds, ponos_ends, start_in, start_without_url};
use std::fs;
use testkit::{Node, Signal, help_flags};

/// The part of a password that is looked for.
const MARK: &str = "hunter2";

/// None of them can be used as a broker's URL, so that nothing is waited for.
const VALUES: [&str; 10] = [
    "amqp://me:hunter2@host/?x=1",
    "amqp://me:a b/c#hunter2@[::1]:5672/v",
    "postgres://me:p%40hunter2@127.0.0.1:1/db",
    "http://me:hunter2@127.0.0.1:1/,amqp://you:hunter2@host",
    // mistyped
    "amqp:/me:hunter2@host",
    "amqp:me:hunter2@host",
    "me:hunter2@host",
    // not where a URL has its password
    "http://127.0.0.1:1/?token=hunter2",
    "postgres://127.0.0.1:1/db?x=1&password=hunter2",
    "host=127.0.0.1 port=1 password=hunter2",
];

/// All that are read.
const VARIABLES: [&str; 12] = [
    "PONOS_URL",
    "PONOS_URL_FILE",
    "PONOS_INBOX",
    "PONOS_LOG",
    "PONOS_LOG_FORMAT",
    "PONOS_METRICS",
    "PONOS_REPORTS",
    "PONOS_OBSERVER",
    "PONOS_CONFIG",
    "PONOS_TOKEN_FILE",
    "PONOS_TRACES",
    "PONOS_TRACES_HEADERS_FILE",
];

/// Verbs, with what they can't do without.
const VERBS: [(&str, &[&str]); 14] = [
    ("tail", &[]),
    ("publish", &["a.b.c", "1"]),
    ("dead list", &["--queue", "q"]),
    ("dead show", &["--queue", "q"]),
    ("dead requeue", &["--queue", "q"]),
    ("dead drop", &["--queue", "q"]),
    ("topology", &["--service", "s", "--on", "a.b.c"]),
    ("declare", &["--service", "s", "--on", "a.b.c"]),
    ("check", &[]),
    ("run", &["--service", "s", "--on", "a.b.c"]),
    ("serve", &["--service", "s", "--on", "a.b.c"]),
    ("observe", &["--listen", "127.0.0.1:0"]),
    ("why", &["1"]),
    ("schema check", &["nowhere.json", "nowhere.json"]),
];

/// All that it printed, to its end.
fn said(words: &[&str], variable: (&str, &str)) -> String {
    let ended = start_in("amqp://me:hunter2@127.0.0.1:1/?x=1", words, variable).end();
    format!("{}{}", ended.out, ended.err)
}

#[track_caller]
fn is_discreet(said: &str, how: &str) {
    assert!(!said.contains(MARK) && !said.contains("panicked"), "{how}:\n{said}");
}

#[test]
fn no_flag_no_argument_and_no_variable_prints_a_password() {
    let none = ("NO_COLOR", "1");
    let mut tried = 0;
    for (verb, needs) in VERBS {
        let verb: Vec<&str> = verb.split(' ').collect();
        let program = if verb == ["run"] { &["--", "true"][..] } else { &[] };
        let help = said(&[&verb[..], &["--help"]].concat(), none);
        // a document says what it was asked to say
        for flag in help_flags(&help).into_iter().filter(|flag| !["--vhost", "--permissions"].contains(flag))
        {
            // what takes the place of the program
            let program = if flag == "--to" { &[] } else { program };
            for value in VALUES {
                let needs = if needs.first() == Some(&flag) { &needs[2..] } else { needs };
                let words = [&verb[..], needs, &[flag, value], program].concat();
                is_discreet(&said(&words, none), &format!("{words:?}"));
                tried += 1;
            }
        }
        for value in VALUES {
            let words = [&verb[..], needs, &[value], program].concat();
            is_discreet(&said(&words, none), &format!("{words:?}"));
            let words = [&verb[..], needs, program].concat();
            for variable in VARIABLES {
                is_discreet(&said(&words, (variable, value)), &format!("{words:?}, {variable}={value}"));
            }
            let inbox = [&verb[..], needs, &["--inbox"], program].concat();
            is_discreet(&said(&inbox, ("PONOS_INBOX", value)), &format!("{inbox:?}"));
        }
        for variable in VARIABLES {
            let help = said(&[&verb[..], &["--help"]].concat(), (variable, VALUES[0]));
            is_discreet(&help, &format!("the help of {verb:?} with {variable}"));
        }
    }
    assert!(tried > 100, "only {tried} were found in the help");
}

fn runs(url_file: &str) -> Running {
    let words = ["run", "--url-file", url_file, "--service", "shop", "--task", "stock.shelf.clean"];
    start_without_url(
        &[&words[..], &["--", "sh", "-c", "echo \"did $PONOS_ID\""]].concat(),
        &[("PONOS_LOG", "trace")],
    )
}

#[test]
fn a_changed_password_is_used_at_the_next_connection_and_no_level_of_the_log_shows_it() {
    let node = Node::start();
    let (queue, guest) = ("shop.stock.shelf.clean", node.url());
    declare(&guest, queue);
    node.add_user("turned", "s3cret-old");
    node.permit("turned", "/", ".*", ".*", ".*");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let write = |password: &str| fs::write(&file, node.url_for("turned", password, "/")).unwrap();
    write("s3cret-old");
    let running = runs(file.to_str().unwrap());
    let publish = |id: &str| {
        let words = ["publish", "stock.shelf.clean", "1", "--task", "shop", "--id", id];
        ponos_ends(&guest, &words, 0);
    };
    let did = |id: &str| {
        let words = format!("did {id}");
        let tell = || running.err();
        testkit::block_until_or_tell(&words, LIMIT, || running.out().contains(&words).then_some(()), tell);
    };
    publish("one");
    did("one");
    node.change_password("turned", "s3cret-new");
    node.close_connections();
    running.says("refused the login of the user 'turned'");
    fs::remove_file(&file).unwrap();
    running.says("with the broker's URL can't be read");
    write("s3cret-new");
    publish("two");
    did("two");
    holds(&guest, queue, 0);
    running.program.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // lapin shows it as numbers
    let bytes = format!("{:?}", b"s3cret");
    let said = format!("{}{}", ended.out, ended.err);
    assert!(
        !said.contains("s3cret") && !said.contains(bytes.trim_matches(['[', ']'])),
        "a password is in the log"
    );
}
