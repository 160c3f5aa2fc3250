//! `[http]`: tokens, a clock that is open, and what does not fit together.

use super::*;
use crate::authority::Role;

const DIGEST: &str = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";

/// A token's lines, with one of them replaced (or left out, where it is replaced by nothing).
fn token(key: &str, line: &str) -> String {
    let lines = [
        ("id", "id = \"1f2e3d4c\"".to_owned()),
        ("sha256", format!("sha256 = \"{DIGEST}\"")),
        ("owner", "owner = \"billing\"".to_owned()),
        ("role", "role = \"write\"".to_owned()),
        ("domains", "domains = [\"billing.*\"]".to_owned()),
    ];
    let lines = lines.map(|(name, usual)| if name == key { line.to_owned() } else { usual });
    format!("[[http.tokens]]\n{}\n", lines.join("\n"))
}

#[test]
fn tokens_are_read_with_what_they_permit() {
    let text = token("", "") + &token("id", "id = \"00000000\"").replace("write", "operate");
    let read = "[[http.tokens]]\nid = \"00000001\"\nsha256 = \"DIGEST\"\nowner = \"ops\"\nrole = \"ROLE\"\n";
    let read = read.replace("DIGEST", DIGEST);
    let text =
        text + &read.replace("ROLE", "read") + &read.replace("00000001", "00000002").replace("ROLE", "admin");
    let config = load(&text, &[], &[]).unwrap();
    let found: Vec<_> = config
        .http
        .tokens
        .iter()
        .map(|token| (token.id.to_string(), token.owner.as_str(), token.role, token.domains.to_string()))
        .collect();
    assert_eq!(
        found,
        [
            ("1f2e3d4c".into(), "billing", Role::Write, "billing.*".into()),
            ("00000000".into(), "billing", Role::Operate, "billing.*".into()),
            ("00000001".into(), "ops", Role::Read, "#".into()),
            ("00000002".into(), "ops", Role::Admin, "#".into()),
        ]
    );
    assert!(config.http.tokens.iter().all(|token| token.digest.to_string() == DIGEST));
}

#[test]
fn a_token_has_a_quota() {
    let quota = |lines: &str| {
        let config = load(&(token("", "") + lines), &[], &[]).unwrap();
        let quota = config.http.tokens[0].quota;
        let most = (quota.schedules, quota.delayed_events);
        (most, quota.puts_a_second, quota.least_interval.as_millis())
    };
    assert_eq!(quota(""), ((None, None), 1_000, 0));
    let all = "schedules = 7\ndelayed_events = 9\nputs_per_second = 5\nleast_interval = \"90s\"\n";
    assert_eq!(quota(all), ((Some(7), Some(9)), 5, 90_000));
    for line in [
        "delayed_events = -1",
        "schedules = -1",
        "puts_per_second = 0",
        "puts_per_second = \"5\"",
        "least_interval = \"0s\"",
        "least_interval = \"2 years\"",
    ] {
        let faults = load(&(token("", "") + line), &[], &[]).unwrap_err();
        assert_eq!(faults.errors(), 1, "{faults}");
        assert_eq!(faults.list()[0].line, Some(7), "{faults}");
    }
}

#[test]
fn a_token_names_the_queues_that_it_may_send_tasks_to() {
    let tasks = |text: &str| {
        let config = load(text, &[], &[]).unwrap();
        config.http.tokens[0].tasks.as_ref().map(ToString::to_string)
    };
    assert_eq!(tasks(&token("", "")), None);
    assert_eq!(
        tasks(&(token("", "") + "tasks = [\"docker.*\", \"billing.letters\"]")).as_deref(),
        Some("docker.*, billing.letters")
    );
    let operate = token("role", "role = \"operate\"") + "tasks = [\"docker.*\"]";
    assert_eq!(tasks(&operate).as_deref(), Some("docker.*"), "of those it releases and drops what is parked");
    let admin = "[[http.tokens]]\nid = \"1f2e3d4c\"\nsha256 = \"".to_owned()
        + &"6b".repeat(32)
        + "\"\nowner = \"ops\"\nrole = \"admin\"\ntasks = [\"#\"]";
    for (text, said) in [
        (admin, "of the role admin has no queues of tasks"),
        (token("", "") + "tasks = []", "name at least one"),
        (token("", "") + "tasks = [\"Docker\"]", "'D' is not allowed"),
        (token("", "") + "tasks = \"docker.*\"", "must be a list of texts"),
    ] {
        let faults = load(&text, &[], &[]).unwrap_err();
        assert!(faults.errors() == 1 && faults.to_string().contains(said), "{faults}");
    }
}

