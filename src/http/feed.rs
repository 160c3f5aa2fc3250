//! `GET /feed`: events as they are confirmed, as server-sent events (WHATWG HTML, §9.2).
//!
//! The feed reads the record by pages and waits for more, so a slow reader lags and nothing piles up. The id of each
//! event is the [`Position`] of its row, by which a reader resumes; rows trimmed in between are reported as `event: gap`.

use super::{apart::apart, events, problem::Problem, site::Site};
use crate::{
    engine::{Outcome, RecordRow, Revision},
    position::Position,
    schedule::Schedule,
    store::Page,
};
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use ponos::{
    event::EventKind,
    shutdown::{Shutdown, Stage},
    topology::{check_event_pattern, topic_matches},
};
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

/// Rows read at once.
const PAGE: usize = 256;
/// About how many bytes of events are rendered at once, …
const BYTES: usize = 32 << 10;
/// … counting this much for each beside its data.
const OVERHEAD: usize = 512;
/// Patterns of one feed.
const PATTERNS: usize = 32;
/// After this many rows without an event, a feed sends its position, so that resuming need not read them again.
const UNSENT: u64 = 1000;
/// The pause before the record is read, or the loop asked, again after it could not be.
const BREATH: Duration = Duration::from_secs(1);

/// What the request asks of a feed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    patterns: Vec<String>,
    after: Option<Position>,
}

pub(super) async fn feed(
    State((site, shutdown)): State<(Site, Shutdown)>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wish = wish(query?.0, headers.get("last-event-id").map(|id| id.as_bytes()))?;
    let Ok(place) = site.feeds.clone().try_acquire_owned() else {
        let most = site.limits.feeds;
        return Err(Problem::unavailable(format!(
            "{most} feeds are being read, which is the limit; try again later"
        )));
    };
    let bounds = site.record.read(0, 1).await?;
    // The row after which the feed begins; none where the record does not have this position.
    let after = wish.after.map_or(Some(bounds.last), |position| position.row_in(bounds.record));
    let after = after.filter(|after| *after <= bounds.last);
    let begin = after.unwrap_or(bounds.first.saturating_sub(1));
    let mut feed = Feed {
        record: bounds.record,
        after: begin,
        told: begin,
        patterns: wish.patterns,
        rows: VecDeque::new(),
        ready: VecDeque::new(),
        site,
        shutdown,
        _place: place,
    };
    // Says where the feed begins, so that a reader that sees nothing can still resume from there.
    feed.ready.push_back(match wish.after.filter(|_| after.is_none()) {
        Some(unknown) => {
            let (from, to) = (unknown.row().saturating_add(1), bounds.last);
            let reason = "the record does not have this position: it is a new one, read from its start";
            feed.gap_event(begin, from, to, reason)
        }
        None => feed.event(begin).comment("khronos").retry(Duration::from_secs(2)),
    });
    let keep_alive = KeepAlive::new().interval(feed.site.limits.keep_alive);
    let stream = futures_util::stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    // Buffering proxies would hold events back.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

fn wish(query: Vec<(String, String)>, last_event_id: Option<&[u8]>) -> Result<Wish, Problem> {
    let mut wish = Wish::default();
    let position = |name: &str, text: &str| {
        text.parse::<Position>().map_err(|wrong| Problem::bad(format!("{name}: {wrong}")))
    };
    for (key, value) in query {
        match key.as_str() {
            "match" if wish.patterns.len() == PATTERNS => {
                return Err(Problem::bad(format!("a feed has at most {PATTERNS} patterns")));
            }
            "match" => {
                check_event_pattern(&value).map_err(|wrong| Problem::bad(format!("match: {wrong}")))?;
                wish.patterns.push(value);
            }
            "after" => wish.after = Some(position("after", &value)?),
            _ => return Err(Problem::bad(format!("'{key}' is unknown here; allowed are match and after"))),
        }
    }
    // A browser that reconnects sends the address with its old `after` and the newer Last-Event-ID.
    if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
        wish.after = Some(position("Last-Event-ID", &String::from_utf8_lossy(id))?);
    }
    Ok(wish)
}

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
    Unknown(&'static str),
    /// Its name and what it says.
    Event(String, String),
}

impl Part {
    fn make(self, clock: &str, row: &RecordRow) -> (u64, Made) {
        let made = match self {
            Self::Passed => Made::Nothing,
            Self::Unknown(reason) => Made::Unknown(reason),
            Self::Wanted(definition) => events::event(clock, row, &definition)
                .map_or(Made::Nothing, |event| {
                    Made::Event(definition.1.event.to_string(), event.to_string())
                }),
        };
        (row.sequence, made)
    }
}

