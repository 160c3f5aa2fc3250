//! Where a slot stands, in four bytes: in which queue, at which place of its heap; and whether its id tells the order of
//! its name.

/// Which of the engine's queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// What is to be handed over on time.
    Due,
    /// The same of paused schedules: nothing need be ready for them, and nobody need wake up in time.
    Paused,
    /// What is behind and not in the set yet, because the next write is full. Never looked ahead at.
    Deferred,
    /// What was put, or changed, by a write that is not durable yet.
    Gated,
}

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// In no queue.
    Nowhere,
    /// Among those of a queue that are laid out.
    Head(Which),
    /// At this place of a queue's heap.
    Heap(Which, usize),
}

/// From the highest bit: loose, queue (two bits), place in its heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

const LOOSE: u32 = 1 << 31;
const QUEUE: u32 = 29;
const AT: u32 = (1 << QUEUE) - 1;
/// No heap is as large.
const NOWHERE: u32 = AT;
const HEAD: u32 = AT - 1;

impl Place {
    /// In no queue.
    pub(super) const fn new(loose: bool) -> Self {
        Self(NOWHERE | if loose { LOOSE } else { 0 })
    }

    pub(super) const fn is_loose(self) -> bool {
        self.0 & LOOSE != 0
    }

    pub(super) fn get(self) -> Where {
        let which = match self.0 >> QUEUE & 3 {
            0 => Which::Due,
            1 => Which::Paused,
            2 => Which::Deferred,
            _ => Which::Gated,
        };
        match self.0 & AT {
            NOWHERE => Where::Nowhere,
            HEAD => Where::Head(which),
            at => Where::Heap(which, at as usize),
        }
    }

    pub(super) fn set(&mut self, to: Where) {
        let (which, at) = match to {
            Where::Nowhere => (Which::Due, NOWHERE),
            Where::Head(which) => (which, HEAD),
            Where::Heap(which, at) => (which, u32::try_from(at).map_or(NOWHERE, |at| at.min(NOWHERE))),
        };
        self.0 = self.0 & LOOSE | (which as u32) << QUEUE | at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_what_was_set() {
        for loose in [false, true] {
            let mut place = Place::new(loose);
            assert_eq!(place.get(), Where::Nowhere);
            for which in [Which::Due, Which::Paused, Which::Deferred, Which::Gated] {
                for to in [Where::Head(which), Where::Heap(which, 0), Where::Heap(which, 300_000_000)] {
                    place.set(to);
                    assert_eq!((place.get(), place.is_loose()), (to, loose));
                }
            }
            place.set(Where::Nowhere);
            assert_eq!((place.get(), place.is_loose()), (Where::Nowhere, loose));
        }
        assert_eq!(size_of::<Place>(), 4);
    }
}
