//! Reading the schedules: at the start, which does not wait for ever, and whenever they change.

use crate::{
    broker, clock,
    clock_loop::{self, Loader, NamedCalendars, Remarks, Wanted},
    config::{CalendarSource, Config, LimitsConfig, ScheduleSource},
    diagnostic::{self, Diagnostic, Diagnostics, counted},
    engine::{Ceilings, CreatedCalendar, ReadCalendars, Snapshot, Warm},
    schedule::{CalendarEnd, CalendarForm, CalendarStore, Demand, Packed, ZoneData},
    sources::{self, FileLines, FileSet, Schedules, SetFile},
};
use ponos::{broker::Transport, topology::Topology};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch::{Receiver, Sender};
use tracing::{info, warn};

pub(crate) type Reading = tokio::task::JoinHandle<Result<Vec<Packed>, Diagnostics>>;

/// The schedules read at the start, or the reading that still goes on.
pub(crate) enum Start {
    Read(Result<Vec<Packed>, Diagnostics>),
    Late(Reading),
}

pub(crate) async fn read_at_start(read: Reader, patience: Option<Duration>) -> Start {
    let mut reading = tokio::task::spawn_blocking(move || read());
    let Some(patience) = patience else { return Start::Read(finished(reading.await)) };
    match tokio::time::timeout(patience, &mut reading).await {
        Ok(read) => Start::Read(finished(read)),
        Err(_) => Start::Late(reading),
    }
}

fn finished(
    read: Result<Result<Vec<Packed>, Diagnostics>, tokio::task::JoinError>,
) -> Result<Vec<Packed>, Diagnostics> {
    read.unwrap_or_else(|error| {
        Err(Diagnostic::error(format!("reading the schedules ended early: {error}")).into())
    })
}

/// Schedules that are read after the start; they are taken in like a reload.
pub(crate) fn late(
    reading: Reading,
    config: &Config,
    transport: &Transport,
    topology: Sender<Topology>,
) -> clock_loop::Late {
    let declare = declare(config, transport, topology);
    Box::pin(async move {
        let read = finished(reading.await).map_err(|wrong| wrong.to_string())?;
        declared(declare, read).await.map(Wanted::Files)
    })
}

/// These, once the exchanges of their events are there.
pub(crate) async fn declared(declare: Declare, read: Vec<Packed>) -> Result<Vec<Packed>, String> {
    let declaring = tokio::task::spawn_blocking(move || declare(&read).map(|()| read));
    declaring.await.unwrap_or_else(|error| Err(format!("declaring the exchanges ended early: {error}")))
}

/// Declares what is needed for the events of these schedules.
pub(crate) type Declare = Box<dyn Fn(&[Packed]) -> Result<(), String> + Send + Sync>;

/// Reads the schedules that the files want now.
pub(crate) type Reader = Arc<dyn Fn() -> Result<Vec<Packed>, Diagnostics> + Send + Sync>;

/// The ends of calendars, as the schedules last read name them, and how many of these.
pub(crate) type Ends = Arc<Mutex<BTreeMap<CalendarEnd, usize>>>;

/// How many calendars that have run out are named one by one.
const REMARKS: usize = 10;

/// Warns of calendars that have run out.
pub(crate) fn remarks(ends: Ends) -> Remarks {
    Arc::new(move |now| {
        let ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut past = ends.iter().take_while(|(end, _)| end.end <= now);
        let said = |(end, count): (&CalendarEnd, &usize)| {
            format!("calendars: {end} (named by {})", counted(*count, "schedule"))
        };
        let mut all: Vec<String> = past.by_ref().take(REMARKS).map(said).collect();
        let more = past.count();
        if more > 0 {
            all.push(format!("calendars: {more} more have run out; khronos check shows them"));
        }
        all
    })
}

/// The last accepted definitions: where something of an engine was made ahead, they are in that.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) warm: Option<&'a Warm>,
}

