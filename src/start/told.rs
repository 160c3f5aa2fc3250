//! What a clock tells that follows: a clock whose questions are answered by what is held of the leader's store, and whose record and
//! delayed events are read of the tables. It changes nothing.

use crate::{
    clock_loop::{Command, Handle, NEIGHBOURS, PAGE},
    config::Config,
    delayed::{DelayedTuning, delayed_reader, read_only},
    engine::{KeptPage, Parked},
    http::{Limits, Telling},
    ops::{RecordReader, RunningClock},
    postgres::{Door, Reads},
    schedule::CalendarStore,
    sources::FileLines,
    store::{PageReader, READERS, StoreError, WarmStore, page_reader, read_beside},
    telemetry::Counts,
};
use std::{sync::Arc, thread, time::Duration};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// What is told, and of what.
pub(super) struct Told {
    pub(super) clock: RunningClock,
    pub(super) telling: Telling,
}

impl Told {
    /// Of what is held there; where schedules are written, this clock's own files say, and what zones mean, the store that these are
    /// read into.
    ///
    /// # Errors
    /// [`StoreError::Io`] where a thread can't be started.
    pub(super) fn new(
        config: &Config,
        door: &Door,
        warm: &WarmStore,
        (calendars, lines): (CalendarStore, watch::Receiver<FileLines>),
        (counts, limits): (&Counts, Limits),
    ) -> Result<Self, StoreError> {
        let (handle, asked, status) = Handle::played(config.clock.name.clone());
        answering(warm.clone(), asked, door)?;
        let reads = Arc::new(Reads::of_primary(door));
        let record = record(page_reader(door, reads.clone()), limits.answer);
        let clock = RunningClock::new(handle, record, calendars, counts.clone(), limits.answer);
        let tuning = DelayedTuning { patience: limits.answer, ..DelayedTuning::default() };
        let clock = clock.written(lines).with_delayed(read_only(delayed_reader(door, reads), tuning));
        let look = warm.clone();
        let telling = Telling::new(warm.looks(), move || look.look(), status);
        Ok(Self { clock, telling })
    }
}

/// Answers one question after the other on a thread of its own, as a loop does, as long as somebody can ask.
fn answering(warm: WarmStore, mut asked: mpsc::Receiver<Command>, door: &Door) -> Result<(), StoreError> {
    let work = move || {
        while let Some(command) = asked.blocking_recv() {
            answer(&warm, command);
        }
    };
    let failed = |error| door.address().io(format!("the thread that answers could not be started: {error}"));
    thread::Builder::new().name("told".into()).spawn(work).map(drop).map_err(failed)
}

fn answer(warm: &WarmStore, command: Command) {
    match command {
        Command::Schedules(after, reply) => tell(reply, || warm.schedules(after.as_deref(), PAGE)),
        Command::Soonest(most, reply) => tell(reply, || warm.soonest(most.min(PAGE))),
        Command::Schedule(name, reply) => tell(reply, || warm.schedule(&name)),
        Command::Neighbours(name, reply) => tell(reply, || warm.neighbours(&name, NEIGHBOURS)),
        Command::Revision(name, number, reply) => tell(reply, || warm.revision(&name, number)),
        // Of one name alone: all of them are for an audit, which the leader makes.
        Command::Kept(Some((name, _)), reply) => {
            let page = |revisions| KeptPage { revisions, ..KeptPage::default() };
            tell(reply, || warm.revisions_of(&name).map(page));
        }
        Command::Parked(after, reply) => {
            let entry = |(number, parked): (u64, Parked)| {
                let is_released = parked.released;
                (number, parked, is_released)
            };
            let page = |all: Vec<_>| all.into_iter().map(entry).collect();
            tell(reply, || warm.parked(after, PAGE).map(page));
        }
        // Nobody is led here to ask for anything else.
        _ => {}
    }
}

/// Nothing, where nothing is held: whoever asks hears of that. For whoever waits no more nothing is looked up.
fn tell<T>(reply: oneshot::Sender<T>, answer: impl FnOnce() -> Option<T>) {
    if let Some(told) = (!reply.is_closed()).then(answer).flatten() {
        drop(reply.send(told));
    }
}

/// Reads the tables beside the loop, a few at a time.
#[derive(Clone)]
struct Beside {
    reader: Arc<dyn PageReader>,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Beside {
    async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&dyn PageReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let read = move |reader: Arc<dyn PageReader>| read(&*reader);
        read_beside(|| Ok(self.reader.clone()), &self.places, self.patience, read).await
    }
}

fn record(reader: Arc<dyn PageReader>, patience: Duration) -> RecordReader {
    let rows = Beside { reader, places: Arc::new(Semaphore::new(READERS)), patience };
    let (log, leaders) = (rows.clone(), rows.clone());
    RecordReader::new(move |after, most| rows.clone().read(move |reader| reader.read(after, most)))
        .with_changes(move |after, most| log.clone().read(move |reader| reader.changes(after, most)))
        .with_leaders(move |number| leaders.clone().read(move |reader| reader.leader(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_waits_for_any_more_is_not_looked_up() {
        let (reply, waits) = oneshot::channel();
        tell(reply, || Some(1));
        assert_eq!(waits.blocking_recv(), Ok(1));
        let (reply, waits) = oneshot::channel::<u8>();
        drop(waits);
        tell(reply, || panic!("nobody waits"));
    }
}
