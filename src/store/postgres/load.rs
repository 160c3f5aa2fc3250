//! What lies in the tables, read page by page, so that each call comes within its time limit.

use super::tables;
use crate::{
    engine::{Row, Sent, Snapshot},
    postgres::{Calls, Door, Failed, Numbered, PAGE, Shard, column},
    schedule::{CalendarStore, Days, ZoneRules},
    store::{
        StoreError,
        copying::not_understood,
        encoding::{self, Entry},
        meta::{FORM, Meta, UNFINISHED},
    },
};
use ponos::event::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

/// What a store says of itself.
pub(super) enum Found {
    Nothing,
    Kept(Box<Meta>),
    /// A newer version wrote it, in this form.
    Newer(u32),
    /// A copy into it has not ended.
    Unfinished(Box<Meta>),
    /// The schema is that of another clock, of this name.
    OtherClock(String),
}

impl Found {
    /// What a clock goes on from.
    pub(super) fn understood(self, door: &Door) -> Result<Option<Meta>, StoreError> {
        let path = door.address().shown();
        match self {
            Self::Nothing => Ok(None),
            Self::Kept(meta) => Ok(Some(*meta)),
            Self::Newer(form) => Err(not_understood(path, form, FORM)),
            Self::Unfinished(_) => Err(not_understood(path, UNFINISHED, FORM)),
            Self::OtherClock(kept) => {
                let configured = door.shard().clock.to_string();
                Err(StoreError::OtherClock { path: path.to_owned(), kept, configured })
            }
        }
    }
}

/// Reads what the row of the shard says, and whether the schema is another clock's.
pub(super) async fn meta(calls: &mut Calls<'_>, shard: &Shard) -> Result<Found, Failed> {
    let all =
        calls.statement("select clock, shard, w, h, complete, state from {s}.shard where state is not null");
    let mut found = Found::Nothing;
    for row in calls.all(all).await? {
        let (clock, number): (String, i16) = (column(&row, 0)?, column(&row, 1)?);
        let state: Vec<u8> = column(&row, 5)?;
        let form = encoding::read_form(&state)?;
        let is_ours = *clock == *shard.clock;
        if form > FORM && form != UNFINISHED {
            return Ok(Found::Newer(form));
        }
        let instant =
            |place| Ok::<_, Failed>(column::<Option<i64>>(&row, place)?.map(Timestamp::from_millis));
        let (settled, handed, complete) = (instant(2)?, instant(3)?, instant(4)?);
        let meta = Meta { settled, handed, complete, ..encoding::read_meta(&state)? };
        if !is_ours && meta.generation > 0 {
            return Ok(Found::OtherClock(clock));
        }
        if form == UNFINISHED {
            return Ok(Found::Unfinished(Box::new(meta)));
        }
        if is_ours && number == shard.shard {
            found = Found::Kept(Box::new(meta));
        }
    }
    Ok(found)
}

/// All but what the row of the shard says.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) snapshot: Snapshot,
    /// The keys of calendars and zones that no revision refers to any more.
    pub(super) unused: BTreeSet<Vec<u8>>,
    /// Held until the definitions that name them are read.
    days: Vec<Arc<Days>>,
    rules: Vec<Arc<ZoneRules>>,
}

pub(super) async fn everything(
    calls: &mut Calls<'_>,
    shard: &Shard,
    calendars: &CalendarStore,
) -> Result<Loaded, Failed> {
    let mut loaded = Loaded::default();
    entries(calls, shard, |key, value| loaded.take(encoding::entry(key, value, calendars)?)).await?;
    let sent = &mut loaded.snapshot.sent;
    rows(calls, shard, (0, u64::MAX), |row| Sent::note_row(sent, row)).await?;
    Ok(loaded)
}

/// Gives `take` all entries, by key and value; a failure where a table has not as many as were written to it.
pub(super) async fn entries(
    calls: &mut Calls<'_>,
    shard: &Shard,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let counts = tables::counts(calls, shard).await?;
    for table in tables::ALL {
        let (expected, mut found) = (counts.get(table).copied().unwrap_or_default(), 0);
        let take = |row: &_| {
            found += 1;
            take(column(row, 0)?, column(row, 1)?)
        };
        tables::keyed(table).read_after(calls, shard, &[], usize::MAX, take).await?;
        if found != expected {
            return Err(Failed::Unreadable(format!(
                "{expected} rows were written to its table {table}, and {found} are there"
            )));
        }
    }
    Ok(())
}

/// Gives `take` the rows of the record behind one, through another; how many numbers there were.
pub(super) async fn rows(
    calls: &mut Calls<'_>,
    shard: &Shard,
    (mut after, last): (u64, u64),
    mut take: impl FnMut(&Row),
) -> Result<u64, Failed> {
    let mut read = 0;
    loop {
        let rows =
            Numbered::read("record", calls, shard, (after, last), (PAGE, usize::MAX), |number, value| {
                Ok(((number, encoding::read_rows(value)?), 0))
            });
        let rows = rows.await?;
        rows.iter().flat_map(|(_, rows)| rows).for_each(&mut take);
        read += rows.len() as u64;
        match rows.last() {
            Some((number, _)) if rows.len() == PAGE => after = *number,
            _ => return Ok(read),
        }
    }
}

impl Loaded {
    pub(super) fn take(&mut self, entry: Entry) -> Result<(), Failed> {
        let snapshot = &mut self.snapshot;
        match entry {
            Entry::Calendar(id, days) => {
                self.unused.insert(encoding::calendar_key(id).to_vec());
                self.days.push(days);
            }
            Entry::Zone(rules) => {
                self.unused.insert(encoding::zone_key(rules.id()).to_vec());
                self.rules.push(rules);
            }
            Entry::Revision(revision, references) => {
                references.keys(&revision).for_each(|key| {
                    self.unused.remove(&key[..]);
                });
                snapshot.revisions.push(revision);
            }
            Entry::CreatedCalendar(calendar) => snapshot.calendars.push(calendar),
            Entry::Span(schedule, span) => snapshot.spans.push((schedule, span)),
            Entry::OneShot(schedule, one_shot) => snapshot.one_shots.push((schedule, one_shot)),
            Entry::Parked(number, parked) => snapshot.parked.push((number, parked)),
            Entry::Operation(id, operation) => snapshot.operations.push((id, operation)),
            Entry::Trigger(key, due) => snapshot.triggers.push((key, due)),
            Entry::Pauses(None, pauses) => snapshot.pauses = pauses,
            Entry::Pauses(Some(name), pauses) => snapshot.named_pauses.push((name, pauses)),
            Entry::Message(key, answered) => snapshot.messages.push((key, answered)),
            Entry::Meta(_) | Entry::Change(_) | Entry::Rows(..) => {
                return Err(Failed::Unreadable("an entry lies in another table than its own".into()));
            }
        }
        Ok(())
    }
}
