//! What a command asks for, read from its body.

use super::{
    body::{self, Body},
    command::CommandKind,
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
use ponos::event::Message;

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
        })
    }

    /// The names of the schedules, or of the calendar, that it is about.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::PutAll { names, .. } => names.as_slice(),
            Self::Get(name)
            | Self::Preview(Previewed::Schedule(name), _)
            | Self::Put { name, .. }
            | Self::Delete { name, .. }
            | Self::Pause { name, .. }
            | Self::Resume { name, .. }
            | Self::Trigger { name, .. }
            | Self::Calendar(name)
            | Self::ChangeCalendar(CalendarChange { name, .. }) => std::slice::from_ref(name),
            Self::List(_) | Self::Calendars(_) | Self::Preview(Previewed::Definition(_), _) => &[],
        };
        names.iter().map(String::as_str)
    }
}

/// Takes the body from a message where it is longer than any that is read: it is large, and nobody needs it any more.
pub(super) fn cut(message: &mut Message) -> Option<Problem> {
    let problem = body::too_long(message.body.len())?;
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
