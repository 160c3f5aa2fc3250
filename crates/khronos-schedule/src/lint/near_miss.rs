//! Event names that are valid but look misspelt. `time.one-hour.passsed` was once published for years, and nobody heard
//! it: a name that nothing else is bound to is no error anywhere, so it must be caught where it is written.

use crate::{
    definition::spelling::{self, Reading},
    diagnostic::{is_one_edit, nearest},
};

/// Past-tense verbs that events end with. A last word one slip away from one of these, and not itself among them, is
/// probably misspelt.
#[rustfmt::skip]
const VERBS: &[&str] = &[
    "accepted", "acknowledged", "activated", "added", "applied", "approved", "archived", "arrived",
    "assigned", "attached", "backed-up", "begun", "billed", "blocked", "booked", "bound", "broken", "built",
    "called", "cancelled", "canceled", "captured", "caught", "changed", "charged", "checked", "cleaned",
    "cleared", "closed", "collected", "committed", "completed", "computed", "confirmed", "connected",
    "consumed", "copied", "created", "credited", "deactivated", "debited", "declined", "deleted",
    "delivered", "deployed", "detached", "detected", "disabled", "disconnected", "dispatched", "downloaded",
    "drained", "dropped", "elapsed", "emptied", "enabled", "ended", "entered", "evicted", "executed",
    "expired", "exported", "failed", "fetched", "filed", "filled", "finished", "fired", "fixed", "flushed",
    "found", "frozen", "generated", "granted", "handled", "hidden", "ignored", "imported", "indexed",
    "installed", "invited", "invoiced", "issued", "joined", "killed", "left", "linked", "listed", "loaded",
    "locked", "logged", "lost", "mailed", "marked", "matched", "measured", "merged", "migrated", "missed",
    "modified", "moved", "notified", "opened", "ordered", "packed", "paid", "parked", "passed", "paused",
    "placed", "planned", "polled", "posted", "printed", "processed", "promoted", "provisioned", "published",
    "purged", "pushed", "queued", "raised", "reached", "read", "rebuilt", "received", "recorded",
    "recovered", "refreshed", "refunded", "refused", "registered", "rejected", "released", "reloaded",
    "removed", "renamed", "renewed", "reopened", "replaced", "reported", "requested", "rescheduled",
    "reset", "resolved", "restarted", "restored", "resumed", "retried", "returned", "reviewed", "revoked",
    "rolled-back", "rotated", "saved", "scaled", "scanned", "scheduled", "sealed", "sent", "settled",
    "shipped", "shown", "shut", "signed", "skipped", "sold", "solved", "started", "stopped", "stored",
    "struck", "submitted", "subscribed", "succeeded", "suspended", "synced", "synchronized", "tagged",
    "taken", "tested", "timed-out", "tracked", "transferred", "triggered", "unlocked", "unsubscribed",
    "updated", "upgraded", "uploaded", "used", "validated", "verified", "viewed", "voided", "written",
];

/// Durations that the standard time events are named after.
#[rustfmt::skip]
const DURATIONS: &[&str] = &[
    "one-second", "one-minute", "two-minutes", "five-minutes", "ten-minutes", "fifteen-minutes",
    "twenty-minutes", "thirty-minutes", "one-hour", "two-hours", "three-hours", "four-hours", "six-hours",
    "eight-hours", "twelve-hours", "one-day", "two-days", "one-week", "two-weeks", "one-month",
    "three-months", "six-months", "one-year",
];

