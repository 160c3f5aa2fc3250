//! Which commands are taken: so many, and so large, may wait for their turn and for the disk together. Nobody has more of that
//! than he leaves to all others, and pauses have places of their own: a flood must not keep anybody from stopping it.

use super::{Change, size::Size};
use crate::portions::Portions;
use std::{collections::HashMap, sync::Arc};

/// Commands that are taken and not answered at most, each request for several changes as so many.
pub(in super::super) const COMMANDS: usize = 10_000;
/// Bytes of their definitions at most.
const COMMAND_BYTES: usize = 32 << 20;
/// Pauses, and ends of pauses, beside these.
pub(in super::super) const PAUSES: usize = 64;

/// The commands that are taken and not answered.
#[derive(Debug, Default)]
pub(super) struct Admission {
    taken: HashMap<u64, Taken>,
    counts: Portions,
    bytes: Portions,
    pauses: usize,
}

#[derive(Debug)]
enum Taken {
    Pause,
    Of(Arc<str>, Size),
}

impl Admission {
    /// Takes a command, if there is room.
    pub(super) fn take(&mut self, command: u64, change: &Change) -> bool {
        let taken = match change.owner() {
            None => Taken::Pause,
            Some(owner) => Taken::Of(owner, change.size()),
        };
        let has_room = match &taken {
            Taken::Pause => self.pauses < PAUSES,
            Taken::Of(owner, Size { count, bytes }) => {
                self.counts.has_room(owner, *count, COMMANDS)
                    && self.bytes.has_room(owner, *bytes, COMMAND_BYTES)
            }
        };
        if has_room {
            // Whoever uses a number twice holds one place.
            self.answered(command);
            match &taken {
                Taken::Pause => self.pauses += 1,
                Taken::Of(owner, Size { count, bytes }) => {
                    self.counts.add(owner, *count);
                    self.bytes.add(owner, *bytes);
                }
            }
            self.taken.insert(command, taken);
        }
        has_room
    }

    /// It is answered, one way or another.
    pub(super) fn answered(&mut self, command: u64) {
        match self.taken.remove(&command) {
            Some(Taken::Pause) => self.pauses -= 1,
            Some(Taken::Of(owner, Size { count, bytes })) => {
                self.counts.remove(&owner, count);
                self.bytes.remove(&owner, bytes);
            }
            None => {}
        }
    }
}
