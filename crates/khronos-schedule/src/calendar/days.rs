//! A set of days as one bit each: what a calendar amounts to. 1969 to 2100, so that local time around the horizon is
//! covered in every zone.

use super::date;
use crate::{
    content_id::content_id,
    months::{FIRST_DAY, LAST_DAY},
};
use std::fmt;
use uuid::Uuid;

const WORDS: usize = (LAST_DAY - FIRST_DAY) as usize / 64 + 1;
/// Stands before the bytes of a set; another table of days would get another number.
const FORM: u8 = 1;
/// UUIDv5 of the URL namespace and `urn:khronos:calendar`.
const NAMESPACE: Uuid = Uuid::from_u128(0xab37_b820_337a_5a74_835d_8133_a45f_b2f0);

/// A set of days, numbered from 1970-01-01.
#[derive(Clone, PartialEq, Eq)]
pub struct Days {
    words: Box<[u64]>,
}

content_id! {
    /// What a set of days is kept under: equal sets have equal ids, whatever they were written as.
    CalendarId, NAMESPACE
}

/// The word and the bit of a day of the table.
fn place(day: i32) -> (usize, u32) {
    let index = (day - FIRST_DAY) as usize;
    (index / 64, (index % 64) as u32)
}

impl Days {
    /// No day.
    pub(crate) fn none() -> Self {
        Self { words: vec![0; WORDS].into() }
    }

    /// Every day that `member` says yes to.
    pub(crate) fn matching(member: impl Fn(i32) -> bool) -> Self {
        let mut days = Self::none();
        (FIRST_DAY..LAST_DAY).filter(|&day| member(day)).for_each(|day| days.insert(day));
        days
    }

    /// Adds a day; one outside of the table is left out.
    pub(crate) fn insert(&mut self, day: i32) {
        if (FIRST_DAY..LAST_DAY).contains(&day) {
            let (word, bit) = place(day);
            self.words[word] |= 1 << bit;
        }
    }

    /// Whether the day is one of them.
    pub(crate) fn contains(&self, day: i32) -> bool {
        (FIRST_DAY..LAST_DAY).contains(&day) && {
            let (word, bit) = place(day);
            self.words[word] >> bit & 1 == 1
        }
    }

    /// Whether both have the same days from this one on.
    pub(crate) fn is_same_from(&self, other: &Self, day: i32) -> bool {
        if day >= LAST_DAY {
            return true;
        }
        let (first, bit) = place(day.max(FIRST_DAY));
        let words = self.words.iter().zip(&other.words).enumerate().skip(first);
        words.into_iter().all(|(word, (one, other))| {
            let looked_at = if word == first { u64::MAX << bit } else { u64::MAX };
            (one ^ other) & looked_at == 0
        })
    }

    /// The first of them on `day` or later.
    pub(crate) fn next(&self, day: i32) -> Option<i32> {
        self.first_from(day, 0)
    }

    /// The first day of the table on `day` or later that is none of them.
    pub(crate) fn next_absent(&self, day: i32) -> Option<i32> {
        self.first_from(day, u64::MAX)
    }

    fn first_from(&self, day: i32, inverted: u64) -> Option<i32> {
        let day = day.max(FIRST_DAY);
        if day >= LAST_DAY {
            return None;
        }
        let (mut word, bit) = place(day);
        let mut bits = (self.words[word] ^ inverted) & u64::MAX << bit;
        while bits == 0 {
            word += 1;
            bits = self.words.get(word)? ^ inverted;
        }
        let found = FIRST_DAY + word as i32 * 64 + bits.trailing_zeros() as i32;
        (found < LAST_DAY).then_some(found)
    }

