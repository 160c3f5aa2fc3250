//! The next occurrence: this clock beside the crates `cron` and `croner`, each with its own reading of the same
//! expression, in one run. `cargo bench --bench next`; ROUNDS=9 turns, of which the medians are shown.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the time")]

use chrono::{DateTime, TimeZone};
use chrono_tz::Tz;
use khronos::schedule::{Definition, Schedule, Timing};
use ponos::event::Timestamp;
use std::{
    hint::black_box,
    str::FromStr,
    time::{Duration, Instant},
};

/// Expression, as the crate `cron` needs it (seconds first, 1 for Sunday; none where it has no such syntax), zone.
const TYPICAL: [(&str, &str, &str); 10] = [
    ("* * * * *", "0 * * * * *", "UTC"),
    ("*/5 * * * *", "0 */5 * * * *", "UTC"),
    ("0 * * * *", "0 0 * * * *", "UTC"),
    ("0 9 * * *", "0 0 9 * * *", "UTC"),
    ("30 9 * * MON-FRI", "0 30 9 * * MON-FRI", "UTC"),
    ("0 0 1 * *", "0 0 0 1 * *", "UTC"),
    ("0 0 * * 0", "0 0 0 * * 1", "UTC"),
    ("*/15 9-17 * * MON-FRI", "0 */15 9-17 * * MON-FRI", "UTC"),
    ("0 0,12 * * *", "0 0 0,12 * * *", "UTC"),
    ("15 10 1,15 * *", "0 15 10 1,15 * *", "UTC"),
];
const HARD: [(&str, &str, &str); 7] = [
    // Either day field here, as in Unix; both in the crate `cron`.
    ("0 0 29 2 MON", "0 0 0 29 2 MON", "UTC"),
    // A 29 February that is a Sunday: the field that begins with '*' makes it both here.
    ("0 0 29 2 */7", "0 0 0 29 2 SUN", "UTC"),
    ("0 18 LW * *", "", "UTC"),
    ("0 9 * * FRI#3", "", "America/New_York"),
    ("30 2 * * *", "0 30 2 * * *", "Europe/Paris"),
    ("*/10 1-3 * * SUN", "0 */10 1-3 * * SUN", "America/New_York"),
    ("0 0 29 2 *", "0 0 0 29 2 *", "Australia/Lord_Howe"),
];
/// Instants of 2026 to 2036 from which the next one is asked for, in each turn.
const STARTS: usize = 1024;

fn main() {
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(9);
    let mut random = fastrand::Rng::with_seed(2026);
    let (from, to) = (1_767_225_600, 2_082_758_400);
    let starts: Vec<i64> = (0..STARTS).map(|_| random.i64(from..to)).collect();
    println!("{rounds} turns of {STARTS} random instants, 2026 to 2036; nanoseconds a call, medians\n");
    println!("| expression | zone | khronos | `cron` | `croner` | faster than the faster by |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut least = f64::MAX;
    for (expression, theirs, zone) in TYPICAL.into_iter().chain(HARD) {
        let factor = compare(expression, theirs, zone, &starts, rounds);
        least = least.min(factor);
    }
    println!("\nleast factor: {least:.1}\n");
    never();
}

/// Prints one row; the factor by which this clock is faster than the faster of the two.
fn compare(expression: &str, theirs: &str, zone: &str, starts: &[i64], rounds: usize) -> f64 {
    let tz: Tz = zone.parse().unwrap();
    let instants: Vec<Timestamp> = starts.iter().map(|&s| Timestamp::from_millis(s * 1000)).collect();
    let dates: Vec<DateTime<Tz>> = starts.iter().map(|&s| tz.timestamp_opt(s, 0).unwrap()).collect();
    let ours = Timing::from_cron(expression, Some(zone)).unwrap();
    let cron = cron::Schedule::from_str(theirs).ok();
    let croner = croner::Cron::from_str(expression).ok();
    // Zones are found once per process; that is no part of the next occurrence.
    black_box(ours.after(instants[0]));
    let (mut a, mut b, mut c) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.push(timed(&instants, |&at| ours.after(at).is_some()));
        if let Some(cron) = &cron {
            b.push(timed(&dates, |at| cron.after(at).next().is_some()));
        }
        if let Some(croner) = &croner {
            c.push(timed(&dates, |at| croner.find_next_occurrence(at, false).is_ok()));
        }
    }
    let (a, b, c) = (median(a).unwrap(), median(b), median(c));
    let shown = |ns: Option<f64>| ns.map_or("-".to_owned(), |ns| format!("{ns:.0}"));
    let factor = b.into_iter().chain(c).fold(f64::MAX, f64::min) / a;
    println!("| `{expression}` | {zone} | {a:.0} | {} | {} | {factor:.1} |", shown(b), shown(c));
    factor
}

/// Nanoseconds a call.
fn timed<T>(starts: &[T], next: impl Fn(&T) -> bool) -> f64 {
    let begin = Instant::now();
    for start in starts {
        black_box(next(black_box(start)));
    }
    begin.elapsed().as_nanos() as f64 / starts.len() as f64
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// How long it takes to find out that an expression never fires, the zone's table included.
fn never() {
    println!("| never fires | refused after |");
    println!("| --- | --- |");
    for (expression, zone) in [
        ("0 0 30 2 *", "UTC"),
        ("0 0 31 2,4,6,9,11 *", "Europe/Paris"),
        ("0 0 31W 2,4,6,9,11 *", "Australia/Lord_Howe"),
        ("59 59 23 29 2 ? 2027,2029,2030,2031,2033,2097-2099", "Africa/Casablanca"),
    ] {
        let definition = Definition {
            name: "never".into(),
            event: Some("a.b.started".into()),
            cron: Some(expression.into()),
            time_zone: Some(zone.into()),
            ..Definition::default()
        };
        let begin = Instant::now();
        let refused = black_box(Schedule::build(&definition)).is_err();
        let took = begin.elapsed();
        assert!(refused, "{expression} fires");
        println!("| `{expression}`, {zone} | {:.3} ms |", took.as_secs_f64() * 1000.0);
        assert!(took < Duration::from_millis(5), "{expression}: {took:?}");
    }
}
