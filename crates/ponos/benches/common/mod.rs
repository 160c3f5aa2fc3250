//! What the worker's benchmarks share.
#![allow(dead_code, unreachable_pub)] // each benchmark uses a part

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// As docs/workers.md advises for a busy worker; bare lapin has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub const SERVICE: &str = "bench";
pub const NAME: &str = "order.parcel.shipped";
pub const QUEUE: &str = "bench.order.parcel.shipped";

/// The payload of all benchmarks; 300 bytes of JSON.
#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Parcel {
    pub number: u64,
    pub customer: String,
    pub weight: f64,
    pub items: Vec<Item>,
    pub note: Option<String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Item {
    pub sku: String,
    pub count: u32,
}

pub fn payload(number: u64) -> Value {
    let item = |sku: &str, count: u32| json!({ "sku": sku, "count": count });
    json!({
        "number": number,
        "customer": "0198a1f0-9d5b-7cc4-8a3e-5b7f1c2d3e4f",
        "weight": 12.25,
        "items": [item("chair-oak-natural", 4), item("table-oak-natural", 1), item("lamp-brass", 2)],
        "note": "leave it with the neighbours on the ground floor if nobody opens, and ring twice please: the bell is hard to hear",
    })
}

/// The same as an event.
pub fn message(number: u64) -> ponos::event::Message {
    let id = format!("00000000-0000-5000-8000-{number:012}").parse().unwrap();
    let body = serde_json::to_vec(&payload(number)).unwrap();
    let mut event = ponos::event::Event::new(id, "/bench", NAME.parse().unwrap(), body);
    event.time = Some(ponos::event::Timestamp::from_millis(1_796_115_600_000));
    event.into_message()
}

/// A number from the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A steady clock, in nanoseconds.
pub fn now() -> i64 {
    nanos(ClockId::Monotonic)
}

/// What this process took of the processors so far, all threads, in nanoseconds.
pub fn cpu() -> i64 {
    nanos(ClockId::ProcessCPUTime)
}

fn nanos(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// The resident set in MiB.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|text| text.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How busy the machine was in the last minute.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").to_owned()
}
