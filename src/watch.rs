//! When schedules and calendars are to be read again: on SIGHUP, and when one of their folders changed and all were
//! quiet for a while.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::{path::PathBuf, time::Duration};
use tokio::sync::mpsc;
use tracing::warn;

/// Editors and deployments write in several steps: this long nothing must change before the folder is read.
const QUIET: Duration = Duration::from_secs(2);

/// Says on `reload` that it is time. The watcher lasts as long as what is given back.
pub fn folders(folders: &[PathBuf], reload: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let (changed, changes) = mpsc::channel(1);
    tokio::spawn(settle(changes, reload.clone()));
    #[cfg(unix)]
    tokio::spawn(on_hangup(reload));
    if folders.is_empty() {
        return None;
    }
    let watch = || {
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let read = event.as_ref().is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
            if !read && changed.try_send(()).is_err() {
                // One that waits to be noticed is as good as many.
            }
        })?;
        for folder in folders {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok::<_, notify::Error>(watcher)
    };
    match watch() {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            warn!(%error, ?folders, "changes of the schedules are not seen by themselves; send SIGHUP after a change");
            None
        }
    }
}

/// Passes a change on once nothing more has come for a while.
async fn settle(mut changes: mpsc::Receiver<()>, reload: mpsc::Sender<()>) {
    while changes.recv().await.is_some() {
        while tokio::time::timeout(QUIET, changes.recv()).await.is_ok_and(|change| change.is_some()) {}
        if reload.send(()).await.is_err() {
            return;
        }
    }
}

#[cfg(unix)]
async fn on_hangup(reload: mpsc::Sender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return warn!(%error, "SIGHUP can't be listened for"),
    };
    while hangups.recv().await.is_some() {
        if reload.send(()).await.is_err() {
            return;
        }
    }
}
