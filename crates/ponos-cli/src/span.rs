//! Durations and rates as people write them.

use ponos::{
    event::duration::{DurationError, parse_span},
    worker::Rate,
};
use std::time::Duration;

/// The longest duration: a year. Longer ones are of no use, and could overflow an instant.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// `500ms`, `30s`, `1h 30m`, `7 days`; at most a year.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // Only the whole text: of a part of it nobody could tell any more that it holds a password.
    let wrong = |error: DurationError| {
        let help = error.help.unwrap_or_else(|| "as in '500ms', '30s', '1h 30m', '7 days'".to_owned());
        format!("'{text}' is not a valid duration; {help}")
    };
    let span = parse_span(text).map_err(wrong)?;
    if span <= LONGEST { Ok(span) } else { Err("that is too long; a year (366d) is the maximum".into()) }
}

/// As [`duration`], but longer than 0.
pub(crate) fn positive(text: &str) -> Result<Duration, String> {
    duration(text)
        .and_then(|span| if span.is_zero() { Err("it must be longer than 0".into()) } else { Ok(span) })
}

/// `10/s`, `100/m`, `1/h`, `5/30s`.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("'{text}' is not a valid rate; write it as 10/s, 100/m or 5/30s");
    let (tasks, per) = text.split_once('/').ok_or_else(wrong)?;
    let tasks: u32 = tasks.parse().map_err(|_| wrong())?;
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    let per = duration(&per).map_err(|_| wrong())?;
    if tasks == 0 || per.is_zero() { Err(wrong()) } else { Ok(Rate { tasks, per }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("366d"), Ok(LONGEST));
        // As everywhere else.
        assert_eq!(duration("1h 30m"), duration("PT1H30M"));
        assert_eq!(duration("7 days"), duration("1 week"));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in [
            "",
            "5",
            "s",
            "-5s",
            "1 month",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615d",
            "367d",
            "99999999999999ms",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_tasks_per_time() {
        assert_eq!(rate("10/s"), Ok(Rate { tasks: 10, per: Duration::from_secs(1) }));
        assert_eq!(rate("5/30s"), Ok(Rate { tasks: 5, per: Duration::from_secs(30) }));
        for wrong in ["10", "0/s", "5/0s", "/s", "5/"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
