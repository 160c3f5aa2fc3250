//! How often whoever leads is asked to apply what is not in effect yet: at once, and again with growing pauses, for what hindered it may
//! pass, and may not.

use crate::postgres::NewestFiles;

/// From the first time to the next one, in looks; it doubles …
const FIRST: u32 = 4;
/// … up to this.
const LONGEST: u32 = 128;

/// Of what a member changed to last, from look to look.
#[derive(Debug, Default)]
pub(super) struct Asking {
    of: Option<NewestFiles>,
    /// Looks until it is asked for again.
    left: u32,
    pause: u32,
}

impl Asking {
    /// Whether this, if anything is wanted that is not in effect, is to be asked for now.
    pub(super) fn is_due(&mut self, wanted: Option<NewestFiles>) -> bool {
        if wanted.is_none() || wanted != self.of {
            *self = Self { of: wanted, left: FIRST, pause: FIRST };
            return self.of.is_some();
        }
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        self.pause = self.pause.saturating_mul(2).min(LONGEST);
        self.left = self.pause;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(digest: &str, is_there: bool) -> Option<NewestFiles> {
        Some(NewestFiles { digest: digest.into(), is_there, is_others: true })
    }

    #[test]
    fn what_is_not_in_effect_is_asked_for_again_and_again_with_growing_pauses() {
        let mut asking = Asking::default();
        let due: Vec<u32> = (0..400).filter(|_| asking.is_due(files("a", true))).collect();
        assert_eq!(due, [0, 4, 12, 28, 60, 124, 252, 380]);
    }

    #[test]
    fn something_else_or_what_can_be_had_now_is_asked_for_at_once() {
        let mut asking = Asking::default();
        assert!(asking.is_due(files("a", false)) && !asking.is_due(files("a", false)));
        assert!(asking.is_due(files("a", true)) && !asking.is_due(files("a", true)));
        assert!(asking.is_due(files("b", true)) && !asking.is_due(files("b", true)));
        assert!(!asking.is_due(None) && !asking.is_due(None), "it is in effect");
        assert!(asking.is_due(files("b", true)));
    }
}
