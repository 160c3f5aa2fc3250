//! The connections, and one run of one handler in its transaction.

use super::{
    PostgresOptions,
    errors::{address, classify, too_slow},
    group, outbox, schema,
    tied::{self, Tied},
    transaction::Transaction,
    unique,
};
use crate::{
    inbox::{Begun, Entry, EntryBackend, Held, InboxError, InboxErrorClass, InboxKey},
    worker::group::GroupDraft,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool, PgTransaction, Postgres, Row,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
};
use std::{borrow::Cow, str::FromStr, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How long an ended handler's connection may take to be usable again before it is thrown away.
const RELEASE: Duration = Duration::from_secs(5);
/// A row by its key.
const KEY: &str = "queue = $1 and handler = $2 and source = $3 and id = $4";
/// How often, and with which pause between, it is tried to take back a row that a handler committed by itself.
const UNDO: (u32, Duration) = (3, Duration::from_secs(1));
/// Rows in one step of pruning.
const STEP: i64 = 5000;

/// Makes the server notice within about a minute that a worker's machine is gone, and free its locks; and lets a handler take
/// as long as its policy allows, in whose transaction nothing may happen meanwhile, whatever is set for other programs. Settings
/// that a version does not know are left out.
const SETTINGS: &str = "select set_config(wanted.name, wanted.value, false)
    from (values ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'),
                 ('client_connection_check_interval', '5s'), ('idle_in_transaction_session_timeout', '0'),
                 ('transaction_timeout', '0')) as wanted (name, value)
    join pg_settings using (name)";

/// Clears what a handler may have left on a connection, in one round trip: settings, role, advisory locks, temporary tables,
/// cursors, listening, sequences' last values, and statements prepared by SQL. Statements prepared by the protocol stay,
/// because they are the cache; `discard all` would drop them.
const RESET: &str = "set session authorization default; reset role; reset all; close all; unlisten *;
    select pg_advisory_unlock_all(); discard temp; discard sequences;
    do $$ declare own text; begin
        for own in select name from pg_prepared_statements where from_sql loop
            execute format('deallocate %I', own);
        end loop;
    end $$;";

/// Shared by all clones of an inbox.
pub(in crate::inbox) struct Store {
    /// Handlers' transactions, and the retries of those that failed.
    pub(super) work: PgPool,
    /// Relay, forgetting, pruning: never behind handlers that have all the connections.
    pub(super) side: PgPool,
    pub(super) address: String,
    pub(super) schema: String,
    pub(super) service: Arc<str>,
    /// Notified when a message was inserted into the outbox.
    pub(super) put: Notify,
    /// Whether retries wait here.
    pub(super) keeps_retries: bool,
    connect_timeout: Duration,
    pub(super) call_timeout: Duration,
}

/// One run.
pub(in crate::inbox) struct TransactionRun {
    pub(super) store: Arc<Store>,
    /// That of one message, or the first of a batch.
    pub(super) key: InboxKey,
    /// The others of a batch, and those whose rows are taken away again before the commit.
    pub(super) others: Vec<InboxKey>,
    pub(super) left_out: Vec<InboxKey>,
    pub(super) transaction: Transaction,
    /// Identifies the transaction, to check at the end that it is still the same one.
    pub(super) number: i64,
    /// What else ends with it, …
    pub(super) tied: Vec<Tied>,
    /// … and begins.
    pub(super) groups: Vec<GroupDraft>,
}

impl Store {
    pub(super) async fn open(url: &str, options: PostgresOptions) -> Result<Self, InboxError> {
        let PostgresOptions { service, schema, connections, keeps_retries, connect_timeout, call_timeout } =
            options;
        schema::identifier(&schema)?;
        let target = PgConnectOptions::from_str(url)
            .map_err(|error| classify("its URL", "the Postgres inbox", &error))?
            .application_name(&format!("ponos {service}"))
            .disable_statement_logging();
        let address = address(&target);
        let store = Self {
            work: pool(&target, connections.max(1), connect_timeout),
            side: pool(&target, 2, connect_timeout),
            address,
            schema,
            service,
            put: Notify::new(),
            keeps_retries,
            connect_timeout,
            call_timeout,
        };
        store.limited("opening the inbox", Duration::ZERO, store.prepare(&target)).await?;
        Ok(store)
    }

    /// Prepares the database on a connection of its own, because a pool would wait instead of failing.
    async fn prepare(&self, target: &PgConnectOptions) -> Result<(), InboxError> {
        let mut connection =
            target.connect().await.map_err(|error| classify(&self.address, "connecting", &error))?;
        let ensured = schema::ensure(&mut connection, &self.address, &self.schema).await;
        // What matters is told already.
        let _ = connection.close().await;
        ensured
    }

    /// How many connections handlers have.
    pub(in crate::inbox) fn connections(&self) -> usize {
        usize::try_from(self.work.options().get_max_connections()).unwrap_or(usize::MAX)
    }

    pub(in crate::inbox) async fn begin(
        self: &Arc<Self>,
        key: &InboxKey,
        patience: Duration,
    ) -> Result<Begun, InboxError> {
        let doing = format!("beginning {key}");
        // The transaction's own limit for locks holds for this statement alone, and is put back by it.
        let insert = format!(
            "with patience as materialized (
                select current_setting('lock_timeout') as before, set_config('lock_timeout', $5, true))
            insert into {}.ponos_inbox (queue, handler, source, id) select $1, $2, $3, $4 from patience
            on conflict do nothing
            returning txid_current(), set_config('lock_timeout', (select before from patience), true)",
            self.schema
        );
        let begin = async {
            let mut transaction = Box::pin(self.work.begin()).await?;
            let number: Option<i64> = of_key(AssertSqlSafe(insert), key)
                .bind(lock_timeout(patience))
                .try_map(|row: PgRow| row.try_get(0))
                .fetch_optional(&mut *transaction)
                .await?;
            match number {
                Some(number) => Ok(Some((transaction, number))),
                None => transaction.rollback().await.map(|()| None),
            }
        };
        let begin = async { begin.await.map_err(|error| classify(&self.address, &doing, &error)) };
        let Some((transaction, number)) = self.limited(&doing, patience, begin).await? else {
            return Ok(Begun::Handled);
        };
        let transaction = Transaction::new(transaction);
        let (store, key) = (self.clone(), key.clone());
        let run = TransactionRun::of(store, (key, Vec::new()), transaction, number);
        Ok(Begun::Run(Entry(EntryBackend::Postgres(Box::new(run)))))
    }

    pub(in crate::inbox) async fn forget(&self, key: &InboxKey) -> Result<bool, InboxError> {
        let delete = format!("delete from {}.ponos_inbox where {KEY}", self.schema);
        let delete = of_key(AssertSqlSafe(delete), key).execute(&self.side);
        self.call("forgetting a key", delete).await.map(|done| done.rows_affected() > 0)
    }

    /// Removes a key's row if that transaction wrote it.
    async fn take_back(&self, key: &InboxKey, transaction: i64) -> Result<bool, InboxError> {
        let delete = format!("delete from {}.ponos_inbox where {KEY} and xmin = $5::text::xid", self.schema);
        let delete = of_key(AssertSqlSafe(delete), key)
            // a row has the lower half of the number
            .bind((transaction & 0xffff_ffff).to_string())
            .execute(&self.side);
        self.call("taking a key back", delete).await.map(|done| done.rows_affected() > 0)
    }

    pub(in crate::inbox) async fn prune(&self, older_than: Duration) -> Result<u64, InboxError> {
        let delete = format!(
            "delete from {0}.ponos_inbox where ctid = any (array (
                select ctid from {0}.ponos_inbox where at < now() - make_interval(secs => $1) order by at limit $2))",
            self.schema
        );
        let mut pruned = 0;
        loop {
            let step = sqlx::query(AssertSqlSafe(delete.clone()))
                .bind(older_than.as_secs_f64())
                .bind(STEP)
                .execute(&self.side);
            match self.call("pruning", step).await?.rows_affected() {
                0 => break,
                removed => pruned += removed,
            }
        }
        unique::prune(self).await?;
        group::prune(self).await?;
        Ok(pruned)
    }

    /// Calls the database within the time limit, and classifies its error.
    pub(super) async fn call<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, InboxError> {
        self.patient(doing, Duration::ZERO, call).await
    }

    /// The same for what may wait so long for others.
    pub(super) async fn patient<T>(
        &self,
        doing: &str,
        patience: Duration,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, InboxError> {
        let call = async { call.await.map_err(|error| classify(&self.address, doing, &error)) };
        self.limited(doing, patience, call).await
    }

    pub(super) async fn limited<T>(
        &self,
        doing: &str,
        patience: Duration,
        work: impl Future<Output = Result<T, InboxError>>,
    ) -> Result<T, InboxError> {
        let limit = self.connect_timeout + self.call_timeout + patience;
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(too_slow(&self.address, doing, limit)),
        }
    }
}

