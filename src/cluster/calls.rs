//! The calls of a member, made by the one connection of the lease.

use crate::{
    engine::lease::{LeaseCall, LeaseReply},
    postgres::{Door, Failed, Grant, LedTurn, Line, MemberShown, Told, TurnEnd},
    store::StoreError,
};
use futures_util::future::LocalBoxFuture;
use std::time::Duration;
use tokio::{sync::oneshot, time::sleep};
use tracing::warn;

/// How long connecting and making the tables may take at the start.
const PREPARING: Duration = Duration::from_secs(30);
/// Between two attempts to connect at the start.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

/// A writer that waits for its turn.
pub(super) type Waiting = oneshot::Sender<Result<LedTurn, StoreError>>;

/// What became of a call.
pub(super) struct Done {
    pub(super) number: u64,
    pub(super) told: Result<Told, Failed>,
    /// As long as it can be used.
    pub(super) line: Option<Line>,
    /// The member was shown with it.
    pub(super) has_shown: bool,
}

/// While the server is not there it is waited for, as long as `is_wanted`; `waits` is told why.
pub(super) async fn prepare(
    door: &Door,
    is_wanted: impl Fn() -> bool,
    waits: impl Fn(&StoreError),
) -> Result<Line, StoreError> {
    let mut has_told = false;
    loop {
        let preparing = async {
            let mut line = Line::connect(door, PREPARING).await?;
            line.prepare(door, PREPARING).await?;
            Ok(line)
        };
        match preparing.await {
            Err(failed) if Failed::is_of_its_absence(&failed) && is_wanted() => {
                let error = door.address().explain(failed, 0);
                waits(&error);
                if !std::mem::replace(&mut has_told, true) {
                    warn!(%error, "the database is waited for");
                }
                sleep(BETWEEN_ATTEMPTS).await;
            }
            ended => return ended.map_err(|failed| door.address().explain(failed, 0)),
        }
    }
}

/// One call, by this connection or a new one. It takes no longer than the limit.
pub(super) fn call(
    door: Door,
    (number, call): (u64, LeaseCall),
    line: Option<Line>,
    shown: Option<MemberShown>,
    limit: Duration,
) -> LocalBoxFuture<'static, Done> {
    Box::pin(async move {
        let making = async {
            let mut line = match line {
                Some(line) => line,
                None => Line::connect(&door, limit).await?,
            };
            let told = line.ask(&door, call, shown.as_ref(), limit).await?;
            Ok((told, line))
        };
        match tokio::time::timeout(limit, making).await.unwrap_or(Err(Failed::TooSlow(limit))) {
            Ok((told, line)) => {
                let has_shown = shown.is_some();
                Done { number, told: Ok(told), line: Some(line), has_shown }
            }
            Err(failed) => Done { number, told: Err(failed), line: None, has_shown: false },
        }
    })
}

/// The turn of a writer: it has the connection meanwhile.
pub(super) fn turn(
    door: Door,
    (number, (term, writes, timeline)): (u64, (u64, u64, u32)),
    line: Option<Line>,
    waiting: Waiting,
    limit: Duration,
) -> LocalBoxFuture<'static, Done> {
    Box::pin(async move {
        let failed = |failed| Done { number, told: Err(failed), line: None, has_shown: false };
        let line = match line {
            Some(line) => Ok(line),
            // Its steps have that together: later, the lease is looked at and renewed by another call.
            None => {
                let connecting = tokio::time::timeout(limit, Line::connect(&door, limit));
                connecting.await.unwrap_or(Err(Failed::TooSlow(limit)))
            }
        };
        let Line { connection, tells } = match line {
            Ok(line) => line,
            Err(error) => {
                let why = door.address().explain(error, term);
                drop(waiting.send(Err(why.clone())));
                return failed(why.into());
            }
        };
        let (ended, end) = oneshot::channel();
        let grant = Grant { term, writes, tells, timeline };
        let turn = LedTurn { connection, grant, ended };
        let unused = match waiting.send(Ok(turn)) {
            Ok(()) => None,
            Err(Ok(turn)) => Some(turn.connection),
            Err(Err(_)) => None,
        };
        if let Some(connection) = unused {
            // Whoever waited is gone: what is due is the renewal.
            let save = LeaseCall::Save { term, writes, job: None };
            return call(door, (number, save), Some(Line { connection, tells }), None, limit).await;
        }
        match end.await {
            // Why, its writer says.
            Err(_) => Done { number, told: Ok(LeaseReply::Failed.into()), line: None, has_shown: false },
            Ok(TurnEnd { reply, connection }) => {
                let line = connection.map(|connection| Line { connection, tells });
                Done { number, told: Ok(reply.into()), line, has_shown: false }
            }
        }
    })
}
