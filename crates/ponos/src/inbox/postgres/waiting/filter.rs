//! Which of what waits is meant: conditions that are checked once, and their SQL.

use crate::{
    clock::millis,
    inbox::{InboxError, postgres::store::without_nul},
    topology::check_event_pattern,
};
use sqlx::{Postgres, postgres::PgArguments, query::Query};
use std::{fmt, time::Duration};

/// Which messages that wait are meant: those that fit all that is said, and all where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitingFilter {
    /// One of these ids; none for any.
    pub ids: Vec<String>,
    /// A name of an event or task that fits this pattern: `*` is one word, `#` any number.
    pub name: Option<String>,
    /// To be sent to this queue, a task's or a retry's.
    pub queue: Option<String>,
    /// Of this kind.
    pub kind: Option<WaitingKind>,
    /// With this text in the reason why it waits, or why it could not be sent, in upper or lower case.
    pub reason: Option<String>,
    /// Due within this time from now on, or already.
    pub due_within: Option<Duration>,
}

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitingKind {
    /// To be sent for the first time, now or later.
    Send,
    /// For its next attempt: the last one failed, or its handler put it off.
    Retry,
    /// For a time to be over, of a saga that waits for something else meanwhile.
    Timeout,
}

impl WaitingKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Send, Self::Retry, Self::Timeout];

    /// As the column `kind` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Retry => "retry",
            Self::Timeout => "timeout",
        }
    }

    /// The kind of that name; what is unknown is to be sent all the same.
    pub(super) fn of(text: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).unwrap_or(Self::Send)
    }
}

impl fmt::Display for WaitingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A filter that was checked.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    ids: Option<Vec<String>>,
    /// A regular expression for a name with a dot before it.
    name: Option<String>,
    queue: Option<String>,
    kind: Option<&'static str>,
    reason: Option<String>,
    due_within: Option<i64>,
}

impl WaitingFilter {
    pub(super) fn checked(self) -> Result<Conditions, InboxError> {
        let Self { ids, name, queue, kind, reason, due_within } = self;
        if let Some(pattern) = &name {
            check_event_pattern(pattern).map_err(|wrong| {
                InboxError::refused(
                    wrong.to_string(),
                    "name a pattern that a name of an event or task can fit",
                )
            })?;
        }
        let text = |text: String| without_nul(&text).into_owned();
        Ok(Conditions {
            ids: (!ids.is_empty()).then(|| ids.into_iter().map(text).collect()),
            name: name.map(|pattern| expression(&pattern)),
            queue: queue.map(text),
            kind: kind.map(WaitingKind::as_str),
            reason: reason.map(text),
            due_within: due_within.map(millis),
        })
    }
}

impl Conditions {
    /// With the parameters 1 to 7.
    pub(super) const SQL: &str = "service = $1
        and ($2::text[] is null or id = any($2))
        and ($3::text is null or ('.' || name) ~ $3)
        and ($4::text is null or queue = $4)
        and ($5::text is null or kind = $5)
        and ($6::text is null or position(lower($6) in lower(concat_ws(' ', reason, last_error))) > 0)
        and ($7::bigint is null or next_try < now() + $7::bigint * interval '1 millisecond')";

    /// Binds them, before all else.
    pub(super) fn bind(
        &self,
        query: Query<'static, Postgres, PgArguments>,
        service: &str,
    ) -> Query<'static, Postgres, PgArguments> {
        let Self { ids, name, queue, kind, reason, due_within } = self.clone();
        query
            .bind(service.to_owned())
            .bind(ids)
            .bind(name)
            .bind(queue)
            .bind(kind)
            .bind(reason)
            .bind(due_within)
    }
}

/// The regular expression for `.` and a name that fits a topic pattern, whose words are letters, digits and hyphens.
fn expression(pattern: &str) -> String {
    let words = pattern.split('.').map(|word| match word {
        "*" => "\\.[^.]*".to_owned(),
        "#" => "(\\.[^.]*)*".to_owned(),
        word => format!("\\.{word}"),
    });
    format!("^{}$", words.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_becomes_an_expression_and_one_that_nothing_can_fit_is_refused() {
        assert_eq!(expression("order.*.shipped"), r"^\.order\.[^.]*\.shipped$");
        assert_eq!(expression("#.shipped"), r"^(\.[^.]*)*\.shipped$");
        let checked = |name: &str| {
            let filter = WaitingFilter { name: Some(name.into()), ..WaitingFilter::default() };
            filter.checked().map_err(|error| error.to_string())
        };
        assert!(checked("order.#").is_ok());
        for wrong in ["Order.*", "a.(b|c).#", "order.shipped", ""] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in WaitingKind::ALL {
            assert_eq!(WaitingKind::of(kind.as_str()), kind);
        }
    }
}
