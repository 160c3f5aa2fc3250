//! `ponos waiting list`.

use super::{
    choice::{self, Filter, Place},
    ladder,
};
use crate::{
    connection::Options,
    exit::Exit,
    inbox::trouble,
    layout::{self, Segment},
    output::{self, Paint, shortened},
    trouble::Trouble,
};
use ponos::{
    clock::Clock,
    event::Timestamp,
    inbox::postgres::WaitingMessage,
    text::{ago, counted},
};
use serde_json::{Value, json};

/// Lists what waits: what is due first comes first.
///
/// That is what is to be sent later, and messages that wait for their next attempt. It needs the service's inbox, on Postgres;
/// without one only the depths of the broker's queues of retries are known, which all services of a virtual host share.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// At most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Prints one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Rows that are asked for at a time.
const PAGE: u64 = 500;
/// Characters of a reason in a line.
const REASON: usize = 200;

pub(super) async fn run(options: &Options, args: Args) -> Result<Exit, Trouble> {
    let Some(inbox) = args.place.open().await? else {
        if args.filter.is_given() || args.limit.is_some() {
            return Err(Trouble::usage(choice::UNKNOWN));
        }
        return ladder::run(options, args.json).await;
    };
    let waiting = choice::waiting(&inbox, args.filter.with_ids(&[]))?;
    let (mut left, mut found, mut place) = (args.limit.unwrap_or(u64::MAX), 0_u64, None);
    while left > 0 {
        let most = u32::try_from(left.min(PAGE)).unwrap_or(u32::MAX);
        let page =
            waiting.list(place.as_ref(), most).await.map_err(|error| trouble("ponos waiting", &error))?;
        let count = page.messages.len() as u64;
        (found, left) = (found + count, left.saturating_sub(count));
        print(&page.messages, args.json)?;
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    if !args.json {
        output::complain(&format!("{} waiting", counted(found, "message")));
    }
    Ok(Exit::Done)
}

fn print(messages: &[WaitingMessage], as_json: bool) -> Result<(), Trouble> {
    let (now, paint) = (Clock::system().now(), Paint::stdout());
    if as_json {
        return output::print(|out| messages.iter().try_for_each(|one| writeln!(out, "{}", object(one))));
    }
    output::print_styled(|out| messages.iter().try_for_each(|one| writeln!(out, "{}", line(one, now, paint))))
}

/// All that is known of one but the message itself.
pub(super) fn object(one: &WaitingMessage) -> Value {
    json!({
        "id": one.id,
        "name": one.name,
        "kind": one.kind.as_str(),
        "queue": one.queue,
        "since": one.since,
        "due": one.due,
        "attempt": one.attempt,
        "reason": one.reason,
        "failures": one.failures,
        "last_error": one.last_error,
        "parked": one.is_parked,
        "bytes": one.bytes,
        "exchange": one.exchange,
    })
}

/// `in 3 h  docker.time.one-day.passed  time.one-day.passed  6f1c…  retry (attempt 3)  connection refused`
fn line(one: &WaitingMessage, now: Timestamp, paint: Paint) -> String {
    let or_none = |text: Option<&String>| text.map_or_else(|| "-".into(), |text| shortened(text, 255));
    let kind = match one.attempt {
        Some(attempt) => format!("{} (attempt {attempt})", one.kind),
        None => one.kind.to_string(),
    };
    let failed = match (&one.last_error, one.failures) {
        (Some(why), 1..) => format!("(not sent {} times: {})", one.failures, shortened(why, REASON)),
        _ => String::new(),
    };
    let parts = [
        Segment::faint(when(one, now)),
        Segment::plain(or_none(one.queue.as_ref())),
        Segment::plain(or_none(one.name.as_ref())),
        Segment::plain(shortened(&one.id, 255)),
        Segment::strong(kind),
        Segment::plain(one.reason.as_deref().map(|reason| shortened(reason, REASON)).unwrap_or_default()),
        Segment::plain(failed),
    ];
    layout::fitted(&parts, paint)
}

/// When it is sent.
pub(super) fn when(one: &WaitingMessage, now: Timestamp) -> String {
    match one.due {
        _ if one.is_parked => "parked".into(),
        Some(due) if due > now => format!("in {}", ago(due.since(now))),
        _ => "now".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::{event::Message, inbox::postgres::WaitingKind};
    use testkit::{HOSTILE, assert_harmless};

    fn message() -> WaitingMessage {
        let text = || HOSTILE.to_owned();
        WaitingMessage {
            id: text(),
            name: Some(text()),
            kind: WaitingKind::Retry,
            queue: Some(text()),
            since: Timestamp::EPOCH,
            due: Some(Timestamp::from_millis(7_200_000)),
            attempt: Some(3),
            reason: Some(text()),
            failures: 2,
            last_error: Some(text()),
            is_parked: false,
            bytes: 7,
            exchange: text(),
            message: Ok(Message::default()),
        }
    }

    #[test]
    fn with_styles_nothing_but_the_styles_is_obeyed() {
        let line = line(&message(), Timestamp::EPOCH, Paint::always());
        assert!(line.contains("in 2 h") && line.contains("retry (attempt 3)"), "{line}");
        let plain =
            ["\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"].iter().fold(line, |line, code| line.replace(code, ""));
        assert_harmless("waiting list", &plain);
    }

    #[test]
    fn what_is_parked_or_due_says_so() {
        let at = |due, is_parked| WaitingMessage { due, is_parked, ..message() };
        let when = |one: &WaitingMessage| when(one, Timestamp::from_millis(1_000));
        assert_eq!(when(&at(None, false)), "now");
        assert_eq!(when(&at(Some(Timestamp::EPOCH), false)), "now");
        assert_eq!(when(&at(None, true)), "parked");
    }
}
