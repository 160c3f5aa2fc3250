//! What the loop does and says when the broker comes and goes.

use super::{Failure, Input, Service};
use ponos::broker::Link;
use tracing::{info, warn};

/// Whether the present outage was told of.
#[derive(Debug, Default)]
pub(super) struct Outage {
    told: bool,
}

impl Outage {
    /// Whether a state of the link is news: once in an outage, by its first reason. Not by the number of attempts: only the
    /// latest state is seen, and on a busy machine the first attempt may have passed unseen.
    fn is_news(&mut self, link: &Link) -> bool {
        match link {
            Link::Down { error: Some(error), .. } => {
                !std::mem::replace(&mut self.told, true) || error.class.needs_a_person()
            }
            Link::Down { error: None, .. } | Link::Closed => false,
            Link::Up { .. } | Link::Blocked { .. } => {
                self.told = false;
                true
            }
        }
    }
}

impl Service {
    pub(super) fn on_link(&mut self) {
        let link = self.link.borrow_and_update().clone();
        let is_news = self.outage.is_news(&link);
        match &link {
            Link::Down { error: Some(error), .. } if error.class.needs_a_person() && !self.ever_up => {
                self.fail(Failure::Broker(error.clone()));
            }
            Link::Down { error: Some(error), .. } if is_news => {
                warn!(%error, "no connection to the broker; the clock goes on and loses nothing, and it is tried again");
            }
            Link::Up { broker, .. } if self.ever_up => info!(%broker, "the broker is back"),
            Link::Up { broker, .. } => info!(%broker, "connected"),
            Link::Blocked { reason } => {
                warn!(%reason, "the broker accepts no messages; the clock goes on and loses nothing");
            }
            Link::Down { .. } | Link::Closed => {}
        }
        let up = matches!(link, Link::Up { .. });
        self.ever_up |= up;
        self.step(Input::Link(up));
        self.show_status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::broker::{LinkError, LinkErrorClass};

    fn down(attempts: u32, class: LinkErrorClass) -> Link {
        let error = LinkError { class, what: "x".into(), remedy: String::new() };
        Link::Down { attempts, error: Some(error) }
    }

    #[test]
    fn each_outage_is_told_of_once_whichever_attempt_is_seen_first() {
        let mut outage = Outage::default();
        let up = Link::Up { generation: 1, broker: "a test".into(), user: None };
        let unreachable = |attempts| down(attempts, LinkErrorClass::Unreachable);
        for (link, news) in [
            (Link::Down { attempts: 0, error: None }, false),
            (unreachable(3), true),
            (unreachable(4), false),
            (up, true),
            (unreachable(2), true),
            (unreachable(1), false),
            (down(2, LinkErrorClass::AccessRefused), true),
        ] {
            assert_eq!(outage.is_news(&link), news, "{link:?}");
        }
    }
}
