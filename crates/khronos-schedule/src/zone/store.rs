//! The rules of zones under their ids: a definition holds the name of a zone and an id, and code that builds a schedule
//! from it passes the store that knows the rules. What names no id yet gets the rules of the data as it is now.
//!
//! Clones share what they hold. It grows by some 6 KB for each zone, until [`ZoneStore::forget_unused`] drops what no
//! schedule refers to.

use super::{
    Zone,
    data::ZoneData,
    rules::{ZoneId, ZoneRules},
};
use crate::fault::Flaw;
use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Rules of zones by id; see the module.
#[derive(Clone, Default)]
pub struct ZoneStore(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    data: ZoneData,
    kept: HashMap<ZoneId, Kept>,
}

/// Rules, and the zones that have them: by their names.
struct Kept {
    rules: Arc<ZoneRules>,
    zones: Vec<Zone>,
}

impl ZoneStore {
    /// From now on, this data says what the rules of a name are that comes without an id.
    pub fn use_data(&self, data: ZoneData) {
        self.shared().data = data;
    }

    /// The data that is in use.
    pub fn data(&self) -> ZoneData {
        self.shared().data.clone()
    }

    /// Keeps these TZif bytes under their id, for as long as somebody else holds them too.
    ///
    /// # Errors
    /// Why they are the rules of no zone.
    pub fn insert(&self, tzif: Vec<u8>) -> Result<Arc<ZoneRules>, String> {
        let rules = ZoneRules::read(Cow::Owned(tzif))?;
        let mut shared = self.shared();
        let kept = shared.kept.entry(rules.id());
        Ok(Arc::clone(&kept.or_insert_with(|| Kept { rules: Arc::new(rules), zones: Vec::new() }).rules))
    }

    /// The rules that are kept under this id.
    pub fn rules(&self, id: ZoneId) -> Option<Arc<ZoneRules>> {
        self.shared().kept.get(&id).map(|kept| Arc::clone(&kept.rules))
    }

    /// The zone of this name, with the rules of the data that is in use.
    pub(crate) fn current(&self, name: &str) -> Result<Zone, Flaw> {
        let data = self.data();
        let zone = data.zone(name)?;
        Ok(match zone.rules() {
            Some(rules) => self.shared().named(name, rules),
            None => zone,
        })
    }

    /// The zone of this name with the rules of this id, if they are known here.
    pub(crate) fn kept(&self, name: &str, id: ZoneId) -> Option<Zone> {
        let mut shared = self.shared();
        if let Some(rules) = shared.kept.get(&id).map(|kept| Arc::clone(&kept.rules)) {
            return Some(shared.named(name, &rules));
        }
        let same = |data: &ZoneData| data.zone(name).ok().filter(|zone| zone.id() == Some(id));
        let zone = same(&shared.data).or_else(|| same(&ZoneData::bundled()))?;
        zone.rules().map(|rules| shared.named(name, rules))
    }

    /// Whether the zone of this name has rules of this id here.
    pub fn knows(&self, name: &str, id: ZoneId) -> bool {
        self.kept(name, id).is_some()
    }

    /// Drops the rules that nobody else holds.
    pub fn forget_unused(&self) {
        let mut shared = self.shared();
        shared.kept.retain(|_, kept| {
            kept.zones.retain(Zone::is_shared);
            !kept.zones.is_empty() || Arc::strong_count(&kept.rules) > 1
        });
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Nothing is half done where a thread ended early.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// One zone for all that mean the same.
    fn named(&mut self, name: &str, rules: &Arc<ZoneRules>) -> Zone {
        let kept = self.kept.entry(rules.id());
        let kept = kept.or_insert_with(|| Kept { rules: Arc::clone(rules), zones: Vec::new() });
        if let Some(zone) = kept.zones.iter().find(|zone| zone.name() == name) {
            return zone.clone();
        }
        let zone = Zone::new(name, Arc::clone(&kept.rules));
        kept.zones.push(zone.clone());
        zone
    }
}

impl fmt::Debug for ZoneStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        write!(f, "{} zones, data {}", shared.kept.len(), shared.data)
    }
}
