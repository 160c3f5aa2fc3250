//! `[traces]`: which traces are recorded, and the collector that gets their spans.

use super::reader::Reader;
use ponos::{
    event::Sampling,
    traces::{Collector, CollectorError},
};
use std::path::Path;

/// `[traces]`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TracesConfig {
    /// Gets the clock's spans; `None`: they are not recorded.
    pub collector: Option<Collector>,
    /// Which traces are recorded, here and by those that follow what an event says of its trace.
    pub sampling: Sampling,
}

pub(super) fn traces(reader: &mut Reader<'_>) -> TracesConfig {
    let sampling = sampling(reader);
    let files = ["traces.headers_file", "traces.ca_file"];
    let Some(endpoint) = reader.text("traces.endpoint") else {
        if let Some(key) = files.into_iter().find(|key| reader.is_set(key)) {
            let help = "set traces.endpoint, the address of a collector, or leave this out";
            reader.fault(key, "no spans are sent anywhere", help);
        }
        return TracesConfig { collector: None, sampling };
    };
    let at = Collector::at(&endpoint).map(|collector| collector.sampling(sampling));
    let mut collector = noted(reader, "traces.endpoint", at);
    let reads: [Read; 2] = [Collector::headers_file, Collector::ca_file];
    for (key, read) in files.into_iter().zip(reads) {
        if let Some(file) = reader.path(key)
            && let Some(before) = collector.take()
        {
            collector = noted(reader, key, read(before, &file));
        }
    }
    TracesConfig { collector, sampling }
}

type Read = fn(Collector, &Path) -> Result<Collector, CollectorError>;

fn noted(reader: &mut Reader<'_>, key: &str, read: Result<Collector, CollectorError>) -> Option<Collector> {
    let help = "see docs/traces.md";
    read.map_err(|error| reader.fault(key, &error.to_string(), help)).ok()
}

fn sampling(reader: &mut Reader<'_>) -> Sampling {
    let key = "traces.ratio";
    let Some(ratio) = reader.number(key) else { return Sampling::ALL };
    Sampling::of(ratio).unwrap_or_else(|| {
        reader.fault(key, &format!("{ratio} is out of bounds"), "write a number from 0 to 1, such as 0.01");
        Sampling::ALL
    })
}
