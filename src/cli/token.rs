//! `khronos token`: makes the tokens of a clock's callers. It asks no clock, and writes no file.

use super::{
    error::{CliError, finish},
    exit::Exit,
    output,
};
use crate::{
    authority::{
        Domains, Role,
        token::{RANDOM_BYTES, Token},
    },
    config::{check_domains, check_owner, check_tasks},
};
use serde_json::json;
use std::process::ExitCode;

/// Makes tokens, by which callers over HTTP show who they are.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Prints a new token, this once, and the lines that make a clock know it
    New(New),
}

#[derive(Debug, clap::Args)]
struct New {
    /// Who is to hold it: a service, or a person
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// What it permits: read, operate (and read), write (and operate), admin (everything)
    #[arg(long, alias = "roles", value_name = "ROLE", value_parser = role)]
    role: Role,
    /// The domains of events about which it may change something, as in billing.*; may be repeated
    #[arg(long, alias = "domain", value_name = "PATTERN", value_delimiter = ',')]
    domains: Vec<String>,
    /// The queues that its delayed tasks may go to, and whose parked tasks it may release and drop (operate: that alone), as in
    /// docker.*; none if left out; may be repeated
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    tasks: Vec<String>,
    /// How many delayed events of its owner may be pending or parked; any number if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    delayed_events: Option<i64>,
    /// One JSON object: token, id, sha256, owner, role, domains, tasks, delayed_events
    #[arg(long)]
    json: bool,
}

fn role(text: &str) -> Result<Role, String> {
    let named = Role::WORDS.iter().find(|(word, _)| *word == text);
    named.map(|(_, role)| *role).ok_or_else(|| {
        let words: Vec<_> = Role::WORDS.iter().map(|(word, _)| *word).collect();
        format!("the roles are {}", words.join(", "))
    })
}

pub(super) fn run(args: Args) -> ExitCode {
    let Verb::New(new) = args.verb;
    finish(async { make(new) })
}

fn make(new: New) -> Result<Exit, CliError> {
    let refused =
        |flag: &str, (what, help): (String, &str)| CliError::Usage(format!("{flag}: {what}; {help}"));
    check_owner(&new.owner).map_err(|wrong| refused("--owner", wrong))?;
    let named = |patterns: &[String]| (!patterns.is_empty()).then(|| patterns.to_vec());
    let domains = check_domains("token", new.role, named(&new.domains));
    let domains = domains.map_err(|wrong| refused("--domains", wrong))?;
    let tasks = check_tasks("token", new.role, named(&new.tasks));
    let tasks = tasks.map_err(|wrong| refused("--tasks", wrong))?;
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| CliError::Start(error.into()))?;
    let domains = new.role.has_domains().then_some(domains);
    print(&Token::from_random(random), &new, domains.as_ref(), tasks.as_ref())?;
    Ok(Exit::Done)
}

fn print(token: &Token, new: &New, domains: Option<&Domains>, tasks: Option<&Domains>) -> Result<(), Exit> {
    let (id, digest, owner, role) = (token.id(), token.digest(), &new.owner, new.role.word());
    let (domains, tasks) = (listed(domains), listed(tasks));
    output::print(|out| {
        if new.json {
            let all = json!({
                "token": token.reveal(), "id": id.to_string(), "sha256": digest.to_string(),
                "owner": owner, "role": role, "domains": domains, "tasks": tasks,
                "delayed_events": new.delayed_events,
            });
            return writeln!(out, "{all}");
        }
        writeln!(out, "{}\n", token.reveal())?;
        writeln!(
            out,
            "# This is the token, shown this once: give it to {owner}. The clock knows it by these lines of"
        )?;
        writeln!(out, "# its configuration, from its next start on:")?;
        writeln!(
            out,
            "[[http.tokens]]\nid = \"{id}\"\nsha256 = \"{digest}\"\nowner = \"{owner}\"\nrole = \"{role}\""
        )?;
        for (key, patterns) in [("domains", &domains), ("tasks", &tasks)] {
            let Some(patterns) = patterns else { continue };
            let quoted: Vec<String> = patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
            writeln!(out, "{key} = [{}]", quoted.join(", "))?;
        }
        if let Some(most) = new.delayed_events {
            writeln!(out, "delayed_events = {most}")?;
        }
        Ok(())
    })
}

fn listed(patterns: Option<&Domains>) -> Option<Vec<&str>> {
    patterns.map(|all| all.patterns().collect())
}
