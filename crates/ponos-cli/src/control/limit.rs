//! `ponos limit`.

use super::{DAY, say, span};
use crate::{connection::Options, exit::Exit, output, span as spans, trouble::Trouble};
use ponos::{client::Until, control::Limit, worker::Rate};
use serde_json::json;
use std::time::Duration;

/// Limits a queue in all workers of its service, also in those that are started later.
///
/// In each process at most so many run at a time, and begin per time; never more than the policy of the queue has. The limit ends by
/// itself, or with --clear. Said again, the new limit counts alone.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("limit").required(true).multiple(true).args(["concurrency", "rate", "clear"]))]
pub(crate) struct Args {
    /// The queue, by its full name: SERVICE.NAME
    #[arg(value_name = "QUEUE")]
    queue: String,
    /// How many run at the same time in each process, at least 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// How many begin per time in each process, such as 10/s; at least one a minute
    #[arg(long, value_name = "N/TIME", value_parser = spans::rate)]
    rate: Option<Rate>,
    /// How long, at most 30 days
    #[arg(long = "for", value_name = "DURATION", default_value = DAY, value_parser = span)]
    span: Duration,
    /// Why, for people: stands in ponos control list
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Takes the limit back
    #[arg(long, conflicts_with_all = ["concurrency", "rate", "why"])]
    clear: bool,
    /// Who limits it; USER@HOST if left out
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// Prints a JSON object
    #[arg(long, conflicts_with = "clear")]
    json: bool,
}

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let Args { queue, concurrency, rate, span, why, clear, by, json } = args;
    if clear {
        if !say(options, by.as_deref(), async |control| control.unlimit(&queue).await).await? {
            output::complain(&format!("note: {queue} was not limited"));
        }
        return Ok(Exit::Done);
    }
    let (limit, until) = (Limit { concurrency, rate }, Until::after(span).why(why));
    let end = say(options, by.as_deref(), async |control| control.limit(&queue, limit, until).await).await?;
    output::print(|out| match json {
        true => writeln!(out, "{}", json!({ "queue": queue, "what": "limit", "until": end })),
        false => writeln!(out, "{} is limited to {limit} until {end}", output::shortened(&queue, 255)),
    })?;
    Ok(Exit::Done)
}
