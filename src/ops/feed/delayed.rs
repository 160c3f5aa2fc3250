//! The record of delayed events, as a feed reads it: its rows keep what was published. Where it can't be read the rest of the feed goes
//! on, and it is tried again.

use super::{BYTES, Made, OVERHEAD, PAGE, PAUSE, Patterns, run_blocking};
use crate::{
    clock_loop::{DelayedId, delayed_event},
    delayed::DelayedHandle,
    engine::{
        Outcome,
        delayed::{DelayedContent, DelayedRow, NumberedRow},
    },
    ops::{OpsError, structured},
    position::{FeedPosition, Position},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::collections::VecDeque;
use tokio::{sync::watch, time::sleep};

#[derive(Debug)]
pub(super) struct DelayedRecord {
    store: DelayedHandle,
    record: u64,
    /// All rows up to this one are dealt with.
    pub(super) after: u64,
    recorded: watch::Receiver<u64>,
    /// What was read last, without what was dealt with.
    rows: VecDeque<NumberedRow>,
    is_failing: bool,
}

impl DelayedRecord {
    /// Begins after this position, or with what is recorded from now on; and whether the position is of another record, so that this one
    /// is read from its start. A position that says nothing of delayed events, which feeds gave that had none, is as none; but at
    /// the very beginning of the one record it is that of the other, too.
    ///
    /// # Errors
    /// [`OpsError::Unavailable`]: it can't be read, and the position does not say where it stands in it. A feed that began without it
    /// would miss, without a word, what is sent until it can be read.
    pub(super) async fn begin(
        store: DelayedHandle,
        after: Option<FeedPosition>,
    ) -> Result<(Self, bool), OpsError> {
        let recorded = store.recorded();
        let known = after.and_then(|position| position.delayed);
        let is_whole = after.is_some_and(|position| position.schedules.row() == 0);
        let (record, row, is_other) = match (store.read_by(|reader| reader.read(0, 0)).await, known) {
            (Ok(bounds), Some(position)) => {
                let row = position.row_in(bounds.record).filter(|row| *row <= bounds.last);
                (bounds.record, row.unwrap_or(bounds.first.saturating_sub(1)), row.is_none())
            }
            (Ok(bounds), None) if is_whole => (bounds.record, bounds.first.saturating_sub(1), false),
            (Ok(bounds), None) => (bounds.record, bounds.last, false),
            (Err(error), known) => match known.and_then(|position| position.row_in(store.id())) {
                Some(row) => (store.id(), row, false),
                None => {
                    let what = format!("delayed events can't be read at present: {error}");
                    return Err(OpsError::Unavailable(what));
                }
            },
        };
        let begun = Self { store, record, after: row, recorded, rows: VecDeque::new(), is_failing: false };
        Ok((begun, is_other))
    }

    pub(super) fn position(&self) -> Position {
        Position::new(self.record, self.after)
    }

    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Reads on; says so where rows are missing.
    pub(super) async fn read(&mut self) -> Option<String> {
        // Before it is read: what is recorded meanwhile wakes who waits.
        self.recorded.borrow_and_update();
        let after = self.after;
        let page = self.store.read_by(move |reader| reader.read(after, PAGE)).await;
        self.is_failing = page.is_err();
        match page {
            Ok(page) => {
                let first = page.rows.first().map_or(page.first, |row| row.number);
                self.rows = page.rows.into();
                (first > after + 1).then(|| {
                    self.after = first - 1;
                    let (from, to) = (after + 1, first - 1);
                    format!("the rows {from} to {to} of the record of delayed events are no longer kept")
                })
            }
            Err(error) => {
                tracing::debug!(%error, "a feed could not read the record of delayed events");
                None
            }
        }
    }

    /// Until there may be more of it.
    pub(super) async fn changed(&mut self) {
        if self.is_failing {
            return sleep(PAUSE).await;
        }
        // It has a sender as long as its store has a handle.
        if self.recorded.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Makes of the next rows what is given of them, each with its number: a few, on another thread.
    pub(super) async fn make(&mut self, clock: String, patterns: Patterns) -> Vec<(u64, Made)> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES
            && let Some(row) = self.rows.pop_front()
        {
            bytes += row.row.content_bytes() + OVERHEAD;
            rows.push(row);
        }
        let Some(last) = rows.last().map(|row| row.number) else { return Vec::new() };
        let make = move || rows.iter().map(|row| (row.number, made(&clock, &patterns, &row.row))).collect();
        let defect = "some delayed events could not be made, which is a defect";
        run_blocking(make).await.unwrap_or_else(|_| vec![(last, Made::Unknown(defect.into()))])
    }
}

/// A task is for its queue alone; it is none of the events.
fn made(clock: &str, patterns: &Patterns, row: &DelayedRow) -> Made {
    let Outcome::Confirmed { sent_at, lateness, .. } = row.outcome else { return Made::Nothing };
    if row.queue.is_some() || !patterns.want(&row.event) {
        return Made::Nothing;
    }
    let unknown = |why: &str| Made::Unknown(format!("the delayed event '{}': {why}", row.name));
    let Some(content) = &row.content else {
        return unknown("what it said is not kept, for it was sent to another broker");
    };
    let DelayedRow { name, creation, due, event, .. } = row;
    let of = DelayedId { name, creation: *creation, due: *due, event };
    match delayed_event(clock, of, content, sent_at) {
        Ok(event) => {
            let mut object = structured(&event);
            object.insert("khronoslatenessms".into(), lateness.into());
            match written(object, content) {
                Some(json) => Made::Event(row.event.to_string(), json),
                None => unknown("it could not be written, which is a defect"),
            }
        }
        Err(why) => unknown(&why),
    }
}

/// CloudEvents' JSON format: data that are JSON as they came, but on one line.
fn written(
    mut object: serde_json::Map<String, serde_json::Value>,
    content: &DelayedContent,
) -> Option<String> {
    let DelayedContent { data, content_type, .. } = content;
    if let Some(content_type) = content_type {
        object.insert("datacontenttype".into(), (**content_type).into());
        object.insert("data_base64".into(), BASE64_STANDARD.encode(data).into());
    }
    let mut json = serde_json::to_string(&object).ok()?;
    if content_type.is_none() && !data.is_empty() {
        // In JSON, ends of lines stand between values alone: what a line of a feed can't hold is as good as a space.
        let data = std::str::from_utf8(data).ok()?.replace(['\r', '\n'], " ");
        json.truncate(json.len().checked_sub(1)?);
        json.push_str(",\"data\":");
        json.push_str(&data);
        json.push('}');
    }
    Some(json)
}
