//! `--health-file`: a file that exists and is recent while the worker is alive, for a supervisor that restarts it.

use crate::trouble::Trouble;
use ponos::{clock::Clock, worker::Liveness};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often the file is written.
const BEAT: Duration = Duration::from_secs(5);

/// Writes the file for the first time, so that a path that can't be written is reported at once.
pub(crate) fn begin(path: &Path) -> Result<(), Trouble> {
    write(path, "")
        .map_err(|error| Trouble::io(&format!("--health-file {} can't be written", path.display()), &error))
}

/// The notes about a worker that is alive, one line each.
pub(crate) fn state(liveness: &Liveness) -> Option<String> {
    liveness.check().ok()?;
    Some(liveness.notes().iter().map(|note| format!("{note}\n")).collect())
}

/// Keeps the file: written again and again while the worker is alive, removed while it is not. Never returns.
pub(crate) async fn keep(path: PathBuf, state: impl Fn() -> Option<String>) {
    loop {
        tokio::time::sleep(BEAT).await;
        // at once and not aside, so that nothing is written after the end
        let kept = match state() {
            Some(notes) => write(&path, &notes),
            None => remove(&path),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, path = %path.display(), "the health file can't be written or removed");
        }
    }
}

/// Removes the file at the worker's end.
pub(crate) fn end(path: &Path) {
    // what can't be removed grows old
    let _ = remove(path);
}

/// Writes the file beside its place and moves it there, so that a link, a pipe or a device at that place is neither followed
/// nor opened.
fn write(path: &Path, notes: &str) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(io::ErrorKind::IsADirectory.into()) };
    let mut unfinished = name.to_owned();
    unfinished.push(".new");
    let unfinished = path.with_file_name(unfinished);
    remove(&unfinished)?;
    // Not where somebody has made it again meanwhile.
    let mut file = fs::File::options().write(true).create_new(true).open(&unfinished)?;
    let written =
        write!(file, "{}\n{notes}", Clock::system().now()).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // What can't be moved is not left behind.
        let _ = remove(&unfinished);
    }
    written
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    #[cfg(unix)]
    #[test]
    fn what_lies_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("alive"), folder.path().join("target"));
        for planted in [&path, &folder.path().join("alive.new")] {
            fs::write(&target, "whole").unwrap();
            std::os::unix::fs::symlink(&target, planted).unwrap();
            begin(&path).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
            assert!(fs::symlink_metadata(&path).unwrap().is_file());
            end(&path);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_there_while_the_worker_is_alive_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        begin(&path).unwrap();
        let alive = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&alive);
        let keeping = tokio::spawn(keep(path.clone(), move || {
            seen.load(Ordering::Relaxed).then(|| "paused\n".to_owned())
        }));
        for now in [false, true, false, false] {
            alive.store(now, Ordering::Relaxed);
            tokio::time::sleep(BEAT * 2).await;
            let text = fs::read_to_string(&path).ok();
            assert_eq!(text.map(|text| text.ends_with("Z\npaused\n")), now.then_some(true));
        }
        keeping.abort();
        begin(&path).unwrap();
        end(&path);
        assert!(!path.exists());
        assert!(begin(folder.path()).is_err(), "a folder is no file");
    }
}
