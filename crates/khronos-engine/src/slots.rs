//! All schedules as they run, each in a slot whose id never changes while it lives, and the order of their names.
//!
//! A slot's id is free again once the schedule is gone. Ids follow the order of names as far as schedules came in that
//! order (files, a restart): then two ids tell which name comes first. A slot that came otherwise is *loose*, and its
//! name is compared.

use super::{
    names::{Names, Position},
    place::{Place, Where},
    slot::Slot,
};
use khronos_schedule::{Definition, Packed};
use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    ops::{Index, IndexMut},
};

/// Which slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SlotId(u32);

impl SlotId {
    pub(super) const FIRST: Self = Self(0);

    pub(super) const fn new(id: u32) -> Self {
        Self(id)
    }

    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

#[derive(Debug)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// Of each of them.
    places: Vec<Place>,
    /// The lowest first, so that what comes in order stands in order.
    free: BinaryHeap<Reverse<u32>>,
    names: Names,
    /// The definition of slots that are free.
    nothing: Packed,
}

impl Default for Slots {
    fn default() -> Self {
        let nothing = Packed::kept(&Definition::default());
        Self {
            all: Vec::new(),
            places: Vec::new(),
            free: BinaryHeap::new(),
            names: Names::default(),
            nothing,
        }
    }
}

impl Index<SlotId> for Slots {
    type Output = Slot;

    fn index(&self, id: SlotId) -> &Slot {
        &self.all[id.0 as usize]
    }
}

impl IndexMut<SlotId> for Slots {
    fn index_mut(&mut self, id: SlotId) -> &mut Slot {
        &mut self.all[id.0 as usize]
    }
}

