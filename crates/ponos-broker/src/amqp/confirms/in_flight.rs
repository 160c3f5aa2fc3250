//! What lapin holds of a confirm channel: publishings that are being written, and confirms that are waited for.

use super::super::woken::Woken;
use futures_util::{Stream, stream::FuturesUnordered};
use lapin::{Confirmation, PublisherConfirm};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// A publishing that is being written.
type Writing = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send>>;

/// The number of a publishing, and what came of it.
pub(super) type Landed = (u64, lapin::Result<Confirmation>);

/// One that is written: its number, and what comes of it.
struct Confirming(u64, PublisherConfirm);

impl Future for Confirming {
    type Output = Landed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.0;
        Pin::new(&mut self.1).poll(cx).map(|result| (number, result))
    }
}

/// Publishings on their way.
#[derive(Default)]
pub(super) struct InFlight {
    /// In the order of their numbers, in which they are written too.
    writing: VecDeque<(u64, Writing)>,
    confirming: FuturesUnordered<Confirming>,
}

impl InFlight {
    pub(super) fn is_empty(&self) -> bool {
        self.writing.is_empty() && self.confirming.is_empty()
    }

    /// How many are being written.
    pub(super) fn unwritten(&self) -> usize {
        self.writing.len()
    }

    /// Begins to write one.
    pub(super) fn write(&mut self, number: u64, mut writing: Writing) -> lapin::Result<()> {
        // The first poll takes the tag and queues the frames, without waiting: so the order is the order taken.
        match writing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(confirm)) => self.confirming.push(Confirming(number, confirm)),
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => self.writing.push_back((number, writing)),
        }
        Ok(())
    }

    /// Ready when something was written or confirmed (or the channel died), with all that landed.
    pub(super) fn poll_landed(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Landed>> {
        // What was confirmed was written before: so whoever saw a confirm looks once more for what is written. The stream stops
        // now and then without being empty, and says so by waking.
        let woken = Arc::new(Woken::new(cx.waker().clone()));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let (mut landed, mut progress) = (Vec::new(), false);
        loop {
            progress |= self.take_written(&mut landed, &mut cx);
            let before = landed.len();
            loop {
                match Pin::new(&mut self.confirming).poll_next(&mut cx) {
                    Poll::Ready(Some(one)) => landed.push(one),
                    Poll::Ready(None) => break,
                    Poll::Pending if woken.again() => {}
                    Poll::Pending => break,
                }
            }
            if landed.len() == before {
                break;
            }
        }
        if landed.is_empty() && !progress { Poll::Pending } else { Poll::Ready(landed) }
    }

    /// Whether any of those that were being written are not any more.
    fn take_written(&mut self, landed: &mut Vec<Landed>, cx: &mut Context<'_>) -> bool {
        let before = self.writing.len();
        while let Some((number, writing)) = self.writing.front_mut() {
            match writing.as_mut().poll(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(confirm)) => self.confirming.push(Confirming(*number, confirm)),
                Poll::Ready(Err(error)) => landed.push((*number, Err(error))),
            }
            self.writing.pop_front();
        }
        self.writing.len() != before
    }
}
