//! `[reports]`: whether the clock listens to what services report, and how much of it is kept.

use super::{BrokerUrl, reader::Reader};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1 << 20;

/// `[reports]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportsConfig {
    /// Whether it listens at all.
    pub enabled: bool,
    /// How many events are kept; the oldest go first.
    pub most: usize,
    /// How many bytes of memory these may take, as far as they are counted.
    pub memory: usize,
    /// How long an event is kept.
    pub keep: Duration,
}

impl Default for ReportsConfig {
    fn default() -> Self {
        Self { enabled: false, most: 100_000, memory: 128 << 20, keep: DAY }
    }
}

pub(super) fn reports(reader: &mut Reader<'_>, broker: &BrokerUrl) -> ReportsConfig {
    let usual = ReportsConfig::default();
    let memory = u64::try_from(usual.memory).unwrap_or(u64::MAX);
    let memory = reader.size("reports.memory", memory, MIB..=16_384 * MIB);
    let config = ReportsConfig {
        enabled: reader.boolean("reports.enabled", usual.enabled),
        most: reader.integer("reports.most", usual.most, 1..=100_000_000),
        memory: usize::try_from(memory).unwrap_or(usize::MAX),
        keep: reader.duration("reports.keep", usual.keep, 366 * DAY),
    };
    if config.enabled && broker.is_embedded() {
        let help = "set broker.url (KHRONOS_BROKER_URL) to that of a RabbitMQ";
        reader.fault("reports.enabled", "no service reports to a clock whose broker's URL is memory:", help);
    }
    config
}
