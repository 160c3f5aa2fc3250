mod ceilings;
mod commands;
mod http;

use super::{keys, *};
use std::{ffi::OsString, fs, path::Path};

fn request(
    text: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> (tempfile::TempDir, Request) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, text).unwrap();
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = flags.iter().map(|(key, value)| Override { key, flag: "--flag", value: (*value).to_owned() });
    let request = Request { file: Some(file), environment: environment.collect(), flags: flags.collect() };
    (folder, request)
}

fn load(
    text: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, Diagnostics> {
    let (_folder, request) = request(text, environment, flags);
    Config::load(&request)
}

fn error(text: &str, environment: &[(&str, &str)]) -> String {
    let faults = load(text, environment, &[]).unwrap_err();
    faults.list().iter().map(|d| d.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_file_says_what_is_built_in() {
    let (_folder, mut shown) = request(DEFAULT, &[], &[]);
    let built_in = request_for(&mut shown, "");
    assert_eq!(Config::load(&shown).unwrap(), built_in);
}

/// The configuration of another text in the same file, which is put back afterwards.
fn request_for(request: &mut Request, text: &str) -> Config {
    let file = request.file.clone().unwrap();
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, text).unwrap();
    let config = Config::load(request).unwrap();
    fs::write(&file, before).unwrap();
    config
}

/// A value for each key that differs from its default.
fn other_value(key: &str) -> &'static str {
    match key {
        "clock.name" => "other",
        "clock.on_backward" => "resume",
        "clock.time_zones" | "schedules.folder" | "store.path" => "elsewhere",
        "broker.url" => "amqp://localhost",
        "broker.exchange" => "times",
        "broker.fanout" | "commands.enabled" | "reports.enabled" => "true",
        "http.open" | "http.open_reads" | "http.behind_proxy" => "true",
        "http.enabled" => "false",
        "http.listen" => "127.0.0.1:1",
        "http.hosts" => "clock.example.com, localhost",
        "log.level" => "debug",
        "log.format" => "json",
        "store.cache" | "reports.memory" => "1 GiB",
        "store.schema" => "clock",
        "cluster.address" => "https://clock-1:7650",
        "cluster.ca_file" => "a.pem",
        "traces.endpoint" => "http://127.0.0.1:4318/v1/traces",
        "traces.ratio" => "0.25",
        key if key.contains(".tls.") => "a.pem",
        key if matches!(keys::key(key), Some((_, keys::Kind::Integer))) => "7777",
        _ => "77s",
    }
}

#[test]
fn every_key_is_shown_in_the_default_file_and_overridden_by_its_variable() {
    let default = load(DEFAULT, &[], &[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (key, _) in keys::all() {
        let name = key.rsplit('.').next().unwrap();
        let section = format!("[{}]", key.rsplit_once('.').unwrap().0);
        let body = DEFAULT.split_once(section.as_str()).unwrap().1.split("\n[").next().unwrap();
        let shown = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{name} = "));
        assert!(body.lines().any(shown), "{key} is not shown in config.toml");

        let variable = keys::variable(key);
        let secret = tempfile::NamedTempFile::new().unwrap();
        fs::write(&secret, "amqp://localhost\n").unwrap();
        let value = match key {
            "broker.url_file" => secret.path().to_str().unwrap(),
            "store.url_file" => {
                fs::write(&secret, "postgres://localhost/clock\n").unwrap();
                secret.path().to_str().unwrap()
            }
            "cluster.secret_file" => {
                fs::write(&secret, "sesame, open the cave\n").unwrap();
                secret.path().to_str().unwrap()
            }
            "traces.headers_file" => {
                fs::write(&secret, "x-team: clocks\n").unwrap();
                secret.path().to_str().unwrap()
            }
            "traces.ca_file" => {
                fs::copy(testkit::Certificates::generate(folder.path()).ca, &secret).unwrap();
                secret.path().to_str().unwrap()
            }
            "broker.channels" => "7",
            "publish.resends" => "9",
            key => other_value(key),
        };
        let mut environment = vec![(variable.as_str(), value)];
        if key.starts_with("broker.tls") {
            environment.push(("KHRONOS_BROKER_URL", "amqps://localhost"));
        }
        if key.starts_with("traces.") && key.ends_with("_file") {
            environment.push(("KHRONOS_TRACES_ENDPOINT", "https://localhost:4318/v1/traces"));
        }
        match key {
            "broker.tls.cert_file" => environment.push(("KHRONOS_BROKER_TLS_KEY_FILE", "b.pem")),
            "broker.tls.key_file" => environment.push(("KHRONOS_BROKER_TLS_CERT_FILE", "b.pem")),
            "http.behind_proxy" => environment.push(("KHRONOS_HTTP_OPEN_READS", "true")),
            "commands.enabled" | "reports.enabled" => {
                environment.push(("KHRONOS_BROKER_URL", "amqp://localhost"))
            }
            "http.tls.cert_file" => environment.push(("KHRONOS_HTTP_TLS_KEY_FILE", "b.pem")),
            "http.tls.key_file" => environment.push(("KHRONOS_HTTP_TLS_CERT_FILE", "b.pem")),
            _ => {}
        }
        let mut without = load(DEFAULT, &environment[1..], &[]).unwrap_or_else(|_| default.clone());
        let mut with = load(DEFAULT, &environment, &[]).unwrap_or_else(|faults| panic!("{key}: {faults}"));
        // Their folders differ.
        (without.file, with.file) = (None, None);
        if !["store.path", "store.url_file"].contains(&key) {
            without.store.path = StorePath::Memory;
            with.store.path = StorePath::Memory;
        }
        assert_ne!(with, without, "{variable} changes nothing");
    }
}

#[test]
fn a_word_that_is_no_log_level_is_refused_with_the_right_one() {
    for (word, right) in
        [("warning", "write warn"), ("verbose", "write debug"), ("info,khronos=warning", "write warn")]
    {
        let faults = load(&format!("[log]\nlevel = \"{word}\"\n"), &[], &[]).unwrap_err();
        let fault = &faults.list()[0];
        assert_eq!((fault.line, fault.help.as_deref()), (Some(2), Some(right)), "{word}");
        assert!(load("", &[("KHRONOS_LOG_LEVEL", word)], &[]).is_err());
        assert!(load("", &[], &[("log.level", word)]).is_err());
    }
    let spaced = load("[log]\nlevel = \"warn, khronos=debug\"\n", &[], &[]).unwrap();
    assert_eq!(spaced.log.level.to_string(), "khronos=debug,warn");
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let text = "[clock]\nname = \"file\"\n[http]\nlisten = \"127.0.0.1:1\"\n[publish]\nresends = 1\n";
    let environment = [("KHRONOS_CLOCK_NAME", "variable"), ("KHRONOS_HTTP_LISTEN", "127.0.0.1:2")];
    let config = load(text, &environment, &[("clock.name", "flag")]).unwrap();
    assert_eq!(config.clock.name, "flag");
    assert_eq!(config.http.listen.port(), 2);
    assert_eq!(config.publish.resends, 1);
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let text =
        "[clock]\nnmae = \"x\"\nsettle = \"5 lightyears\"\n[brokr]\n[http]\nenabled = 1\nlisten = \"here\"\n";
    let faults =
        load(text, &[("KHRONOS_BROKER_CHANELS", "2"), ("KHRONOS_PUBLISH_RESENDS", "many")], &[]).unwrap_err();
    let all: Vec<_> =
        faults.list().iter().map(|d| (d.line, d.column, d.message.as_str(), d.help.as_deref())).collect();
    let find = |part: &str| {
        *all.iter().find(|fault| fault.2.contains(part)).unwrap_or_else(|| panic!("{part}: {all:?}"))
    };
    assert_eq!(
        find("unknown key 'nmae' in [clock]"),
        (Some(2), Some(1), "unknown key 'nmae' in [clock]", Some("did you mean 'name'?"))
    );
    assert_eq!((find("lightyears").0, find("lightyears").1), (Some(3), Some(10)));
    assert_eq!(find("brokr").3, Some("did you mean 'broker'?"));
    assert_eq!(find("http.enabled must be true or false, not a number").0, Some(6));
    assert_eq!(find("http.listen").0, Some(7));
    assert_eq!(find("KHRONOS_BROKER_CHANELS").3, Some("did you mean KHRONOS_BROKER_CHANNELS?"));
    assert!(find("KHRONOS_PUBLISH_RESENDS").2.contains("'many' is not a whole number"));
    assert_eq!(faults.errors(), 7);
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_remedy() {
    let text = "broker = 1\n[clock]\nsettle = 90\n[http]\nhosts = \"a.example\"\n[log]\nlevel = 2026-01-01\n";
    let faults = load(text, &[], &[]).unwrap_err().to_string();
    for expected in [
        "1:10: broker must be a section, not a number; write [broker] on a line of its own and its keys below it",
        "3:10: clock.settle must be a text in quotes, not a number; write a number with its unit in quotes: \"90s\"",
        "5:9: http.hosts must be a list of texts in quotes, not a text; put it in brackets: [\"a.example\"]",
        "7:9: log.level must be a text in quotes, not a bare date; put it in quotes: \"2026-01-01\"",
    ] {
        assert!(faults.contains(expected), "{faults}");
    }
    for ratio in ["[0.01]", "{}", "true", "\"1%\""] {
        let faults = load(&format!("[traces]\nratio = {ratio}\n"), &[], &[]).unwrap_err().to_string();
        assert!(faults.contains("2:9: traces.ratio: this is not a number"), "{faults}");
    }
    // What may be a secret is not repeated.
    let faults = load("[broker]\nurl = 7001\n", &[], &[]).unwrap_err();
    assert_eq!(faults.list()[0].message, "broker.url must be a text in quotes, not a number");
    assert!(!format!("{faults:?}").contains("7001"), "{faults:?}");
}

#[test]
fn variables_of_kubernetes_and_empty_ones_are_no_configuration() {
    let environment =
        [("KHRONOS_SERVICE_HOST", "10.0.0.1"), ("KHRONOS_PORT_7650_TCP", "x"), ("KHRONOS_BROKER_URL", "")];
    assert_eq!(load("", &environment, &[]).unwrap().broker.url, BrokerUrl::Memory);
}

#[test]
fn the_url_may_come_from_a_file_but_not_twice_from_one_layer() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("url");
    fs::write(&secret, "amqp://me:hunter2@host\n").unwrap();
    let secret = secret.to_str().unwrap();
    // A later layer's file replaces an earlier layer's URL.
    let config = load(DEFAULT, &[("KHRONOS_BROKER_URL_FILE", secret)], &[]).unwrap();
    assert_eq!(config.broker.url.to_string(), "amqp://me:***@host:5672/%2f");
    assert!(!format!("{config:?}").contains("hunter2"));
    let twice = [("KHRONOS_BROKER_URL_FILE", secret), ("KHRONOS_BROKER_URL", "amqp://me:hunter2@host")];
    assert!(error("", &twice).contains("both broker.url and broker.url_file are given"));
    assert!(error("", &[("KHRONOS_BROKER_URL_FILE", "/no/such/file")]).contains("can't be read"));
    assert_eq!(config.broker.url_file.as_deref(), Some(Path::new(secret)));
    let direct = load("", &[("KHRONOS_BROKER_URL", "amqp://h")], &[]).unwrap();
    assert_eq!(direct.broker.url_file, None);
}

#[test]
fn no_error_shows_a_password() {
    for text in [
        "[broker]\nurl = \"amqp://me:hunter2@host:port\"",
        "[broker]\nurl = \"amqp://me:hunter2@host",
        "[broker]\nurl = amqp://me:hunter2@host",
        "[broker]\nurl = [\"hunter2\"]",
        "broker = { url = \"hunter2\", exchange = \"\" }",
        "[broker]\nurl = \"hunter2\" hunter2",
        "[broker]\nurl = '''\nhttp://hunter2'''",
        "[broker]\npasword = \"hunter2\"",
        "[broker]\npassword = hunter2",
        "[broker.credentials]\nuser = \"hunter2\"\npassword = 'hunter2'",
        "password = { of = \"hunter2\" }",
        "[broker]\nurl_file = \"amqp://me:hunter2@host\"",
        "[store]\npath = \"postgres://me:hunter2@host:port/db\"",
        "[store]\npath = \"mysql://me:hunter2@host/db\"",
        "[store]\npath = \"postgres://me:hunter2@host/db\"\nschema = \"a b\"",
        "[store]\nurl_file = \"postgres://me:hunter2@host/db\"",
        "[clock]\nname = \"amqp://me:hunter2@host\"",
        "[http]\nhosts = [\"amqp://me:hunter2@host\"]",
        "[clock]\nsettle = \"amqp://me:hunter2@[::1]:5672/v\"\nmax_forward = \"postgres://me:hunter2@host/db\"",
    ] {
        let faults = load(text, &[], &[]).unwrap_err();
        let shown = serde_json::to_string(faults.list()).unwrap() + &faults.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(!error("", &[("KHRONOS_BROKER_URL", "hunter2")]).contains("hunter2"));
}

#[test]
fn relative_paths_count_from_the_files_folder_and_those_of_variables_from_the_working_directory() {
    let text =
        "[store]\npath = \"data\"\n[broker]\nurl = \"amqps://h\"\n[broker.tls]\nca_file = \"ca.pem\"\n";
    let (folder, mut request) = request(text, &[], &[]);
    fs::create_dir(folder.path().join("schedules")).unwrap();
    let config = Config::load(&request).unwrap();
    assert_eq!(config.store.path, StorePath::Folder(folder.path().join("data")));
    assert_eq!(config.broker.tls.ca_file, Some(folder.path().join("ca.pem")));
    assert_eq!(config.schedules, ScheduleSource::Folder(folder.path().join("schedules")));
    request.environment = vec![("KHRONOS_STORE_PATH".into(), "data".into())];
    assert_eq!(Config::load(&request).unwrap().store.path, StorePath::Folder("data".into()));
}

#[test]
fn schedules_come_from_a_folder_from_nowhere_or_are_built_in() {
    let (folder, mut request) = request("", &[], &[]);
    let usual = folder.path().join("schedules");
    let read = |request: &Request| Config::load(request).unwrap().schedules;
    assert_eq!(read(&request), ScheduleSource::Unset(usual.clone()));
    fs::create_dir(&usual).unwrap();
    assert_eq!(read(&request), ScheduleSource::Folder(usual));
    for (word, source) in [
        ("none", ScheduleSource::None),
        ("built-in", ScheduleSource::Embedded),
        ("./none", ScheduleSource::Folder("./none".into())),
    ] {
        request.environment = vec![("KHRONOS_SCHEDULES_FOLDER".into(), word.into())];
        assert_eq!(read(&request), source);
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    assert!(error("[broker.tls]\nca_file = \"ca.pem\"", &[]).contains("the broker's URL is memory:"));
    let half = "[broker]\nurl = \"amqps://h\"\n[broker.tls]\ncert_file = \"c.pem\"";
    assert!(error(half, &[]).contains("set broker.tls.key_file too"));
    assert!(error("[broker]\nexchange = \"amq.topic\"", &[]).contains("is not an allowed exchange name"));
    assert!(error("[clock]\nname = \"Big Ben\"", &[]).contains("'Big Ben' is not a valid clock name"));
    assert!(error("[http]\nhosts = [\"http://x\"]", &[]).contains("is not a host name"));
    assert!(error("[store]\ncache = \"1 B\"", &[]).contains("allowed are 1 MiB to 16384 MiB"));
    assert!(error("[reports]\nenabled = true", &[]).contains("whose broker's URL is memory:"));
}

#[test]
fn a_missing_file_is_named() {
    let request = Request { file: Some(Path::new("/no/such/config.toml").into()), ..Request::default() };
    let shown = Config::load(&request).unwrap_err().to_string();
    assert!(shown.starts_with("/no/such/config.toml: the configuration can't be read"), "{shown}");
}

#[test]
fn a_store_on_postgres_is_a_url_or_stands_in_a_file_and_not_in_both() {
    let url = "postgres://clock:sesame@db.example/clock";
    let path = |config: &Config| match &config.store.path {
        StorePath::Postgres(url) => url.secret().to_owned(),
        other => panic!("{other:?}"),
    };
    let config = load(&format!("[store]\npath = \"{url}\"\nschema = \"clock_1\""), &[], &[]).unwrap();
    assert_eq!((path(&config).as_str(), config.store.schema.as_str()), (url, "clock_1"));
    assert!(!format!("{config:?}").contains("sesame"));
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(&secret, format!("{url}\n")).unwrap();
    let secret = secret.path().to_str().unwrap();
    let config = load(&format!("[store]\nurl_file = \"{secret}\""), &[], &[]).unwrap();
    assert_eq!((path(&config).as_str(), config.store.url_file.as_deref()), (url, Some(Path::new(secret))));
    let twice = [("KHRONOS_STORE_PATH", url), ("KHRONOS_STORE_URL_FILE", secret)];
    assert!(error("", &twice).contains("both store.path and store.url_file are given"));
    let both = format!("[store]\npath = \"data\"\nurl_file = \"{secret}\"");
    assert!(error(&both, &[]).contains("both store.path and store.url_file are given"));
    // One by a variable wins over one in the file.
    let config = load(&format!("[store]\nurl_file = \"{secret}\""), &twice[..1], &[]).unwrap();
    assert_eq!((path(&config).as_str(), config.store.url_file), (url, None));
    assert!(
        error("[store]\nurl_file = \"/nowhere/url\"", &[]).contains("it must hold the URL of a Postgres")
    );
}
