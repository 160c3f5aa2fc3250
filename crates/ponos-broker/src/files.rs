//! Reads the files that a configuration names: bounded in kind, in size and in time.
//!
//! A file is read if it is a regular one (where symbolic links lead, as mounted secrets have them): a FIFO or a device would
//! block its reader. It is read on a thread of its own and waited for a while only: a network file system that
//! hangs can't be interrupted, so the thread is left behind. How many may be left is bounded, and a path that one of them is
//! still busy with is not tried again until it is done.

use std::{
    collections::BTreeSet,
    fs::{self, File, FileType, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// How long one file may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How many reads may hang before no more are begun.
const MOST_HANGING: usize = 16;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system reports an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a regular file.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// It is too large.
    #[error("it is larger than {}", size(*.0))]
    TooLarge(u64),
    /// It is not UTF-8 text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// Its file system did not answer in time.
    #[error("its file system did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// Its file system has not answered an earlier read yet.
    #[error("its file system has not answered yet; check whether the mount responds")]
    Hanging,
}

impl ReadError {
    /// Whether the file system does not answer, so that other files of it are not worth trying.
    pub fn hangs(&self) -> bool {
        matches!(self, Self::Late(_) | Self::Hanging)
    }
}

/// The bytes of a regular file, if there are at most `most`. Blocks for [`PATIENCE`] at most.
///
/// # Errors
/// [`ReadError`]; its text does not name the file.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    FileReader::default().read(path, most)
}

/// That every user of the machine may read this file, which is to be a secret, if it is so: by its mode, and by those of the
/// folders that it lies in. What can't be found out within [`PATIENCE`] is not said of it.
pub fn open_to_others(path: &Path) -> Option<String> {
    let file = path.to_owned();
    let is_open = FileReader::default().within_patience(path, move || is_open_to_others(&file));
    let is_open = is_open.unwrap_or(false);
    is_open.then(|| format!("every user of this machine may read {} (chmod o-rwx)", path.display()))
}

/// As [`read`], of a UTF-8 text.
///
/// # Errors
/// As [`read`].
pub fn read_text(path: &Path, most: u64) -> Result<String, ReadError> {
    FileReader::default().read_text(path, most)
}

/// Reads many files, one after the other, on one thread.
#[derive(Debug)]
pub struct FileReader {
    jobs: Option<mpsc::Sender<Job>>,
    patience: Duration,
}

type Job = Box<dyn FnOnce() + Send>;

impl Default for FileReader {
    fn default() -> Self {
        Self { jobs: None, patience: PATIENCE }
    }
}

impl FileReader {
    /// As [`read`].
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&mut self, path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
        let file = path.to_owned();
        self.within_patience(path, move || regular(&file, most))?
    }

    /// As [`read_text`].
    ///
    /// # Errors
    /// As [`read`].
    pub fn read_text(&mut self, path: &Path, most: u64) -> Result<String, ReadError> {
        String::from_utf8(self.read(path, most)?).map_err(|_| ReadError::NotText)
    }

    /// Runs `work` on this path on a thread of its own, and returns its result if it ends in time.
    ///
    /// # Errors
    /// [`ReadError::Late`] and [`ReadError::Hanging`]; that there is no thread for it.
    pub fn within_patience<T: Send + 'static>(
        &mut self,
        path: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        {
            let hanging = hanging();
            if hanging.len() >= MOST_HANGING || hanging.contains(path) {
                return Err(ReadError::Hanging);
            }
        }
        let (answer, answered) = mpsc::sync_channel(1);
        let ours = path.to_owned();
        let job: Job = Box::new(move || {
            let done = work();
            // Under the lock: who stops waiting either sees the answer, or has noted the path before it is crossed out.
            let mut hanging = hanging();
            let _ = answer.send(done);
            hanging.remove(&ours);
        });
        self.begin(job)?;
        if let Ok(done) = answered.recv_timeout(self.patience) {
            return Ok(done);
        }
        let mut hanging = hanging();
        if let Ok(done) = answered.try_recv() {
            return Ok(done);
        }
        hanging.insert(path.to_owned());
        self.jobs = None;
        Err(ReadError::Late(self.patience))
    }

    fn begin(&mut self, job: Job) -> io::Result<()> {
        let job = match &self.jobs {
            Some(jobs) => match jobs.send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(job)) => job,
            },
            None => job,
        };
        let (jobs, to_do) = mpsc::channel::<Job>();
        let work = move || to_do.into_iter().for_each(|job| job());
        thread::Builder::new().name("read-file".into()).spawn(work)?;
        // Its receiver has just been made.
        let _ = jobs.send(job);
        self.jobs = Some(jobs);
        Ok(())
    }
}

