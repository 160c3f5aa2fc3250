//! When something refused is sent again, and when it is given up on (`resends` of a schedule, else `[publish]` of
//! config.toml: 5 resends over 10 minutes).

use khronos_schedule::ResendPolicy;

/// How often and over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resends {
    /// How many after the first sending; 0 to 100.
    pub count: u8,
    /// Milliseconds from the first refusal to the last resend.
    pub over: i64,
}

/// How much longer each wait is than the one before.
const GROWTH: i64 = 4;
/// After so many the waits grow no more, so that many resends do not begin with a burst.
const STEPS: u32 = 4;

impl Resends {
    /// These, where a schedule's policy says nothing else.
    pub(super) fn with(self, policy: ResendPolicy) -> Self {
        Self { count: policy.most.unwrap_or(self.count), over: policy.within.unwrap_or(self.over) }
    }

    /// Milliseconds to wait after the `refusals`-th refusal; `None`: give up.
    pub(super) fn wait(self, refusals: u8) -> Option<i64> {
        if refusals > self.count {
            return None;
        }
        let weight = |refusal: u8| GROWTH.pow(u32::from(refusal).saturating_sub(1).min(STEPS));
        let total: i64 = (1..=self.count).map(weight).sum();
        Some(self.over.saturating_mul(weight(refusals)) / total.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_resends_are_spread_over_ten_minutes_and_then_it_is_over() {
        let resends = Resends { count: 5, over: 600_000 };
        let waits: Vec<_> = (1..=6).map(|refusals| resends.wait(refusals)).collect();
        assert_eq!(waits, [Some(1_759), Some(7_038), Some(28_152), Some(112_609), Some(450_439), None]);
        assert_eq!(Resends { count: 0, over: 600_000 }.wait(1), None);
    }

    #[test]
    fn what_a_schedule_says_of_resends_comes_before_what_the_configuration_says() {
        let resends = Resends { count: 5, over: 600_000 };
        let with = |most, within| {
            let Resends { count, over } = resends.with(ResendPolicy { most, within });
            (count, over)
        };
        assert_eq!(with(None, None), (5, 600_000));
        assert_eq!(with(Some(0), None), (0, 600_000));
        assert_eq!(with(Some(9), Some(1_000)), (9, 1_000));
    }

    #[test]
    fn a_hundred_resends_take_no_longer_than_they_may() {
        let day = 86_400_000;
        let resends = Resends { count: 100, over: day };
        let waits: Vec<i64> = (1..=100).filter_map(|refusals| resends.wait(refusals)).collect();
        assert_eq!((waits.len(), resends.wait(101)), (100, None));
        assert!(waits.iter().sum::<i64>() <= day && waits.is_sorted(), "{waits:?}");
        assert!(waits[0] > 1_000, "{waits:?}");
    }
}
