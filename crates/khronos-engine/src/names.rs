//! The order of names: which slot comes before which, in a few bytes a schedule.
//!
//! A sorted list of slot ids in chunks. Finding, inserting and removing cost the logarithm of the number of schedules and
//! at most one chunk of ids that move. Names themselves stand in the slots alone.

use super::slots::SlotId;
use std::cmp::Ordering;

/// Ids in a chunk at most.
const CHUNK: usize = 512;

/// Where a name stands, or would stand: chunk, and place in it.
pub(super) type Position = (usize, usize);

#[derive(Debug, Default)]
pub(super) struct Names {
    /// None of them is empty.
    chunks: Vec<Vec<SlotId>>,
}

impl Names {
    /// Where the name is that `compare` looks for: it gives how the name of a slot compares with it.
    pub(super) fn find(&self, compare: impl Fn(SlotId) -> Ordering) -> Result<Position, Position> {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.first().is_some_and(|first| compare(*first) != Ordering::Greater));
        let Some(chunk) = chunk.checked_sub(1) else { return Err((0, 0)) };
        match self.chunks[chunk].binary_search_by(|id| compare(*id)) {
            Ok(place) => Ok((chunk, place)),
            Err(place) => Err((chunk, place)),
        }
    }

    /// The last of all, and the position behind it.
    pub(super) fn last(&self) -> Option<(SlotId, Position)> {
        let ids = self.chunks.last()?;
        Some((*ids.last()?, (self.chunks.len() - 1, ids.len())))
    }

    pub(super) fn get(&self, (chunk, place): Position) -> Option<SlotId> {
        self.chunks.get(chunk)?.get(place).copied()
    }

    /// Puts a slot where [`Self::find`] has not found its name.
    pub(super) fn insert(&mut self, (chunk, place): Position, id: SlotId) {
        let is_last = chunk + 1 >= self.chunks.len();
        let Some(ids) = self.chunks.get_mut(chunk) else { return self.chunks.push(vec![id]) };
        if ids.len() < CHUNK {
            return ids.insert(place, id);
        }
        if is_last && place == ids.len() {
            // Names that come in their order fill their chunks.
            return self.chunks.push(vec![id]);
        }
        let mut after = ids.split_off(CHUNK / 2);
        if place <= CHUNK / 2 {
            ids.insert(place, id);
        } else {
            after.insert(place - CHUNK / 2, id);
        }
        self.chunks.insert(chunk + 1, after);
    }

    pub(super) fn remove(&mut self, (chunk, place): Position) {
        let Some(ids) = self.chunks.get_mut(chunk) else { return };
        ids.remove(place);
        let left = ids.len();
        let next = self.chunks.get(chunk + 1).map_or(CHUNK, Vec::len);
        if left == 0 {
            self.chunks.remove(chunk);
        } else if left + next <= CHUNK / 2 {
            let next = self.chunks.remove(chunk + 1);
            self.chunks[chunk].extend(next);
        }
    }

    /// The slot before this position, and the one there.
    pub(super) fn around(&self, at: Position) -> (Option<SlotId>, Option<SlotId>) {
        (self.before(at).next(), self.from(at).next())
    }

    /// In the order of names.
    pub(super) fn from(&self, (chunk, place): Position) -> impl Iterator<Item = SlotId> + '_ {
        let (first, rest) = match self.chunks.get(chunk..).and_then(<[Vec<SlotId>]>::split_first) {
            Some((first, rest)) => (first.get(place..).unwrap_or_default(), rest),
            None => (&[][..], &[][..]),
        };
        first.iter().chain(rest.iter().flatten()).copied()
    }

    /// Against the order of names.
    pub(super) fn before(&self, (chunk, place): Position) -> impl Iterator<Item = SlotId> + '_ {
        let first = self.chunks.get(chunk).and_then(|ids| ids.get(..place)).unwrap_or_default();
        let earlier = self.chunks.get(..chunk).unwrap_or_default();
        first.iter().rev().chain(earlier.iter().rev().flat_map(|ids| ids.iter().rev())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Beside a set that is sorted anyhow: here a slot's number is its name.
    #[test]
    fn names_stand_in_their_order_whatever_comes_and_goes() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut names, mut sorted) = (Names::default(), BTreeSet::new());
        for turn in 0..60_000_u32 {
            // First in order, then anywhere; it grows, then it shrinks.
            let id = SlotId::new(if turn < 5_000 { turn } else { random.u32(0..20_000) });
            match names.find(|other| other.cmp(&id)) {
                Ok(at) if turn > 30_000 || random.bool() => {
                    names.remove(at);
                    assert!(sorted.remove(&id));
                }
                Ok(at) => assert_eq!(names.get(at), Some(id)),
                Err(_) if turn > 40_000 => assert!(!sorted.contains(&id)),
                Err(at) => {
                    assert_eq!(names.around(at).0, sorted.range(..id).next_back().copied());
                    assert_eq!(names.around(at).1, sorted.range(id..).next().copied());
                    names.insert(at, id);
                    assert!(sorted.insert(id));
                }
            }
            if turn % 1_000 == 0 {
                let middle = names.find(|other| other.cmp(&SlotId::new(10_000)));
                let at = middle.unwrap_or_else(|at| at);
                assert!(names.from((0, 0)).eq(sorted.iter().copied()));
                assert_eq!(names.last().map(|(last, _)| last), sorted.last().copied());
                assert_eq!(
                    names.last().and_then(|(_, end)| names.before(end).next()),
                    sorted.last().copied()
                );
                assert!(names.from(at).eq(sorted.range(SlotId::new(10_000)..).copied()));
                assert!(names.before(at).eq(sorted.range(..SlotId::new(10_000)).rev().copied()));
                assert!(names.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
            }
        }
        assert!(sorted.len() < 4_000 && names.chunks.len() < 40, "{} chunks", names.chunks.len());
    }
}
