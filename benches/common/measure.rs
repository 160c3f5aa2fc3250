//! Clocks, memory, medians.

use rustix::time::{ClockId, clock_gettime};

fn nanos(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// The wall clock, in nanoseconds since 1970.
pub fn wall() -> i64 {
    nanos(ClockId::Realtime)
}

/// What this process took of the processors so far, all threads, in nanoseconds.
pub fn cpu() -> i64 {
    nanos(ClockId::ProcessCPUTime)
}

/// A line of `/proc/self/status` in MiB: `VmRSS`, or `VmHWM` for the peak.
pub fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|text| text.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Forgets the peak of memory.
pub fn forget_peak() {
    // Without the permission for it the peak since the start is shown, which is no less.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this part of all lies.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}