#[test]
fn every_fault_of_a_token_is_reported_where_it_stands() {
    for (key, line, at, said) in [
        ("id", "id = \"1F2E3D4C\"", (2, 6), "http.tokens.id: the id of a token is 8 hexadecimal digits"),
        ("id", "id = 7", (2, 6), "http.tokens.0.id must be a text in quotes, not a number"),
        ("sha256", "sha256 = \"6b86\"", (3, 10), "http.tokens.sha256: a SHA-256 is 64 hexadecimal digits"),
        ("owner", "owner = \"Bill Ing\"", (4, 9), "'Bill Ing' is not a valid name of an owner"),
        ("owner", "owner = \"operator\"", (4, 9), "'operator' is who comes without a token"),
        ("owner", "owner = \"reader\"", (4, 9), "'reader' is who comes without a token"),
        ("owner", "owner = \"anybody\"", (4, 9), "'anybody' is who comes without a token"),
        ("role", "role = \"wriet\"", (5, 8), "http.tokens.role: 'wriet' is not one of the choices"),
        ("role", "role = \"read\"", (6, 11), "a token of the role read has no domains"),
        ("role", "role = \"admin\"", (6, 11), "a token of the role admin has no domains"),
        ("domains", "domains = [\"bill*\"]", (6, 11), "'bill*' is not a name or pattern"),
        ("domains", "domains = []", (6, 11), "name at least one domain"),
        ("domains", "domains = \"billing\"", (6, 11), "must be a list of texts in quotes, not a text"),
        ("domains", "domain = [\"billing.*\"]", (6, 1), "unknown key 'domain' in [[http.tokens]]"),
        ("domains", "", (1, 1), "http.tokens: a token of the role write needs domains"),
        ("id", "", (1, 1), "http.tokens: the key id is missing"),
        ("sha256", "", (1, 1), "http.tokens: the key sha256 is missing"),
        ("owner", "", (1, 1), "http.tokens: the key owner is missing"),
        ("role", "", (1, 1), "http.tokens: the key role is missing"),
    ] {
        let faults = load(&token(key, line), &[], &[]).unwrap_err();
        let found = faults.list().iter().find(|fault| fault.message.contains(said));
        let found = found.unwrap_or_else(|| panic!("{said}: {faults}"));
        assert_eq!((found.line, found.column), (Some(at.0), Some(at.1)), "{faults}");
        assert!(found.help.is_some() || line.contains("= 7"), "{faults}");
        let many = usize::from(line.starts_with("domain ="));
        assert_eq!(faults.errors(), 1 + many, "{faults}");
    }
    let twice = error(&(token("", "") + &token("", "")), &[]);
    assert!(twice.contains("8:6: http.tokens.id: another token has the id 1f2e3d4c"), "{twice}");
    assert!(
        error("[http]\ntokens = true", &[]).contains("2:10: http.tokens must be a list of tables such as")
    );
    let unknown = error("", &[("KHRONOS_HTTP_TOKENS", "x")]);
    assert!(unknown.contains("unknown environment variable KHRONOS_HTTP_TOKENS"), "{unknown}");
}

