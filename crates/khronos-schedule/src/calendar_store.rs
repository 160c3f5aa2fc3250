//! The contents of calendars under their ids, and the rules about days that are made of them. Both are found by what
//! they are, so that a million schedules that name the same calendars share one value. A definition holds ids only:
//! code that builds a schedule from it passes the store that knows their days; the rules of its zones are in the store beside.
//!
//! Clones share what they hold. It grows by some 6 KB for each content, until [`CalendarStore::forget_unused`] drops what no
//! schedule refers to, and by as much for each set of rules. Rules that no schedule refers to are dropped from time to time:
//! whoever asks for a preview makes new ones at will.

use super::{
    calendar::{CalendarId, Days},
    timing::day_rules::{DayRules, Move, Named},
    zone::store::ZoneStore,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Names with contents, as a schedule lists them.
type Ids = Vec<(Arc<str>, CalendarId)>;

/// Contents of calendars by id; see the module.
#[derive(Clone, Default)]
pub struct CalendarStore {
    shared: Arc<Mutex<Shared>>,
    zones: ZoneStore,
}

#[derive(Default)]
struct Shared {
    contents: HashMap<CalendarId, Arc<Days>>,
    rules: HashMap<(Ids, Ids, Option<Move>), Arc<DayRules>>,
    /// How many sets of rules were in use when unused ones were dropped last.
    rules_in_use: usize,
}

/// Unused sets of rules that are kept at most, beside as many as are in use.
const UNUSED_RULES: usize = 64;

impl CalendarStore {
    /// Keeps these days under their id, for as long as somebody else holds them too.
    pub fn insert(&self, days: Days) -> (CalendarId, Arc<Days>) {
        let id = days.id();
        let mut shared = self.shared();
        (id, Arc::clone(shared.contents.entry(id).or_insert_with(|| Arc::new(days))))
    }

    /// The days that are kept under this id.
    pub fn days(&self, id: CalendarId) -> Option<Arc<Days>> {
        self.shared().contents.get(&id).cloned()
    }

    /// The rules of the zones that definitions name, beside the days of their calendars.
    pub fn zones(&self) -> &ZoneStore {
        &self.zones
    }

    /// Drops the contents and rules that nobody else holds: those of no calendar that is read at present, and of no
    /// schedule.
    pub fn forget_unused(&self) {
        self.zones.forget_unused();
        let mut shared = self.shared();
        shared.forget_rules();
        shared.contents.retain(|_, days| Arc::strong_count(days) > 1);
    }

    /// How many contents it holds.
    pub fn len(&self) -> usize {
        self.shared().contents.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rules of these calendars, made at the first call.
    pub(super) fn rules(&self, only: Vec<Named>, exclude: Vec<Named>, shift: Option<Move>) -> Arc<DayRules> {
        let ids = |list: &[Named]| list.iter().map(|one| (Arc::clone(&one.name), one.id)).collect();
        let key = (ids(&only), ids(&exclude), shift);
        if let Some(known) = self.shared().rules.get(&key) {
            return Arc::clone(known);
        }
        // Nobody waits for the lock meanwhile.
        let made = Arc::new(DayRules::new(only, exclude, shift));
        let mut shared = self.shared();
        if shared.rules.len() >= 2 * shared.rules_in_use + UNUSED_RULES {
            shared.forget_rules();
        }
        Arc::clone(shared.rules.entry(key).or_insert(made))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Nothing is half done where a thread ended early.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn forget_rules(&mut self) {
        self.rules.retain(|_, rules| Arc::strong_count(rules) > 1);
        self.rules_in_use = self.rules.len();
    }
}

impl fmt::Debug for CalendarStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calendars", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Definition, Packed};

    fn definition(id: CalendarId) -> Definition {
        let text = format!(
            r#"{{"name":"a","event":"a.b.c","every":"1 day","exclude":["c"],"calendars":{{"c":"{id}"}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_no_schedule_refers_to_is_forgotten_and_what_one_does_is_not() {
        let store = CalendarStore::default();
        let [used, unused] = [3, 5].map(|n| store.insert(Days::matching(|day| day % n == 0)).0);
        let packed = Packed::build_with(&definition(used), &store).unwrap();
        drop(Packed::build_with(&definition(unused), &store).unwrap());
        store.forget_unused();
        assert!(store.days(used).is_some() && store.days(unused).is_none());
        assert_eq!(store.shared().rules.len(), 1);
        assert!(packed.timing().days().is_some());
        drop(packed);
        store.forget_unused();
        assert!(store.is_empty());
    }

    #[test]
    fn rules_that_were_only_tried_do_not_add_up() {
        let store = CalendarStore::default();
        let ids: Vec<_> = (2..8).map(|n| store.insert(Days::matching(|day| day % n == 0))).collect();
        let of = |number: usize| {
            let lists = ids.iter().enumerate().filter(|(bit, _)| number >> bit & 1 == 1);
            let named = |(bit, (id, days)): (usize, &(CalendarId, Arc<Days>))| Named {
                name: format!("c{bit}-{number}").into(),
                id: *id,
                days: Arc::clone(days),
            };
            store.rules(Vec::new(), lists.map(named).collect(), None)
        };
        let used: Vec<_> = (1..=10).map(of).collect();
        (11..2_000).map(of).for_each(drop);
        assert!(store.shared().rules.len() <= 2 * used.len() + UNUSED_RULES);
        assert!((1..=10).map(of).zip(&used).all(|(again, used)| Arc::ptr_eq(&again, used)));
    }

    #[test]
    fn schedules_that_name_the_same_calendars_share_their_days_and_their_rules() {
        let store = CalendarStore::default();
        let (id, _) = store.insert(Days::matching(|day| day % 3 == 0));
        let rules = || Packed::build_with(&definition(id), &store).unwrap().timing().days.unwrap();
        assert!(Arc::ptr_eq(&rules(), &rules()));
        // Another store shares nothing, and its schedules are equal all the same.
        let other = CalendarStore::default();
        other.insert(Days::matching(|day| day % 3 == 0));
        let [one, two] = [&store, &other].map(|store| Packed::build_with(&definition(id), store).unwrap());
        assert_eq!(one, two);
        assert!(!Arc::ptr_eq(&one.timing().days.unwrap(), &two.timing().days.unwrap()));
    }
}
