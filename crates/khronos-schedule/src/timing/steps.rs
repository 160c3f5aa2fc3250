//! How much arithmetic a definition may cost before it is accepted: who writes one may be a stranger.

/// Steps that may still be made. One is an instant that is looked for in one rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps(u64);

/// All steps were made, and there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsedUp;

impl Steps {
    /// For what was accepted before.
    pub(crate) const UNLIMITED: Self = Self(u64::MAX);
    /// For a new definition: some 20 ms of a processor, or 30,000 occurrences of two timings that share some.
    pub(crate) const OF_A_DEFINITION: Self = Self(100_000);

    /// So many.
    pub(crate) fn new(count: u64) -> Self {
        Self(count)
    }

    /// How many are left.
    pub(crate) fn left(self) -> u64 {
        self.0
    }

    /// Makes so many.
    pub(crate) fn make(&mut self, count: usize) -> Result<(), UsedUp> {
        self.0 = self.0.checked_sub(count as u64).ok_or(UsedUp)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Definition, Packed, TimingDefinition};
    use ponos_event::Timestamp;

    #[test]
    fn what_is_walked_of_a_union_takes_steps_and_nothing_is_counted_beyond_them() {
        let cron = |cron: &str| TimingDefinition { cron: Some(cron.into()), ..TimingDefinition::default() };
        let timings = Some(vec![cron("0-58 * * * * *"), cron("1-59 * * * * *")]);
        let definition =
            Definition { name: "a".into(), event: Some("a.b.c".into()), ..Definition::default() };
        let union = Packed::build(&Definition { timings, ..definition.clone() }).unwrap().timing();
        let (day, mut steps) = (Timestamp::from_millis(86_400_000), 1_000);
        assert_eq!(union.count_within(Timestamp::EPOCH, day, &mut steps), None);
        assert!(steps < 2, "{steps} are left");
        steps = 100;
        let minute = Timestamp::from_millis(59_999);
        assert_eq!(
            union.count_within(Timestamp::from_millis(-1), Timestamp::from_millis(9_999), &mut steps),
            Some(10)
        );
        assert!((50..100).contains(&steps), "{steps} are left");
        let plain =
            Packed::build(&Definition { cron: Some("* * * * * *".into()), ..definition }).unwrap().timing();
        assert_eq!(plain.count_within(Timestamp::from_millis(-1), minute, &mut 0), Some(60));
    }
}
