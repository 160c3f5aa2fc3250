//! What a command asks for, read from its body.

use super::{
    body::{self, Body},
    command::CommandKind,
    events::EventRequest,
};
use crate::{
    batch::BatchAsked,
    engine::Expect,
    ops::{
        PauseOneAsked, ResumeOneAsked, calendars::CalendarQuery, change_calendar::CalendarChange,
        next::NextQuery, schedules::ScheduleQuery,
    },
    problem::Problem,
    schedule::{CalendarForm, CalendarText},
};
use axum::http::StatusCode;
use ponos::event::{Message, text::shortened};
use std::{collections::HashSet, fmt, sync::Arc};

/// What a command asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// This schedule.
    Get(String),
    /// These schedules.
    List(ScheduleQuery),
    /// When this is due next.
    Preview(Previewed, NextQuery),
    /// This schedule, new or instead of the one of its name.
    Put {
        /// Its name; empty where its definition has none, which is refused then.
        name: String,
        /// Its definition, as JSON.
        definition: Vec<u8>,
        /// What has to be there.
        expect: Expect,
        /// The id of the message.
        id: Option<String>,
    },
    /// These schedules.
    PutAll {
        /// Their names, as far as they can be read.
        names: Vec<String>,
        /// Their definitions; the message has an id.
        asked: BatchAsked,
    },
    /// None of this name.
    Delete {
        /// The schedule.
        name: String,
        /// What has to be there.
        expect: Expect,
        /// The id of the message.
        id: Option<String>,
    },
    /// Nothing of this schedule is to be sent.
    Pause {
        /// The schedule.
        name: String,
        /// Why, and until when.
        asked: PauseOneAsked,
        /// The id of the message.
        id: Option<String>,
    },
    /// It is to go on.
    Resume {
        /// The schedule.
        name: String,
        /// How.
        asked: ResumeOneAsked,
        /// The id of the message.
        id: Option<String>,
    },
    /// An event of this schedule is to be sent now.
    Trigger {
        /// The schedule.
        name: String,
        /// The id of the message: the event is made once for each.
        id: String,
    },
    /// This calendar.
    Calendar(String),
    /// These calendars.
    Calendars(CalendarQuery),
    /// A calendar is to be there, or to go.
    ChangeCalendar(CalendarChange),
    /// Delayed events are to be read, changed or sent.
    Events(EventRequest),
}

/// What a command is about: such commands are done one after the other. A schedule, a calendar and a delayed event of one name have
/// nothing to do with each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// The schedule of this name.
    Schedule(String),
    /// The calendar of this name.
    Calendar(String),
    /// The delayed event of this name.
    Event(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Schedule(name) => ("the schedule", name),
            Self::Calendar(name) => ("the calendar", name),
            Self::Event(name) => ("the delayed event", name),
        };
        write!(f, "{kind} '{}'", shortened(name, 80))
    }
}

/// What is to be due.
#[derive(Debug)]
pub(super) enum Previewed {
    /// The schedule of this name.
    Schedule(String),
    /// A definition, as JSON.
    Definition(Vec<u8>),
}

