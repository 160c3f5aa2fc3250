//! One run for several messages: their rows are inserted by one statement, and commit together with what the handler wrote.

use super::{
    errors::classify,
    store::{Store, TransactionRun, lock_timeout, without_nul},
    transaction::Transaction,
};
use crate::inbox::{BegunAll, Entry, EntryBackend, InboxError, InboxKey};
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Rows by their keys, which are four arrays.
const KEYS: &str =
    "(queue, handler, source, id) in (select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]))";

/// The parts of a key as they stand in a row.
type RowKey = [String; 4];

impl Store {
    pub(in crate::inbox) async fn begin_all(
        self: &Arc<Self>,
        keys: &[InboxKey],
        patience: Duration,
    ) -> Result<BegunAll, InboxError> {
        let doing = format!("beginning {} keys at once", keys.len());
        // in one order, so that no two batches wait for each other
        let insert = format!(
            "with patience as materialized (
                select current_setting('lock_timeout') as before, set_config('lock_timeout', $5, true)),
             wanted as (select distinct *
                from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as wanted (queue, handler, source, id))
            insert into {}.ponos_inbox (queue, handler, source, id)
                select queue, handler, source, id from wanted, patience order by queue, handler, source, id
            on conflict do nothing
            returning queue, handler, source, id, txid_current(), (select before from patience)",
            self.schema
        );
        let begin = async {
            let mut transaction = Box::pin(self.work.begin()).await?;
            let rows: Vec<(RowKey, i64, String)> = of_keys(AssertSqlSafe(insert), keys)
                .bind(lock_timeout(patience))
                .try_map(|row: PgRow| {
                    let key = [row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
                    Ok((key, row.try_get(4)?, row.try_get(5)?))
                })
                .fetch_all(&mut *transaction)
                .await?;
            let Some((_, number, before)) = rows.first() else {
                return transaction.rollback().await.map(|()| None);
            };
            // not by the statement itself, which would put it back with its first row
            sqlx::query("select set_config('lock_timeout', $1, true)")
                .bind(before.as_str())
                .execute(&mut *transaction)
                .await?;
            let number = *number;
            Ok(Some((transaction, number, rows)))
        };
        let begin = async { begin.await.map_err(|error| classify(&self.address, &doing, &error)) };
        let begun = self.limited(&doing, patience, begin).await?;
        let Some((transaction, number, rows)) = begun else {
            return Ok(BegunAll { handled: vec![true; keys.len()], entry: None });
        };
        let mut inserted: HashSet<RowKey> = rows.into_iter().map(|(row, ..)| row).collect();
        // taken out, so that of two ids that are one in a row the second is not there
        let handled: Vec<bool> = keys.iter().map(|key| !inserted.remove(&row_key(key))).collect();
        let mut begun =
            keys.iter().zip(&handled).filter(|(_, handled)| !**handled).map(|(key, _)| key.clone());
        let transaction = Transaction::new(transaction);
        let entry = begun.next().map(|key| {
            let run = TransactionRun::of(self.clone(), (key, begun.collect()), transaction, number);
            Entry(EntryBackend::Postgres(Box::new(run)))
        });
        Ok(BegunAll { handled, entry })
    }
}

impl TransactionRun {
    /// Has the rows of these taken away before the commit.
    pub(in crate::inbox) fn leave_out(&mut self, keys: &HashSet<InboxKey>) {
        let all = std::iter::once(self.key.clone()).chain(std::mem::take(&mut self.others));
        let (out, rest): (Vec<InboxKey>, Vec<InboxKey>) = all.partition(|key| keys.contains(key));
        self.left_out.extend(out);
        let mut rest = rest.into_iter();
        // the one by which is seen whether a commit without an answer happened
        if let Some(first) = rest.next() {
            self.key = first;
        }
        self.others = rest.collect();
    }

    /// In the transaction itself: who waits for such a key runs after the commit.
    pub(super) async fn remove_left_out(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let delete = format!("delete from {}.ponos_inbox where {KEYS}", self.store.schema);
        of_keys(AssertSqlSafe(delete), &self.left_out).execute(connection).await.map(drop)
    }

    /// As for one key: the rows that this transaction wrote, if the handler committed them.
    pub(super) async fn take_back_all(&self) -> Result<bool, InboxError> {
        let all = std::iter::once(&self.key).chain(&self.others).chain(&self.left_out);
        let all: Vec<InboxKey> = all.cloned().collect();
        let delete =
            format!("delete from {}.ponos_inbox where {KEYS} and xmin = $5::text::xid", self.store.schema);
        let delete = of_keys(AssertSqlSafe(delete), &all)
            // a row has the lower half of the number
            .bind((self.number & 0xffff_ffff).to_string())
            .execute(&self.store.side);
        self.store.call("taking keys back", delete).await.map(|done| done.rows_affected() > 0)
    }
}

fn row_key(key: &InboxKey) -> RowKey {
    let InboxKey { queue, handler, source, id } = key;
    [&**queue, &**handler, &**source, id.as_str()].map(|part| without_nul(part).into_owned())
}

/// A statement whose first four parameters are the parts of keys, in the order of [`KEYS`].
fn of_keys(statement: AssertSqlSafe<String>, keys: &[InboxKey]) -> Query<'static, Postgres, PgArguments> {
    let rows: Vec<RowKey> = keys.iter().map(row_key).collect();
    let column = |index: usize| -> Vec<String> { rows.iter().map(|row| row[index].clone()).collect() };
    sqlx::query(statement).bind(column(0)).bind(column(1)).bind(column(2)).bind(column(3))
}