#[test]
fn nothing_that_may_be_of_a_token_is_repeated() {
    let whole = "kh_1f2e3d4c_hunter2hunter2hunter2hunter2hunter2hunter2h";
    for (key, value) in [("id", whole), ("sha256", whole), ("id", "hunter2"), ("sha256", "hunter2")] {
        let text = token(key, &format!("{key} = \"{value}\""));
        let faults = load(&text, &[], &[]).unwrap_err();
        let shown = serde_json::to_string(faults.list()).unwrap() + &faults.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let unknown = format!("token = \"{whole}\"\ndomains = [\"billing.*\"]");
    let mistaken = ["owner", "role", "domains"].map(|key| token(key, &format!("{key} = \"{whole}\"")));
    let listed = ["id", "domains"].map(|key| token(key, &format!("{key} = [\"{whole}\"]")));
    for text in mistaken.into_iter().chain(listed).chain([token("domains", &unknown)]) {
        let Err(faults) = load(&text, &[], &[]) else { panic!("{text}") };
        let shown = serde_json::to_string(faults.list()).unwrap() + &faults.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let token = [("KHRONOS_TOKEN", whole), ("KHRONOS_CA_FILE", "ca.pem")];
    load("", &token, &[]).unwrap();
}

#[test]
fn the_address_of_a_clock_that_is_asked_is_no_setting_and_not_mistaken_for_the_brokers() {
    for address in ["http://127.0.0.1:7650", "https://clock.example.com", ""] {
        load("", &[("KHRONOS_URL", address)], &[]).unwrap();
    }
    let faults = load("", &[("KHRONOS_URL", "amqp://me:hunter2@host")], &[]).unwrap_err();
    let said = faults.to_string();
    assert!(said.contains("did you mean KHRONOS_BROKER_URL?") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_clock_is_open_to_its_own_machine_alone() {
    assert!(load("[http]\nopen = true", &[], &[]).unwrap().http.open);
    assert!(load("[http]\nopen = true\nhosts = [\"LOCALHOST\", \"127.1.2.3\"]", &[], &[]).is_ok());
    assert!(
        load("", &[("KHRONOS_HTTP_OPEN", "true"), ("KHRONOS_HTTP_LISTEN", "[::1]:1")], &[])
            .unwrap()
            .http
            .open
    );
    for (text, said) in [
        (
            "open = true\nopen_reads = true\nlisten = \"0.0.0.0:7650\"",
            "it would let other machines change this clock without a token",
        ),
        (
            "open = true\nhosts = [\"localhost\", \"[::1]\", \"clock.local\"]",
            "the clock answers to 'clock.local', which a page of another site",
        ),
        (
            "open = true\nopen_reads = true\nbehind_proxy = true",
            "it would let the proxy change this clock without a token",
        ),
        (&*format!("open = true\n{}", token("", "")), "it is true, and tokens are configured"),
    ] {
        let shown = error(&format!("[http]\n{text}"), &[]);
        assert!(shown.contains("2:8: http.open: ") && shown.contains(said), "{shown}");
    }
}

#[test]
fn whoever_is_elsewhere_reads_with_a_token_unless_it_is_said_that_he_needs_none() {
    let elsewhere = "listen = \"0.0.0.0:7650\"";
    let said = "could read all of this clock, for there are no [[http.tokens]]";
    for (text, at) in [
        (elsewhere.to_owned(), "2:10: http.listen: "),
        // The last one was removed, or the list is empty.
        (format!("{elsewhere}\ntokens = []"), "2:10: http.listen: "),
        ("listen = \"[::]:7650\"".into(), "2:10: http.listen: "),
        ("listen = \"[::ffff:127.0.0.1]:7650\"".into(), "2:10: http.listen: "),
        ("behind_proxy = true".into(), "2:16: http.behind_proxy: "),
    ] {
        let shown = error(&format!("[http]\n{text}"), &[]);
        assert!(shown.contains(at) && shown.contains(said), "{shown}");
        let open = load(&format!("[http]\nopen_reads = true\n{text}"), &[], &[]).unwrap();
        assert!(open.http.open_reads && !open.http.open);
        let config = load(&format!("[http]\nenabled = false\n{text}"), &[], &[]).unwrap();
        assert!(!config.http.is_reached_from_elsewhere());
    }
    let shown = error("", &[("KHRONOS_HTTP_LISTEN", "0.0.0.0:7650")]);
    assert!(shown.contains(said), "{shown}");
    assert!(load("[http]\nlisten = \"127.0.0.1:1\"", &[], &[]).is_ok());
    load(&format!("[http]\n{elsewhere}\nbehind_proxy = true\n{}", token("", "")), &[], &[]).unwrap();
    // A fault of a token is told of alone.
    let faults = load(&format!("[http]\n{elsewhere}\n{}", token("id", "id = \"x\"")), &[], &[]).unwrap_err();
    assert_eq!(faults.errors(), 1, "{faults}");
    let both = format!("[http]\nopen_reads = true\n{elsewhere}\nbehind_proxy = true\n{}", token("", ""));
    let (_folder, request) = request(&both, &[], &[]);
    let (_, found) = Config::read(&request);
    assert!(found.to_string().contains("everybody may read without one"), "{found}");
}

#[test]
fn tokens_that_could_come_in_the_clear_are_warned_of() {
    let warned = |http: &str| {
        let (_folder, request) = request(&format!("[http]\n{http}\n{}", token("", "")), &[], &[]);
        let (config, found) = Config::read(&request);
        assert_eq!(found.errors(), 0, "{found}");
        assert_eq!(found.warnings() == 1, config.http.refuses_tokens_from_elsewhere(), "{found}");
        found.warnings() == 1
    };
    assert!(warned("listen = \"0.0.0.0:7650\""));
    assert!(!warned("listen = \"0.0.0.0:7650\"\nbehind_proxy = true"));
    assert!(!warned("listen = \"0.0.0.0:7650\"\nenabled = false"));
    assert!(!warned("listen = \"0.0.0.0:7650\"\ntls = { cert_file = \"a.pem\", key_file = \"b.pem\" }"));
    assert!(!warned("listen = \"127.0.0.1:7650\""));
}

#[test]
fn a_key_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let text = "[http.tls]\ncert_file = \"a.pem\"\nkey_file = \"b.pem\"";
    let (folder, request) = request(text, &[], &[]);
    let key = folder.path().join("b.pem");
    fs::write(&key, "").unwrap();
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let (_, found) = Config::read(&request);
        assert_eq!((found.errors(), found.warnings()), (0, usize::from(warned)), "{mode:o}: {found}");
        assert_eq!(found.to_string().contains("every user of this machine may read"), warned, "{found}");
    }
}

#[test]
fn a_certificate_needs_its_key_and_both_count_from_the_files_folder() {
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        let shown = error(&format!("[http.tls]\n{one} = \"a.pem\""), &[]);
        assert!(shown.contains(&format!("http.tls.{one}: a certificate needs its key")), "{shown}");
        assert!(shown.contains(&format!("set http.tls.{other} too")), "{shown}");
    }
    let (folder, request) = request("[http.tls]\ncert_file = \"a.pem\"\nkey_file = \"b.pem\"", &[], &[]);
    let tls = Config::load(&request).unwrap().http.tls.unwrap();
    assert_eq!((tls.cert_file, tls.key_file), (folder.path().join("a.pem"), folder.path().join("b.pem")));
}

/// What `Dockerfile` sets.
fn image() -> Vec<(&'static str, &'static str)> {
    let text = include_str!("../../../Dockerfile");
    let (_, variables) = text.split_once("\nENV ").unwrap();
    let lines = variables.split("\\\n");
    let mut set = Vec::new();
    for line in lines {
        let (line, is_last) = line.split_once('\n').map_or((line, false), |(line, _)| (line, true));
        set.push(line.trim().split_once('=').unwrap());
        if is_last {
            break;
        }
    }
    set.into_iter().filter(|(name, _)| *name != "KHRONOS_CONFIG").collect()
}

#[test]
fn what_the_image_sets_opens_nothing_and_each_example_says_who_may_read() {
    let image = image();
    assert!(image.contains(&("KHRONOS_HTTP_LISTEN", "0.0.0.0:7650")), "{image:?}");
    let shown = error("", &image);
    assert!(
        shown.contains("could read all of this clock") && shown.contains("KHRONOS_HTTP_OPEN_READS"),
        "{shown}"
    );
    let config = load(&token("", ""), &image, &[]).unwrap();
    assert!(!config.http.open_reads && !config.http.open);
    for (page, text) in [
        ("docker.md", include_str!("../../../docs/docker.md")),
        ("README.md", include_str!("../../../README.md")),
    ] {
        let runs: Vec<&str> = text.lines().filter(|line| line.contains("docker run ")).collect();
        assert!(!runs.is_empty(), "{page}");
        for run in runs {
            let is_said = run.contains("-p 127.0.0.1:7650:7650 -e KHRONOS_HTTP_OPEN_READS=true ");
            assert!(is_said, "{page}: {run}");
        }
    }
    let compose = include_str!("../../../deploy/compose.yaml");
    assert!(
        compose.contains("KHRONOS_HTTP_OPEN_READS: \"true\"") && compose.contains("\"127.0.0.1:7650:7650\"")
    );
}

#[test]
fn the_name_by_which_other_clocks_reach_it_is_its_own() {
    let hosts = |text: &str| load(text, &[], &[]).unwrap().hosts();
    let text = "[http]\nhosts = [\"a.example\"]\n[cluster]\naddress = \"https://clock-1.internal:7650\"\n";
    assert_eq!(hosts(text), ["a.example", "clock-1.internal"]);
    assert_eq!(hosts("[cluster]\naddress = \"http://[fd00::1]:7650\"").last().unwrap(), "[fd00::1]");
    let open = "[http]\nopen = true\n[cluster]\naddress = \"http://clock-1.internal:7650\"\n";
    assert!(hosts(open).iter().all(|host| host != "clock-1.internal"), "a page could come by it");
}
