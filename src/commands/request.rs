//! What a command asks for, read from its body. As strict as a schedule: a key that is not known, or given twice, is refused, and
//! all that is wrong is said at once, each at its JSON pointer.

use super::command::CommandKind;
use crate::{
    engine::{Expect, OnResume},
    ops::{
        OpsError, PauseOneAsked, ResumeOneAsked, Tag, calendars::CalendarQuery,
        change_calendar::CalendarChange, next::NextQuery, schedules::ScheduleQuery,
    },
    problem::Problem,
    schedule::{
        CalendarForm, CalendarText, FaultCode,
        file::{FieldFault, FieldFaults, LONGEST_JSON, object_from_json},
    },
};
use axum::http::StatusCode;
use ponos::event::Message;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
        // Where nothing needs to be said, nothing is.
        let text = if message.body.is_empty() { b"{}" } else { message.body.as_slice() };
        if text.len() > LONGEST_JSON {
            let what = format!("the body has {} bytes; {LONGEST_JSON} are read", text.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what));
        }
        let mut body = object_from_json(text, "the body of a command", kind.keys()).map_err(refused)?;
        let missing: Vec<&str> =
            kind.needed().iter().copied().filter(|needed| !body.contains_key(*needed)).collect();
        if !missing.is_empty() {
            return Err(refused(faults(missing.into_iter().map(|key| missing_key(kind, key)))));
        }
        Ok(match kind {
            CommandKind::Get => Self::Get(text_of(&mut body, "name")),
            CommandKind::List => {
                // Its keys are those of the query, and of their types.
                let query = serde_json::from_value(Value::Object(body));
                Self::List(query.map_err(|error| Problem::bad(error.to_string()))?)
            }
            CommandKind::Preview => {
                let query = NextQuery { from: optional(&mut body, "from"), count: count(&mut body, "count") };
                Self::Preview(previewed(&mut body)?, query)
            }
            CommandKind::Put => {
                let expect = expected(&mut body)?;
                let name = body["definition"]["name"].as_str().unwrap_or_default().to_owned();
                Self::Put { name, definition: definition(&mut body)?.unwrap_or_default(), expect, id }
            }
            CommandKind::Delete => {
                let expect = expected(&mut body)?;
                Self::Delete { name: text_of(&mut body, "name"), expect, id }
            }
            CommandKind::Pause => {
                let name = text_of(&mut body, "name");
                let asked = PauseOneAsked {
                    by: optional(&mut body, "by"),
                    note: text_of(&mut body, "note"),
                    until: parsed(&mut body, "until", "an instant, as in 2026-12-01T09:00:00Z")?,
                    length: optional(&mut body, "for"),
                    on_resume: on_resume(&mut body)?,
                };
                Self::Pause { name, asked, id }
            }
            CommandKind::Resume => {
                let name = text_of(&mut body, "name");
                let Some(on_resume) = on_resume(&mut body)? else {
                    return Err(refused(faults([missing_key(kind, "on_resume")])));
                };
                Self::Resume { name, asked: ResumeOneAsked { on_resume }, id }
            }
            CommandKind::Trigger => {
                Self::Trigger { name: text_of(&mut body, "name"), id: id.unwrap_or_default() }
            }
            CommandKind::CalendarGet => Self::Calendar(text_of(&mut body, "name")),
            CommandKind::CalendarList => {
                let query = serde_json::from_value(Value::Object(body));
                Self::Calendars(query.map_err(|error| Problem::bad(error.to_string()))?)
            }
            CommandKind::CalendarPut => {
                let expect = expected(&mut body)?;
                let form = parsed(&mut body, "form", "toml or ics")?.unwrap_or(CalendarForm::Toml);
                let wanted = Some(CalendarText { form, text: text_of(&mut body, "text").into() });
                let name = text_of(&mut body, "name");
                Self::ChangeCalendar(CalendarChange { name, wanted, expect, message: id })
            }
            CommandKind::CalendarDelete => {
                let expect = expected(&mut body)?;
                let name = text_of(&mut body, "name");
                Self::ChangeCalendar(CalendarChange { name, wanted: None, expect, message: id })
            }
        })
    }

    /// The name of the schedule, or of the calendar, that it is about, if it is about one.
    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Self::Get(name)
            | Self::Preview(Previewed::Schedule(name), _)
            | Self::Put { name, .. }
            | Self::Delete { name, .. }
            | Self::Pause { name, .. }
            | Self::Resume { name, .. }
            | Self::Trigger { name, .. }
            | Self::Calendar(name)
            | Self::ChangeCalendar(CalendarChange { name, .. }) => Some(name),
            Self::List(_) | Self::Calendars(_) | Self::Preview(Previewed::Definition(_), _) => None,
        }
    }
}

