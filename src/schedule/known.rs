//! What this process has seen of calendars: each content under its id, and each set of rules about days under a number.
//! Both are found by what they are, so that it makes no difference who asks, or when: a million schedules that name the
//! same calendars share one value, and each of them holds four bytes.
//!
//! Nothing goes before the process does: 6 KB for each content and 6 KB for each set of rules, as many as edits of
//! calendars that a clock has seen since its start.

use super::{
    calendar::{CalendarId, Days},
    day_rules::{DayRules, Move, Named},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

/// Names with contents.
type Ids = Vec<(Arc<str>, CalendarId)>;

#[derive(Default)]
struct Known {
    contents: HashMap<CalendarId, Arc<Days>>,
    rules: Vec<&'static DayRules>,
    numbers: HashMap<(Ids, Ids, Option<Move>), Shared>,
}

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// Rules about days, by their number: one of those that were made in this process. It serialises to that number, for
/// memory only.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Shared(NonZeroU32);

impl Shared {
    /// The rules of these calendars, made at the first call.
    pub(super) fn new(only: Vec<Named>, exclude: Vec<Named>, shift: Option<Move>) -> Self {
        let ids = |list: &[Named]| list.iter().map(|one| (Arc::clone(&one.name), one.id)).collect();
        let key = (ids(&only), ids(&exclude), shift);
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.numbers.get(&key) {
            return *number;
        }
        known.rules.push(Box::leak(Box::new(DayRules::new(only, exclude, shift))));
        let number = u32::try_from(known.rules.len()).ok().and_then(NonZeroU32::new);
        let number = Self(number.unwrap_or(NonZeroU32::MAX));
        known.numbers.insert(key, number);
        number
    }

    pub(super) fn rules(self) -> Option<&'static DayRules> {
        let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
        known.rules.get(self.0.get() as usize - 1).copied()
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.rules() == other.rules()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules().fmt(f)
    }
}

/// The content that is kept under this id, if this process has seen it.
pub(super) fn content(id: CalendarId) -> Option<Arc<Days>> {
    KNOWN.read().unwrap_or_else(PoisonError::into_inner).contents.get(&id).cloned()
}

/// The same days, shared, and what they are kept under.
pub(super) fn remember(days: Arc<Days>) -> (CalendarId, Arc<Days>) {
    let id = days.id();
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    (id, Arc::clone(known.contents.entry(id).or_insert(days)))
}
