//! What the loop does with the lookahead: it renders ahead, and sends that.

use super::{random::Random, serving::rendered, world::IN_FLIGHT};
use crate::{Engine, Handover, Prepared};

/// Prepared, or handed over: what is rendered ahead is never more.
const MOST: usize = 2 * IN_FLIGHT;

pub(super) struct Rendering {
    /// Of its own, so that looking ahead changes nothing else.
    random: Random,
    /// Ids and bodies.
    ahead: Prepared<(String, Vec<u8>)>,
    /// How many events were rendered ahead and sent.
    pub(super) sent: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Rendering {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(!seed), ahead: Prepared::default(), sent: 0, broken: None }
    }

    /// With the process goes what it rendered.
    pub(super) fn restart(&mut self) {
        self.ahead = Prepared::default();
    }

    /// When there is nothing else to do.
    pub(super) fn look_ahead(&mut self, engine: &mut Engine) {
        if !self.random.chance(70) {
            return;
        }
        for handover in engine.prepare(2) {
            if let Some(number) = handover.prepared {
                self.ahead.put(number, rendered(&handover));
            }
        }
        if self.ahead.len() > MOST {
            self.broken = Some(format!("{} are kept that were rendered ahead", self.ahead.len()));
        }
    }

    /// What was rendered of this one has to be what it is now.
    pub(super) fn compare(&mut self, handover: &Handover) {
        let ahead = handover.prepared.and_then(|number| self.ahead.take(number));
        self.sent += usize::from(ahead.is_some());
        if ahead.is_some_and(|ahead| ahead != rendered(handover)) {
            let name = &handover.schedule.name;
            self.broken = Some(format!("what was rendered ahead for {name} is not what is to be sent"));
        }
    }
}
