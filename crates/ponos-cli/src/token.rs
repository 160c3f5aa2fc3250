//! `ponos token`: makes the tokens of a gateway's publishers. It asks nobody, and writes no file.

use crate::{exit::Exit, output, trouble::Trouble};
use ponos_http::{
    Domains,
    token::{RANDOM_BYTES, Token},
};
use serde_json::json;

/// Prints a new token for a publisher, this once, and the lines that make a gateway know it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who is to hold it: a service
    #[arg(value_name = "OWNER")]
    owner: String,
    /// The domains of the events that it may publish, as in billing.*; may be repeated
    #[arg(long, alias = "domain", value_name = "PATTERN", value_delimiter = ',', required = true)]
    domains: Vec<String>,
    /// One JSON object: token, id, sha256, owner, domains
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<Exit, Trouble> {
    if !crate::config::is_owner(&args.owner) {
        let what = "OWNER is 1 to 128 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
        return Err(Trouble::usage(what));
    }
    let domains = Domains::new(args.domains).map_err(|what| Trouble::usage(format!("--domains: {what}")))?;
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        Trouble::Words(Exit::Software, format!("the system gives no random bytes: {error}"))
    })?;
    let token = Token::from_random(random);
    let (id, digest, owner) = (token.id().to_string(), token.digest().to_string(), args.owner);
    let domains: Vec<&str> = domains.patterns().collect();
    output::print(|out| {
        if args.json {
            let all = json!({ "token": token.reveal(), "id": id, "sha256": digest, "owner": owner, "domains": domains });
            return writeln!(out, "{all}");
        }
        let domains: Vec<String> = domains.iter().map(|pattern| format!("\"{pattern}\"")).collect();
        writeln!(out, "{}\n", token.reveal())?;
        writeln!(
            out,
            "# This is the token, shown this once: give it to {owner}. The gateway knows it by these lines of"
        )?;
        writeln!(out, "# ponos.toml, from its next start on:")?;
        writeln!(out, "[[gateway.tokens]]\nid = \"{id}\"\nsha256 = \"{digest}\"\nowner = \"{owner}\"")?;
        writeln!(out, "domains = [{}]", domains.join(", "))
    })?;
    Ok(Exit::Done)
}
