//! Requests that are refused for who asks: whose token is not known, came by a way on which it may have been read, or does
//! not permit what was asked for. Each is told why, as long as they are few; the log has one line of each kind in a while, and
//! every one is counted in one. Of tokens that may have been read those that are known come first: no flood of others hides them.

use super::connection::Exposure;
use crate::authority::{Caller, token::TokenId};
use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Wrong tokens that are answered with the reason in a while; those beyond are told to come back later.
const TOLD: u32 = 50;
/// The while.
const WHILE: Duration = Duration::from_secs(1);
/// At most one line of each kind in this long.
pub(super) const LOG: Duration = Duration::from_secs(10);

/// Known tokens that are named in a line.
const NAMED: usize = 10;

/// Requests that were refused for who asks.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// When the present while began, and how many wrong ones came in it.
    current: Option<(Instant, u32)>,
    unknown: Unsaid,
    denied: Unsaid,
    exposed: BTreeMap<Exposure, Exposed>,
}

/// Tokens that came by a way on which they may have been read.
#[derive(Debug, Default)]
struct Exposed {
    /// Those that are known, how often each came, and from where it did so last.
    known: BTreeMap<String, (u64, String)>,
    /// The others; and when a line told of either.
    unknown: Unsaid,
}

/// What the log is still to be told of.
#[derive(Debug, Default)]
struct Unsaid {
    count: u64,
    /// Of the last one.
    last: String,
    logged: Option<Instant>,
}

impl Refusals {
    /// A token that is not known came from there, with this id if it has the form of one: whether its sender is told why.
    pub(super) fn note_unknown(&self, peer: Option<IpAddr>, id: Option<&TokenId>) -> bool {
        let now = Instant::now();
        let mut counts = self.counts();
        let form = id.map_or_else(|| "without the form of one".to_owned(), |id| format!("with the id {id}"));
        counts.unknown.note(format!("{}, {form}", Peer(peer)));
        let told = counts.is_told(now);
        log_unknown(counts.unknown.due(now));
        told
    }

    /// A token came from there by such a way; whose it is, if it is known.
    pub(super) fn note_exposed(&self, exposure: Exposure, peer: Option<IpAddr>, holder: Option<&Caller>) {
        let mut counts = self.counts();
        let exposed = counts.exposed.entry(exposure).or_default();
        exposed.note(Peer(peer), holder.map(ToString::to_string));
        log_exposed(exposure, exposed.due(Instant::now()));
    }

    /// Somebody was denied this, or asked for it too often.
    pub(super) fn note_denied(&self, caller: &Caller, what: &str) {
        let mut counts = self.counts();
        counts.denied.note(format!("by {caller}, of {what}"));
        log_denied(counts.denied.due(Instant::now()));
    }

