//! The kinds of commands: how a message says which it is, the keys of its body, and what identifies it.

use crate::{
    ops::{OpsError, ParameterFault},
    problem::Problem,
    schedule::{
        FaultCode,
        diagnostic::did_you_mean,
        toml_tree::{Key, Kind},
    },
};
use ponos::event::{Message, text::shortened};

/// The kinds of commands, by the `type` of their messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandKind {
    /// One schedule.
    Get,
    /// A page of schedules.
    List,
    /// When a schedule is due next, or a definition would be.
    Preview,
    /// Creates or changes a schedule.
    Put,
    /// Creates or changes many.
    PutAll,
    /// Deletes one.
    Delete,
    /// Has nothing of a schedule sent.
    Pause,
    /// Has it go on.
    Resume,
    /// Has an event of a schedule sent now.
    Trigger,
    /// One calendar.
    CalendarGet,
    /// A page of calendars.
    CalendarList,
    /// Creates or changes a calendar.
    CalendarPut,
    /// Deletes one.
    CalendarDelete,
    /// One delayed event.
    EventGet,
    /// A page of delayed events.
    EventList,
    /// Creates or changes a delayed event.
    EventPut,
    /// Creates or changes many.
    EventsPut,
    /// Deletes one.
    EventDelete,
    /// Has one sent now.
    EventSendNow,
}

/// What there is, but not by message.
const ELSEWHERE: [&str; 6] = [
    "schedule.backfill",
    "schedule.export",
    "schedules.delete",
    "schedules.pause",
    "schedules.resume",
    "schedule.changes",
];

/// Bounds of its own are those of the operation.
const ANY_NUMBER: Kind = Kind::Count { least: 0, most: u32::MAX };

impl CommandKind {
    /// All of them.
    pub(super) const ALL: [Self; 19] = [
        Self::Get,
        Self::List,
        Self::Preview,
        Self::Put,
        Self::PutAll,
        Self::Delete,
        Self::Pause,
        Self::Resume,
        Self::Trigger,
        Self::CalendarGet,
        Self::CalendarList,
        Self::CalendarPut,
        Self::CalendarDelete,
        Self::EventGet,
        Self::EventList,
        Self::EventPut,
        Self::EventsPut,
        Self::EventDelete,
        Self::EventSendNow,
    ];

