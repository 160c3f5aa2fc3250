//! Why an event was sent, or was not, and what came of it: what the clock's record and arithmetic say of an occurrence, and what services
//! report of its event.
//!
//! What is asked for is a due time of a schedule (`one-day@2026-12-01T00:00:00Z`), the id of an event or a task, or that of a trace; the
//! trace of a clock's event has its id. `rows.rs` finds what the record has, in bounded searches; `occurrence.rs` says what became of a
//! due time; `said.rs` puts it into words. What services report is the observer's (`reports.rs`), where the clock listens to it; the
//! clock's own part does not depend on it.

mod fate;
mod known;
mod occurrence;
mod rows;
mod said;
#[cfg(test)]
mod tests;

pub use fate::{FateState, LeaderView, OccurrenceFate, StandsFor};

use super::{Clock, Missing, MissingKind, OpsError, run_blocking};
use crate::schedule::{FaultCode, parse_instant_with};
use ponos::{event::Timestamp, text::shown};
use ponos_observer::Why;
use rows::Searched;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest id, in bytes: a name, an `@` and an instant have less.
const LONGEST: usize = 255;

/// What is known of an event.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhyView {
    /// What was asked for.
    pub id: String,
    /// What the clock knows of it; of a task, or of an event of a service, of the clock's event that it follows from. Null where it knows
    /// nothing.
    pub clock: Option<OccurrenceFate>,
    /// What services report: what came of it. Null where nothing is known, or the clock does not listen to it.
    pub observed: Option<Why>,
    /// What is to be said besides: where it was looked, and that services are not observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is asked for.
enum Asked<'a> {
    /// A due time of a schedule.
    Due(&'a str, Timestamp),
    /// An id that an event of a clock may have.
    Id(String),
    /// One that none of a clock has.
    Foreign,
}

/// What is known of an event, a task, a trace, or a due time of a schedule, as things are at `now`.
///
/// # Errors
/// [`OpsError::Parameter`]: this is no id; [`OpsError::NotFound`]: nothing is known of it, also where there is no such schedule;
/// [`OpsError::Unavailable`], [`OpsError::Record`].
pub async fn why(clock: impl Into<Clock>, id: &str, now: Timestamp) -> Result<WhyView, OpsError> {
    let clock = clock.into();
    let mut asked = asked(&clock, id);
    // Other programs may have ids of that form.
    if asked.is_err() && id.contains('@') && observed(&clock, id).await?.is_something() {
        asked = Ok(Asked::Foreign);
    }
    let (fate, observed, searched) = match asked? {
        Asked::Due(name, due) => {
            let fate = occurrence::of_due(&clock, (name, None), due, now).await?;
            let observed = match &fate.event_id {
                Some(id) => observed(&clock, id).await?,
                None => Observation::Nothing(None),
            };
            (Some(fate), observed, None)
        }
        Asked::Id(event) => {
            let observed = observed_of(&clock, id, &event).await?;
            let (mut fate, mut searched) = occurrence::of_id(&clock, &event, now).await?;
            // What is a service's follows from what is the clock's.
            if fate.is_none()
                && let Some(cause) = observed.cause(&clock.name()).filter(|cause| *cause != event)
            {
                (fate, searched) = occurrence::of_id(&clock, &cause, now).await?;
            }
            (fate, observed, Some(searched))
        }
        Asked::Foreign => {
            let observed = observed(&clock, id).await?;
            match observed.cause(&clock.name()) {
                Some(cause) => {
                    let (fate, searched) = occurrence::of_id(&clock, &cause, now).await?;
                    (fate, observed, Some(searched))
                }
                None => (None, observed, None),
            }
        }
    };
    let unfound = searched.filter(|_| fate.is_none()).map(|searched| searched.to_string());
    match (fate, observed) {
        (None, Observation::Nothing(why)) => Err(nothing(unfound, why)),
        (fate, observed) => {
            let (observed, why) = match observed {
                Observation::Something(found) => (Some(*found), None),
                Observation::Nothing(why) => (None, why),
            };
            let note: Vec<String> = unfound.into_iter().chain(why).collect();
            let note = (!note.is_empty()).then(|| note.join(". "));
            Ok(WhyView { id: id.to_owned(), clock: fate, observed, note })
        }
    }
}

