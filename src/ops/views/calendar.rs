//! A calendar as it is known by its name.

use crate::{
    clock_loop::CalendarStatus,
    ops::CalendarView,
    schedule::{CalendarForm, DoorKind},
};
use ponos::event::Timestamp;
use serde::{Deserialize, Serialize};

/// A calendar that schedules may name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NamedCalendarView {
    /// Its name.
    pub name: String,
    /// `file`: it lies in the folder of calendars, and is changed there; `client`: it was created at run time, and schedules that
    /// were created so may name it.
    pub origin: String,
    /// Who created it at run time, and may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// By which door he came who created it at run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorKind>,
    /// The number of its creation at run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<u64>,
    /// Counts up with every edit at run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Since when it says what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// In which form it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<CalendarForm>,
    /// How many bytes its text has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// How many schedules use it, of those that were created at run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<usize>,
    /// Some of these, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
    /// Its text, where it is looked at alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl NamedCalendarView {
    /// Of the files.
    pub fn of_file(name: &str) -> Self {
        Self { name: name.to_owned(), origin: "file".into(), ..Self::default() }
    }

    /// One that was created at run time, without its text.
    pub fn of_client(status: &CalendarStatus) -> Self {
        let CalendarStatus { calendar, users } = status;
        Self {
            name: calendar.name.to_string(),
            origin: "client".into(),
            owner: Some(calendar.created.owner.clone()),
            door: Some(calendar.created.door),
            creation: Some(calendar.created.number),
            revision: Some(calendar.revision),
            since: Some(calendar.since),
            form: Some(calendar.text.form),
            bytes: Some(calendar.text.text.len()),
            users: Some(users.count),
            used_by: users.first.iter().map(ToString::to_string).collect(),
            text: None,
        }
    }

    /// The same with its text.
    pub fn whole(status: &CalendarStatus) -> Self {
        Self { text: Some(status.calendar.text.text.to_string()), ..Self::of_client(status) }
    }
}

/// Calendars by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CalendarList {
    /// The calendars, without their texts.
    pub calendars: Vec<NamedCalendarView>,
    /// Where to go on, as `page`; null at the end.
    pub next: Option<String>,
}

/// A calendar, by its name; or the days of one, by the id under which a definition has them.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum FoundCalendar {
    /// By its name.
    Named(Box<NamedCalendarView>),
    /// By the id.
    Days(CalendarView),
}
