//! The feed: events as they are confirmed.
//!
//! It reads the record by pages and waits for more, so a slow reader lags and nothing piles up. Where the record of delayed
//! events keeps what was published (on the embedded broker), it reads that beside it: what comes between is as it comes, and each
//! record in its order. Each item has the [`FeedPosition`] by which a reader resumes; rows trimmed in between are reported as a gap.

mod delayed;

use super::{GapView, OpsError, RunningClock, events::event, run_blocking};
use crate::{
    engine::{Outcome, RecordRow, Revision},
    position::{FeedPosition, Position},
    schedule::{FaultCode, Schedule},
    store::Page,
};
use delayed::DelayedRecord;
use ponos::{
    event::EventKind,
    topology::{InvalidPattern, check_event_pattern, topic_matches},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Patterns of one feed.
const PATTERNS: usize = 32;
/// Rows read at once.
const PAGE: usize = 256;
/// About how many bytes of events are rendered at once, …
const BYTES: usize = 32 << 10;
/// … counting this much for each beside its data.
const OVERHEAD: usize = 512;
/// After this many rows without an event, a feed gives its position, so that resuming need not read them again.
const UNSENT: u64 = 1000;
/// The pause before the record is read, or the loop asked, again after it could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// How a row is to be rendered.
enum Part {
    Passed,
    Unknown(&'static str),
    Wanted(Arc<(Revision, Schedule)>),
}

/// A rendered row.
enum Made {
    Nothing,
    /// And why.
    Unknown(String),
    /// Its name and what it says.
    Event(String, String),
}

impl Part {
    fn make(self, clock: &str, row: &RecordRow) -> (u64, Made) {
        let made = match self {
            Self::Passed => Made::Nothing,
            Self::Unknown(reason) => Made::Unknown(reason.into()),
            Self::Wanted(definition) => event(clock, row, &definition).map_or(Made::Nothing, |event| {
                Made::Event(definition.1.event.to_string(), event.to_string())
            }),
        };
        (row.sequence, made)
    }
}

/// What a feed gives, and the position from which a reader resumes behind it.
#[derive(Debug)]
pub struct FeedItem {
    /// After this one all else follows.
    pub position: FeedPosition,
    /// What it is.
    pub what: FeedContent,
}

/// What a feed gives.
#[derive(Debug)]
pub enum FeedContent {
    /// Where the feed begins.
    Start,
    /// Rows without an event that is wanted were passed.
    Passed,
    /// An event.
    Event {
        /// Its name.
        name: String,
        /// The event, in CloudEvents' JSON format.
        json: String,
    },
    /// Rows are missing.
    Gap(GapView),
}

/// Names of events, some of their words left open: all events where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// # Errors
    /// [`OpsError::Parameter`]: there are too many, or one can match nothing.
    pub fn new(patterns: Vec<String>) -> Result<Self, OpsError> {
        if patterns.len() > PATTERNS {
            let what = format!("a feed has at most {PATTERNS} patterns");
            return Err(OpsError::parameter("match", FaultCode::OutOfRange, what));
        }
        for pattern in &patterns {
            let invalid = |wrong: InvalidPattern| {
                OpsError::parameter("match", FaultCode::InvalidValue, wrong.to_string())
            };
            check_event_pattern(pattern).map_err(invalid)?;
        }
        Ok(Self(patterns))
    }

    fn want(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| topic_matches(pattern, name))
    }
}

/// A feed being read.
#[derive(Debug)]
pub struct Feed {
    clock: RunningClock,
    /// Which record is read.
    record: u64,
    patterns: Patterns,
    /// All rows up to this one are dealt with.
    after: u64,
    /// Rows that were dealt with since something was given.
    untold: u64,
    delayed: Option<DelayedRecord>,
    /// The page that was read last, without what was dealt with: events are made of a few at a time.
    rows: VecDeque<RecordRow>,
    /// Not given yet: a few.
    ready: VecDeque<FeedItem>,
}

