//! Which dead letters are meant. Pure.

use super::{DeadError, Letter};
use crate::{
    event::Timestamp,
    topology::{check_event_pattern, topic_matches},
    worker::DeadKind,
};
use std::time::Duration;

/// Which dead letters are meant: those for which all conditions hold.
///
/// ```
/// use ponos::dead::LetterFilter;
/// use std::time::Duration;
///
/// let refused = LetterFilter::all().kind("attempts")?.reason("connection refused").newer(Duration::from_secs(3_600));
/// assert!(LetterFilter::all().kind("atempts").is_err());
/// # Ok::<(), ponos::dead::DeadError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LetterFilter {
    ids: Vec<String>,
    name: Option<String>,
    kind: Option<String>,
    reason: Option<String>,
    older: Option<Duration>,
    newer: Option<Duration>,
    limit: Option<u64>,
}

impl LetterFilter {
    /// Kinds of letters that no worker wrote: the broker's reasons, what is parked, and what has no reason.
    pub const OTHER_KINDS: [&str; 6] =
        ["expired", "rejected", "maxlen", "delivery-limit", "parked", "unknown"];

    /// All dead letters.
    pub fn all() -> Self {
        let (ids, name, kind, reason) = (Vec::new(), None, None, None);
        Self { ids, name, kind, reason, older: None, newer: None, limit: None }
    }

    /// Only this id; said several times, any of them.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.ids.push(id.into());
        self
    }

    /// Only events or tasks whose name matches this pattern: `*` is one word, `#` any number.
    ///
    /// # Errors
    /// [`DeadError::Filter`] for a pattern that no name can match.
    pub fn name(mut self, pattern: &str) -> Result<Self, DeadError> {
        check_event_pattern(pattern).map_err(|wrong| DeadError::Filter(wrong.to_string()))?;
        self.name = Some(pattern.to_owned());
        Ok(self)
    }

    /// Only dead letters of this kind: one of [`DeadKind`], or of [`LetterFilter::OTHER_KINDS`].
    ///
    /// # Errors
    /// [`DeadError::Filter`] for a kind that does not exist.
    pub fn kind(mut self, kind: &str) -> Result<Self, DeadError> {
        if !Self::kinds().any(|known| known == kind) {
            let known: Vec<&str> = Self::kinds().collect();
            let kind = crate::text::shown(kind);
            return Err(DeadError::Filter(format!("'{kind}' is not a kind; there are {}", known.join(", "))));
        }
        self.kind = Some(kind.to_owned());
        Ok(self)
    }

    /// Only those whose reason contains this text, in upper or lower case.
    #[must_use]
    pub fn reason(mut self, text: impl Into<String>) -> Self {
        self.reason = Some(text.into());
        self
    }

    /// Only those that died longer ago than this.
    #[must_use]
    pub fn older(mut self, than: Duration) -> Self {
        self.older = Some(than);
        self
    }

    /// Only those that died within this time.
    #[must_use]
    pub fn newer(mut self, than: Duration) -> Self {
        self.newer = Some(than);
        self
    }

    /// At most this many; without another condition, no more than these are read.
    #[must_use]
    pub fn limit(mut self, most: u64) -> Self {
        self.limit = Some(most);
        self
    }

    /// All kinds of letters.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        DeadKind::ALL.map(DeadKind::as_str).into_iter().chain(Self::OTHER_KINDS)
    }

    /// The ids that were named.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The pattern of names that was given.
    pub fn pattern(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How many letters are wanted at most.
    pub fn wanted(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// How many letters to read for `wanted` ones: all, unless every letter is chosen.
    pub fn to_read(&self, wanted: u64) -> u64 {
        let Self { ids, name, kind, reason, older, newer, limit: _ } = self;
        let chooses = !ids.is_empty()
            || name.is_some()
            || kind.is_some()
            || reason.is_some()
            || older.is_some()
            || newer.is_some();
        if chooses { u64::MAX } else { wanted }
    }

    /// Whether a letter's name matches.
    pub fn fits_name(&self, letter: &Letter) -> bool {
        self.name.as_ref().is_none_or(|pattern| topic_matches(pattern, &letter.name))
    }

    /// Whether a letter is meant, at `now`. An unknown age is neither older nor newer than any.
    pub fn takes(&self, letter: &Letter, now: Timestamp) -> bool {
        let age = letter.at.map(|at| Duration::from_millis(u64::try_from(now.since(at)).unwrap_or(0)));
        (self.ids.is_empty() || self.ids.contains(&letter.id))
            && self.fits_name(letter)
            && self.kind.as_ref().is_none_or(|kind| *kind == letter.kind)
            && self
                .reason
                .as_ref()
                .is_none_or(|text| letter.reason.to_lowercase().contains(&text.to_lowercase()))
            && self.older.is_none_or(|than| age.is_some_and(|age| age > than))
            && self.newer.is_none_or(|than| age.is_some_and(|age| age <= than))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            id: "a".into(),
            name: "order.eu.shipped".into(),
            kind: "attempts".into(),
            reason: "Connection refused".into(),
            at: Some(Timestamp::from_millis(0)),
            ..Letter::default()
        }
    }

    #[test]
    fn all_that_is_given_must_hold() {
        let now = Timestamp::from_millis(3_600_000);
        let takes = |filter: LetterFilter| filter.takes(&letter(), now);
        let (all, second) = (LetterFilter::all, Duration::from_secs(1));
        assert!(takes(all()));
        assert!(takes(all().id("a").name("order.*.shipped").unwrap().reason("refused")));
        assert!(takes(all().id("b").id("a")));
        assert!(!takes(all().id("a").name("order.shipped.#").unwrap()));
        assert!(!takes(all().kind("schema").unwrap()));
        assert!(takes(all().older(second * 3_599)) && !takes(all().older(second * 3_600)));
        assert!(takes(all().newer(second * 3_600)) && !takes(all().newer(second * 3_599)));
    }

    #[test]
    fn an_unknown_age_is_neither_older_nor_newer() {
        let unknown = Letter { at: None, ..letter() };
        let now = Timestamp::from_millis(5);
        let (within, before) =
            (LetterFilter::all().newer(Duration::from_secs(1)), LetterFilter::all().older(Duration::ZERO));
        assert!(!within.takes(&unknown, now) && !before.takes(&unknown, now));
    }

    #[test]
    fn what_no_letter_can_have_is_refused() {
        for wrong in [LetterFilter::all().kind("atempts"), LetterFilter::all().name("order.shipped")] {
            let wrong = wrong.unwrap_err().to_string();
            assert!(
                wrong.contains("'atempts' is not a kind; there are malformed")
                    || wrong.contains("order.shipped"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn no_more_is_read_than_is_wanted_where_every_letter_is_chosen() {
        assert_eq!(LetterFilter::all().limit(3).to_read(3), 3);
        assert_eq!(LetterFilter::all().to_read(LetterFilter::all().wanted()), u64::MAX);
        assert_eq!(LetterFilter::all().limit(3).id("a").to_read(3), u64::MAX);
    }
}
