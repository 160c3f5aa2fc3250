//! Which commands are taken: so many, and so large, may wait for their turn and for the disk together. Nobody has more of that
//! than he leaves to all others, and pauses have places of their own, those of everything apart: a flood must not keep anybody
//! from stopping it, nor a flood of pauses.

use super::{Change, size::Size};
use crate::{Scope, portions::Portions};
use std::{collections::HashMap, sync::Arc};

/// Commands that are taken and not answered at most, each request for several changes as so many.
pub(in super::super) const COMMANDS: usize = 10_000;
/// Bytes of their definitions at most.
const COMMAND_BYTES: usize = 32 << 20;
/// Pauses by name, and ends of such, beside these.
pub(in super::super) const PAUSES: usize = 64;
/// Those of everything.
pub(in super::super) const PAUSES_OF_ALL: usize = 16;

/// The commands that are taken and not answered.
#[derive(Debug, Default)]
pub(super) struct Admission {
    taken: HashMap<u64, Taken>,
    counts: Portions,
    bytes: Portions,
    pauses: Portions,
    pauses_of_all: Portions,
}

/// A place that is taken, and whose.
#[derive(Debug)]
struct Taken {
    owner: Arc<str>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Pause,
    PauseOfAll,
    Other(Size),
}

impl Admission {
    /// Takes a command, if there is room.
    pub(super) fn take(&mut self, command: u64, change: &Change) -> bool {
        let owner = change.owner();
        let place = match change.paused() {
            Some(Scope::All) => Place::PauseOfAll,
            Some(Scope::Named(_)) => Place::Pause,
            None => Place::Other(change.size()),
        };
        let has_room = match &place {
            Place::Pause => self.pauses.has_room(&owner, 1, PAUSES),
            Place::PauseOfAll => self.pauses_of_all.has_room(&owner, 1, PAUSES_OF_ALL),
            Place::Other(Size { count, bytes }) => {
                self.counts.has_room(&owner, *count, COMMANDS)
                    && self.bytes.has_room(&owner, *bytes, COMMAND_BYTES)
            }
        };
        if has_room {
            // Whoever uses a number twice holds one place.
            self.answered(command);
            match &place {
                Place::Pause => self.pauses.add(&owner, 1),
                Place::PauseOfAll => self.pauses_of_all.add(&owner, 1),
                Place::Other(Size { count, bytes }) => {
                    self.counts.add(&owner, *count);
                    self.bytes.add(&owner, *bytes);
                }
            }
            self.taken.insert(command, Taken { owner, place });
        }
        has_room
    }

    /// It is answered, one way or another.
    pub(super) fn answered(&mut self, command: u64) {
        let Some(Taken { owner, place }) = self.taken.remove(&command) else { return };
        match place {
            Place::Pause => self.pauses.remove(&owner, 1),
            Place::PauseOfAll => self.pauses_of_all.remove(&owner, 1),
            Place::Other(Size { count, bytes }) => {
                self.counts.remove(&owner, count);
                self.bytes.remove(&owner, bytes);
            }
        }
    }
}