/// Begins a feed of the events whose names match one of the patterns, or of all where there is none: after this position,
/// or with what is recorded from now on.
///
/// # Errors
/// [`OpsError::Record`]; [`OpsError::Unavailable`]: delayed events are in the feed, and can't be read at present.
pub async fn follow(
    clock: RunningClock,
    patterns: Patterns,
    after: Option<FeedPosition>,
) -> Result<Feed, OpsError> {
    let bounds = clock.record.read(0, 1).await?;
    // The row after which the feed begins; none where the record does not have this position.
    let row = after.map_or(Some(bounds.last), |position| position.schedules.row_in(bounds.record));
    let row = row.filter(|row| *row <= bounds.last);
    let begin = row.unwrap_or(bounds.first.saturating_sub(1));
    let (delayed, is_other) = match clock.fed_delayed() {
        Some(part) => {
            let (delayed, is_other) = DelayedRecord::begin(part.store.clone(), after).await?;
            (Some(delayed), is_other)
        }
        None => (None, false),
    };
    let (rows, ready) = (VecDeque::new(), VecDeque::new());
    let record = bounds.record;
    let mut feed = Feed { clock, record, patterns, after: begin, untold: 0, delayed, rows, ready };
    // Says where the feed begins, so that a reader that sees nothing can still resume from there.
    let what = match after.filter(|_| row.is_none()) {
        Some(_) => new_record("the record"),
        None => FeedContent::Start,
    };
    feed.give(what);
    if is_other {
        feed.give(new_record("the record of delayed events"));
    }
    Ok(feed)
}

fn new_record(which: &str) -> FeedContent {
    let reason = format!("{which} does not have this position: it is a new one, read from its start");
    FeedContent::Gap(GapView { from: None, to: None, reason })
}

