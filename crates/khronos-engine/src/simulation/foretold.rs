//! What the service does with foresight: it renders ahead, and sends that.

use super::{
    random::Random,
    world::{IN_FLIGHT, rendered},
};
use crate::{Engine, Handover};
use std::collections::BTreeMap;

/// Made ready, or handed over: what is rendered ahead is never more.
const MOST: usize = 2 * IN_FLIGHT;

pub(super) struct Foretold {
    /// Of its own, so that looking ahead changes nothing else.
    random: Random,
    /// Ids and bodies by number.
    rendered: BTreeMap<u64, (String, Vec<u8>)>,
    /// How many events were rendered ahead and sent.
    pub(super) sent: usize,
    /// What should not be.
    pub(super) broken: Option<String>,
}

impl Foretold {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::new(!seed), rendered: BTreeMap::new(), sent: 0, broken: None }
    }

    /// With the process goes what it rendered.
    pub(super) fn restart(&mut self) {
        self.rendered.clear();
    }

    /// When there is nothing else to do.
    pub(super) fn look_ahead(&mut self, engine: &mut Engine) {
        if !self.random.chance(70) {
            return;
        }
        for handover in engine.foresee(2) {
            let Some(number) = handover.foreseen else { continue };
            // One was left out: those before it are void.
            if self.rendered.last_key_value().is_some_and(|(last, _)| last + 1 != number) {
                self.rendered.clear();
            }
            self.rendered.insert(number, rendered(&handover));
        }
        if self.rendered.len() > MOST {
            self.broken = Some(format!("{} are kept that were rendered ahead", self.rendered.len()));
        }
    }

    /// What was rendered of this one has to be what it is now. Those before it are void.
    pub(super) fn compare(&mut self, handover: &Handover) {
        let Some(number) = handover.foreseen else { return };
        let later = self.rendered.split_off(&(number + 1));
        let ahead = std::mem::replace(&mut self.rendered, later).remove(&number);
        self.sent += usize::from(ahead.is_some());
        if ahead.is_some_and(|ahead| ahead != rendered(handover)) {
            let name = &handover.schedule.name;
            self.broken = Some(format!("what was rendered ahead for {name} is not what is to be sent"));
        }
    }
}
