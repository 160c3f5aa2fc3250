//! The one audit at a time, which callers have by turns: whoever had the last one leaves the next to others that want it.

use super::{
    places::{Held, Place, Places},
    problem::Problem,
    shares::Whose,
};
use axum::{body::Body, http::StatusCode};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long the next one is left to others that were told to come back: longer than these wait.
const TURN: Duration = Duration::from_secs(10);

/// The one audit at a time. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Audits {
    place: Places,
    turn: Arc<Mutex<Turn>>,
}

#[derive(Debug, Default)]
struct Turn {
    /// Who had the last one.
    last: Option<Whose>,
    /// When another was told to come back.
    wanted: Option<Instant>,
}

impl Audits {
    /// `least`: how long the answer may be read for sure.
    pub(super) fn new(least: Duration) -> Self {
        Self { place: Places::new(1, least), turn: Arc::default() }
    }

    /// The place for an audit of his.
    pub(super) fn take(&self, whose: &Whose) -> Result<Place, Problem> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_his = turn.last.as_ref() == Some(whose);
        if is_his && turn.wanted.is_some_and(|wanted| wanted.elapsed() < TURN) {
            let what = "you had the last audit, and others want one; try again later";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, what));
        }
        let Ok(place) = self.place.take(whose) else {
            if !is_his {
                turn.wanted = Some(Instant::now());
            }
            return Err(Problem::unavailable("another audit is running; try again when it is done"));
        };
        *turn = Turn { last: Some(whose.clone()), wanted: None };
        Ok(place)
    }

    /// A body that holds the place.
    pub(super) fn hold(&self, body: Body, place: Place) -> Held {
        self.place.hold(body, place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_had_the_last_audit_leaves_the_next_to_others_for_a_while() {
        let audits = Audits::new(Duration::from_secs(30));
        let [ann, bob] = ["ann", "bob"].map(|name| Whose::Owner(name.into()));
        let detail = |whose| audits.take(whose).unwrap_err().detail;
        drop(audits.take(&ann).unwrap());
        // Nobody else wants one.
        let place = audits.take(&ann).unwrap();
        assert!(detail(&ann).contains("another audit is running"));
        assert!(detail(&bob).contains("another audit is running"));
        drop(place);
        assert!(detail(&ann).contains("others want one"));
        let place = audits.take(&bob).unwrap();
        assert!(detail(&ann).contains("another audit is running"));
        drop(place);
        assert!(detail(&bob).contains("others want one"));
        // They did not come back.
        tokio::time::advance(TURN).await;
        let place = audits.take(&bob).unwrap();
        // What is read slowly gives way.
        let _answer = audits.hold(Body::from("slow"), place);
        assert!(audits.take(&ann).is_err());
        tokio::time::advance(Duration::from_secs(30)).await;
        drop(audits.take(&ann).unwrap());
    }
}
