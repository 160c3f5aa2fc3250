//! Places of long answers. An answer keeps its place until the connection has taken all of it, or until it has had it for
//! long enough and somebody else wants one: then the one that has had it for longest is cut off. So a few readers that take
//! little at a time shut nobody out, and nobody is hurried while there is room. Of the places each owner has a share.

use super::{
    large::PIECE,
    shares::{Share, Shares},
};
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// A few places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    shares: Shares<Arc<str>>,
    /// How long an answer has its place for sure.
    least: Duration,
    /// Those that are being given, the oldest first; as many as there are places at most.
    given: Arc<Mutex<VecDeque<Given>>>,
}

/// A place of a long answer, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    _share: Share<Arc<str>>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full,
    /// The owner has this many, his share.
    Share(usize),
}

#[derive(Debug)]
struct Given {
    since: Instant,
    answer: Shared,
}

/// An answer that can be taken away from its connection, which may not look at it for a long time.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Option<Answer>>>);

/// An answer in progress, with its share of the memory.
#[derive(Debug)]
struct Answer {
    body: Body,
    /// Taken from the body and not handed on yet.
    rest: Bytes,
    place: Place,
    /// Of the connection, where it waits for more.
    waker: Option<Waker>,
}

impl Places {
    /// `count` places, of which each owner has `share` at most.
    pub(super) fn new(count: usize, share: usize, least: Duration) -> Self {
        let (free, shares) = (Arc::new(Semaphore::new(count)), Shares::new(share));
        Self { free, shares, least, given: Arc::default() }
    }

    /// A free place, or that of an answer which has had it for long enough.
    pub(super) fn take(&self, owner: &Arc<str>) -> Result<Place, NoPlace> {
        let share = self.shares.take(owner.clone()).ok_or(NoPlace::Share(self.shares.most()))?;
        let permit = self.permit().ok_or(NoPlace::Full)?;
        Ok(Place { permit, _share: share })
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.free.clone().try_acquire_owned() {
            return Some(permit);
        }
        let mut given = self.given();
        while given.front().is_some_and(|oldest| oldest.since.elapsed() >= self.least) {
            let answer = given.pop_front().and_then(|oldest| oldest.answer.lock().take());
            // None: it has ended in its own time.
            if let Some(Answer { place, waker, .. }) = answer {
                waker.into_iter().for_each(Waker::wake);
                return Some(place.permit);
            }
        }
        None
    }

    /// A body in pieces that holds the place.
    pub(super) fn hold(&self, body: Body, place: Place) -> Held {
        let answer = Answer { body, rest: Bytes::new(), place, waker: None };
        let answer = Shared(Arc::new(Mutex::new(Some(answer))));
        let mut given = self.given();
        given.retain(|one| one.answer.lock().is_some());
        given.push_back(Given { since: Instant::now(), answer: answer.clone() });
        Held { answer, ended: false }
    }

    fn given(&self) -> MutexGuard<'_, VecDeque<Given>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body in pieces that holds a place; an error once that was taken away.
#[derive(Debug)]
pub(super) struct Held {
    answer: Shared,
    ended: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        *self.answer.lock() = None;
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let shared = self.answer.clone();
        let mut shared = shared.lock();
        let Some(answer) = shared.as_mut() else {
            let cut_off = || axum::Error::new("it was read too slowly, and others waited for its place");
            return Poll::Ready((!self.ended).then(|| Err(cut_off())));
        };
        if answer.rest.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut answer.body).poll_frame(context) else {
                answer.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => answer.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => {
                    *shared = None;
                    self.ended = true;
                    return Poll::Ready(end);
                }
            }
        }
        let piece = answer.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(answer.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        match &*self.answer.lock() {
            Some(answer) => answer.rest.is_empty() && answer.body.is_end_stream(),
            None => self.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let shared = self.answer.lock();
        let Some(Answer { body, rest, .. }) = &*shared else { return SizeHint::new() };
        let (rest, body) = (rest.len() as u64, body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
