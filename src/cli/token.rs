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
    config::{check_domains, check_owner},
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
    /// One JSON object: token, id, sha256, owner, role, domains
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
    let named = (!new.domains.is_empty()).then(|| new.domains.clone());
    let domains = check_domains("token", new.role, named).map_err(|wrong| refused("--domains", wrong))?;
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| CliError::Start(error.into()))?;
    print(&Token::from_random(random), &new, &domains)?;
    Ok(Exit::Done)
}

fn print(token: &Token, new: &New, domains: &Domains) -> Result<(), Exit> {
    let (id, digest, owner, role) = (token.id(), token.digest(), &new.owner, new.role.word());
    output::print(|out| {
        if new.json {
            let domains = new.role.has_domains().then(|| domains.patterns().collect::<Vec<_>>());
            let all = json!({
                "token": token.reveal(), "id": id.to_string(), "sha256": digest.to_string(),
                "owner": owner, "role": role, "domains": domains,
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
        if new.role.has_domains() {
            let quoted: Vec<String> = domains.patterns().map(|domain| format!("\"{domain}\"")).collect();
            writeln!(out, "domains = [{}]", quoted.join(", "))?;
        }
        Ok(())
    })
}
