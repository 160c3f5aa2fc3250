//! `[commands]`: whose messages are taken as commands, and from where.

use super::{
    BrokerUrl,
    http::{Grant, given, grant, within},
    keys::USERS,
    reader::Reader,
};
use crate::authority::{Domains, Quota, Role};
use std::collections::BTreeSet;

/// `[commands]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandsConfig {
    /// Whether they are taken at all.
    pub enabled: bool,
    /// The topic exchange that they are published to.
    pub exchange: String,
    /// The queue that the clock takes them from.
    pub queue: String,
    /// The topic exchange of the answers that do not go by direct reply-to.
    pub replies: String,
    /// Commands a second of each owner.
    pub rate: u32,
    /// Who may send them.
    pub users: Vec<CommandsUser>,
}

impl Default for CommandsConfig {
    fn default() -> Self {
        let (exchange, queue, replies) =
            ("khronos.commands".into(), "khronos.commands".into(), "khronos.replies".into());
        Self { enabled: false, exchange, queue, replies, rate: 1_000, users: Vec::new() }
    }
}

/// `[[commands.users]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandsUser {
    /// The broker's user: the `user_id` of his messages.
    pub user: String,
    /// Whom he acts for.
    pub owner: String,
    /// What he may do.
    pub role: Role,
    /// About which events.
    pub domains: Domains,
    /// To which queues tasks may be sent; without, to none.
    pub tasks: Option<Domains>,
    /// How much he may take.
    pub quota: Quota,
}

/// What is to be written for a user.
const MADE: &str =
    "a user has the keys user, owner, role and, unless he is read or admin, domains: see docs/commands.md";

pub(super) fn commands(reader: &mut Reader<'_>, broker: &BrokerUrl) -> CommandsConfig {
    let usual = CommandsConfig::default();
    let config = CommandsConfig {
        enabled: reader.boolean("commands.enabled", false),
        exchange: name(reader, "commands.exchange", usual.exchange),
        queue: name(reader, "commands.queue", usual.queue),
        replies: name(reader, "commands.replies", usual.replies),
        rate: reader.integer("commands.rate", usual.rate, 1..=100_000),
        users: users(reader),
    };
    if config.exchange == config.replies {
        let what = format!("'{}' is the exchange of commands, too", config.replies);
        reader.fault("commands.replies", &what, "give the replies an exchange of their own");
    }
    if config.enabled && broker.is_embedded() {
        let what = "the built-in broker takes no messages of others";
        reader.fault("commands.enabled", what, "set broker.url (KHRONOS_BROKER_URL) to that of a RabbitMQ");
    }
    if config.enabled && config.users.is_empty() {
        let help = "add [[commands.users]] for those who may send commands; all others are refused";
        reader.warn("commands.enabled", "it is true, and nobody may send a command", help);
    }
    config
}

/// The name of something on the broker.
fn name(reader: &mut Reader<'_>, key: &str, usual: String) -> String {
    let Some(name) = reader.text(key) else { return usual };
    // Its dead letters have four bytes more.
    if name.is_empty() || name.len() > 250 || name.starts_with("amq.") {
        let help = "write 1 to 250 bytes that do not begin with 'amq.' (RabbitMQ reserves those names)";
        reader.fault(key, &format!("'{name}' is not an allowed name"), help);
        return usual;
    }
    name
}

fn users(reader: &mut Reader<'_>) -> Vec<CommandsUser> {
    let mut names = BTreeSet::new();
    let mut users = Vec::new();
    for row in reader.rows(USERS) {
        let user = within(reader, row, |reader| {
            let user = user(reader)?;
            if !names.insert(user.user.clone()) {
                let what = format!("the user '{}' is listed twice", user.user);
                reader.fault(
                    "commands.users.user",
                    &what,
                    "leave one of them out: a user acts for one owner",
                );
            }
            Some(user)
        });
        users.extend(user);
    }
    users
}

/// Reads all of his keys, so that every fault is reported.
fn user(reader: &mut Reader<'_>) -> Option<CommandsUser> {
    let key = "commands.users.user";
    let user = given(reader, USERS, key, MADE);
    if let Some(wrong) = user.as_ref().filter(|user| user.is_empty() || user.len() > 255) {
        let what = format!("'{wrong}' is not the name of a user of RabbitMQ");
        reader.fault(key, &what, "it has 1 to 255 bytes");
    }
    let grant = grant(reader, USERS, "user", MADE);
    let (user, Grant { owner, role, domains, tasks, quota }) = (user?, grant?);
    Some(CommandsUser { user, owner, role, domains, tasks, quota })
}