fn asked<'a>(clock: &Clock, id: &'a str) -> Result<Asked<'a>, OpsError> {
    if id.is_empty() || id.len() > LONGEST {
        let what = format!("an id has 1 to {LONGEST} bytes, this one has {}", id.len());
        return Err(OpsError::parameter("id", FaultCode::OutOfRange, what));
    }
    if let Some((name, due)) = id.split_once('@') {
        return match parse_instant_with(due, None, "id", None, clock.calendars().zones()) {
            Ok(due) => Ok(Asked::Due(name, due)),
            Err(_) if !crate::schedule::is_name(name) => Ok(Asked::Foreign),
            Err(fault) => Err(fault.into()),
        };
    }
    Ok(match id.parse::<Uuid>() {
        Ok(uuid) => Asked::Id(uuid.hyphenated().to_string()),
        Err(_) => Asked::Foreign,
    })
}

/// What services report of it.
enum Observation {
    Something(Box<Why>),
    /// Nothing, and what is to be said of that.
    Nothing(Option<String>),
}

impl Observation {
    fn is_something(&self) -> bool {
        matches!(self, Self::Something(_))
    }

    /// The id of the event of this clock that it begins with.
    fn cause(&self, clock: &str) -> Option<String> {
        let Self::Something(why) = self else { return None };
        let source = format!("/khronos/{clock}");
        let first = why.causes.first().or_else(|| why.roots.first().map(|root| &root.event))?;
        (first.source == source).then(|| first.id.clone())
    }
}

async fn observed(clock: &Clock, id: &str) -> Result<Observation, OpsError> {
    let observed = match clock {
        Clock::Running(clock) => clock.observed().cloned(),
        Clock::Stopped(_) => None,
    };
    let Some(observed) = observed else {
        return Ok(Observation::Nothing(Some(not_observed(clock))));
    };
    let id = id.to_owned();
    // On a thread of its own: whoever hears waits meanwhile, and so may this for whoever hears.
    let why = run_blocking(move || observed.why(&id)).await?;
    Ok(match why {
        Ok(why) => Observation::Something(Box::new(why)),
        Err(nothing) => Observation::Nothing(Some(nothing)),
    })
}

/// By what was asked for, or by the event that it may be the trace of.
async fn observed_of(clock: &Clock, id: &str, event: &str) -> Result<Observation, OpsError> {
    match observed(clock, event).await? {
        Observation::Nothing(_) if id != event => observed(clock, id).await,
        known => Ok(known),
    }
}

/// That services are not observed, and how they are.
fn not_observed(clock: &Clock) -> String {
    match clock {
        Clock::Running(_) => "what services made of it is not observed: set reports.enabled = true in the clock's configuration, and have services report (docs/reports.md)",
        Clock::Stopped(_) => "the clock does not run: what services made of it is not observed",
    }
    .to_owned()
}

fn nothing(unfound: Option<String>, observed: Option<String>) -> OpsError {
    let said: Vec<String> = unfound.into_iter().chain(observed).collect();
    let what = if said.is_empty() { "nothing is known of it".to_owned() } else { said.join("; ") };
    OpsError::NotFound(Missing { kind: MissingKind::Event, what, suggestion: None })
}

/// Where it was looked for the id of an event.
impl std::fmt::Display for Searched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, rows, since, delayed } = self;
        write!(f, "no row of the record is of the event {}", shown(id))?;
        match rows {
            0 => f.write_str(": it is empty")?,
            rows => write!(f, ": the last {rows} were looked through")?,
        }
        if let Some(since) = since {
            write!(f, ", back to {since}; ask by schedule@due for what is older")?;
        }
        if *delayed {
            f.write_str("; nor is one of the record of delayed events, as far as it was looked through")?;
        }
        Ok(())
    }
}
