//! Requests whose token is refused. Each is told why, as long as they are few; the log has one line of them in a while,
//! and every one is counted in one.

use crate::authority::token::TokenId;
use std::{
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

/// Requests whose token was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// When the present while began, and how many wrong ones came in it.
    current: Option<(Instant, u32)>,
    unknown: Unsaid,
    exposed: Unsaid,
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

    /// A token came from there by a way on which it may have been read; whose it is, as far as it is known.
    pub(super) fn note_exposed(&self, peer: Option<IpAddr>, whose: &dyn fmt::Display) {
        let mut counts = self.counts();
        counts.exposed.note(format!("{}, {whose}", Peer(peer)));
        log_exposed(counts.exposed.due(Instant::now()));
    }

    /// Has the log told of what came since its last line: a flood that has ended is counted to its end.
    pub(super) fn flush(&self) {
        let now = Instant::now();
        let mut counts = self.counts();
        log_unknown(counts.unknown.due(now));
        log_exposed(counts.exposed.due(now));
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

fn log_exposed(due: Option<(u64, String)>) {
    if let Some((count, last)) = due {
        tracing::warn!(
            "requests refused whose token may have been read on its way, for nothing shows that it came encrypted: {count}, the last one from {last}: replace it (khronos token new), and have its holder use https"
        );
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
        let waits = self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < LOG);
        if self.count == 0 || waits {
            return None;
        }
        self.logged = Some(now);
        Some((std::mem::take(&mut self.count), std::mem::take(&mut self.last)))
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
}