/// A feed being read.
struct Feed {
    /// Which record is read.
    record: u64,
    site: Site,
    shutdown: Shutdown,
    patterns: Vec<String>,
    /// All rows up to this one are dealt with.
    after: u64,
    /// The last number that was sent to the reader.
    told: u64,
    /// The page that was read last, without what was dealt with: events are made of a few at a time.
    rows: VecDeque<RecordRow>,
    /// Not given yet: a few.
    ready: VecDeque<Event>,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if !self.rows.is_empty() {
                self.enter().await?;
                continue;
            }
            // Seen before reading: what is recorded meanwhile wakes the wait below.
            self.site.clock.recorded.borrow_and_update();
            let stop = self.shutdown.reached(Stage::Draining);
            let read = tokio::select! {
                read = self.site.record.read(self.after, PAGE) => read,
                () = stop => return None,
            };
            match read {
                Ok(page) if page.rows.is_empty() && page.first <= self.after + 1 => self.wait().await?,
                Ok(page) => self.take(page),
                Err(error) => {
                    tracing::debug!(%error, "a feed could not read the record");
                    self.breathe().await?;
                }
            }
        }
    }

    async fn wait(&mut self) -> Option<()> {
        let stop = self.shutdown.reached(Stage::Draining);
        tokio::select! {
            changed = self.site.clock.recorded.changed() => changed.ok(),
            () = stop => None,
        }
    }

    /// Lets what can't be had now have a little time.
    async fn breathe(&self) -> Option<()> {
        let stop = self.shutdown.reached(Stage::Draining);
        tokio::select! {
            () = tokio::time::sleep(BREATH) => Some(()),
            () = stop => None,
        }
    }

    fn take(&mut self, page: Page) {
        let first = page.rows.first().map_or(page.first, |row| row.sequence);
        if first > self.after + 1 {
            self.gap(self.after + 1, first - 1, "these rows are no longer kept");
        }
        self.rows = page.rows.into();
    }

    /// Makes of the next rows what is to be given of them: on another thread, for events may be large.
    async fn enter(&mut self) -> Option<()> {
        let clock = self.site.clock.status.borrow().clock.clone();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES
            && let Some(row) = self.rows.pop_front()
        {
            let definition = match row.row.outcome {
                // It had no definition, and its content went with it when it was settled.
                Outcome::Confirmed { .. } if row.row.kind == EventKind::Delayed => {
                    rows.push((
                        row,
                        Part::Unknown("the content of a delayed event is not kept once it is sent"),
                    ));
                    continue;
                }
                Outcome::Confirmed { .. } => match self.site.definition(&row).await {
                    Ok(definition) => Some(definition),
                    // Not gone: the loop has no time for us. It is asked again.
                    Err(_) => {
                        self.rows.push_front(row);
                        break;
                    }
                },
                _ => None,
            };
            let part = match definition {
                Some(None) => Part::Unknown("the definition of its schedule is no longer kept"),
                Some(Some(definition)) if self.wants(definition.1.event.as_str()) => {
                    bytes += definition.0.definition.bytes() + OVERHEAD;
                    Part::Wanted(definition)
                }
                _ => Part::Passed,
            };
            rows.push((row, part));
        }
        let Some(last) = rows.last().map(|(row, _)| row.sequence) else { return self.breathe().await };
        let make = move || rows.into_iter().map(|(row, part)| part.make(&clock, &row)).collect::<Vec<_>>();
        let Ok(made) = apart(make).await else {
            self.gap(self.after + 1, last, "these events could not be made, which is a defect");
            return Some(());
        };
        for (sequence, made) in made {
            self.after = sequence;
            match made {
                Made::Nothing => {}
                Made::Unknown(reason) => self.gap(sequence, sequence, reason),
                Made::Event(name, data) => {
                    self.told = sequence;
                    self.ready.push_back(self.event(sequence).event(name).data(data));
                }
            }
            if self.after >= self.told + UNSENT {
                self.told = self.after;
                self.ready.push_back(self.event(self.after).comment("nothing of yours"));
            }
        }
        Some(())
    }

    fn wants(&self, name: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| topic_matches(pattern, name))
    }

    fn gap(&mut self, from: u64, to: u64, reason: &str) {
        self.told = to;
        self.after = self.after.max(to);
        self.ready.push_back(self.gap_event(to, from, to, reason));
    }

    /// That rows are missing; a reader resumes after `row`.
    fn gap_event(&self, row: u64, from: u64, to: u64, reason: &str) -> Event {
        let data = serde_json::json!({ "from": from, "to": to, "reason": reason });
        self.event(row).event("gap").data(data.to_string())
    }

    /// After which a reader resumes behind this row.
    fn event(&self, row: u64) -> Event {
        Event::default().id(Position::new(self.record, row).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn the_header_outranks_the_query() {
        let both =
            wish(pairs(&[("after", "3"), ("match", "time.#"), ("match", "a.*.c")]), Some(b"7")).unwrap();
        assert_eq!(
            both,
            Wish { patterns: vec!["time.#".into(), "a.*.c".into()], after: Some("7".parse().unwrap()) }
        );
        assert_eq!(wish(pairs(&[("after", "3")]), None).unwrap().after, "3".parse().ok());
        assert_eq!(wish(vec![], Some(b"")).unwrap().after, None);
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_with_the_reason() {
        for (query, id, reason) in [
            (pairs(&[("since", "3")]), None, "'since' is unknown"),
            (pairs(&[("after", "-1")]), None, "after: '-1'"),
            (pairs(&[("match", "")]), None, "match: '' is not a name or pattern"),
            (pairs(&[("match", "time.#"), ("match", "time..passed")]), None, "'time..passed' is not"),
            (pairs(&[("match", "time.*")]), None, "three or more words"),
            (pairs(&[("after", "18446744073709551616")]), None, "after: '18446744073709551616'"),
            (vec![], Some(&b"x"[..]), "Last-Event-ID: 'x'"),
        ] {
            assert!(wish(query, id).unwrap_err().detail.contains(reason), "{reason}");
        }
        let many = vec![("match".to_owned(), "#".to_owned()); PATTERNS + 1];
        assert!(wish(many, None).is_err());
    }
}