    /// The last of them on `day` or earlier.
    pub(crate) fn previous(&self, day: i32) -> Option<i32> {
        let day = day.min(LAST_DAY - 1);
        if day < FIRST_DAY {
            return None;
        }
        let (mut word, bit) = place(day);
        let mut bits = self.words[word] & u64::MAX >> (63 - bit);
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.words[word];
        }
        Some(FIRST_DAY + word as i32 * 64 + 63 - bits.leading_zeros() as i32)
    }

    /// Keeps only what is in `other` too.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    /// Leaves out what is in `other`.
    pub(crate) fn leave_out(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The form in which people and other programs read them: dates, and ranges of dates with both ends, as calendar
    /// files have them.
    pub fn to_dates(&self) -> Vec<String> {
        let mut dates = Vec::new();
        let mut at = FIRST_DAY;
        while let Some(first) = self.next(at) {
            let end = self.next_absent(first).unwrap_or(LAST_DAY);
            dates.push(date::written(first, end - 1));
            at = end;
        }
        dates
    }

    /// A day in that form.
    pub(crate) fn date(day: i32) -> String {
        date::written(day, day)
    }

    /// Reads that form; `None` if it is none.
    pub fn from_dates(dates: &[impl AsRef<str>]) -> Option<Self> {
        let mut days = Self::none();
        for text in dates {
            let (first, last) = date::listed(text.as_ref())?;
            (first..=last).for_each(|day| days.insert(day));
        }
        Some(days)
    }

    /// The form in which a store keeps them: some 6 KB.
    pub fn to_bytes(&self) -> Vec<u8> {
        std::iter::once(FORM).chain(self.words.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    /// Reads that form; `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&form, rest) = bytes.split_first()?;
        let (words, odd) = rest.as_chunks::<8>();
        let words: Box<[u64]> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let past = FIRST_DAY + WORDS as i32 * 64 - LAST_DAY;
        let within = words.last().is_some_and(|last| last.leading_zeros() as i32 >= past);
        (form == FORM && odd.is_empty() && words.len() == WORDS && within).then_some(Self { words })
    }

    /// What they are kept under.
    pub fn id(&self) -> CalendarId {
        CalendarId::of(&self.to_bytes())
    }
}

impl fmt::Debug for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} days", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_same_after_being_written_as_dates() {
        for days in [
            Days::none(),
            Days::matching(|_| true),
            Days::matching(|day| day.rem_euclid(7) == 2 || day % 100 == 0),
            Days::matching(|day| day == FIRST_DAY || day == LAST_DAY - 1),
        ] {
            assert_eq!(Days::from_dates(&days.to_dates()), Some(days));
        }
        let some = Days::matching(|day| (20_000..20_003).contains(&day) || day == 20_005);
        assert_eq!(some.to_dates(), ["2024-10-04/2024-10-06", "2024-10-09"]);
        for wrong in ["2024-10-06/2024-10-04", "2024-02-30", "1968-01-01", "2024-10-04/", "soon"] {
            assert_eq!(Days::from_dates(&[wrong]), None, "{wrong}");
        }
    }

    #[test]
    fn a_set_agrees_with_a_walk_over_its_days() {
        let odd = |day: i32| day.rem_euclid(7) == 3 || day == FIRST_DAY || day == LAST_DAY - 1;
        let days = Days::matching(odd);
        for day in (FIRST_DAY - 3..FIRST_DAY + 300).chain(LAST_DAY - 300..LAST_DAY + 3) {
            let member = (FIRST_DAY..LAST_DAY).contains(&day) && odd(day);
            assert_eq!(days.contains(day), member, "{day}");
            assert_eq!(days.next(day), (day.max(FIRST_DAY)..LAST_DAY).find(|&d| odd(d)), "{day}");
            assert_eq!(days.next_absent(day), (day.max(FIRST_DAY)..LAST_DAY).find(|&d| !odd(d)), "{day}");
            assert_eq!(
                days.previous(day),
                (FIRST_DAY..=day.min(LAST_DAY - 1)).rev().find(|&d| odd(d)),
                "{day}"
            );
        }
        assert_eq!(days.len(), (FIRST_DAY..LAST_DAY).filter(|&day| odd(day)).count());
        assert_eq!((Days::none().next(0), Days::none().previous(0)), (None, None));
    }

    #[test]
    fn the_kept_form_is_read_back_and_anything_else_is_not() {
        let days = Days::matching(|day| day % 11 == 0);
        let bytes = days.to_bytes();
        assert_eq!(Days::from_bytes(&bytes), Some(days.clone()));
        assert_eq!(Days::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Days::from_bytes(&[&[2], &bytes[1..]].concat()), None);
        let mut beyond = bytes.clone();
        *beyond.last_mut().unwrap() |= 0x80;
        assert_eq!(Days::from_bytes(&beyond), None);
        // What is kept under an id has to be found under it by every later version.
        assert_ne!(days.id(), Days::none().id());
        assert_eq!(days.id().to_string().parse::<CalendarId>().unwrap(), days.id());
    }
}
