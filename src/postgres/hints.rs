//! Hears that somebody gives the lease back, or is asked to: a hint, so that nobody waits for his next look. Whether it comes or
//! not, what the row says is the truth.
//!
//! Not behind a pooler that gives each transaction another session: what is heard there comes to whoever has that session then, in
//! the middle of his own answers. So before anything is listened to it is found out whether the session is this connection's own.

use super::{
    Door,
    calls::{column, limited},
    errors::Failed,
};
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::{convert::Infallible, future::pending, time::Duration};
use tokio::time::{sleep, timeout};
use tracing::debug;

/// What is notified there has the clock's name.
pub(super) const CHANNEL: &str = "khronos";
/// A setting that this connection's session begins with.
const OWN: &str = "khronos.own";
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
                    "sessions are those of a pooler: who gives the lease back is not heard, but seen at the next look"
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
    // A server has it from whoever began the session: a pooler begins its sessions itself, without it, or refuses it at once. Which
    // sessions a few transactions come to would tell less, for while others keep a pooler busy they may be the same ones by chance.
    let options = door.address().options().clone().options([(OWN, "yes")]);
    let alone = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let alone = alone.acquire_timeout(LIMIT).connect_lazy_with(options);
    let mut listener = match limited(LIMIT, Box::pin(PgListener::connect_with(&alone))).await {
        Err(Failed::Sql(error)) if is_refused(&error) => return Ok(None),
        connected => connected?,
    };
    listener.eager_reconnect(false);
    if !is_own(&mut listener).await? {
        return Ok(None);
    }
    limited(LIMIT, Box::pin(listener.listen(CHANNEL))).await?;
    Ok(Some(listener))
}

/// Whether something in between does not take what only a server can know what to do with.
fn is_refused(error: &sqlx::Error) -> bool {
    const PROTOCOL_VIOLATION: &str = "08P01";
    const FEATURE_NOT_SUPPORTED: &str = "0A000";
    let code = error.as_database_error().and_then(|said| said.code());
    code.is_some_and(|code| [PROTOCOL_VIOLATION, FEATURE_NOT_SUPPORTED].contains(&code.as_ref()))
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
                if let Err(failed) = is_own(&mut listener).await {
                    return failed;
                }
            }
        }
    }
}

/// Whether the session was begun by this connection.
async fn is_own(listener: &mut PgListener) -> Result<bool, Failed> {
    let asked = sqlx::query("select coalesce(current_setting($1, true), '') <> ''")
        .persistent(false)
        .bind(OWN)
        .fetch_one(listener);
    column(&limited(LIMIT, asked).await?, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::fixture::{PATIENCE, Tables};
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
    async fn behind_a_pooler_nothing_is_listened_to() {
        let tables = Tables::new();
        assert!(Box::pin(listen(&tables.door("khronos"))).await.unwrap().is_some());
        for (pool, settings) in [
            (1, ""),
            (1, "ignore_startup_parameters = options\n"),
            (3, "ignore_startup_parameters = options\n"),
        ] {
            let bouncer = PgBouncer::start_with(Postgres::shared(), pool, settings);
            let door = tables.by(&bouncer.url(tables.url())).door("khronos");
            // Nobody else is there, so that each transaction may well come to the same session.
            for _ in 0..3 {
                assert!(
                    Box::pin(listen(&door)).await.unwrap().is_none(),
                    "a pool of {pool} with {settings:?}"
                );
            }
        }
    }
}