impl TransactionRun {
    /// Of one key, or of a batch.
    pub(super) fn of(
        store: Arc<Store>,
        (key, others): (InboxKey, Vec<InboxKey>),
        transaction: Transaction,
        number: i64,
    ) -> Self {
        let (left_out, tied, groups) = (Vec::new(), Vec::new(), Vec::new());
        Self { store, key, others, left_out, transaction, number, tied, groups }
    }

    pub(in crate::inbox) fn key(&self) -> &InboxKey {
        &self.key
    }

    pub(in crate::inbox) fn transaction(&self) -> Transaction {
        self.transaction.clone()
    }

    pub(in crate::inbox) async fn done(self, publishes: Vec<Held>) -> Result<(), InboxError> {
        let transaction = match self.written(&publishes).await {
            Ok(transaction) => transaction,
            Err(error) => {
                self.undo().await;
                return Err(error);
            }
        };
        // Nothing is taken back from here on: without an answer, all of it may be committed.
        self.store.call("committing what was handled", transaction.commit()).await?;
        // the end of a group's last member, and the beginning of an empty one, write what is published too
        if !publishes.is_empty() || !self.tied.is_empty() || !self.groups.is_empty() {
            self.store.put.notify_one();
        }
        Ok(())
    }

    /// The transaction with everything that is to commit, if it is still the one that was begun.
    async fn written(&self, publishes: &[Held]) -> Result<PgTransaction<'static>, InboxError> {
        let mut transaction = self.transaction.take().await?;
        let write = async {
            // A transaction that failed refuses this; to its commit Postgres would answer with a silent rollback.
            let now: i64 = sqlx::query_scalar("select txid_current()").fetch_one(&mut *transaction).await?;
            if now != self.number {
                return Ok(now);
            }
            if !self.left_out.is_empty() {
                self.remove_left_out(&mut transaction).await?;
            }
            if !publishes.is_empty() {
                outbox::put(&mut transaction, &self.store, publishes).await?;
            }
            group::begin_all(&mut transaction, &self.store, &self.groups, publishes).await?;
            tied::end_all(&self.tied, &mut transaction, &self.store).await?;
            Ok(now)
        };
        if self.store.call("recording what was handled", write).await? != self.number {
            return Err(InboxError::refused(
                "the handler ended its transaction itself",
                "leave commit and rollback to the runtime: what it wrote before is not undone, and it runs again",
            ));
        }
        Ok(transaction)
    }

    pub(in crate::inbox) async fn abandon(self) {
        // Dropped, it is rolled back by the pool; this is to have it done at once where that is possible.
        if let Ok(transaction) = self.transaction.take().await
            && let Ok(Err(error)) = tokio::time::timeout(RELEASE, transaction.rollback()).await
        {
            let error = classify(&self.store.address, "rolling back", &error);
            if error.class != InboxErrorClass::Unavailable {
                tracing::warn!(%error, "a handler's transaction could not be rolled back; its connection is closed");
            }
        }
        self.undo().await;
    }

    /// Removes the row if the handler committed it, because a retry would count as handled otherwise. A row of another run is
    /// not touched.
    async fn undo(&self) {
        let key = &self.key;
        for left in (0..UNDO.0).rev() {
            let taken_back = match self.others.is_empty() && self.left_out.is_empty() {
                true => self.store.take_back(key, self.number).await,
                false => self.take_back_all().await,
            };
            match taken_back {
                Ok(false) => return,
                Ok(true) => {
                    tracing::error!(%key, "a handler committed its transaction itself and did not succeed: it runs again, and what it wrote stays; leave commit to the runtime");
                    return;
                }
                // The connection that was lost took its transaction along; only a commit of the handler's own would stay.
                Err(error) if left == 0 => {
                    tracing::warn!(%key, %error, "it is not known whether a handler that failed had committed its transaction itself; if it had, the key counts as handled");
                }
                Err(_) => tokio::time::sleep(UNDO.1).await,
            }
        }
    }
}

