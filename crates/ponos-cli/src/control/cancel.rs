//! `ponos cancel`. What waits in the service's database is removed after it was said, so that what is sent in between is dropped when it
//! comes.

use super::say;
use crate::{connection::Options, exit::Exit, inbox, output, trouble::Trouble, waiting::Place};
use ponos::{
    client::Cancel,
    event::{EventId, Timestamp},
    inbox::{Inbox, InboxError, postgres::WaitingFilter},
    text::counted,
};
use serde_json::json;
use std::collections::BTreeSet;

/// Cancels events and tasks of a service by their ids, wherever they are.
///
/// Workers drop what comes to them, also at a later attempt, with no dead letter. One at work is told and dropped after 5 seconds, unless
/// its handler must not be left in the middle. What is done stays done. It holds for 8 days, and can't be taken back. With the service's
/// inbox on Postgres (--inbox), tasks and retries that wait there are removed at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<EventId>,
    /// In this queue alone, by its full name: SERVICE.NAME
    #[arg(long, value_name = "QUEUE", conflicts_with = "name")]
    queue: Option<String>,
    /// Only events or tasks of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Why, for people: stands in logs and reports
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// Who cancels them; USER@HOST if left out
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
    /// Prints one JSON object per line
    #[arg(long)]
    json: bool,
}

/// What became of what waited under one id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Removed {
    /// Tasks and retries that are removed.
    removed: u64,
    /// Those that are being sent at this moment.
    under_way: u64,
    /// Events that are for everybody, and stay.
    for_all: u64,
}

/// The most messages of one id that are looked at.
const LOOKED_AT: u32 = 1_000;

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let Args { ids, queue, name, place, why, by, json } = args;
    let of_queue = queue.as_ref().and_then(|queue| queue.split_once('.')).map(|(service, _)| service);
    // before anything is said
    let (service, inbox) = place.service_and_inbox(of_queue).await?;
    let which = Cancel::of(&service).why(why);
    let which = queue.iter().fold(which, Cancel::queue);
    let which = name.iter().fold(which, Cancel::name);
    let until = say(options, by.as_deref(), async |control| control.cancel(&ids, which).await).await?;
    for id in &ids {
        let removed = match &inbox {
            Some(inbox) => {
                Some(remove(inbox, id, (queue.as_deref(), name.as_deref())).await.map_err(not_removed)?)
            }
            None => None,
        };
        output::print(|out| match json {
            true => {
                let object = json!({
                    "id": id.as_str(), "service": service, "queue": queue, "name": name, "until": until,
                    "removed": removed.map(|removed| removed.removed),
                    "under_way": removed.map(|removed| removed.under_way),
                    "for_all": removed.map(|removed| removed.for_all),
                });
                writeln!(out, "{object}")
            }
            false => writeln!(out, "{}", line(id, &service, until, removed)),
        })?;
    }
    Ok(Exit::Done)
}

fn not_removed(error: InboxError) -> Trouble {
    inbox::trouble("it is cancelled, and dropped when it comes; but what waits could not be removed", &error)
}

/// Removes the tasks and retries of this id that wait.
async fn remove(
    inbox: &Inbox,
    id: &EventId,
    (queue, name): (Option<&str>, Option<&str>),
) -> Result<Removed, InboxError> {
    let filter = WaitingFilter {
        ids: vec![id.to_string()],
        queue: queue.map(str::to_owned),
        name: name.map(str::to_owned),
        ..WaitingFilter::default()
    };
    let found = inbox.waiting(filter.clone())?.list(None, LOOKED_AT).await?.messages;
    let for_all = found.iter().filter(|message| message.queue.is_none()).count() as u64;
    let mut all = Removed { for_all, ..Removed::default() };
    let queues: BTreeSet<String> = found.into_iter().filter_map(|message| message.queue).collect();
    for queue in queues {
        let waiting = inbox.waiting(WaitingFilter { queue: Some(queue), ..filter.clone() })?;
        let change = waiting.cancel().await?;
        all.removed += change.changed;
        all.under_way += change.under_way;
    }
    Ok(all)
}

/// What is known of it, and no more.
fn line(id: &EventId, service: &str, until: Timestamp, removed: Option<Removed>) -> String {
    let id = output::shortened(id.as_str(), 255);
    let dropped = format!(
        "will be dropped when it comes to a worker of {service} until {until}, and stopped where it is at work"
    );
    let Some(Removed { removed, under_way, for_all }) = removed else { return format!("{id}: {dropped}") };
    let mut line = match removed {
        0 if under_way > 0 => format!("{id}: being sent at this moment; {dropped}"),
        0 => format!("{id}: no task or retry of it waits; {dropped}"),
        1 => format!("{id}: waiting, removed; another of it {dropped}"),
        more => format!("{id}: {more} waiting, removed; another of it {dropped}"),
    };
    if for_all > 0 {
        let events = counted(for_all, "event");
        line += &format!("; kept: {events} of it that others may take too: see ponos waiting list");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{HOSTILE, assert_harmless};

    #[test]
    fn what_is_known_is_said_and_no_more() {
        let until = Timestamp::from_millis(0);
        let said = |removed| line(&"1".parse().unwrap(), "docker", until, removed);
        let of = |removed, under_way, for_all| said(Some(Removed { removed, under_way, for_all }));
        let dropped = "will be dropped when it comes to a worker of docker until 1970-01-01T00:00:00.000Z, and stopped where it is at work";
        assert_eq!(said(None), format!("1: {dropped}"));
        assert_eq!(of(0, 0, 0), format!("1: no task or retry of it waits; {dropped}"));
        assert_eq!(of(1, 0, 0), format!("1: waiting, removed; another of it {dropped}"));
        assert_eq!(of(0, 1, 0), format!("1: being sent at this moment; {dropped}"));
        let kept = "; kept: 1 event of it that others may take too: see ponos waiting list";
        assert!(of(0, 0, 1).ends_with(kept), "{}", of(0, 0, 1));
        let hostile = line(&HOSTILE.parse().unwrap(), "docker", until, None);
        assert_harmless("cancel", &hostile);
    }
}
