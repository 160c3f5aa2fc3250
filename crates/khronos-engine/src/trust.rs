//! Until when an engine may hand over that shares its store with others. Whoever is alone is trusted for ever.

use super::core::Engine;

/// Instants of the boot-time clock, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Trust {
    now: i64,
    until: Option<i64>,
}

impl Trust {
    pub(super) fn see(&mut self, now: i64) {
        self.now = now;
    }

    /// Not at this instant, nor after it.
    pub(super) fn set(&mut self, until: i64) {
        self.until = Some(until);
    }

    pub(super) fn holds(&self) -> bool {
        self.until.is_none_or(|until| self.now < until)
    }
}

impl Engine {
    /// The same as one of several clocks on one store, before its first step: until it is [told](crate::Input::Others) that no
    /// other one lives, it does not go back to a lower reading; nor does it hand anything over until it is [trusted](crate::Input::Trust).
    #[must_use]
    pub fn among_others(mut self) -> Self {
        self.guard.note_others(true);
        self.trust.set(i64::MIN);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_ends_at_its_instant_and_without_one_never() {
        let mut trust = Trust::default();
        trust.see(i64::MAX);
        assert!(trust.holds());
        trust.set(900);
        trust.see(899);
        assert!(trust.holds());
        trust.see(900);
        assert!(!trust.holds());
    }
}
