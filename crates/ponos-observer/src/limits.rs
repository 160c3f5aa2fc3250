//! Bounds of an observer. Every one has a default.

/// Bounds of what an observer keeps. What goes beyond makes the oldest go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Events and tasks (100,000).
    pub events: usize,
    /// The bytes of what is kept of them, as far as they are counted: texts, and what each takes besides (128 MiB).
    pub bytes: usize,
    /// How long an event is kept, in milliseconds (24 h). A service that was not heard for so long is forgotten, too.
    pub age_ms: i64,
    /// Services (1,000). Further ones are not known.
    pub services: usize,
    /// Handlers of a service, and runs of its workers (1,000 each).
    pub of_service: usize,
    /// How many are watched, to be handled in time (200,000). What is beyond is not watched, which is counted.
    pub watched: usize,
    /// How many of the latest misses are kept, and of what is uncertain (1,000 each).
    pub told: usize,
    /// The events of one answer (1,000).
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 100_000,
            bytes: 128 << 20,
            age_ms: 24 * 3_600_000,
            services: 1_000,
            of_service: 1_000,
            watched: 200_000,
            told: 1_000,
            answer: 1_000,
        }
    }
}
