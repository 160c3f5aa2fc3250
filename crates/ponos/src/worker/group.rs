//! Groups: tasks that belong together, and what is sent when all of them have ended.
//!
//! Absent: counting, which the inbox's database does in the transactions in which members end (`inbox/postgres/group.rs`).

use super::{Context, PublishError, held::PublishKey};
use crate::{
    declared::{MessageKind, Priority},
    event::HeaderValue,
    inbox::Held,
    names::NamesTask,
};
use serde::Serialize;
use std::time::Duration;
use uuid::Uuid;

/// The header of a member: its group's id.
pub(crate) const GROUP: &str = "groupid";
/// Headers of what a group sends.
pub(crate) const NAME: &str = "group-name";
pub(crate) const COUNTS: [&str; 4] = ["group-done", "group-dead", "group-cancelled", "group-open"];
/// The most groups that one handler begins.
const MOST: usize = 100;
/// The longest name in bytes.
const LONGEST_NAME: usize = 255;
/// How long a group may take, unless it is said.
const EXPIRES: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The longest that may be said.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Tasks of a handler that belong together: see [`Context::group`].
#[derive(Debug)]
pub struct Group<'a> {
    context: &'a Context,
    id: Uuid,
}

/// What became of a group, for the task that it sends: see [`Context::group_ended`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEnded {
    /// The name that was given to [`Context::group`].
    pub name: String,
    /// Members that were done or skipped.
    pub done: u64,
    /// Members that went to the dead letters.
    pub dead: u64,
    /// Members that somebody cancelled.
    pub cancelled: u64,
    /// Members that had not ended: 0, unless its time was over, or this is of [`Group::on_dead`].
    pub open: u64,
}

/// A group that a handler begins.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "without, no group begins"))]
pub(crate) struct GroupDraft {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) then: Option<Held>,
    pub(crate) on_dead: Option<Held>,
    pub(crate) expires: Duration,
}

impl Context {
    /// Begins a group, with an inbox on Postgres: [`Context::task_in_group`] adds members, and when all of them have ended, done,
    /// dead or cancelled, the task of [`Group::then`] is sent, once. All of it commits with the handler. The name is for people; a group is told
    /// apart by it and the event that is handled.
    ///
    /// ```
    /// # use ponos::prelude::*;
    /// # use serde_json::json;
    /// async fn import(rows: Vec<u64>, ctx: Context) -> HandlerResult {
    ///     let group = ctx.group("import")?;
    ///     for row in &rows {
    ///         ctx.task_in_group(&group, "shop.row.import", row)?;
    ///     }
    ///     group.then("shop.import.finish", &json!({ "rows": rows.len() }))?;
    ///     Ok(Done)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`PublishError`]: the inbox is not on Postgres, or the name is empty or longer than 255 bytes, or there are 100 groups.
    pub fn group(&self, name: &str) -> Result<Group<'_>, PublishError> {
        let refuse = |what: String| Err(PublishError::Group { name: crate::text::shown(name), what });
        if !self.inner().service.inbox.takes_publishes() {
            return refuse("its members end in transactions of an inbox on Postgres (Inbox::postgres): give one to the worker".into());
        }
        if name.is_empty() || name.len() > LONGEST_NAME {
            return refuse(format!("its name has {} bytes, and 1 to {LONGEST_NAME} are allowed", name.len()));
        }
        let id = self.origin().group(name);
        let mut buffer = self.buffer();
        if buffer.has_ended() {
            return Err(PublishError::Ended);
        }
        let groups = buffer.groups();
        if groups.iter().all(|group| group.id != id) {
            if groups.len() >= MOST {
                return refuse(format!("this handler has begun {MOST} groups, and no more are allowed"));
            }
            groups.push(GroupDraft {
                id,
                name: name.to_owned(),
                then: None,
                on_dead: None,
                expires: EXPIRES,
            });
        }
        Ok(Group { context: self, id })
    }

    /// As [`Context::task`], as a member of a group of this handler.
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task_in_group<T: Serialize>(
        &self,
        group: &Group<'_>,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> Result<(), PublishError> {
        let key = PublishKey::Number(self.buffer().number());
        let what = (MessageKind::Task, name.text());
        let mut held = self.origin().message(self, what, (key, None, Priority::default()), payload)?;
        held.message.headers.set(GROUP, group.id.to_string());
        self.buffer().hold(held, &self.inner().service.limits)
    }

    /// What became of the group that sent this task; `None` for any other message.
    pub fn group_ended(&self) -> Option<GroupEnded> {
        let headers = &self.event().extensions;
        let count = |name: &str| match headers.get(name) {
            Some(HeaderValue::Int(count)) => u64::try_from(*count).ok(),
            _ => None,
        };
        let [done, dead, cancelled, open] = COUNTS.map(count);
        let (name, done, dead, open) = (headers.text(NAME)?.to_owned(), done?, dead?, open?);
        // an earlier version did not count them
        Some(GroupEnded { name, done, dead, cancelled: cancelled.unwrap_or(0), open })
    }
}

impl Group<'_> {
    /// The task that is sent when all members have ended; at once if there are none. Its handler finds the counts in
    /// [`Context::group_ended`].
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn then<T: Serialize>(&self, name: impl NamesTask<T>, payload: &T) -> Result<(), PublishError> {
        let held = self.made("then", name.text(), payload)?;
        self.edit(|draft| draft.then = Some(held))
    }

    /// The task that is sent when the first member has gone to the dead letters.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn on_dead<T: Serialize>(&self, name: impl NamesTask<T>, payload: &T) -> Result<(), PublishError> {
        let held = self.made("dead", name.text(), payload)?;
        self.edit(|draft| draft.on_dead = Some(held))
    }

    /// After this time (by default 7 days, at most 366) it is over, within the hour: the task of [`Group::then`] is sent though
    /// members are open.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn expires(&self, after: Duration) -> Result<(), PublishError> {
        if after.is_zero() || after > LONGEST {
            let what =
                format!("it can't expire after {after:?}; more than 0 s and at most 366 days are allowed");
            return Err(PublishError::Group { name: self.id.to_string(), what });
        }
        self.edit(|draft| draft.expires = after)
    }

    fn made(&self, which: &str, name: &str, payload: &impl Serialize) -> Result<Held, PublishError> {
        let key = PublishKey::Id(Uuid::new_v5(&self.id, which.as_bytes()));
        self.context.origin().message(
            self.context,
            (MessageKind::Task, name),
            (key, None, Priority::default()),
            payload,
        )
    }

    fn edit(&self, edit: impl FnOnce(&mut GroupDraft)) -> Result<(), PublishError> {
        let mut buffer = self.context.buffer();
        let draft = buffer.groups().iter_mut().find(|draft| draft.id == self.id);
        draft.map(edit).ok_or(PublishError::Ended)
    }
}
