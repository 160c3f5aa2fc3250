//! A wall clock that can be moved, for one process: Debian's libfaketime, which `test.sh` installs.

use khronos::clock;
use ponos::event::Timestamp;
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

fn library() -> String {
    format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH)
}

pub(crate) struct MovedTime {
    /// What the library reads, once a second.
    file: PathBuf,
    /// From when on the process may be so many milliseconds ahead.
    moves: Mutex<Vec<(Timestamp, i64)>>,
}

impl MovedTime {
    /// Not moved yet; it is told by way of a file.
    pub(crate) fn new(file: PathBuf) -> Self {
        let time = Self { file, moves: Mutex::default() };
        time.moves_on(0);
        time
    }

    /// The variables of a process that is to have this time. What measures how long something takes is left alone.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let library = library();
        assert!(Path::new(&library).exists(), "{library} is missing: ./test.sh installs it");
        vec![
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }

    /// Moves it forward; a process that runs sees it within a second.
    pub(crate) fn moves_on(&self, millis: i64) {
        let mut moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = moves.last().map_or(0, |(_, ahead)| *ahead) + millis;
        moves.push((clock::now(), ahead));
        let unfinished = self.file.with_extension("new");
        let text = format!("+{}.{:03}\n", ahead / 1000, ahead % 1000);
        std::fs::write(&unfinished, text).unwrap();
        std::fs::rename(unfinished, &self.file).unwrap();
    }

    /// The latest that a process of this time can have shown at an instant of ours.
    pub(crate) fn at(&self, ours: Timestamp) -> Timestamp {
        let moves = self.moves.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = moves.iter().rev().find(|(from, _)| *from <= ours).map_or(0, |(_, ahead)| *ahead);
        ours.plus(ahead)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at(clock::now())
    }

    /// Removes what the library leaves of a process that ended.
    pub(crate) fn forget(&self, process: u32) {
        for name in [format!("faketime_shm_{process}"), format!("sem.faketime_sem_{process}")] {
            // A later version of it may leave nothing.
            let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
        }
    }
}
