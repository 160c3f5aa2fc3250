//! How well the wall clock is kept: what the kernel knows of it from whoever disciplines it (chrony, ntpd, systemd-timesyncd).

use std::time::Duration;

/// What the kernel says of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// Whether somebody keeps it. What the two below say of a clock that nobody keeps means nothing.
    pub is_kept: bool,
    /// By how much it is probably wrong.
    pub estimated_error: Duration,
    /// By how much it is wrong at most: this grows between two corrections.
    pub most_error: Duration,
}

/// What is to be said where the wall clock may be wrong by more than that; `None` if it is good enough. Where it can not be asked,
/// that is said too: whoever set a limit believes that it is watched.
pub fn quality_warning(limit: Duration) -> Option<String> {
    warning(quality(), limit)
}

fn warning(quality: Option<Quality>, limit: Duration) -> Option<String> {
    match quality {
        Some(quality) => quality.warning(limit),
        None => Some(
            "clock: this system does not say how well its time is kept (adjtimex), so that clock.max_error has no effect".to_owned(),
        ),
    }
}

impl Quality {
    /// What is to be said where it may be wrong by so much; `None` if it is good enough.
    fn warning(&self, limit: Duration) -> Option<String> {
        let mend = "see that its time service runs and reaches its servers (chronyc tracking, timedatectl)";
        if !self.is_kept {
            return Some(format!("clock: nobody keeps this machine's time: {mend}"));
        }
        (self.estimated_error > limit).then(|| {
            format!(
                "clock: this machine's time is probably wrong by {:?}, which is more than clock.max_error ({limit:?}): {mend}",
                self.estimated_error
            )
        })
    }
}

/// What the kernel says of the wall clock; `None` where it can not be asked. Takes less than a microsecond.
pub fn quality() -> Option<Quality> {
    kernel::quality()
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::Quality;
    use rtime_clock::adjtime::{Timex, adjtimex};
    use std::time::Duration;

    /// What `adjtimex` answers for a clock that nobody keeps (TIME_ERROR).
    const NOT_KEPT: i32 = 5;

    /// Nothing is changed by asking with no modes.
    pub(super) fn quality() -> Option<Quality> {
        let mut asked = Timex::new();
        let state = adjtimex(&mut asked).ok()?;
        Some(Quality {
            is_kept: state != NOT_KEPT,
            estimated_error: Duration::from_micros(u64::try_from(asked.0.esterror).unwrap_or(0)),
            most_error: Duration::from_micros(u64::try_from(asked.0.maxerror).unwrap_or(0)),
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::Quality;

    pub(super) fn quality() -> Option<Quality> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Quality = Quality {
        is_kept: true,
        estimated_error: Duration::from_micros(1_500),
        most_error: Duration::from_millis(40),
    };

    #[test]
    fn a_clock_is_told_of_where_nobody_keeps_it_or_it_may_be_wrong_by_more_than_the_limit() {
        let limit = Duration::from_millis(2);
        assert_eq!(GOOD.warning(limit), None);
        assert_eq!(GOOD.warning(GOOD.estimated_error), None);
        let bad = Quality { estimated_error: Duration::from_micros(2_001), ..GOOD };
        let said = bad.warning(limit).unwrap();
        assert!(said.contains("2.001ms") && said.contains("clock.max_error (2ms)"), "{said}");
        let said = Quality { is_kept: false, ..GOOD }.warning(limit).unwrap();
        assert!(said.contains("nobody keeps"), "{said}");
        assert_eq!(warning(Some(GOOD), limit), None);
        let said = warning(None, limit).unwrap();
        assert!(said.contains("clock.max_error has no effect"), "{said}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_says_how_well_the_clock_is_kept() {
        let quality = quality().unwrap();
        // the kernel lets neither grow beyond 16 s
        assert!(quality.estimated_error <= Duration::from_secs(17), "{quality:?}");
        assert!(quality.most_error <= Duration::from_secs(17), "{quality:?}");
    }
}
