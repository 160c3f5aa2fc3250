//! What this process has seen of calendars: each content under its id, and each set of rules about days once. Both are
//! found by what they are, so that it makes no difference who asks, or when: a million schedules that name the same
//! calendars share one value.
//!
//! Nothing goes before the process does: 6 KB for each content and 6 KB for each set of rules, which is the number of
//! edits of calendars that a clock has seen since its start.

use super::{
    calendar::{CalendarId, Days},
    day_rules::{DayRules, Move, Named},
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

/// Names with contents.
type Ids = Vec<(Arc<str>, CalendarId)>;

#[derive(Default)]
struct Known {
    contents: HashMap<CalendarId, Arc<Days>>,
    rules: HashMap<(Ids, Ids, Option<Move>), Arc<DayRules>>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The content that is kept under this id, if this process has seen it.
pub(super) fn content(id: CalendarId) -> Option<Arc<Days>> {
    known().contents.get(&id).cloned()
}

/// The same days, shared, and what they are kept under.
pub(super) fn remember(days: Arc<Days>) -> (CalendarId, Arc<Days>) {
    let id = days.id();
    (id, Arc::clone(known().contents.entry(id).or_insert(days)))
}

/// The rules of these calendars, made at the first call.
pub(super) fn shared(only: Vec<Named>, exclude: Vec<Named>, shift: Option<Move>) -> Arc<DayRules> {
    let ids = |list: &[Named]| list.iter().map(|one| (Arc::clone(&one.name), one.id)).collect();
    let key = (ids(&only), ids(&exclude), shift);
    let mut known = known();
    if let Some(rules) = known.rules.get(&key) {
        return Arc::clone(rules);
    }
    let rules = Arc::new(DayRules::new(only, exclude, shift));
    known.rules.insert(key, Arc::clone(&rules));
    rules
}
