//! What became of tokens: known for ten minutes, and of so many, that a lost answer can be asked for again.

use super::Token;
use ponos::worker::Ended;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// How long it is known what became of a token.
pub(super) const REMEMBERED: Duration = Duration::from_secs(600);
/// Of how many tokens that is known.
const KNOWN: usize = 100_000;

/// How a delivery ended.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Fate {
    /// That of the outcome that a program gave it.
    pub(super) digest: Option<u64>,
    pub(in crate::serve) ended: Ended,
    /// Its deadline had passed.
    pub(in crate::serve) was_late: bool,
}

/// The fates by token.
#[derive(Default)]
pub(super) struct Fates {
    fates: HashMap<Token, Fate>,
    /// The oldest first.
    order: VecDeque<(Instant, Token)>,
}

impl Fates {
    pub(super) fn get(&self, token: &str) -> Option<&Fate> {
        self.fates.get(token)
    }

    /// Adds one, and forgets those that are too old or too many.
    pub(super) fn insert(&mut self, token: Token, fate: Fate) {
        let now = Instant::now();
        let is_old = |at: &Instant| now.saturating_duration_since(*at) >= REMEMBERED;
        self.order.push_back((now, Token::clone(&token)));
        self.fates.insert(token, fate);
        while self.order.len() > KNOWN || self.order.front().is_some_and(|(at, _)| is_old(at)) {
            if let Some((_, token)) = self.order.pop_front() {
                self.fates.remove(&token);
            }
        }
    }
}
