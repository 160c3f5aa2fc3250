//! `[commands]`: names on the broker, and who may send commands.

use super::*;

const BROKER: &[(&str, &str)] = &[("KHRONOS_BROKER_URL", "amqp://localhost")];

/// A user with one line changed: that of `key` is `line`.
fn user(key: &str, line: &str) -> String {
    let lines = [
        ("user", "user = \"billing-service\""),
        ("owner", "owner = \"billing\""),
        ("role", "role = \"write\""),
        ("domains", "domains = [\"billing.*\"]"),
    ];
    let lines = lines.map(|(name, usual)| if name == key { line } else { usual });
    format!("[[commands.users]]\n{}\n", lines.join("\n"))
}

#[test]
fn commands_are_off_unless_somebody_says_otherwise() {
    let config = load("", BROKER, &[]).unwrap().commands;
    assert_eq!(config, CommandsConfig::default());
    assert!(!config.enabled);
}

#[test]
fn users_are_read_with_whom_they_act_for() {
    let text = format!(
        "[commands]\nenabled = true\n{}[[commands.users]]\nuser = \"ops\"\nowner = \"ops\"\nrole = \"admin\"\n",
        user("", "")
    );
    let config = load(&text, BROKER, &[]).unwrap().commands;
    let users: Vec<_> = config
        .users
        .iter()
        .map(|user| (&*user.user, &*user.owner, user.role, user.domains.to_string()))
        .collect();
    let expected = [
        ("billing-service", "billing", Role::Write, "billing.*".to_owned()),
        ("ops", "ops", Role::Admin, "#".to_owned()),
    ];
    assert_eq!(users, expected);
}

#[test]
fn every_fault_of_a_user_is_reported_where_it_stands() {
    for (key, line, at, said) in [
        ("user", "user = \"\"", (2, 8), "commands.users.user: '' is not the name of a user"),
        ("user", "", (1, 1), "commands.users: the key user is missing"),
        ("owner", "owner = \"Bill Ing\"", (3, 9), "'Bill Ing' is not a valid name of an owner"),
        ("owner", "", (1, 1), "commands.users: the key owner is missing"),
        ("role", "role = \"wriet\"", (4, 8), "commands.users.role: 'wriet' is not one of the choices"),
        ("role", "", (1, 1), "commands.users: the key role is missing"),
        ("domains", "", (1, 1), "commands.users: a user of the role write needs domains"),
        ("domains", "domains = [\"bill*\"]", (5, 11), "'bill*' is not a name or pattern"),
        ("domains", "domain = [\"billing.*\"]", (5, 1), "unknown key 'domain' in [[commands.users]]"),
    ] {
        let faults = load(&user(key, line), BROKER, &[]).unwrap_err();
        let found = faults.list().iter().find(|fault| fault.message.contains(said));
        let found = found.unwrap_or_else(|| panic!("{said}: {faults}"));
        assert_eq!((found.line, found.column), (Some(at.0), Some(at.1)), "{faults}");
    }
    let twice = error(&(user("", "") + &user("", "")), BROKER);
    assert!(twice.contains("the user 'billing-service' is listed twice"), "{twice}");
}

#[test]
fn names_that_can_not_be_declared_are_refused() {
    for (line, said) in [
        ("exchange = \"\"", "commands.exchange: '' is not an allowed name"),
        ("queue = \"amq.commands\"", "commands.queue: 'amq.commands' is not an allowed name"),
        (
            "replies = \"khronos.commands\"",
            "commands.replies: 'khronos.commands' is the exchange of commands",
        ),
        ("rate = 0", "commands.rate: 0 is out of bounds"),
    ] {
        let said_of_it = error(&format!("[commands]\n{line}\n"), BROKER);
        assert!(said_of_it.contains(said), "{said_of_it}");
    }
    let embedded = error("[commands]\nenabled = true\n", &[]);
    assert!(embedded.contains("2:11: commands.enabled: the built-in broker takes no messages"), "{embedded}");
}

#[test]
fn a_door_that_opens_for_nobody_is_warned_of() {
    let (_folder, request) = request("[commands]\nenabled = true\n", BROKER, &[]);
    let (_, faults) = Config::read(&request);
    assert_eq!(faults.errors(), 0);
    assert!(faults.to_string().contains("nobody may send a command"), "{faults}");
}
