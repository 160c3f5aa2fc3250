//! Watches what a failover of the store's Postgres may lose: nobody sees it before it happens, so it is a standing warning.

use crate::{
    postgres::{Door, Follower, Replication},
    telemetry::{LeaseFigures, ReplicationState},
};
use ponos::shutdown::{Shutdown, Stage};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, info, warn};

/// How often it is looked at: standbys come and go.
const EVERY: Duration = Duration::from_secs(60);

/// Says what a person should know of it, and shows it in figures, from now on until the shutdown.
pub(super) async fn watched(
    door: &Door,
    shutdown: &Shutdown,
    (told, figures): (watch::Sender<Option<String>>, LeaseFigures),
) {
    let follower = Arc::new(Follower::new(door));
    let mut last = None;
    tell((&told, &figures), &mut last, look(follower.clone()).await);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.reached(Stage::Draining) => return,
                () = told.closed() => return,
                () = sleep(EVERY) => tell((&told, &figures), &mut last, look(follower.clone()).await),
            }
        }
    });
}

/// `None` where it could not be looked at: the store says itself what is wrong then.
async fn look(follower: Arc<Follower>) -> Option<Replication> {
    let looked = tokio::task::spawn_blocking(move || follower.replication()).await;
    match looked {
        Ok(Ok(replication)) => Some(replication),
        Ok(Err(error)) => {
            debug!(%error, "the replication of the store's Postgres could not be looked at");
            None
        }
        Err(_) => None,
    }
}

/// `last` is what counted until now.
fn tell(
    (told, figures): (&watch::Sender<Option<String>>, &LeaseFigures),
    last: &mut Option<Replication>,
    seen: Option<Replication>,
) {
    let Some(seen) = seen else { return };
    let seen = seen.after(last.as_ref());
    let seen = last.insert(seen);
    figures.replicated(state(seen));
    let warning = seen.warning();
    told.send_if_modified(|last| {
        if *last == warning {
            return false;
        }
        match &warning {
            Some(warning) => warn!("{warning}"),
            None if *seen == Replication::Alone => {
                info!("no standby of the store's Postgres is known any more")
            }
            None => info!("each commit in the store's Postgres waits for all its standbys now"),
        }
        last.clone_from(&warning);
        true
    });
}

fn state(replication: &Replication) -> ReplicationState {
    match replication {
        Replication::Alone | Replication::Synchronous => ReplicationState::Safe,
        Replication::Asynchronous(_) | Replication::Unwaited(_) => ReplicationState::Lacking,
        Replication::Unknown(_) => ReplicationState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stands_until_what_is_seen_is_another() {
        let (told, warning) = watch::channel(None);
        let (figures, mut last) = (LeaseFigures::default(), None);
        let asynchronous = || Some(Replication::Asynchronous("standby b".into()));
        for (seen, stands) in [
            (None, false),
            (Some(Replication::Alone), false),
            (asynchronous(), true),
            (None, true),
            (asynchronous(), true),
            (Some(Replication::Alone), true),
            (None, true),
            (Some(Replication::Alone), true),
            (Some(Replication::Synchronous), false),
            (Some(Replication::Unwaited("synchronous_commit is off")), true),
            (Some(Replication::Alone), false),
        ] {
            tell((&told, &figures), &mut last, seen.clone());
            assert_eq!(warning.borrow().is_some(), stands, "{seen:?}");
            let shown = figures.seen().map(|seen| seen.replication);
            let state = if stands { ReplicationState::Lacking } else { ReplicationState::Safe };
            assert_eq!(shown, last.as_ref().map(|_| state), "{seen:?}");
        }
    }
}
