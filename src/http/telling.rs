//! Reads that a clock answers that follows: from what it holds of what the leader has written, and from the tables. So they are answered
//! while nobody leads, too.
//!
//! Invariant: what is told is as old as the answer says, at most. Who changes something by way of a clock, and reads there, sees what he
//! has changed. What is not known to be so is asked of the leader.

use super::follower::Follower;
use crate::{clock, clock_loop::Status, store::Look};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

/// How old an answer is at most, in milliseconds: what the leader had written before is in it.
pub(super) const AGE: HeaderName = HeaderName::from_static("khronos-age-ms");
/// What is older (milliseconds) is asked of the leader.
const OLDEST: i64 = 10_000;
/// How long the next look is waited for, where something was changed since the last one.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a follower tells of what the leader has written. Clones share it.
#[derive(Clone)]
pub(crate) struct Telling {
    looks: watch::Receiver<Look>,
    /// Has it looked now.
    look: Arc<dyn Fn() + Send + Sync>,
    /// That of the clock which is asked.
    status: Arc<watch::Sender<Status>>,
    /// When something was changed last by way of this clock, as far as is known (milliseconds since boot).
    changed: Arc<AtomicI64>,
}

impl Telling {
    /// Of what is looked at so; `look` has it looked now. The clock that is asked has this status.
    pub(crate) fn new(
        looks: watch::Receiver<Look>,
        look: impl Fn() + Send + Sync + 'static,
        status: watch::Sender<Status>,
    ) -> Self {
        let changed = Arc::new(AtomicI64::new(i64::MIN));
        Self { looks, look: Arc::new(look), status: Arc::new(status), changed }
    }

    /// Something was changed by way of this clock, or may have been.
    fn note_change(&self) {
        self.changed.fetch_max(clock::reading().boot, Ordering::SeqCst);
    }

    /// Since when nothing of what is told need have changed (milliseconds since boot), if it can be told.
    async fn told_at(&self) -> Option<i64> {
        let changed = self.changed.load(Ordering::SeqCst);
        let mut looks = self.looks.clone();
        if looks.borrow().at? <= changed {
            (self.look)();
        }
        let next = looks.wait_for(|look| look.at.is_none_or(|at| at > changed));
        let look = timeout(PATIENCE, next).await.ok()?.ok()?.clone();
        let at = look.at.filter(|at| clock::reading().boot.saturating_sub(*at) <= OLDEST)?;
        self.status.send_if_modified(|status| {
            let is_another = status.paused != look.paused;
            status.paused = look.paused;
            is_another
        });
        Some(at)
    }
}

/// A change that the leader is asked for. It is noted when this is dropped: also where whoever wants it goes away before its end.
pub(super) struct Changing(Option<Telling>);

impl Changing {
    pub(super) fn new(telling: Telling) -> Self {
        Self(Some(telling))
    }

    /// Nothing of it came to the leader.
    pub(super) fn was_not_asked(mut self) {
        self.0 = None;
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(telling) = &self.0 {
            telling.note_change();
        }
    }
}

/// Answers a read, where that can be told, and the tables answer within its time; all else goes to the leader.
pub(super) async fn tell(State(follower): State<Follower>, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let told_at = match follower.telling.as_ref().filter(|_| is_read) {
        Some(telling) => telling.told_at().await,
        None => None,
    };
    let Some(at) = told_at else { return follower.answer_of_the_leader(request).await };
    let (head, body) = request.into_parts();
    // No read has a body that says anything.
    let mut response = next.run(Request::from_parts(head.clone(), Body::empty())).await;
    let age = clock::reading().boot.saturating_sub(at).max(0);
    if response.status() == StatusCode::SERVICE_UNAVAILABLE || age > OLDEST {
        return follower.answer_of_the_leader(Request::from_parts(head, body)).await;
    }
    if response.status().is_success() || response.status() == StatusCode::NOT_FOUND {
        response.headers_mut().insert(AGE, HeaderValue::from(age));
    }
    response
}
