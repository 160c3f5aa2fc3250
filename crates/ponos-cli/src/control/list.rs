//! `ponos control list`.

use super::say;
use crate::{
    connection::Options,
    exit::Exit,
    layout::{self, Segment},
    output::{self, Paint},
    trouble::Trouble,
};
use ponos::client::Controlled;
use serde_json::{Value, json};

/// Lists the queues that are paused or limited by hand, of all services of the virtual host.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let all = say(options, None, async |control| control.list().await).await?;
    let paint = Paint::stdout();
    if args.json {
        output::print(|out| all.iter().try_for_each(|one| writeln!(out, "{}", object(one))))?;
    } else {
        output::print_styled(|out| all.iter().try_for_each(|one| writeln!(out, "{}", line(one, paint))))?;
    }
    if all.is_empty() && !args.json {
        output::complain("nothing is paused or limited by hand");
    }
    Ok(Exit::Done)
}

fn object(one: &Controlled) -> Value {
    let Controlled { queue, limit, until, by, why, since } = one;
    let what = if limit.is_none() { "pause" } else { "limit" };
    let concurrency = limit.and_then(|limit| limit.concurrency);
    let rate = limit.and_then(|limit| limit.rate);
    let millis = |per: std::time::Duration| u64::try_from(per.as_millis()).unwrap_or(u64::MAX);
    let rate = rate.map(|rate| json!({ "tasks": rate.tasks, "per_ms": millis(rate.per) }));
    json!({
        "queue": queue, "what": what, "concurrency": concurrency, "rate": rate,
        "until": until, "by": by, "why": why, "since": since,
    })
}

/// `docker.images.cleanup  paused  until 2026-12-01T11:00:00.000Z  by alice@host  the registry is being moved`.
fn line(one: &Controlled, paint: Paint) -> String {
    let Controlled { queue, limit, until, by, why, .. } = one;
    let short = |text: &str| output::shortened(text, 500);
    let what = limit.map_or_else(|| "paused".to_owned(), |limit| limit.to_string());
    let parts = [
        Segment::strong(short(queue)),
        Segment::plain(what),
        Segment::faint(format!("until {until}")),
        Segment::plain(format!("by {}", short(by))),
        Segment::plain(short(why)),
    ];
    layout::fitted(&parts, paint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::event::Timestamp;
    use testkit::{HOSTILE, assert_harmless};

    #[test]
    fn what_strangers_wrote_is_only_text() {
        let text = || HOSTILE.to_owned();
        let until = Timestamp::from_millis(0);
        let one = Controlled { queue: text(), limit: None, until, by: text(), why: text(), since: None };
        assert_harmless("control list", &line(&one, Paint::none()));
    }
}