/// The paths of reads that hang.
fn hanging() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static HANGING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    HANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn regular(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    // Before it is opened, for opening a device may do something; and again on the handle, for it may be another one by then.
    is_regular(fs::metadata(path)?.file_type())?;
    let file = open(path)?;
    let metadata = file.metadata()?;
    is_regular(metadata.file_type())?;
    if metadata.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // It may be longer than it says, or grow.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(ReadError::TooLarge(most)) } else { Ok(bytes) }
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let lets = |path: &Path, bit| fs::metadata(path).is_ok_and(|found| found.mode() & bit != 0);
    let Ok(file) = fs::canonicalize(file) else { return false };
    lets(&file, 0o004) && file.ancestors().skip(1).all(|folder| lets(folder, 0o001))
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

fn is_regular(kind: FileType) -> Result<(), ReadError> {
    if kind.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Err(ReadError::NotRegular("a FIFO"));
        }
        if kind.is_socket() {
            return Err(ReadError::NotRegular("a socket"));
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Err(ReadError::NotRegular("a device"));
        }
    }
    Err(ReadError::NotRegular(if kind.is_dir() { "a folder" } else { "something else" }))
}

fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(1 << 20) { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_read_through_links_and_up_to_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "hello").unwrap();
        assert_eq!(read_text(&file, 5).unwrap(), "hello");
        assert_eq!(read(&file, 4).unwrap_err().to_string(), "it is larger than 4 bytes");
        fs::write(&file, [0xff]).unwrap();
        assert!(matches!(read_text(&file, 5), Err(ReadError::NotText)));
        let missing = read(&folder.path().join("none"), 5).unwrap_err();
        assert!(
            matches!(&missing, ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound),
            "{missing}"
        );
        assert_eq!(read(folder.path(), 5).unwrap_err().to_string(), "it is a folder, not a regular file");
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&file, &link).unwrap();
            assert_eq!(read(&link, 5).unwrap(), [0xff]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_open_to_others_where_its_mode_and_its_folders_let_them() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        let (file, link) = (inner.join("key.pem"), folder.path().join("link.pem"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        for (of_folder, of_inner, of_file, open) in [
            (0o755, 0o711, 0o644, true),
            (0o755, 0o711, 0o640, false),
            (0o755, 0o700, 0o644, false),
            (0o700, 0o755, 0o644, false),
        ] {
            for (path, mode) in [(&file, of_file), (&inner, of_inner), (&folder.path().to_owned(), of_folder)]
            {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            for path in [&file, &link] {
                let said = open_to_others(path);
                assert_eq!(said.is_some(), open, "{of_folder:o} {of_inner:o} {of_file:o}: {said:?}");
            }
        }
        assert_eq!(open_to_others(&folder.path().join("none.pem")), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(read(&fifo, 5).unwrap_err().to_string(), "it is a FIFO, not a regular file");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(read(&socket, 5).unwrap_err().to_string(), "it is a socket, not a regular file");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert_eq!(read(&link, 5).unwrap_err().to_string(), "it is a device, not a regular file");
        // It says that it has no bytes, and has some.
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
        assert!(matches!(read(Path::new("/proc/self/status"), 10), Err(ReadError::TooLarge(10))));
    }

    #[test]
    fn what_hangs_is_left_behind_and_not_tried_again_until_it_has_ended() {
        let mut reader = FileReader { patience: Duration::from_millis(20), ..FileReader::default() };
        let path = Path::new("/a/mount/that/hangs");
        let (end, ended) = mpsc::channel::<()>();
        let late = reader.within_patience(path, move || ended.recv().is_ok());
        assert!(matches!(&late, Err(error @ ReadError::Late(_)) if error.hangs()), "{late:?}");
        let begun = reader.within_patience(path, || panic!("it must not begin"));
        assert!(matches!(begun, Err(ReadError::Hanging)), "{begun:?}");
        reader.patience = Duration::from_secs(60);
        assert_eq!(reader.within_patience(Path::new("/another"), || 7).unwrap(), 7);
        end.send(()).unwrap();
        let again = || reader.within_patience(path, || ()).ok();
        testkit::block_until("the path is free again", Duration::from_secs(60), again);
    }
}