impl Request {
    /// Reads the body of a message of this kind.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn read(kind: CommandKind, message: &Message) -> Result<Self, Problem> {
        check_type(message)?;
        let id = kind.id(message)?;
        let mut body = Body::read(kind, &message.body)?;
        Ok(match kind {
            CommandKind::Get => Self::Get(body.text("name")),
            CommandKind::List => Self::List(body.whole()?),
            CommandKind::Preview => {
                let query = NextQuery { from: body.optional("from"), count: body.count("count") };
                Self::Preview(body.previewed()?, query)
            }
            CommandKind::Put => {
                let expect = body.expected()?;
                let (name, definition) = body.definition()?.unwrap_or_default();
                Self::Put { name, definition, expect, id }
            }
            CommandKind::PutAll => {
                let (names, definitions) = body.definitions()?;
                let atomic = body.flag("atomic");
                Self::PutAll { names, asked: BatchAsked { definitions, atomic, message: id } }
            }
            CommandKind::Delete => {
                let expect = body.expected()?;
                Self::Delete { name: body.text("name"), expect, id }
            }
            CommandKind::Pause => {
                let name = body.text("name");
                let asked = PauseOneAsked {
                    by: body.optional("by"),
                    note: body.text("note"),
                    until: body.parsed("until", "an instant, as in 2026-12-01T09:00:00Z")?,
                    length: body.optional("for"),
                    on_resume: body.on_resume()?,
                };
                Self::Pause { name, asked, id }
            }
            CommandKind::Resume => {
                let name = body.text("name");
                let Some(on_resume) = body.on_resume()? else { return Err(body.lacks("on_resume")) };
                Self::Resume { name, asked: ResumeOneAsked { on_resume }, id }
            }
            CommandKind::Trigger => Self::Trigger { name: body.text("name"), id: id.unwrap_or_default() },
            CommandKind::CalendarGet => Self::Calendar(body.text("name")),
            CommandKind::CalendarList => Self::Calendars(body.whole()?),
            CommandKind::CalendarPut => {
                let expect = body.expected()?;
                let form = body.parsed("form", "toml or ics")?.unwrap_or(CalendarForm::Toml);
                let wanted = Some(CalendarText { form, text: body.text("text").into() });
                Self::ChangeCalendar(CalendarChange { name: body.text("name"), wanted, expect, message: id })
            }
            CommandKind::CalendarDelete => {
                let expect = body.expected()?;
                let name = body.text("name");
                Self::ChangeCalendar(CalendarChange { name, wanted: None, expect, message: id })
            }
            CommandKind::EventGet
            | CommandKind::EventList
            | CommandKind::EventPut
            | CommandKind::EventsPut
            | CommandKind::EventDelete
            | CommandKind::EventSendNow => {
                Self::Events(EventRequest::read(kind, body, id.unwrap_or_default())?)
            }
        })
    }

    /// What it is about, where it is this owner's.
    pub(super) fn subjects(&self, owner: &Arc<str>) -> HashSet<Subject> {
        let name = match self {
            Self::PutAll { names, .. } => return names.iter().cloned().map(Subject::Schedule).collect(),
            Self::Events(events) => return events.subjects(owner),
            Self::List(_) | Self::Calendars(_) | Self::Preview(Previewed::Definition(_), _) => {
                return HashSet::new();
            }
            Self::Calendar(name) | Self::ChangeCalendar(CalendarChange { name, .. }) => {
                return HashSet::from([Subject::Calendar(name.clone())]);
            }
            Self::Get(name)
            | Self::Preview(Previewed::Schedule(name), _)
            | Self::Put { name, .. }
            | Self::Delete { name, .. }
            | Self::Pause { name, .. }
            | Self::Resume { name, .. }
            | Self::Trigger { name, .. } => name,
        };
        HashSet::from([Subject::Schedule(name.clone())])
    }
}

/// Takes the body from a message where it is longer than any of its kind that is read: it is large, and nobody needs it any more.
pub(super) fn cut(message: &mut Message, kind: Option<CommandKind>) -> Option<Problem> {
    let problem = body::too_long(kind, message.body.len())?;
    message.body = Vec::new();
    Some(problem)
}

/// A body is JSON, and says so or nothing.
fn check_type(message: &Message) -> Result<(), Problem> {
    let properties = &message.properties;
    let given = properties.content_type.as_deref().unwrap_or("application/json");
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let what = "the body of a command is JSON: set the property content_type to application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    let encoding = properties.content_encoding.as_deref().unwrap_or_default();
    if !matches!(&*encoding.to_ascii_lowercase(), "" | "identity" | "utf-8" | "utf8") {
        let what = "the body of a command is plain: leave out the property content_encoding";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    Ok(())
}
