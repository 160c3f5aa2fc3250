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
/// The most bytes of all their reasons together.
const REASONS: usize = 32 << 20;

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
    /// Each with when it was known.
    fates: HashMap<Token, (Instant, Fate)>,
    /// The oldest first.
    order: VecDeque<Token>,
    /// Of their reasons.
    bytes: usize,
}

impl Fates {
    pub(super) fn get(&self, token: &str) -> Option<&Fate> {
        self.fates.get(token).filter(|(at, _)| !is_old(*at)).map(|(_, fate)| fate)
    }

    /// Adds one, and forgets those that are too old or too many, or whose reasons are too long.
    pub(super) fn insert(&mut self, token: Token, fate: Fate) {
        self.bytes += reason(&fate);
        self.order.push_back(Token::clone(&token));
        self.fates.insert(token, (Instant::now(), fate));
        while self.order.len() > KNOWN || self.bytes > REASONS || self.is_first_old() {
            let Some((_, fate)) = self.order.pop_front().and_then(|token| self.fates.remove(&token)) else {
                return;
            };
            self.bytes -= reason(&fate);
        }
    }

    fn is_first_old(&self) -> bool {
        self.order.front().and_then(|token| self.fates.get(token)).is_some_and(|(at, _)| is_old(*at))
    }
}

fn is_old(at: Instant) -> bool {
    at.elapsed() >= REMEMBERED
}

/// How many bytes its reason has.
fn reason(fate: &Fate) -> usize {
    match &fate.ended {
        Ended::Retried { reason, .. } | Ended::Snoozed { reason, .. } => reason.len(),
        Ended::Skipped(why) | Ended::Released(why) | Ended::Cancelled(why) => why.len(),
        Ended::Dead(death) => death.reason.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_known_of_fewer_tokens() {
        let mut fates = Fates::default();
        let token = |n: usize| Token::from(n.to_string());
        let fate = || Fate { digest: Some(1), ended: Ended::Released("x".repeat(1 << 20)), was_late: false };
        for n in 0..40 {
            fates.insert(token(n), fate());
        }
        assert_eq!(fates.bytes, REASONS);
        let known: Vec<usize> = (0..40).filter(|n| fates.get(&token(*n)).is_some()).collect();
        assert_eq!(known, (8..40).collect::<Vec<_>>(), "the oldest are forgotten");
    }
}
