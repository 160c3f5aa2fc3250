//! Places for connections that come when all ordinary ones are taken. They are asked for health alone, so that however
//! many connections others hold, an operator's probe gets an answer.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::task::AbortHandle;

/// Connections beyond the ordinary ones. One that has asked nothing yet gives way to a newer one.
#[derive(Debug)]
pub(super) struct Reserve {
    most: usize,
    guests: VecDeque<Guest>,
}

#[derive(Debug)]
struct Guest {
    connection: AbortHandle,
    asked: Asked,
}

/// Whether a connection has asked something.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<AtomicBool>);

impl Asked {
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Reserve {
    pub(super) fn new(most: usize) -> Self {
        Self { most, guests: VecDeque::new() }
    }

    /// Whether one more can be taken in.
    pub(super) fn has_room(&mut self) -> bool {
        self.guests.retain(|guest| !guest.connection.is_finished());
        self.guests.len() < self.most || self.guests.iter().any(|guest| !guest.asked.has())
    }

    /// Makes room for one more: the oldest that has asked nothing is cut off, if all places are taken.
    pub(super) fn make_room(&mut self) {
        if self.guests.len() >= self.most
            && let Some(at) = self.guests.iter().position(|guest| !guest.asked.has())
            && let Some(guest) = self.guests.remove(at)
        {
            guest.connection.abort();
        }
    }

    /// Takes one in.
    pub(super) fn admit(&mut self, connection: AbortHandle, asked: Asked) {
        self.guests.push_back(Guest { connection, asked });
    }
}