    /// Has the log told of what came since its last line: a flood that has ended is counted to its end.
    pub(super) fn flush(&self) {
        let now = Instant::now();
        let mut counts = self.counts();
        log_unknown(counts.unknown.due(now));
        log_denied(counts.denied.due(now));
        for (exposure, exposed) in &mut counts.exposed {
            log_exposed(*exposure, exposed.due(now));
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_unknown(due: Option<(u64, String)>) {
    if let Some((count, last)) = due {
        tracing::warn!("requests refused whose token is not known: {count}, the last one from {last}");
    }
}

fn log_denied(due: Option<(u64, String)>) {
    if let Some((count, last)) = due {
        tracing::warn!(
            "changes refused that were not permitted, or came too often: {count}, the last one {last}"
        );
    }
}

fn log_exposed(exposure: Exposure, due: Option<String>) {
    if let Some(whose) = due {
        let (how, what_to_do) = exposure.logged();
        tracing::warn!("requests refused, for {how}: {whose}: {what_to_do}");
    }
}

impl Exposed {
    fn note(&mut self, peer: Peer, holder: Option<String>) {
        let Some(holder) = holder else { return self.unknown.note(peer.to_string()) };
        let (count, last) = self.known.entry(holder).or_default();
        *count = count.saturating_add(1);
        *last = peer.to_string();
    }

    /// Whose they are, if it is time to say so: first those that are known.
    fn due(&mut self, now: Instant) -> Option<String> {
        if (self.known.is_empty() && self.unknown.count == 0) || !self.unknown.may_be_said(now) {
            return None;
        }
        let known = std::mem::take(&mut self.known);
        let (count, last) = self.unknown.take();
        let more = known.len().saturating_sub(NAMED);
        let named = known.into_iter().take(NAMED);
        let named =
            named.map(|(whose, (count, last))| format!("{whose} ({count}, the last one from {last})"));
        let more = (more > 0).then(|| format!("{more} more known ones"));
        let unknown = (count > 0)
            .then(|| format!("tokens that are not known here ({count}, the last one from {last})"));
        Some(named.chain(more).chain(unknown).collect::<Vec<_>>().join(", "))
    }
}

impl Counts {
    /// Whether one more is told why.
    fn is_told(&mut self, now: Instant) -> bool {
        let count = match &mut self.current {
            Some((began, count)) if now.saturating_duration_since(*began) < WHILE => {
                *count = count.saturating_add(1);
                *count
            }
            current => current.insert((now, 1)).1,
        };
        count <= TOLD
    }
}

impl Unsaid {
    fn note(&mut self, last: String) {
        self.count = self.count.saturating_add(1);
        self.last = last;
    }

    /// How many there are, and the last one, if it is time to say so.
    fn due(&mut self, now: Instant) -> Option<(u64, String)> {
        (self.count > 0 && self.may_be_said(now)).then(|| self.take())
    }

    /// Whether the last line is long enough ago; it is this one then.
    fn may_be_said(&mut self, now: Instant) -> bool {
        let waits = self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < LOG);
        if !waits {
            self.logged = Some(now);
        }
        !waits
    }

    fn take(&mut self) -> (u64, String) {
        (std::mem::take(&mut self.count), std::mem::take(&mut self.last))
    }
}

/// Where a request came from.
struct Peer(Option<IpAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(peer) => peer.fmt(f),
            None => f.write_str("an unknown address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_to_wait_and_each_of_it_is_counted_in_few_lines() {
        let mut counts = Counts::default();
        let begin = Instant::now();
        let mut flood = |count: usize, now| {
            let mut said = Vec::new();
            let told = (0..count).filter(|number| {
                counts.unknown.note(number.to_string());
                said.extend(counts.unknown.due(now));
                counts.is_told(now)
            });
            (told.count(), said)
        };
        assert_eq!(flood(1_000, begin), (50, vec![(1, "0".into())]));
        assert_eq!(flood(1, begin + WHILE), (1, vec![]));
        // It has ended, and what was not said of it is.
        let unsaid = &mut counts.unknown;
        assert_eq!(unsaid.due(begin + LOG - Duration::from_millis(1)), None);
        assert_eq!(unsaid.due(begin + LOG), Some((1_000, "0".into())));
        assert_eq!(unsaid.due(begin + LOG * 3), None);
    }

    #[test]
    fn no_flood_hides_a_known_token_that_may_have_been_read() {
        let begin = Instant::now();
        let mut exposed = Exposed::default();
        let here = || Peer("192.0.2.7".parse().ok());
        (0..1_000).for_each(|_| exposed.note(here(), None));
        exposed.note(Peer("192.0.2.8".parse().ok()), Some("the token 1f2e3d4c of 'admin'".into()));
        exposed.note(here(), None);
        let said = exposed.due(begin).unwrap();
        assert_eq!(
            said,
            "the token 1f2e3d4c of 'admin' (1, the last one from 192.0.2.8), tokens that are not known here (1001, the last one from 192.0.2.7)"
        );
        (0..12).for_each(|number| exposed.note(here(), Some(format!("token {number:02}"))));
        assert_eq!(exposed.due(begin), None);
        let said = exposed.due(begin + LOG).unwrap();
        assert!(said.starts_with("token 00 (1, ") && said.ends_with("), 2 more known ones"), "{said}");
        assert_eq!(exposed.due(begin + LOG * 2), None);
    }
}