    /// The `type` of their messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Get => "schedule.get",
            Self::List => "schedule.list",
            Self::Preview => "schedule.preview",
            Self::Put => "schedule.put",
            Self::PutAll => "schedules.put",
            Self::Delete => "schedule.delete",
            Self::Pause => "schedule.pause",
            Self::Resume => "schedule.resume",
            Self::Trigger => "schedule.trigger",
            Self::CalendarGet => "calendar.get",
            Self::CalendarList => "calendar.list",
            Self::CalendarPut => "calendar.put",
            Self::CalendarDelete => "calendar.delete",
            Self::EventGet => "event.get",
            Self::EventList => "event.list",
            Self::EventPut => "event.put",
            Self::EventsPut => "events.put",
            Self::EventDelete => "event.delete",
            Self::EventSendNow => "event.send-now",
        }
    }

    /// The keys of their bodies.
    pub(super) fn keys(self) -> &'static [Key] {
        match self {
            Self::Get => &[("name", Kind::Text)],
            Self::List => &[
                ("prefix", Kind::Text),
                ("domain", Kind::Text),
                ("state", Kind::Text),
                ("owner", Kind::Text),
                ("origin", Kind::Text),
                ("label", Kind::Text),
                ("limit", ANY_NUMBER),
                ("page", Kind::Text),
            ],
            Self::Preview => &[
                ("name", Kind::Text),
                ("definition", Kind::Payload),
                ("from", Kind::Text),
                ("count", ANY_NUMBER),
            ],
            Self::Put => {
                &[("definition", Kind::Payload), ("if_revision", Kind::Text), ("if_absent", Kind::Boolean)]
            }
            Self::PutAll => &[("definitions", Kind::Tables(&[])), ("atomic", Kind::Boolean)],
            Self::Delete => &[("name", Kind::Text), ("if_revision", Kind::Text)],
            Self::Pause => &[
                ("name", Kind::Text),
                ("by", Kind::Text),
                ("note", Kind::Text),
                ("until", Kind::Text),
                ("for", Kind::Text),
                ("on_resume", Kind::Text),
            ],
            Self::Resume => &[("name", Kind::Text), ("on_resume", Kind::Text)],
            Self::Trigger | Self::CalendarGet | Self::EventGet | Self::EventSendNow => {
                &[("name", Kind::Text)]
            }
            Self::CalendarList => &[("limit", ANY_NUMBER), ("page", Kind::Text)],
            Self::CalendarPut => &[
                ("name", Kind::Text),
                ("form", Kind::Text),
                ("text", Kind::Text),
                ("if_revision", Kind::Text),
                ("if_absent", Kind::Boolean),
            ],
            Self::CalendarDelete | Self::EventDelete => &[("name", Kind::Text), ("if_revision", Kind::Text)],
            Self::EventList => &[
                ("prefix", Kind::Text),
                ("domain", Kind::Text),
                ("owner", Kind::Text),
                ("due_after", Kind::Text),
                ("due_before", Kind::Text),
                ("limit", ANY_NUMBER),
                ("page", Kind::Text),
            ],
            Self::EventPut => {
                &[("item", Kind::Payload), ("if_revision", Kind::Text), ("if_absent", Kind::Boolean)]
            }
            Self::EventsPut => &[("items", Kind::Tables(&[])), ("atomic", Kind::Boolean)],
        }
    }

    /// Those that must be there.
    pub(super) fn needed(self) -> &'static [&'static str] {
        match self {
            Self::Get | Self::Delete | Self::Trigger | Self::CalendarGet | Self::CalendarDelete => &["name"],
            Self::EventGet | Self::EventDelete | Self::EventSendNow => &["name"],
            Self::EventPut => &["item"],
            Self::EventsPut => &["items"],
            Self::CalendarPut => &["name", "form", "text"],
            Self::Put => &["definition"],
            Self::PutAll => &["definitions"],
            Self::Pause => &["name", "note"],
            Self::Resume => &["name", "on_resume"],
            Self::List | Self::Preview | Self::CalendarList | Self::EventList => &[],
        }
    }

    /// Keys whose values are left as they are written: definitions and items, which are read as those over HTTP are.
    pub(super) fn written(self) -> &'static [&'static str] {
        match self {
            Self::Put | Self::Preview => &["definition"],
            Self::PutAll => &["definitions"],
            Self::EventPut => &["item"],
            Self::EventsPut => &["items"],
            _ => &[],
        }
    }

    /// Whether it changes something, so that it matters whether it comes again.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Put | Self::PutAll | Self::Delete | Self::Pause | Self::Resume | Self::Trigger => true,
            Self::CalendarPut | Self::CalendarDelete => true,
            Self::EventPut | Self::EventsPut | Self::EventDelete | Self::EventSendNow => true,
            Self::Get | Self::List | Self::Preview | Self::CalendarGet | Self::CalendarList => false,
            Self::EventGet | Self::EventList => false,
        }
    }

    /// The id by which a command of this kind is known when it comes again; none of what changes nothing.
    ///
    /// # Errors
    /// It has none that can be used.
    pub(super) fn id(self, message: &Message) -> Result<Option<String>, Problem> {
        if !self.changes() {
            return Ok(None);
        }
        let Some(id) = message.properties.message_id.as_deref().filter(|id| !id.is_empty()) else {
            let what = format!("it is not set, and {} changes something", self.word());
            let help =
                "set it to an id of your own, and to the same one when you send the same command again";
            return Err(property("message_id", FaultCode::MissingKey, what, help.to_owned()));
        };
        // It is kept, and shown in terminals.
        if ponos::event::terminal::line(id) != id {
            let what = "it has characters that a terminal would not show as they are".to_owned();
            return Err(property("message_id", FaultCode::InvalidValue, what, "a UUID will do".to_owned()));
        }
        Ok(Some(id.to_owned()))
    }

    /// The kind of a message.
    ///
    /// # Errors
    /// It says none, or none that there is.
    pub(super) fn of(message: &Message) -> Result<Self, Problem> {
        let named = message.properties.kind.as_deref().unwrap_or_default();
        let kind = Self::ALL.into_iter().find(|kind| kind.word() == named);
        let Some(kind) = kind else {
            let (what, help) = match named {
                "" => ("it is not set".to_owned(), one_of_all()),
                _ if ELSEWHERE.contains(&named) => (
                    format!("'{named}' is not done by message"),
                    "ask for it over HTTP, or with the command line (khronos)".to_owned(),
                ),
                _ => {
                    let what = format!("there is no command '{}'", shortened(named, 80));
                    (what, did_you_mean(named, Self::ALL.map(Self::word)))
                }
            };
            return Err(property("type", FaultCode::UnknownWord, what, help));
        };
        // Topic permissions of the broker go by the routing key: they would say nothing of what is asked for.
        if message.routing_key != kind.word() {
            let what =
                format!("it is '{}', and the type '{}'", shortened(&message.routing_key, 80), kind.word());
            let help = format!("publish it with the routing key {}", kind.word());
            return Err(property("routing_key", FaultCode::Conflict, what, help));
        }
        Ok(kind)
    }
}

fn one_of_all() -> String {
    format!("write one of {}", CommandKind::ALL.map(CommandKind::word).join(", "))
}

/// A property of the message can't be used.
fn property(name: &'static str, code: FaultCode, what: String, help: String) -> Problem {
    OpsError::Parameter(ParameterFault { name, code, what, help: Some(help) }).into()
}