impl<'a> Stored<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a Packed> {
        let revisions = self.snapshot.revisions.iter().filter(|revision| revision.ended.is_none());
        let ahead = self.warm.into_iter().flat_map(Warm::accepted);
        revisions.map(|revision| &revision.definition).chain(ahead)
    }

    /// How many; of those made ahead, those that run.
    pub(crate) fn count(self) -> usize {
        self.warm.map_or_else(|| self.iter().count(), Warm::len)
    }

    /// Whether the store knows schedules of the usual folder.
    pub(crate) fn had_folder(self, config: &Config) -> bool {
        matches!(config.schedules, ScheduleSource::Unset(_)) && sources::are_of_a_folder(self.iter())
    }

    /// What those schedules demand that were created at run time.
    pub(crate) fn created_demand(self) -> Demand {
        let all = || self.iter().filter(|definition| definition.is_created()).map(Demand::of_packed);
        self.warm.map_or_else(|| all().fold(Demand::default(), Demand::and), Warm::created_demand)
    }
}

/// What there is beside the files.
pub(crate) struct Beside {
    /// The store knows schedules of a folder.
    pub(crate) had_folder: bool,
    /// What those schedules demand that were created at run time.
    pub(crate) demand: Receiver<Demand>,
    /// Those calendars.
    pub(crate) calendars: Receiver<NamedCalendars>,
}

/// Reads schedules, each warning into the log: those of this machine's files, or of the files of another clock. Where their calendars
/// end is left in `ends`, the calendars in `named` (those that were created read anew), and where they are written in `lines`. Clones
/// share it.
#[derive(Clone)]
pub(crate) struct FilesReader(Arc<Inner>);

struct Inner {
    source: ScheduleSource,
    calendars: CalendarSource,
    limits: LimitsConfig,
    time_zones: Option<PathBuf>,
    ceilings: Ceilings,
    had_folder: AtomicBool,
    demand: Receiver<Demand>,
    created: Receiver<NamedCalendars>,
    store: CalendarStore,
    ends: Ends,
    named: Sender<Option<ReadCalendars>>,
    lines: Sender<FileLines>,
    /// What was warned of before is not said again.
    warned: Mutex<Warned>,
}

impl FilesReader {
    pub(crate) fn new(
        config: &Config,
        Beside { had_folder, demand, calendars: created }: Beside,
        store: &CalendarStore,
        ends: &Ends,
        named: Sender<Option<ReadCalendars>>,
        lines: Sender<FileLines>,
    ) -> Self {
        Self(Arc::new(Inner {
            source: config.schedules.clone(),
            calendars: config.calendars.clone(),
            limits: config.limits.clone(),
            time_zones: config.clock.time_zones.clone(),
            ceilings: config.ceilings(),
            had_folder: AtomicBool::new(had_folder),
            demand,
            created,
            store: store.clone(),
            ends: Arc::clone(ends),
            named,
            lines,
            warned: Mutex::default(),
        }))
    }

    /// Reads those of this machine.
    pub(crate) fn own(self) -> Reader {
        Arc::new(move || self.0.read_own(sources::packed))
    }

    /// The same, with what their files say.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn own_set(&self) -> Result<(Vec<Packed>, FileSet), Diagnostics> {
        let mut set = FileSet::default();
        let list = self.0.read_own(|source, calendars, store, names| {
            let (read, found) = sources::packed_with_set(source, calendars, store, names);
            set = found;
            read
        });
        list.map(|list| (list, set))
    }

    /// Reads what the files of another clock say.
    ///
    /// # Errors
    /// All that is wrong with them here.
    pub(crate) fn of_another(&self, files: &[SetFile]) -> Result<Vec<Packed>, Diagnostics> {
        self.0.read(|store, names| sources::packed_of_set(files, store, names))
    }
}

impl Inner {
    fn read_own(
        &self,
        read: impl FnOnce(
            &ScheduleSource,
            &CalendarSource,
            &CalendarStore,
            BTreeSet<Arc<str>>,
        ) -> Schedules<Packed>,
    ) -> Result<Vec<Packed>, Diagnostics> {
        let source = self.source.now(self.had_folder.load(Ordering::Relaxed))?;
        let list = self.read(|store, names| read(&source, &self.calendars, store, names))?;
        self.had_folder.fetch_or(matches!(source, ScheduleSource::Folder(_)), Ordering::Relaxed);
        Ok(list)
    }

