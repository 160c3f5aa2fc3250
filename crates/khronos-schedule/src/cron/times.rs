//! Times of day: seconds, minutes and hours as bit sets.

use super::Cron;

/// The first member of `set` at or after `at`.
fn next_in(set: u64, at: u32) -> Option<u32> {
    let rest = set.checked_shr(at).unwrap_or(0);
    (rest != 0).then(|| at + rest.trailing_zeros())
}

/// The last member of `set` at or before `at`.
fn last_in(set: u64, at: u32) -> Option<u32> {
    let rest = set & (u64::MAX >> (63 - at.min(63)));
    (rest != 0).then(|| 63 - rest.leading_zeros())
}

/// How many members of `set` are below `at`.
fn below(set: u64, at: u32) -> u64 {
    u64::from((set & ((1 << at.min(63)) - 1)).count_ones())
}

/// The smallest distance between two neighbours in `set`.
fn narrowest(set: u64) -> Option<u32> {
    (1..60).find(|&gap| set & (set >> gap) != 0)
}

impl Cron {
    /// A lower bound of the seconds between two occurrences, as if all days that it may fall on came in a row: exact
    /// for what happens several times a day.
    pub(crate) fn shortest(&self) -> u32 {
        let ends = |set: u64| Some((next_in(set, 0)?, last_in(set, 59)?));
        let ((s, last_s), (m, last_m), (h, last_h)) =
            match (ends(self.seconds), ends(self.minutes), ends(self.hours.into())) {
                (Some(second), Some(minute), Some(hour)) => (second, minute, hour),
                _ => return 86_400,
            };
        let within_minute = narrowest(self.seconds);
        let over_minute = narrowest(self.minutes).map(|gap| gap * 60 + s - last_s);
        let (first, last) = (m * 60 + s, last_m * 60 + last_s);
        let over_hour = narrowest(self.hours.into()).map(|gap| gap * 3600 + first - last);
        let over_day = 86_400 + h * 3600 + first - (last_h * 3600 + last);
        [within_minute, over_minute, over_hour].into_iter().flatten().fold(over_day, u32::min)
    }

    /// The first matching second of the day at or after `second`.
    pub(super) fn time_from(&self, second: u32) -> Option<u32> {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let h = next_in(self.hours.into(), hour)?;
        if h == hour {
            if let Some(m) = next_in(self.minutes, minute) {
                if m == minute
                    && let Some(s) = next_in(self.seconds, second)
                {
                    return Some(h * 3600 + m * 60 + s);
                }
                let m = if m == minute { next_in(self.minutes, minute + 1) } else { Some(m) };
                if let Some(m) = m {
                    return Some(h * 3600 + m * 60 + self.seconds.trailing_zeros());
                }
            }
            let h = next_in(self.hours.into(), hour + 1)?;
            return Some(h * 3600 + self.minutes.trailing_zeros() * 60 + self.seconds.trailing_zeros());
        }
        Some(h * 3600 + self.minutes.trailing_zeros() * 60 + self.seconds.trailing_zeros())
    }

    /// The last matching second of the day at or before `second`.
    pub(super) fn time_until(&self, second: u32) -> Option<u32> {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let (last_minute, last_second) = (last_in(self.minutes, 59)?, last_in(self.seconds, 59)?);
        let h = last_in(self.hours.into(), hour)?;
        if h < hour {
            return Some(h * 3600 + last_minute * 60 + last_second);
        }
        if let Some(m) = last_in(self.minutes, minute) {
            if m < minute {
                return Some(h * 3600 + m * 60 + last_second);
            }
            if let Some(s) = last_in(self.seconds, second) {
                return Some(h * 3600 + m * 60 + s);
            }
            if let Some(m) = minute.checked_sub(1).and_then(|minute| last_in(self.minutes, minute)) {
                return Some(h * 3600 + m * 60 + last_second);
            }
        }
        let h = last_in(self.hours.into(), hour.checked_sub(1)?)?;
        Some(h * 3600 + last_minute * 60 + last_second)
    }

    /// How many matching seconds a day has.
    pub(super) fn times_a_day(&self) -> u64 {
        let ones = |set: u64| u64::from(set.count_ones());
        ones(self.seconds) * ones(self.minutes) * ones(self.hours.into())
    }

    /// How many matching seconds of the day are before `second`.
    pub(super) fn times_before(&self, second: u32) -> u64 {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let an_hour = u64::from(self.minutes.count_ones()) * u64::from(self.seconds.count_ones());
        let mut total = below(self.hours.into(), hour) * an_hour;
        if self.hours >> hour & 1 == 1 {
            total += below(self.minutes, minute) * u64::from(self.seconds.count_ones());
            if self.minutes >> minute & 1 == 1 {
                total += below(self.seconds, second);
            }
        }
        total
    }
}
