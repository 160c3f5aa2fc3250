//! Places of long answers. An answer keeps its place until the connection has taken all of it, or until it has had it for
//! long enough and somebody else wants one: then the one that has had it for longest is cut off. So a few readers that take
//! little at a time shut nobody out, and nobody is hurried while there is room. Of the places everybody has a share
//! (`shares.rs`); who wants more than his has one of his own answers give way.

use super::{
    large::PIECE,
    shares::{NoShare, Share, Shares, Whose},
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
use tokio::time::Instant;

/// A few places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    shares: Shares,
    /// How long an answer has its place for sure.
    least: Duration,
    /// Those that are being given, the oldest first; as many as there are places at most.
    given: Arc<Mutex<VecDeque<Given>>>,
}

/// A place of a long answer, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    whose: Whose,
    _share: Share,
}

#[derive(Debug)]
struct Given {
    whose: Whose,
    since: Instant,
    answer: AnswerSlot,
}

/// An answer that can be taken away from its connection, which may not look at it for a long time.
#[derive(Debug, Clone)]
struct AnswerSlot(Arc<Mutex<Option<Answer>>>);

/// An answer in progress, with what it has in memory.
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
    /// So many places.
    pub(super) fn new(count: usize, least: Duration) -> Self {
        Self { shares: Shares::new(count), least, given: Arc::default() }
    }

    /// A free place, or that of an answer which has had it for long enough: where he has his share, of one of his.
    pub(super) fn take(&self, whose: &Whose) -> Result<Place, NoShare> {
        loop {
            let why = match self.shares.take(whose.clone()) {
                Ok(share) => return Ok(Place { whose: whose.clone(), _share: share }),
                Err(why) => why,
            };
            let of = Some(whose).filter(|_| !matches!(why, NoShare::Full(_)));
            if !self.cut_off(of) {
                return Err(why);
            }
        }
    }

    /// Cuts off the answer that has had its place for longest, if that was long enough: of all, or of his.
    fn cut_off(&self, of: Option<&Whose>) -> bool {
        let mut given = self.given();
        let is_due =
            |one: &Given| one.since.elapsed() >= self.least && of.is_none_or(|whose| one.whose == *whose);
        while let Some(at) = given.iter().position(is_due) {
            let answer = given.remove(at).and_then(|oldest| oldest.answer.lock().take());
            // None: it has ended in its own time.
            if let Some(Answer { place, waker, .. }) = answer {
                drop(place);
                waker.into_iter().for_each(Waker::wake);
                return true;
            }
        }
        false
    }

    /// A body in pieces that holds the place.
    pub(super) fn hold(&self, body: Body, place: Place) -> Held {
        let whose = place.whose.clone();
        let answer = Answer { body, rest: Bytes::new(), place, waker: None };
        let answer = AnswerSlot(Arc::new(Mutex::new(Some(answer))));
        let mut given = self.given();
        given.retain(|one| one.answer.lock().is_some());
        given.push_back(Given { whose, since: Instant::now(), answer: answer.clone() });
        Held { answer, ended: false }
    }

    fn given(&self) -> MutexGuard<'_, VecDeque<Given>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AnswerSlot {
    fn lock(&self) -> MutexGuard<'_, Option<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body in pieces that holds a place; an error once that was taken away.
#[derive(Debug)]
pub(super) struct Held {
    answer: AnswerSlot,
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
        let slot = self.answer.clone();
        let mut slot = slot.lock();
        let Some(answer) = slot.as_mut() else {
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
                    *slot = None;
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
        let slot = self.answer.lock();
        let Some(Answer { body, rest, .. }) = &*slot else { return SizeHint::new() };
        let (rest, body) = (rest.len() as u64, body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
