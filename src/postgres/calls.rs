//! Statements on one connection, each within a time limit.

use super::errors::Failed;
use crate::clock::Heartbeat;
use sqlx::{
    AssertSqlSafe, Decode, PgConnection, Postgres, Row as _, Type,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{future::Future, time::Duration};

const READ_COMMITTED: &str = "isolation level read committed, read write";

/// What is stricter stays.
const SURELY: &str =
    "select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'";
const LOOSELY: &str = "set local synchronous_commit to off";

/// A connection for some statements in a row. After an error of any of them it must not be used again: a statement that was
/// given up may still be running.
pub(crate) struct Calls<'a> {
    connection: &'a mut PgConnection,
    schema: &'a str,
    limit: Duration,
    heartbeat: Option<Heartbeat>,
}

/// A statement with its parameters.
pub(crate) type Statement = Query<'static, Postgres, PgArguments>;

impl<'a> Calls<'a> {
    pub(super) fn new(connection: &'a mut PgConnection, schema: &'a str, limit: Duration) -> Self {
        Self { connection, schema, limit, heartbeat: None }
    }

    /// Each answer is progress of a leadership that begins.
    pub(super) fn telling(self, heartbeat: Option<Heartbeat>) -> Self {
        Self { heartbeat, ..self }
    }

    fn answered(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.progress();
        }
    }

    /// A statement, in whose text `{s}` stands for the schema.
    pub(crate) fn statement(&self, sql: &str) -> Statement {
        sqlx::query(AssertSqlSafe(self.text(sql))).persistent(false)
    }

    fn text(&self, sql: &str) -> String {
        sql.replace("{s}", self.schema)
    }

    /// Text without parameters, in one message: what begins and ends transactions.
    pub(crate) async fn simple(&mut self, sql: &str) -> Result<(), Failed> {
        let sql = AssertSqlSafe(self.text(sql));
        limited(self.limit, sqlx::raw_sql(sql).execute(&mut *self.connection)).await.map(drop)
    }

    /// From now on a statement has this long.
    pub(super) fn within(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Begins a transaction: `how` is what follows the word. The server ends it by itself when nothing comes any more: a client that
    /// was cut off would hold the row of the lease for hours, and nobody could lead. Whatever is usual for the server, the database
    /// or the role, it sees what others have committed meanwhile, its commit waits for the disk, and the wait for a standby is
    /// cut off by nothing: the server would say then that it is committed.
    pub(crate) async fn begin(&mut self, how: &str) -> Result<(), Failed> {
        let how = if how.is_empty() { READ_COMMITTED } else { how };
        self.simple(&self.text_that_begins(how, SURELY)).await
    }

    /// The same on a connection that may be lost: it has this long to begin.
    pub(super) async fn begin_within(&mut self, first: Duration, how: &str) -> Result<(), Failed> {
        let begin = self.text_that_begins(how, SURELY);
        let usual = self.limit;
        self.limit = first.min(usual);
        let begun = self.simple(&begin).await;
        self.limit = usual;
        begun
    }

    /// The same, whose commit does not wait for the disk.
    pub(super) async fn begin_loosely(&mut self) -> Result<(), Failed> {
        self.simple(&self.text_that_begins(READ_COMMITTED, LOOSELY)).await
    }

    fn text_that_begins(&self, how: &str, lasting: &str) -> String {
        let patience = self.limit.as_millis().saturating_mul(2).clamp(1, 1 << 30);
        format!(
            "begin {how}; set local idle_in_transaction_session_timeout to {patience}; set local lock_timeout to {patience}; set local statement_timeout to 0; {lasting}"
        )
    }

    /// Gives how many rows it concerned.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<u64, Failed> {
        let done = limited(self.limit, statement.execute(&mut *self.connection)).await?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<PgRow>, Failed> {
        let rows = limited(self.limit, statement.fetch_all(&mut *self.connection)).await?;
        self.answered();
        Ok(rows)
    }

    pub(crate) async fn one(&mut self, statement: Statement) -> Result<Option<PgRow>, Failed> {
        limited(self.limit, statement.fetch_optional(&mut *self.connection)).await
    }
}

pub(super) async fn limited<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Failed> {
    match tokio::time::timeout(limit, call).await {
        Ok(done) => done.map_err(|error| Failed::Sql(Box::new(error))),
        Err(_) => Err(Failed::TooSlow(limit)),
    }
}

/// A column of a row, by its place.
pub(crate) fn column<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    place: usize,
) -> Result<T, Failed> {
    row.try_get(place).map_err(|error| Failed::Sql(Box::new(error)))
}

/// A number as it lies in a `bigint`: numbers count up from 1, and none reaches 2⁶³.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Several.
pub(crate) fn integers(numbers: impl IntoIterator<Item = u64>) -> Vec<i64> {
    numbers.into_iter().map(integer).collect()
}

/// Such a column.
pub(crate) fn number(row: &PgRow, place: usize) -> Result<u64, Failed> {
    unsigned(column(row, place)?)
}

/// Back again.
pub(crate) fn unsigned(number: i64) -> Result<u64, Failed> {
    u64::try_from(number).map_err(|_| Failed::Unreadable(format!("the number {number} is below 0")))
}
