//! A window of values under running numbers: each gets the next number, and they go roughly in that order. So a value's
//! place is its number less that of the first, and finding it costs no search.

use std::collections::VecDeque;

/// Values by the numbers they were given. The first place is never an empty one.
#[derive(Debug)]
pub struct Numbered<T> {
    places: VecDeque<Option<T>>,
    /// The number of the first place.
    first: u64,
    taken: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { places: VecDeque::new(), first: 0, taken: 0 }
    }
}

impl<T> Numbered<T> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Values, and places that are empty behind the oldest of them: what the memory is needed for.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// The number that the next value gets.
    pub fn next_number(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// The oldest value and its number.
    pub fn oldest(&self) -> Option<(u64, &T)> {
        Some((self.first, self.places.front()?.as_ref()?))
    }

    /// Adds a value under the next number.
    pub fn push(&mut self, value: T) -> u64 {
        let number = self.next_number();
        self.places.push_back(Some(value));
        self.taken += 1;
        number
    }

    /// Removes a value; `None` if it was removed before, or never there.
    pub fn remove(&mut self, number: u64) -> Option<T> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let value = self.places.get_mut(place)?.take()?;
        self.taken -= 1;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        Some(value)
    }

    /// Oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten()
    }

    /// Removes all, oldest first; their numbers are not used again.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.first = self.next_number();
        self.taken = 0;
        std::mem::take(&mut self.places).into_iter().flatten()
    }

    /// Removes all, and goes on with this number, if it is not behind the next one.
    pub fn restart(&mut self, number: u64) {
        drop(self.drain());
        self.first = self.first.max(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_number_in_whatever_order_they_go() {
        let mut window = Numbered::default();
        let numbers: Vec<u64> = (10..15).map(|value| window.push(value)).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        for number in [2, 0, 1] {
            assert_eq!(window.remove(number), Some(10 + number));
            assert_eq!(window.remove(number), None);
        }
        assert_eq!((window.len(), window.places(), window.oldest()), (2, 2, Some((3, &13))));
        assert_eq!((window.next_number(), window.remove(9)), (5, None));
        assert!(window.iter_mut().map(|value| *value).eq([13, 14]));
        assert_eq!(window.drain().collect::<Vec<_>>(), [13, 14]);
        assert_eq!((window.len(), window.oldest()), (0, None));
        assert_eq!(window.push(15), 5);
        window.restart(9);
        assert_eq!((window.remove(5), window.push(16), window.remove(9)), (None, 9, Some(16)));
        window.restart(3);
        assert_eq!(window.next_number(), 10);
        assert!(window.is_empty());
    }
}