impl Slots {
    /// How many schedules run.
    pub(super) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        let more = more.saturating_sub(self.free.len());
        self.all.reserve_exact(more);
        self.places.reserve_exact(more);
    }

    /// Whether a slot's id does not tell the order of its name.
    pub(super) fn is_loose(&self, id: SlotId) -> bool {
        self.places[id.0 as usize].is_loose()
    }

    /// Where a slot stands.
    pub(super) fn place(&self, id: SlotId) -> Where {
        self.places[id.0 as usize].get()
    }

    pub(super) fn set_place(&mut self, id: SlotId, place: Where) {
        self.places[id.0 as usize].set(place);
    }

    /// The slot of the schedule of this name.
    pub(super) fn find(&self, name: &[u8]) -> Option<SlotId> {
        self.names.get(self.position(name).ok()?)
    }

    /// Whether a name comes behind all of these.
    pub(super) fn is_behind_all(&self, name: &[u8]) -> bool {
        self.names.last().is_none_or(|(last, _)| self[last].definition.name_bytes() < name)
    }

    /// In the order of names, from the first on or after this one.
    pub(super) fn after(&self, name: Option<&[u8]>) -> impl Iterator<Item = SlotId> + '_ {
        let place = name.map_or((0, 0), |name| match self.position(name) {
            Ok((chunk, place)) => (chunk, place + 1),
            Err(place) => place,
        });
        self.names.from(place)
    }

    /// The same, this one included.
    pub(super) fn from(&self, name: &[u8]) -> impl Iterator<Item = SlotId> + '_ {
        self.names.from(self.position(name).unwrap_or_else(|place| place))
    }

    /// Against the order of names, from the last before this one.
    pub(super) fn before(&self, name: &[u8]) -> impl Iterator<Item = SlotId> + '_ {
        self.names.before(self.position(name).unwrap_or_else(|place| place))
    }

    /// All, in the order of ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.end()).map(SlotId)
    }

    /// So many of them, from this one on; and the next after these, if there is one.
    pub(super) fn ids_from(
        &self,
        SlotId(from): SlotId,
        most: usize,
    ) -> (impl Iterator<Item = SlotId> + use<>, Option<SlotId>) {
        let end = self.end().min(from.saturating_add(u32::try_from(most).unwrap_or(u32::MAX)));
        ((from..end).map(SlotId), (end < self.end()).then_some(SlotId(end)))
    }

    fn end(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    /// Takes a schedule in whose name does not run; it stands in no queue.
    pub(super) fn insert(&mut self, slot: Slot) -> SlotId {
        let name = slot.definition.name_bytes();
        let last = self.names.last().filter(|(last, _)| self[*last].definition.name_bytes() < name);
        let place = match last {
            // A million that come in their order need not be looked for.
            Some((_, end)) => end,
            None => self.position(name).unwrap_or_else(|place| place),
        };
        let new = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let id = SlotId(self.free.pop().map_or(new, |Reverse(free)| free));
        let (before, after) = self.names.around(place);
        let in_order = |other: Option<SlotId>, order| {
            other.is_none_or(|other| !self.is_loose(other) && id.cmp(&other) == order)
        };
        let loose = !in_order(before, Ordering::Greater) || !in_order(after, Ordering::Less);
        self.names.insert(place, id);
        if id.0 == new {
            self.all.push(slot);
            self.places.push(Place::new(loose));
        } else {
            self.places[id.0 as usize] = Place::new(loose);
            self[id] = slot;
        }
        id
    }

    /// Puts another revision of the same schedule into its slot, and gives the former one. It stands in no queue.
    pub(super) fn replace(&mut self, id: SlotId, slot: Slot) -> Slot {
        std::mem::replace(&mut self[id], slot)
    }

    /// Takes a schedule out; it stands in no queue.
    pub(super) fn remove(&mut self, id: SlotId) -> Slot {
        if let Ok(place) = self.position(self[id].definition.name_bytes()) {
            self.names.remove(place);
        }
        let vacant = Slot::vacant(&self.nothing);
        self.free.push(Reverse(id.0));
        std::mem::replace(&mut self[id], vacant)
    }

    /// Which name comes first.
    pub(super) fn order(&self, a: SlotId, b: SlotId) -> Ordering {
        self[a].definition.name_bytes().cmp(self[b].definition.name_bytes())
    }

    fn position(&self, name: &[u8]) -> Result<Position, Position> {
        self.names.find(|id| self[id].definition.name_bytes().cmp(name))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::Era;
    use ponos_event::Timestamp;

    pub(crate) fn named(name: &str) -> Slot {
        let definition = Definition { name: name.into(), ..Definition::default() };
        Slot::new(&Era::first(1, Timestamp::EPOCH).of(Packed::kept(&definition)))
    }

    #[test]
    fn an_id_stays_while_others_come_and_go_and_is_used_again_after_the_end() {
        let mut slots = Slots::default();
        let ids: Vec<SlotId> = ["b", "d", "f"].iter().map(|name| slots.insert(named(name))).collect();
        let between = slots.insert(named("c"));
        assert!(slots.is_loose(between) && ids.iter().all(|id| !slots.is_loose(*id)));
        assert_eq!(slots.find(b"d"), Some(ids[1]));
        slots.remove(ids[1]);
        assert_eq!((slots.find(b"d"), slots.len()), (None, 3));
        assert_eq!(slots.find(b"f"), Some(ids[2]));
        let again = slots.insert(named("e"));
        assert_eq!(again, ids[1]);
        let names = |ids: &mut dyn Iterator<Item = SlotId>| -> Vec<String> {
            ids.map(|id| slots[id].definition.name().to_owned()).collect()
        };
        assert_eq!(names(&mut slots.after(None)), ["b", "c", "e", "f"]);
        assert_eq!(names(&mut slots.after(Some(b"c"))), ["e", "f"]);
        assert_eq!(names(&mut slots.from(b"c")), ["c", "e", "f"]);
        assert_eq!(names(&mut slots.before(b"e")), ["c", "b"]);
    }

    /// What is not loose is in the order of names.
    #[test]
    fn ids_that_are_not_loose_tell_the_order_of_names() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut slots = Slots::default();
        for _ in 0..3_000 {
            let name = format!("{:03}", random.u32(0..400));
            match slots.find(name.as_bytes()) {
                Some(id) => drop(slots.remove(id)),
                None => drop(slots.insert(named(&name))),
            }
            let in_order: Vec<SlotId> = slots.after(None).filter(|id| !slots.is_loose(*id)).collect();
            assert!(in_order.is_sorted(), "{in_order:?}");
        }
    }
}
