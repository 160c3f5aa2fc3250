//! How the loop reacts to the broker's link going up and down.

use super::{ClockLoop, Failure, Input};
use ponos::{
    broker::{Link, LinkErrorClass},
    event::Timestamp,
};
use tracing::{info, warn};

/// How long a topology that was declared again is shown as a warning (milliseconds): others' bindings went with it.
const SHOWN: i64 = 10 * 60 * 1_000;

/// Whether the present outage was logged.
#[derive(Debug, Default)]
pub(super) struct Outage {
    told: bool,
    /// What was last missing on the broker, and when that was seen.
    missing: Option<(String, Timestamp)>,
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

impl Outage {
    /// A warning about what was missing a while ago and was declared again.
    pub(super) fn mended(&self, link: &Link, now: Timestamp) -> Option<String> {
        let (what, at) = self.missing.as_ref().filter(|(_, at)| (0..SHOWN).contains(&now.since(*at)))?;
        matches!(link, Link::Up { .. }).then(|| {
            format!("broker: {what} ({at}); it was declared again, but its receivers may have to bind again")
        })
    }
}

impl ClockLoop {
    pub(super) fn on_link(&mut self) {
        let link = self.link.borrow_and_update().clone();
        let is_news = self.outage.is_news(&link);
        if let Link::Down { error: Some(error), .. } = &link
            && error.class == LinkErrorClass::Missing
        {
            self.outage.missing = Some((error.what.clone(), self.engine.now()));
        }
        match &link {
            Link::Down { error: Some(error), .. } if error.class.needs_a_person() && !self.ever_up => {
                self.fail(Failure::Broker(error.clone()));
            }
            Link::Down { error: Some(error), .. } if is_news && is_topology(error.class) => {
                warn!(%error, "something that the clock needs is missing on the broker; nothing is lost, and the clock declares it again");
            }
            Link::Down { error: Some(error), .. } if is_news => {
                warn!(%error, "no connection to the broker; the clock keeps running, loses nothing and tries again");
            }
            Link::Up { broker, .. } if self.ever_up => info!(%broker, "the broker is back"),
            Link::Up { broker, .. } => info!(%broker, "connected"),
            Link::Blocked { reason } => {
                warn!(%reason, "the broker accepts no messages; the clock keeps running and loses nothing");
            }
            Link::Down { .. } | Link::Closed => {}
        }
        let up = matches!(link, Link::Up { .. });
        self.ever_up |= up;
        self.step(Input::Link(up));
        self.show_status();
    }
}

/// Something is not there, or another than it should be.
fn is_topology(class: LinkErrorClass) -> bool {
    matches!(class, LinkErrorClass::Missing | LinkErrorClass::Inequivalent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::broker::LinkError;

    fn down(attempts: u32, class: LinkErrorClass) -> Link {
        let error = LinkError { class, what: "x".into(), remedy: String::new() };
        Link::Down { attempts, error: Some(error) }
    }

    #[test]
    fn what_was_missing_is_shown_for_a_while_and_not_after_the_clock_was_set_back() {
        let outage = Outage { told: false, missing: Some(("x".into(), Timestamp::from_millis(SHOWN))) };
        let up = Link::Up { generation: 1, broker: "a test".into(), user: None };
        let is_shown = |now: i64| outage.mended(&up, Timestamp::from_millis(now)).is_some();
        assert_eq!([SHOWN, 2 * SHOWN - 1, 2 * SHOWN, 0].map(is_shown), [true, true, false, false]);
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
