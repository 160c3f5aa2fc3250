//! When something refused is sent again, and when it is given up on (`[publish]` of config.toml: 5 resends over 10 minutes).

/// How often and over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resends {
    /// How many after the first sending; 0 to 20.
    pub count: u8,
    /// Milliseconds from the first refusal to the last resend.
    pub over: i64,
}

/// How much longer each wait is than the one before.
const GROWTH: i64 = 4;
/// Beyond this many the waits are equal, so that no power overflows.
const STEPS: u32 = 20;

impl Resends {
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
    use super::Resends;

    #[test]
    fn five_resends_are_spread_over_ten_minutes_and_then_it_is_over() {
        let resends = Resends { count: 5, over: 600_000 };
        let waits: Vec<_> = (1..=6).map(|refusals| resends.wait(refusals)).collect();
        assert_eq!(waits, [Some(1_759), Some(7_038), Some(28_152), Some(112_609), Some(450_439), None]);
        assert_eq!(Resends { count: 0, over: 600_000 }.wait(1), None);
    }
}
