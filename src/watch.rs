//! When schedules and calendars are to be read again: on SIGHUP, and when one of their folders changed and all were
//! quiet for a while.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use ponos::files::FileReader;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf, absolute},
    time::Duration,
};
use tokio::sync::mpsc;
use tracing::warn;

/// Editors and deployments write in several steps: this long nothing must change before the folder is read.
const QUIET: Duration = Duration::from_secs(2);

/// Says on `reload` that it is time, as long as somebody listens there. A folder that is not there is waited for.
///
/// Returns once they are watched. Nothing should wait for that: a file system that hangs blocks the call.
pub async fn folders(folders: Vec<PathBuf>, reload: mpsc::Sender<()>) {
    #[cfg(unix)]
    tokio::spawn(on_hangup(reload.clone()));
    let Some(first) = folders.first().cloned() else { return };
    let (changed, changes) = mpsc::channel(1);
    let ours = folders.clone();
    let begin = move || {
        let begun = FileReader::default().within_patience(&first, move || Watch::begin(&ours, changed));
        begun.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    };
    let begun = tokio::task::spawn_blocking(begin).await;
    match begun.unwrap_or_else(|error| Err(error.to_string())) {
        Ok(watch) => drop(tokio::spawn(settle(watch, changes, reload))),
        Err(error) => {
            warn!(%error, ?folders, "changes to the schedules are not detected automatically; send SIGHUP after a change");
        }
    }
}

/// The folders that are watched, and where one that is missing is waited for.
struct Watch {
    watcher: RecommendedWatcher,
    folders: Vec<PathBuf>,
    /// What missing folders are to be in.
    parents: BTreeSet<PathBuf>,
}

impl Watch {
    fn begin(folders: &[PathBuf], changed: mpsc::Sender<()>) -> notify::Result<Self> {
        let folders: Vec<PathBuf> = folders.iter().map(absolute).collect::<Result<_, _>>()?;
        let ours = folders.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let read = event.as_ref().is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
            let foreign = event.as_ref().is_ok_and(|event| are_foreign(&event.paths, &ours));
            if !read && !foreign && changed.try_send(()).is_err() {
                // One that waits to be noticed is as good as many.
            }
        })?;
        let mut watch = Self { watcher, folders, parents: BTreeSet::new() };
        watch.follow()?;
        Ok(watch)
    }

    /// Watches each folder, or what a missing one is to be in. To be called again when something changed: a folder that
    /// was created again is another one.
    fn follow(&mut self) -> notify::Result<()> {
        let mut parents = BTreeSet::new();
        let mut failed = None;
        for folder in &self.folders {
            let Err(error) = watch(&mut self.watcher, folder) else { continue };
            match folder.parent().map(|parent| (parent, watch(&mut self.watcher, parent))) {
                // It may have been made just before.
                Some((parent, Ok(()))) if watch(&mut self.watcher, folder).is_err() => {
                    parents.insert(parent.to_owned());
                }
                Some((_, Ok(()))) => {}
                Some((_, Err(_))) | None => failed = Some(error),
            }
        }
        for parent in self.parents.difference(&parents).filter(|parent| !self.folders.contains(parent)) {
            // An error: it is gone, and so is the watch.
            let _ = self.watcher.unwatch(parent);
        }
        self.parents = parents;
        failed.map_or(Ok(()), Err)
    }
}

fn watch(watcher: &mut RecommendedWatcher, folder: &Path) -> notify::Result<()> {
    watcher.watch(folder, RecursiveMode::NonRecursive)
}

/// Whether what changed is nothing of ours: beside a folder that is waited for lie other things. By its name alone, for some
/// systems tell of a path without its links.
fn are_foreign(paths: &[PathBuf], folders: &[PathBuf]) -> bool {
    let is_in = |path: &PathBuf, folder: &PathBuf| match folder.file_name() {
        Some(name) => path.components().any(|part| part.as_os_str() == name),
        None => true,
    };
    !paths.is_empty() && !paths.iter().any(|path| folders.iter().any(|folder| is_in(path, folder)))
}

/// Passes a change on once nothing more has come for a while.
async fn settle(mut watch: Watch, mut changes: mpsc::Receiver<()>, reload: mpsc::Sender<()>) {
    loop {
        tokio::select! {
            Some(()) = changes.recv() => {}
            () = reload.closed() => return,
            else => return,
        }
        follow(&mut watch);
        while tokio::time::timeout(QUIET, changes.recv()).await.is_ok_and(|change| change.is_some()) {}
        // Before it is read: what changes after that is seen.
        follow(&mut watch);
        if reload.send(()).await.is_err() {
            return;
        }
    }
}

fn follow(watch: &mut Watch) {
    if let Err(error) = watch.follow() {
        warn!(%error, "a folder can't be watched any more; send SIGHUP after a change");
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Longer than anything takes that works, on a busy machine.
    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_folder_is_seen_when_it_is_made_changed_removed_and_made_again() {
        let place = tempfile::tempdir().unwrap();
        let (schedules, calendars) = (place.path().join("schedules"), place.path().join("calendars"));
        fs::create_dir(&schedules).unwrap();
        let (reload, mut reloads) = mpsc::channel(1);
        folders(vec![schedules, calendars.clone()], reload).await;
        let changes: [&dyn Fn(); 5] = [
            &|| fs::create_dir(&calendars).unwrap(),
            &|| fs::write(calendars.join("a.toml"), "").unwrap(),
            &|| fs::remove_dir_all(&calendars).unwrap(),
            &|| fs::create_dir(&calendars).unwrap(),
            &|| fs::write(calendars.join("a.toml"), "").unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            change();
            let seen = tokio::time::timeout(LIMIT, reloads.recv()).await;
            assert_eq!(seen, Ok(Some(())), "change {number} was not seen");
        }
    }

    #[test]
    fn what_lies_beside_a_folder_is_foreign() {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        let ours = paths(&["/etc/khronos/schedules", "/etc/khronos/calendars"]);
        for (path, foreign) in [
            ("/etc/khronos/config.toml", true),
            ("/etc/khronos", true),
            ("/etc/khronos/calendars", false),
            ("/private/etc/khronos/schedules/a.toml", false),
        ] {
            assert_eq!(are_foreign(&paths(&[path]), &ours), foreign, "{path}");
        }
        assert!(!are_foreign(&[], &ours), "nobody says what changed");
        assert!(!are_foreign(&paths(&["/a"]), &paths(&["/b/.."])));
    }
}