impl Drop for TransactionRun {
    fn drop(&mut self) {
        self.transaction.drop_now();
    }
}

/// A statement whose first four parameters are a key's parts, in the order of [`KEY`].
pub(super) fn of_key(
    statement: AssertSqlSafe<String>,
    key: &InboxKey,
) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(statement)
        .bind(without_nul(&key.queue))
        .bind(without_nul(&key.handler))
        .bind(without_nul(&key.source))
        .bind(without_nul(key.id.as_str()))
}

fn pool(target: &PgConnectOptions, connections: u32, connect_timeout: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(connect_timeout)
        .after_connect(|connection, _| {
            Box::pin(async move { sqlx::query(SETTINGS).execute(connection).await.map(drop) })
        })
        // A statement that was cancelled may still be running. What is not reset soon is thrown away, so that a server
        // that stands still does not keep the connection's place for ever.
        .after_release(|connection, _| {
            Box::pin(async move {
                let reset = sqlx::raw_sql(AssertSqlSafe(format!("{RESET}{SETTINGS}"))).execute(connection);
                match tokio::time::timeout(RELEASE, reset).await {
                    Ok(reset) => reset.map(|_| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
        .connect_lazy_with(target.clone())
}

/// Replaces NUL, which Postgres' text can't hold, by its symbol: ids that differ in that alone count as one.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{2400}").into() } else { text.into() }
}

/// So long as the setting `lock_timeout` has it: at least a millisecond, for 0 would be no limit.
pub(super) fn lock_timeout(patience: Duration) -> String {
    format!("{}ms", patience.as_millis().clamp(1, 1 << 30))
}