    fn read(
        &self,
        read: impl FnOnce(&CalendarStore, BTreeSet<Arc<str>>) -> Schedules<Packed>,
    ) -> Result<Vec<Packed>, Diagnostics> {
        let store = &self.store;
        // Of what was read before, only what is still in use.
        store.forget_unused();
        let (zones, warnings) = sources::zones::read(self.time_zones.as_deref())?;
        store.zones().use_data(zones);
        let created = self.created.borrow().created.clone();
        let names = created.iter().map(|one| one.name.clone()).collect();
        let mut read = read(store, names);
        read.diagnostics.append(warnings);
        read.hold_to(&self.limits, *self.demand.borrow());
        read.hold_below(&self.ceilings);
        let is_warning = |found: &&Diagnostic| found.severity == diagnostic::Severity::Warning;
        let found = read.diagnostics.list().iter().filter(is_warning).map(ToString::to_string);
        let now = clock::now();
        let ended = read.ends.keys().take_while(|end| end.end <= now).map(ToString::to_string);
        let (warnings, accepted) = (found.chain(ended).collect(), read.diagnostics.errors() == 0);
        let (anew, stand) =
            self.warned.lock().unwrap_or_else(PoisonError::into_inner).anew(warnings, accepted);
        anew.iter().for_each(|warning| warn!("{warning}"));
        if stand > 0 {
            info!("{} as before; khronos check shows them", counted(stand, "warning"));
        }
        if !accepted {
            return Err(read.diagnostics);
        }
        self.lines.send_replace(read.file_lines());
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = read.ends;
        let anew = created.iter().filter_map(|one| read_anew(one, &store.zones().data())).collect();
        self.named.send_replace(Some(ReadCalendars { files: read.calendars, anew }));
        Ok(read.list)
    }
}

/// A calendar that was created at run time, by this zone data: in iCalendar the time of a zone may lie on another day.
fn read_anew(calendar: &CreatedCalendar, zones: &ZoneData) -> Option<Arc<CreatedCalendar>> {
    if calendar.text.form == CalendarForm::Toml {
        return None;
    }
    let read = calendar.text.read(&calendar.name, zones).ok().map(|(read, _)| read);
    (read != calendar.calendar).then(|| Arc::new(CreatedCalendar { calendar: read, ..calendar.clone() }))
}

/// What the last reading that was accepted warned of.
#[derive(Debug, Default)]
struct Warned(BTreeSet<String>);

impl Warned {
    /// Of these, those that were not there before, and how many were. A reading that is refused may not have seen all: it
    /// makes nothing forgotten.
    fn anew(&mut self, warnings: BTreeSet<String>, accepted: bool) -> (Vec<String>, usize) {
        let anew: Vec<String> = warnings.difference(&self.0).cloned().collect();
        let stand = warnings.len() - anew.len();
        if accepted {
            self.0 = warnings;
        }
        (anew, stand)
    }
}

/// Reads the schedules again; with `fanout`, new events need their exchanges first.
pub(crate) fn loader(
    read: Reader,
    config: &Config,
    transport: &Transport,
    topology: Sender<Topology>,
) -> Loader {
    let declare = declare(config, transport, topology);
    Arc::new(move || {
        let schedules = read().map_err(|wrong| wrong.to_string())?;
        declare(&schedules)?;
        info!(schedules = schedules.len(), "read");
        Ok(schedules)
    })
}

/// With `fanout`, declares the exchanges of the schedules' events, and has the publisher keep them from then on.
pub(crate) fn declare(config: &Config, transport: &Transport, kept: Sender<Topology>) -> Declare {
    let (settings, transport) = (config.broker.clone(), transport.clone());
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |schedules| {
        if !settings.fanout || settings.url.is_embedded() {
            return Ok(());
        }
        let topology = broker::topology(&settings, schedules);
        runtime
            .block_on(transport.check(&topology))
            .map_err(|error| format!("the exchanges of its events could not be declared: {error}"))?;
        kept.send_replace(topology);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_is_refused_makes_no_warning_said_again() {
        let mut warned = Warned::default();
        let mut read = |warnings: &[&str], accepted| {
            warned.anew(warnings.iter().map(|&warning| warning.to_owned()).collect(), accepted)
        };
        assert_eq!(read(&["a", "b"], true), (vec!["a".into(), "b".into()], 0));
        // The file that "a" is about can't be read.
        assert_eq!(read(&["b", "c"], false), (vec!["c".into()], 1));
        assert_eq!(read(&["a", "b"], true), (vec![], 2));
        assert_eq!(read(&["b"], true), (vec![], 1));
        assert_eq!(read(&["a", "b"], true), (vec!["a".into()], 1), "it was gone, and is back");
    }
}