fn previewed(body: &mut Map<String, Value>) -> Result<Previewed, Problem> {
    match (optional(body, "name"), definition(body)?) {
        (Some(name), None) => Ok(Previewed::Schedule(name)),
        (None, Some(definition)) => Ok(Previewed::Definition(definition)),
        (both, _) => {
            let what = match both {
                Some(_) => "name and definition exclude each other",
                None => "neither name nor definition is given",
            };
            let fault = FieldFault {
                pointer: String::new(),
                code: if both.is_some() { FaultCode::Conflict } else { FaultCode::MissingKey },
                detail: what.to_owned(),
                expected: None,
                suggestion: Some(
                    "give one of them: the name of a schedule, or a definition that there is not yet"
                        .to_owned(),
                ),
            };
            Err(refused(faults([fault])))
        }
    }
}

/// The definition in a body, as JSON.
fn definition(body: &mut Map<String, Value>) -> Result<Option<Vec<u8>>, Problem> {
    let Some(definition) = body.remove("definition") else { return Ok(None) };
    if definition.is_object() {
        return Ok(Some(definition.to_string().into_bytes()));
    }
    let fault = FieldFault {
        pointer: "/definition".to_owned(),
        code: FaultCode::WrongType,
        detail: "definition must be an object: the keys of a schedule".to_owned(),
        expected: Some("an object".to_owned()),
        suggestion: None,
    };
    Err(refused(faults([fault])))
}

/// What has to be there, as a body says.
fn expected(body: &mut Map<String, Value>) -> Result<Expect, Problem> {
    let absent = body.remove("if_absent") == Some(Value::Bool(true));
    match (optional(body, "if_revision"), absent) {
        (None, false) => Ok(Expect::Any),
        (None, true) => Ok(Expect::Absent),
        (Some(tag), false) => tag.parse::<Tag>().map(Expect::from).map_err(|error| {
            let fault = FieldFault {
                pointer: "/if_revision".to_owned(),
                code: FaultCode::InvalidValue,
                detail: format!("if_revision: {error}"),
                expected: Some("17.3".to_owned()),
                suggestion: None,
            };
            refused(faults([fault]))
        }),
        (Some(_), true) => {
            let fault = FieldFault {
                pointer: "/if_absent".to_owned(),
                code: FaultCode::Conflict,
                detail: "if_absent and if_revision exclude each other".to_owned(),
                expected: None,
                suggestion: Some("leave one of them out".to_owned()),
            };
            Err(refused(faults([fault])))
        }
    }
}

/// What becomes of what fell due during a pause.
fn on_resume(body: &mut Map<String, Value>) -> Result<Option<OnResume>, Problem> {
    parsed(body, "on_resume", "catch-up or skip")
}

/// What a text under a key means.
fn parsed<T: DeserializeOwned>(
    body: &mut Map<String, Value>,
    key: &str,
    expected: &str,
) -> Result<Option<T>, Problem> {
    let Some(value) = body.remove(key) else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|error| {
        let fault = FieldFault {
            pointer: format!("/{key}"),
            code: FaultCode::InvalidValue,
            detail: format!("{key}: {error}"),
            expected: Some(expected.to_owned()),
            suggestion: None,
        };
        refused(faults([fault]))
    })
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

fn missing_key(kind: CommandKind, key: &str) -> FieldFault {
    FieldFault {
        pointer: format!("/{key}"),
        code: FaultCode::MissingKey,
        detail: format!("{} needs the key '{key}'", kind.word()),
        expected: None,
        suggestion: None,
    }
}

fn faults(list: impl IntoIterator<Item = FieldFault>) -> FieldFaults {
    FieldFaults { list: list.into_iter().collect(), more: 0 }
}

fn refused(faults: FieldFaults) -> Problem {
    OpsError::Definition(faults).into()
}

/// The text under a key, which was read as one.
fn optional(body: &mut Map<String, Value>, key: &str) -> Option<String> {
    match body.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn text_of(body: &mut Map<String, Value>, key: &str) -> String {
    optional(body, key).unwrap_or_default()
}

/// The number under a key, which was read as a count.
fn count(body: &mut Map<String, Value>, key: &str) -> Option<u32> {
    body.remove(key).and_then(|count| count.as_u64()).and_then(|count| u32::try_from(count).ok())
}
