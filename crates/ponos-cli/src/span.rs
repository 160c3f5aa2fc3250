//! Durations and rates as people write them.

use ponos::worker::Rate;
use std::time::Duration;

/// Longer ones have no use, and would not fit into a point of time: a year.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// `500ms`, `30s`, `5m`, `2h`, `7d`; at most a year.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration; write it as 500ms, 30s, 5m, 2h or 7d");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => return within(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong).and_then(within)
}

/// The same, but for nothing at all.
pub(crate) fn positive(text: &str) -> Result<Duration, String> {
    duration(text)
        .and_then(|span| if span.is_zero() { Err("it must be longer than 0".into()) } else { Ok(span) })
}

fn within(span: Duration) -> Result<Duration, String> {
    if span <= LONGEST { Ok(span) } else { Err("that is too long; a year (366d) is the most".into()) }
}

/// `10/s`, `100/m`, `1/h`, `5/30s`.
pub(crate) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("'{text}' is no rate; write it as 10/s, 100/m or 5/30s");
    let (tasks, per) = text.split_once('/').ok_or_else(wrong)?;
    let tasks: u32 = tasks.parse().map_err(|_| wrong())?;
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    let per = duration(&per).map_err(|_| wrong())?;
    if tasks == 0 || per.is_zero() { Err(wrong()) } else { Ok(Rate { tasks, per }) }
}

/// How long something is ago: `3 d`, `2 h`, `5 min`, `40 s`.
pub(crate) fn ago(millis: i64) -> String {
    match millis / 1_000 {
        seconds @ 172_800.. => format!("{} d", seconds / 86_400),
        seconds @ 7_200.. => format!("{} h", seconds / 3_600),
        seconds @ 120.. => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("366d"), Ok(LONGEST));
        for wrong in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
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
