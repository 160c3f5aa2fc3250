//! Which queue a consumer takes from, and how much it takes in.

/// Which queue to consume, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consume {
    /// The queue; empty for the one of the topology that the broker names.
    pub queue: String,
    /// How many deliveries may be unsettled at a time, to begin with; 0 counts as 1.
    pub prefetch: u16,
    /// The largest prefetch that [`Consumer::set_prefetch`](super::Consumer::set_prefetch) may set; without effect if it is less than `prefetch`.
    pub most: u16,
    /// Begin with a prefetch of 1 whenever it connects or subscribes again, until [`Consumer::widen`](super::Consumer::widen).
    pub cautious: bool,
    /// Refuse, and be refused by, any other consumer of the queue.
    pub exclusive: bool,
    /// Where to begin in a stream, each time that it subscribes; `None` in a queue. What a stream delivers stays in it, and can
    /// only be acked.
    pub from: Option<StreamStart>,
}

/// Where reading a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// With the oldest message that it has.
    First,
    /// With the last messages that were stored together.
    Last,
}

impl Default for Consume {
    /// The queue that the broker names, a prefetch of 100 that stays so, neither cautious nor exclusive.
    fn default() -> Self {
        Self { queue: String::new(), prefetch: 100, most: 0, cautious: false, exclusive: false, from: None }
    }
}

impl Consume {
    /// `queue` with the defaults.
    pub fn new(queue: impl Into<String>) -> Self {
        Self { queue: queue.into(), ..Self::default() }
    }

    /// The same with another prefetch.
    #[must_use]
    pub fn prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// The same with a prefetch that may become as much.
    #[must_use]
    pub fn at_most(mut self, most: u16) -> Self {
        self.most = most;
        self
    }

    /// The same, cautious.
    #[must_use]
    pub fn cautious(mut self) -> Self {
        self.cautious = true;
        self
    }

    /// The same, exclusive.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// The same, of a stream, from there on each time that it subscribes.
    #[must_use]
    pub fn reading(mut self, start: StreamStart) -> Self {
        self.from = Some(start);
        self
    }

    /// The prefetch of a flow.
    pub(super) fn width(&self, flow: Flow) -> u16 {
        if flow == Flow::Wide { self.prefetch.max(1) } else { 1 }
    }

    /// The flow to change to now, on the way to `wanted`, while `out` deliveries are unsettled: a new subscription has its whole
    /// prefetch beside those of earlier ones. While they are more than the prefetch itself it stays narrow, so that never more
    /// than twice the prefetch is out, however many times it changes.
    pub(super) fn reachable(&self, wanted: Flow, out: usize) -> Flow {
        if wanted == Flow::Wide && out > usize::from(self.width(wanted)) { Flow::Narrow } else { wanted }
    }
}

/// How much a consumer takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// One delivery at a time.
    Narrow,
    /// Up to the prefetch.
    Wide,
    /// Nothing for now; what is out can still be settled.
    Paused,
    /// Nothing more; what is out can still be settled.
    Stopped,
}

impl Flow {
    /// Whether it takes something in.
    pub(super) fn takes(self) -> bool {
        matches!(self, Self::Narrow | Self::Wide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_twice_the_prefetch_is_out_however_often_it_turns() {
        let options = Consume::new("q").prefetch(40);
        let mut out = 0;
        for _ in 0..10 {
            out += usize::from(options.width(options.reachable(Flow::Narrow, out)));
            out += usize::from(options.width(options.reachable(Flow::Wide, out)));
            assert!(out <= 80 + 10, "{out}");
        }
        assert_eq!(options.reachable(Flow::Wide, 40), Flow::Wide);
        assert_eq!(options.reachable(Flow::Wide, 41), Flow::Narrow);
        assert_eq!(options.reachable(Flow::Stopped, 41), Flow::Stopped);
    }
}