impl Feed {
    /// The next of it; `None` when the clock's loop has ended.
    pub async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if !self.rows.is_empty() {
                self.enter().await;
                continue;
            }
            if self.delayed.as_ref().is_some_and(DelayedRecord::has_rows) {
                self.enter_delayed().await;
                continue;
            }
            // Seen before reading: what is recorded meanwhile wakes the wait below.
            self.clock.handle.recorded.borrow_and_update();
            let is_new = self.read_delayed().await;
            match self.clock.record.read(self.after, PAGE).await {
                Ok(page) if page.rows.is_empty() && page.first <= self.after + 1 => {
                    if !is_new {
                        self.changed().await?;
                    }
                }
                Ok(page) => self.take(page),
                Err(error) => {
                    tracing::debug!(%error, "a feed could not read the record");
                    if !is_new {
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// Until there may be more; `None` when the clock's loop has ended.
    async fn changed(&mut self) -> Option<()> {
        let delayed = async {
            match &mut self.delayed {
                Some(delayed) => delayed.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.clock.handle.recorded.changed() => changed.ok(),
            () = delayed => Some(()),
        }
    }

    fn take(&mut self, page: Page) {
        let first = page.rows.first().map_or(page.first, |row| row.sequence);
        if first > self.after + 1 {
            self.gap(self.after + 1, first - 1, "these rows are no longer kept");
        }
        self.rows = page.rows.into();
    }

    /// Reads on in the record of delayed events. Whether there was anything.
    async fn read_delayed(&mut self) -> bool {
        let Some(delayed) = &mut self.delayed else { return false };
        let gap = delayed.read().await;
        let is_new = gap.is_some() || delayed.has_rows();
        if let Some(reason) = gap {
            self.give(FeedContent::Gap(GapView { from: None, to: None, reason }));
        }
        is_new
    }

    /// Makes of the next rows of delayed events what is to be given of them.
    async fn enter_delayed(&mut self) {
        let Some(delayed) = &mut self.delayed else { return };
        let (clock, patterns) = (self.clock.name(), self.patterns.clone());
        for (number, made) in delayed.make(clock, patterns).await {
            if let Some(delayed) = &mut self.delayed {
                delayed.after = number;
            }
            self.enter_made(made);
        }
    }

    /// Makes of the next rows what is to be given of them: on another thread, for events may be large.
    async fn enter(&mut self) {
        let clock = self.clock.name();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES
            && let Some(row) = self.rows.pop_front()
        {
            let definition = match row.row.outcome {
                // It had no definition, and its content went with it when it was settled.
                Outcome::Confirmed { .. } if row.row.kind == EventKind::Delayed => {
                    let what = "the content of a delayed event is not kept once it is sent";
                    rows.push((row, Part::Unknown(what)));
                    continue;
                }
                Outcome::Confirmed { .. } => {
                    match self.clock.definition(row.row.schedule.clone(), row.row.revision).await {
                        // One of that number may belong to what has the name since.
                        Ok(definition) => Some(
                            definition
                                .filter(|definition| definition.0.definition.creation() == row.row.creation),
                        ),
                        // Not gone: the loop has no time for us. It is asked again.
                        Err(_) => {
                            self.rows.push_front(row);
                            break;
                        }
                    }
                }
                _ => None,
            };
            let part = match definition {
                Some(None) => Part::Unknown("the definition of its schedule is no longer kept"),
                Some(Some(definition)) if self.patterns.want(definition.1.event.as_str()) => {
                    bytes += definition.0.definition.bytes() + OVERHEAD;
                    Part::Wanted(definition)
                }
                _ => Part::Passed,
            };
            rows.push((row, part));
        }
        let Some(last) = rows.last().map(|(row, _)| row.sequence) else { return sleep(PAUSE).await };
        let make = move || rows.into_iter().map(|(row, part)| part.make(&clock, &row)).collect::<Vec<_>>();
        let Ok(made) = run_blocking(make).await else {
            return self.gap(self.after + 1, last, "these events could not be made, which is a defect");
        };
        for (sequence, made) in made {
            self.after = sequence;
            match made {
                Made::Unknown(reason) => self.gap(sequence, sequence, &reason),
                made => self.enter_made(made),
            }
        }
    }

    /// What was made of the row that is dealt with now.
    fn enter_made(&mut self, made: Made) {
        self.untold += 1;
        match made {
            Made::Nothing if self.untold >= UNSENT => self.give(FeedContent::Passed),
            Made::Nothing => {}
            Made::Unknown(reason) => self.give(FeedContent::Gap(GapView { from: None, to: None, reason })),
            Made::Event(name, json) => self.give(FeedContent::Event { name, json }),
        }
    }

    fn gap(&mut self, from: u64, to: u64, reason: &str) {
        self.after = self.after.max(to);
        let reason = reason.to_owned();
        self.give(FeedContent::Gap(GapView { from: Some(from), to: Some(to), reason }));
    }

    fn give(&mut self, what: FeedContent) {
        self.untold = 0;
        let schedules = Position::new(self.record, self.after);
        let delayed = self.delayed.as_ref().map(DelayedRecord::position);
        self.ready.push_back(FeedItem { position: FeedPosition { schedules, delayed }, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_can_match_nothing_or_are_too_many_are_refused_with_the_reason() {
        let refused = |patterns: &[&str]| {
            Patterns::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
                .unwrap_err()
                .to_string()
        };
        for (patterns, reason) in [
            (&[""][..], "match: '' is not a name or pattern"),
            (&["time.#", "time..passed"], "'time..passed' is not"),
            (&["time.*"], "three or more words"),
            (&["#"; PATTERNS + 1], "at most 32 patterns"),
        ] {
            let said = refused(patterns);
            assert!(said.contains(reason), "{said}");
        }
        assert!(Patterns::new(vec!["#".to_owned(); PATTERNS]).is_ok());
    }
}
