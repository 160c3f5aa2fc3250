//! What is on its way between a consumer and the broker.

use tokio::sync::{mpsc, oneshot};

/// Asks for deliveries that are on their way to one [`Consumer`](super::Consumer), and for what was settled and is on its way to
/// the broker. It does not keep the consumer alive.
#[derive(Debug, Clone)]
pub struct Arrivals(mpsc::Sender<oneshot::Sender<u64>>);

impl Arrivals {
    /// A handle and the adapter's side of it.
    pub(super) fn channel() -> (Self, mpsc::Receiver<oneshot::Sender<u64>>) {
        // each waits for its answer, so that more than one is seldom
        let (ask, asked) = mpsc::channel(1);
        (Self(ask), asked)
    }

    /// Waits until all deliveries that the broker had given to the channel that the consumer has now, when it was asked, can be had
    /// from [`Consumer::next`](super::Consumer::next) at once, however long they take to be written and read. A queue without ready messages may have
    /// given many that have not come yet. It says nothing of what was given to a channel that was lost before: the broker may
    /// not have put that back yet ([`Consumer::losses`](super::Consumer::losses)). False if the connection was lost meanwhile, or the consumer was dropped. While there is no connection it waits for one.
    pub async fn are_complete(&self) -> bool {
        self.ask().await.is_some()
    }

    /// Waits until the broker has taken all that was settled before, and says of which generation's deliveries that is true: what
    /// was settled of an older one was void, and comes again. `None` if the connection was lost meanwhile, or the consumer
    /// dropped: then what was settled may come again. While there is no connection it waits for one.
    pub async fn of_settlements(&self) -> Option<u64> {
        self.ask().await
    }

    async fn ask(&self) -> Option<u64> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}
