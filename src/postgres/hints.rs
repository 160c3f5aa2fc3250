//! Hears that somebody gives the lease back, or is asked to: a hint, so that nobody waits for his next look. Whether it comes or
//! not, what the row says is the truth.
//!
//! Not behind a pooler that gives each transaction another session: what is heard there comes to whoever has that session then, in
//! the middle of his own answers. So before anything is listened to it is found out whether the session stays.

use super::{
    Door,
    calls::{column, limited},
    errors::Failed,
};
use sqlx::{
    ConnectOptions as _, PgExecutor,
    postgres::{PgListener, PgPoolOptions},
};
use std::{collections::BTreeSet, convert::Infallible, future::pending, time::Duration};
use tokio::time::{sleep, timeout};
use tracing::debug;

/// What is notified there has the clock's name.
pub(super) const CHANNEL: &str = "khronos";
/// How long connecting may take, and each call.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(1);
/// A connection on which nothing was heard for so long is asked whether it is still there.
const SILENT: Duration = Duration::from_secs(30);

/// Tells each hint, by a connection of its own, as long as it is polled.
pub(crate) async fn hear(door: &Door, told: impl Fn()) -> Infallible {
    loop {
        match Box::pin(listen(door)).await {
            Ok(Some(listener)) => {
                let failed = hear_by(listener, &door.shard().clock, &told).await;
                debug!(error = ?failed, "the connection on which is heard that a lease is given back was lost");
            }
            Ok(None) => {
                debug!(
                    "a pooler gives each transaction another session: who gives the lease back is not heard, but seen at the next look"
                );
                return pending().await;
            }
            Err(error) => debug!(?error, "whether a lease is given back can't be heard; that is tried again"),
        }
        sleep(PAUSE).await;
    }
}

/// A connection that listens; `None` where its session is not its own.
async fn listen(door: &Door) -> Result<Option<PgListener>, Failed> {
    let options = door.address().options();
    let alone = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let alone = alone.acquire_timeout(LIMIT).connect_lazy_with(options.clone());
    let mut listener = limited(LIMIT, Box::pin(PgListener::connect_with(&alone))).await?;
    listener.eager_reconnect(false);
    let mut other = limited(LIMIT, options.connect()).await?;
    let (mut ours, mut others) = (BTreeSet::new(), BTreeSet::new());
    // In this order a pooler shows itself that gives each the session that was used last, and one that gives them in turn.
    for is_ours in [true, false, false, true, true, false] {
        match is_ours {
            true => ours.insert(session(&mut listener).await?),
            false => others.insert(session(&mut other).await?),
        };
    }
    if ours.len() > 1 || others.len() > 1 || ours == others {
        return Ok(None);
    }
    limited(LIMIT, Box::pin(listener.listen(CHANNEL))).await?;
    Ok(Some(listener))
}

/// Until the connection is lost.
async fn hear_by(mut listener: PgListener, clock: &str, told: impl Fn()) -> Failed {
    // Something may have been told before.
    told();
    loop {
        match timeout(SILENT, listener.try_recv()).await {
            Ok(Ok(Some(heard))) => {
                if heard.payload() == clock {
                    told();
                }
            }
            Ok(Ok(None)) => return Failed::Moved("it ended"),
            Ok(Err(error)) => return Failed::Sql(Box::new(error)),
            Err(_) => {
                if let Err(failed) = session(&mut listener).await {
                    return failed;
                }
            }
        }
    }
}

/// The process of the server that a transaction is made by.
async fn session(connection: impl PgExecutor<'_>) -> Result<i32, Failed> {
    let asked = sqlx::raw_sql("select pg_backend_pid()").fetch_one(connection);
    column(&limited(LIMIT, asked).await?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::{PATIENCE, Tables};
    use std::sync::atomic::{AtomicBool, Ordering};
    use testkit::{PgBouncer, Postgres};
    use tokio::sync::mpsc;

    fn notify(payload: &str) {
        Postgres::shared().sql("stores", &format!("select pg_notify('{CHANNEL}', '{payload}')"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_told_to_this_clock_is_heard_on_another_connection_once_one_is_lost() {
        let door = Tables::new().door("told");
        let (told, mut hints) = mpsc::unbounded_channel();
        let hearing = tokio::spawn(async move { hear(&door, || told.send(()).unwrap_or_default()).await });
        let mut heard = async || timeout(PATIENCE, hints.recv()).await.expect("it is heard in time").unwrap();
        // It looks for what it missed.
        heard().await;
        notify("another");
        notify("told");
        heard().await;
        Postgres::shared().sql(
            "stores",
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'LISTEN%' and application_name = 'khronos told'",
        );
        heard().await;
        notify("told");
        heard().await;
        assert!(hints.try_recv().is_err(), "what is told to another clock is not heard");
        hearing.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn behind_a_pooler_in_transaction_mode_nothing_is_listened_to() {
        let tables = Tables::new();
        assert!(Box::pin(listen(&tables.door("khronos"))).await.unwrap().is_some());
        for pool in 1..=3 {
            let bouncer = PgBouncer::start(Postgres::shared(), pool);
            let door = tables.by(&bouncer.url(tables.url())).door("khronos");
            assert!(Box::pin(listen(&door)).await.unwrap().is_none(), "a pool of {pool}");
            let busy = door.clone();
            let is_over = AtomicBool::new(false);
            // Others keep the sessions going round.
            let others = async {
                let mut other = busy.address().options().connect().await.unwrap();
                while !is_over.load(Ordering::SeqCst) {
                    session(&mut other).await.unwrap();
                }
            };
            let ours = async {
                for _ in 0..10 {
                    assert!(Box::pin(listen(&door)).await.unwrap().is_none(), "a pool of {pool}");
                }
                is_over.store(true, Ordering::SeqCst);
            };
            tokio::join!(others, ours);
        }
    }
}
