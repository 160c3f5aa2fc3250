//! Places for connections that come when all ordinary ones are taken. They are asked for health alone, so that however
//! many connections others hold, an operator's probe gets an answer; or they show a token, and have an ordinary one then.

use super::seat::Seat;
use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
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
    /// Gone with the connection.
    seat: Weak<Seat>,
}

impl Guest {
    fn is_waiting(&self) -> bool {
        self.seat.upgrade().is_some_and(|seat| !seat.has_asked())
    }

    fn is_here(&self) -> bool {
        !self.connection.is_finished() && self.seat.upgrade().is_some_and(|seat| seat.refusal().is_some())
    }
}

impl Reserve {
    pub(super) fn new(most: usize) -> Self {
        Self { most, guests: VecDeque::new() }
    }

    /// Whether one more can be taken in.
    pub(super) fn has_room(&mut self) -> bool {
        self.guests.retain(Guest::is_here);
        self.guests.len() < self.most || self.guests.iter().any(Guest::is_waiting)
    }

    /// Makes room for one more: the oldest that has asked nothing is cut off, if all places are taken.
    pub(super) fn make_room(&mut self) {
        if self.guests.len() >= self.most
            && let Some(at) = self.guests.iter().position(Guest::is_waiting)
            && let Some(guest) = self.guests.remove(at)
        {
            guest.connection.abort();
        }
    }

    /// Takes one in.
    pub(super) fn admit(&mut self, connection: AbortHandle, seat: &Arc<Seat>) {
        self.guests.push_back(Guest { connection, seat: Arc::downgrade(seat) });
    }
}
