//! What was written and is not answered, by number. Numbers count up and answers come roughly in their order: so a
//! flight's place is its number less that of the first.

use std::{collections::VecDeque, sync::Arc};
use tokio::time::Instant;

/// A publishing on its way.
pub(super) struct Flight {
    pub(super) token: u64,
    pub(super) message_id: String,
    pub(super) exchange: Arc<str>,
    pub(super) deadline: Instant,
    pub(super) settled: bool,
}

/// The first place is never one that is empty.
#[derive(Default)]
pub(super) struct Flights {
    places: VecDeque<Option<Flight>>,
    /// The number of the first place.
    first: u64,
    taken: usize,
}

impl Flights {
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// Flights, and what is empty behind the oldest of them.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// The number of the next flight.
    pub(super) fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// The number of the oldest flight.
    pub(super) fn oldest(&self) -> Option<u64> {
        (self.taken > 0).then_some(self.first)
    }

    /// Adds a flight and gives it the next number.
    pub(super) fn take_off(&mut self, flight: Flight) -> u64 {
        let number = self.next();
        self.places.push_back(Some(flight));
        self.taken += 1;
        number
    }

    /// Removes a flight; `None` if it was removed before.
    pub(super) fn land(&mut self, number: u64) -> Option<Flight> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let flight = self.places.get_mut(place)?.take()?;
        self.taken -= 1;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        Some(flight)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.places.iter_mut().flatten()
    }

    /// Removes all; their numbers are not used again.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Flight> {
        self.first = self.next();
        self.taken = 0;
        std::mem::take(&mut self.places).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(token: u64) -> Flight {
        let (message_id, exchange) = (String::new(), "".into());
        Flight { token, message_id, exchange, deadline: Instant::now(), settled: false }
    }

    #[test]
    fn a_flight_is_found_by_its_number_in_whatever_order_they_land() {
        let mut flights = Flights::default();
        let numbers: Vec<u64> = (10..15).map(|token| flights.take_off(flight(token))).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        for number in [2, 0, 1] {
            assert_eq!(flights.land(number).map(|flight| flight.token), Some(10 + number));
            assert!(flights.land(number).is_none());
        }
        assert_eq!((flights.len(), flights.places(), flights.oldest(), flights.next()), (2, 2, Some(3), 5));
        assert_eq!(flights.drain().map(|flight| flight.token).collect::<Vec<_>>(), [13, 14]);
        assert_eq!((flights.len(), flights.oldest(), flights.take_off(flight(15))), (0, None, 5));
    }
}
