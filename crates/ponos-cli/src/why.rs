//! `ponos why`: the causal tree of an event, for people.

use crate::{
    ask::{self, Asked},
    exit::Exit,
    output,
    trouble::Trouble,
};
use ponos_observer::{Why, write_why};
use std::fmt::Write as _;

/// Says what came of an event: who handled it, attempt by attempt, what they published, and what came of that.
///
/// Asks an observer (ponos observe), which knows what services report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of an event or a task, or of a trace
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    asked: Asked,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<Exit, Trouble> {
    let body = match args.asked.get(&format!("/v1/why/{}", encoded(&args.id))).await? {
        Ok(body) => body,
        Err(why) => return Err(Trouble::findings(why)),
    };
    if args.json {
        let value: serde_json::Value = ask::read(&body)?;
        output::print(|out| writeln!(out, "{value:#}"))?;
        return Ok(Exit::Done);
    }
    let why: Why = ask::read(&body)?;
    output::print(|out| write_why(out, &why))?;
    Ok(Exit::Done)
}

/// As a part of a path.
fn encoded(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            _ => {
                // a String takes all
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn an_id_is_one_part_of_the_path() {
        assert_eq!(encoded("a/b?c é"), "a%2Fb%3Fc%20%C3%A9");
    }
}
