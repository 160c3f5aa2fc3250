//! What is done at run time and is to be kept: pauses, triggers, operations.

use super::Progress;
use crate::{CreatedCalendar, Operation, Pauses, TriggerKey};
use ponos_event::{CommandId, Timestamp};
use std::sync::Arc;

impl Progress {
    /// What is kept of pauses, as it is to be written at once.
    pub(in super::super) fn pauses(&mut self, pauses: &Pauses) {
        self.unwritten.pauses = Some(pauses.clone());
        self.urgent = true;
    }

    /// The same of one name; `None`: nothing is kept of it.
    pub(in super::super) fn named_pauses(&mut self, name: &Arc<str>, pauses: Option<&Pauses>) {
        self.unwritten.named_pauses.insert(name.clone(), pauses.cloned());
        self.urgent = true;
    }

    /// How many names more may have what is kept of their pauses written, of so many with one write.
    pub(in super::super) fn room_for_pauses(&self, most: usize) -> usize {
        most.max(1).saturating_sub(self.unwritten.named_pauses.len())
    }

    /// A calendar that was created at run time; `None`: it is gone.
    pub(in super::super) fn calendar(&mut self, name: &Arc<str>, calendar: Option<Arc<CreatedCalendar>>) {
        self.unwritten.calendar(name.clone(), calendar);
        self.urgent = true;
    }

    /// An operation; `None`: it is forgotten.
    pub(in super::super) fn operation(&mut self, id: CommandId, operation: Option<&Operation>) {
        self.unwritten.operations.insert(id, operation.cloned());
        self.moved = true;
    }

    /// When what a command triggered is due; `None`: it is forgotten.
    pub(in super::super) fn trigger(&mut self, key: TriggerKey, due: Option<Timestamp>) {
        self.unwritten.triggers.insert(key, due);
    }
}
