//! Counts failures of receiving, and attempts to receive again, by the changes of a consumer's link.

use super::metrics::QueueMetrics;
use crate::broker::Link;
use tokio::sync::watch;

/// The last state of the link that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Receiving {
    /// The first attempt has not ended yet.
    #[default]
    Beginning,
    Up,
    /// After so many failures in a row.
    Failing(u32),
    Closed,
}

/// What happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Happened {
    /// How often it was lost, or could not begin.
    errors: u64,
    /// How many attempts to receive again have ended.
    retries: u64,
}

impl Receiving {
    /// Takes in a change; a short state in between may not have been seen.
    fn change(&mut self, link: &Link) -> Happened {
        let happened = |errors, retries| Happened { errors, retries };
        let (next, happened) = match (*self, link) {
            (was, Link::Down { attempts: 0, .. }) => (was, happened(0, 0)),
            (Self::Beginning, Link::Down { attempts, .. }) => {
                (Self::Failing(*attempts), happened(1, u64::from(attempts - 1)))
            }
            (Self::Failing(before), Link::Down { attempts, .. }) if *attempts >= before => {
                (Self::Failing(*attempts), happened(0, u64::from(attempts - before)))
            }
            // it was up in between, after one more attempt
            (Self::Failing(_), Link::Down { attempts, .. }) => (Self::Failing(*attempts), happened(1, 1)),
            (Self::Up | Self::Closed, Link::Down { attempts, .. }) => {
                (Self::Failing(*attempts), happened(1, 0))
            }
            (Self::Failing(_), Link::Up { .. } | Link::Blocked { .. }) => (Self::Up, happened(0, 1)),
            // the subscription was made anew in between
            (Self::Up, Link::Up { .. }) => (Self::Up, happened(1, 1)),
            (_, Link::Up { .. } | Link::Blocked { .. }) => (Self::Up, happened(0, 0)),
            (_, Link::Closed) => (Self::Closed, happened(0, 0)),
        };
        *self = next;
        happened
    }
}

/// Follows the link of a queue's consumer until it ends.
pub(super) async fn follow(mut link: watch::Receiver<Link>, metrics: QueueMetrics) {
    let mut receiving = Receiving::default();
    loop {
        let Happened { errors, retries } = receiving.change(&link.borrow_and_update());
        metrics.receive_errors.inc_by(errors);
        metrics.receive_retries.inc_by(retries);
        metrics.connected.set(i64::from(receiving == Receiving::Up));
        if link.changed().await.is_err() {
            metrics.connected.set(0);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(attempts: u32) -> Link {
        Link::Down { attempts, error: None }
    }

    fn up(generation: u64) -> Link {
        Link::Up { generation, broker: "a broker".into(), user: None }
    }

    #[test]
    fn each_loss_is_an_error_and_each_attempt_after_it_a_retry() {
        for (what, links, errors, retries) in [
            ("it connects at once", vec![down(0), up(1), Link::Closed], 0, 0),
            ("the first attempt fails, the third succeeds", vec![down(0), down(1), down(2), up(1)], 1, 2),
            ("lost, and back at once", vec![up(1), down(1), up(2)], 1, 1),
            ("lost, back at the third attempt", vec![up(1), down(1), down(1), down(2), down(3), up(2)], 1, 3),
            ("lost twice in a short time", vec![up(1), down(1), up(2), down(2), up(3)], 2, 2),
            ("attempts that were not seen one by one", vec![down(0), down(7), down(9), up(1)], 1, 9),
            ("up for so short that it was not seen", vec![up(1), down(5), down(1), up(3)], 2, 2),
            ("down for so short that it was not seen", vec![up(1), up(2)], 1, 1),
            ("the broker cancelled the consumer, which subscribed again", vec![up(1), up(1)], 1, 1),
            ("still down", vec![up(1), down(1), down(2), down(3)], 1, 2),
            ("an alarm is no failure", vec![up(1), Link::Blocked { reason: "memory".into() }], 0, 0),
        ] {
            let (mut receiving, mut counted) = (Receiving::default(), Happened::default());
            for link in links {
                let happened = receiving.change(&link);
                counted.errors += happened.errors;
                counted.retries += happened.retries;
            }
            assert_eq!(counted, Happened { errors, retries }, "{what}");
        }
    }
}
