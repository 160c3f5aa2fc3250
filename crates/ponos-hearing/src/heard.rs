//! What was heard by now: the observer, which whoever hears and whoever answers share.

use ponos_event::{Timestamp, text::counted};
use ponos_observer::{Coverage, Limits, Observer, Why};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long what was missed is a warning, in milliseconds.
const WARNED: i64 = 3_600_000;

/// The observer. It is locked for as long as it takes to take a batch in, or to answer. Clones share it.
#[derive(Debug, Clone)]
pub struct Heard(Arc<Mutex<Observer>>);

impl Heard {
    /// Nothing yet; what is kept has these bounds.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Observer::new(limits))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Observer> {
        // a panic within leaves an observer that is whole enough to go on: it is rebuilt from nothing at a restart anyway
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an event or a task by its id, or of a trace by its id. Nothing is heard meanwhile.
    ///
    /// # Errors
    /// That nothing is, with since when it is observed.
    pub fn why(&self, now: Timestamp, id: &str) -> Result<Why, String> {
        let (why, since) = {
            let observer = self.lock();
            (observer.why(now, id), observer.since())
        };
        why.ok_or_else(|| {
            let since = match since {
                Some(since) => format!("it is observed since {since}"),
                None => "nothing is observed yet".to_owned(),
            };
            format!(
                "nothing is known of this event or trace: {since}; what is older, or went for want of room, is not kept"
            )
        })
    }

    /// Who handles what, and who is silent. Nothing is heard meanwhile.
    pub fn coverage(&self, now: Timestamp) -> Coverage {
        self.lock().coverage(now)
    }

    /// Whether everything is heard now.
    pub fn is_listening(&self) -> bool {
        self.lock().is_listening()
    }

    /// From now on nothing is heard, until something is: what was sent before may have been missed.
    pub fn interrupted(&self, now: Timestamp) {
        self.lock().interrupted(now);
    }

    /// What was not handled in time in the last hour, in a sentence; none where nothing was.
    pub fn missed_lately(&self, now: Timestamp) -> Option<String> {
        let observer = self.lock();
        let recent: Vec<_> = observer.missed().filter(|miss| now.since(miss.due_at) <= WARNED).collect();
        let newest = recent.first()?;
        Some(format!(
            "{} not handled in time in the last hour; the latest: {} by {} ({})",
            counted(recent.len(), "event"),
            newest.event,
            newest.service,
            newest.event_id
        ))
    }
}