/// The name that was probably meant, and why it looks so; `None` if the name looks right.
pub fn suspicious(event: &str) -> Option<(String, String)> {
    let words: Vec<&str> = event.split('.').collect();
    let (last, before) = words.split_last()?;
    let mut meant: Vec<&str> = before.to_vec();
    let verb = misspelt_verb(last);
    meant.push(verb.as_deref().unwrap_or(last));
    let mut odd = verb.as_ref().map(|_| *last);
    if let [domain, duration, "passed"] = *meant.as_slice() {
        if domain == "time" && !is_length(duration) {
            if let Some(near) = nearest(duration, DURATIONS.iter().copied()) {
                (meant, odd) = (vec![domain, near, "passed"], odd.or(Some(duration)));
            }
        } else if domain != "time" && is_one_edit(domain, "time") && DURATIONS.contains(&duration) {
            (meant, odd) = (vec!["time", duration, "passed"], odd.or(Some(domain)));
        }
    }
    odd.map(|odd| (meant.join("."), odd.to_owned()))
}

/// Whether it is a length of time as it is spelled, or in digits: what the clock itself derives is never misspelt, and a
/// number is no misspelling of a word.
fn is_length(duration: &str) -> bool {
    duration.starts_with(|c: char| c.is_ascii_digit())
        || matches!(spelling::read(&format!("time.{duration}.passed")), Reading::Duration(_))
}

fn misspelt_verb(word: &str) -> Option<String> {
    if VERBS.contains(&word) {
        return None;
    }
    // "pass" for "passed", "create" for "created": the name is not in the past tense at all.
    let present = |verb: &&&str| {
        verb.strip_suffix("ed").is_some_and(|stem| stem == word)
            || (word.ends_with('e') && verb.strip_suffix('d') == Some(word))
    };
    if let Some(verb) = VERBS.iter().find(present) {
        return Some((*verb).to_owned());
    }
    let derived = ["un", "re", "de", "pre", "over", "auto-"];
    if word.len() < 5
        || derived.iter().any(|part| word.strip_prefix(part).is_some_and(|verb| VERBS.contains(&verb)))
    {
        return None;
    }
    VERBS
        .iter()
        .filter(|verb| verb.len() >= 5 && verb.len().abs_diff(word.len()) <= 1)
        .find(|verb| is_one_edit(word, verb))
        .map(|verb| (*verb).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos_event::duration::WrittenDuration;

    #[test]
    fn misspelt_names_are_recognised() {
        for (name, meant) in [
            ("time.one-hour.passsed", "time.one-hour.passed"),
            ("time.one-hour.pased", "time.one-hour.passed"),
            ("time.one-hour.psased", "time.one-hour.passed"),
            ("time.one-hour.pass", "time.one-hour.passed"),
            ("user.account.create", "user.account.created"),
            ("time.one-dya.passed", "time.one-day.passed"),
            ("time.on-hour.passsed", "time.one-hour.passed"),
            ("tme.one-day.passed", "time.one-day.passed"),
            ("report.daily.requestd", "report.daily.requested"),
        ] {
            assert_eq!(suspicious(name).map(|found| found.0).as_deref(), Some(meant), "{name}");
        }
    }

    #[test]
    fn names_that_the_clock_derives_are_right() {
        for n in 1..=1100 {
            for unit in ["ms", "s", "m", "h", "day", "week", "month", "year"] {
                let derived = spelling::event_name(&WrittenDuration::parse(&format!("{n} {unit}")).unwrap());
                assert_eq!(suspicious(&derived), None, "{derived}");
            }
        }
        let derived = spelling::event_name(&WrittenDuration::parse("1h 30m").unwrap());
        assert_eq!(suspicious(&derived), None, "{derived}");
        // A wrong verb behind a right length.
        let found = suspicious("time.ninety-minutes.passsed").unwrap();
        assert_eq!(found, ("time.ninety-minutes.passed".to_owned(), "passsed".to_owned()));
    }

    #[test]
    fn right_names_are_left_alone() {
        for name in [
            "time.one-day.passed",
            "time.90-days.passed",
            "time.working-day.begun",
            "time.lunch.struck",
            "docker.images.cleanup",
            "billing.invoices.due",
            "ship.cargo.unloaded",
            "tile.floor.passed",
        ] {
            assert_eq!(suspicious(name), None, "{name}");
        }
        for verb in VERBS {
            assert_eq!(suspicious(&format!("a.b.{verb}")), None);
        }
    }
}
