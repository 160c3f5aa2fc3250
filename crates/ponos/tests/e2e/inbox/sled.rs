//! The inbox on sled under the suite of all inboxes, and what its disk may do to it.
#![cfg(feature = "inbox-sled")]

use super::inbox_conformance::{self, LIMIT, Place, handle, is_handled, key, run};
use ponos::inbox::{Inbox, InboxError, InboxErrorClass};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

struct Folder(tempfile::TempDir);

impl Place for Folder {
    const DURABLE: bool = true;

    async fn open(&mut self) -> Inbox {
        Inbox::sled(self.0.path().join("inbox"), None).unwrap()
    }
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

conformance!(tokio::test, |_| folder());

#[tokio::test]
async fn a_second_process_is_refused_with_the_remedy() {
    let mut place = folder();
    let inbox = place.open().await;
    let error = Inbox::sled(place.0.path().join("inbox"), None).unwrap_err();
    assert_eq!(error.class, InboxErrorClass::Unavailable);
    assert!(error.to_string().contains("one replica"), "{error}");
    assert!(!inbox.is_shared() && !inbox.takes_publishes());
}

#[tokio::test]
async fn a_folder_that_cant_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/inbox");
    let error = Inbox::sled(&path, None).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_damaged_database_is_refused_or_runs_again_and_never_panics() {
    let mut place = folder();
    let inbox = place.open().await;
    for id in 0..200 {
        handle(&inbox, &key(&id.to_string())).await;
    }
    drop(inbox);
    drop(place.open().await); // waits until the first has closed it
    let database = place.0.path().join("inbox/db");
    let lock = fs::File::open(place.0.path().join("inbox/lock")).unwrap();
    testkit::wait_until("the lock to be free", LIMIT, async || lock.try_lock().ok()).await;
    lock.unlock().unwrap();
    let whole = fs::read(&database).unwrap();
    for seed in 0..40 {
        let mut bytes = whole.clone();
        for step in 0..20 {
            let at = (seed * 7919 + step * 104_729) % bytes.len();
            bytes[at] ^= 0x5A;
        }
        fs::write(&database, bytes).unwrap();
        match Inbox::sled(place.0.path().join("inbox"), None) {
            Ok(inbox) => {
                for id in 0..200 {
                    if let Err(error) = inbox.begin(&key(&id.to_string())).await {
                        assert!(error.to_string().contains("inbox"), "{error}");
                    }
                }
            }
            Err(error) => assert_eq!(error.class, InboxErrorClass::Refused, "{error}"),
        }
        testkit::wait_until("the lock to be free", LIMIT, async || lock.try_lock().ok()).await;
        lock.unlock().unwrap();
        for entry in fs::read_dir(place.0.path().join("inbox")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

/// This test in a process of its own, where it finds the folder in its environment.
fn child(test: &str, folder: &Path, before: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{before} exec \"$@\""), "bash"]);
    let test = format!("inbox::sled::{test}");
    command.arg(std::env::current_exe().unwrap()).args([
        &*test,
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env("INBOX_TEST_CHILD", folder);
    command
}

fn child_folder() -> Option<PathBuf> {
    std::env::var_os("INBOX_TEST_CHILD").map(PathBuf::from)
}

#[tokio::test]
async fn what_was_recorded_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = 0;
    for round in 0..3 {
        let mut child = child("child_records_until_killed", folder.path(), "")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let wanted = told + 40 + round;
        told = lines
            .by_ref()
            .find_map(|line| {
                let number: u32 = line.strip_prefix("recorded ")?.parse().ok()?;
                (number >= wanted).then_some(number)
            })
            .expect("the child records");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it wrote meanwhile.
        told = lines.filter_map(|line| line.strip_prefix("recorded ")?.parse().ok()).last().unwrap_or(told);
        let inbox = Inbox::sled(folder.path(), None).unwrap();
        for id in 0..=told {
            assert!(is_handled(&inbox, &key(&id.to_string())).await, "{id} of {told}");
        }
    }
}

#[tokio::test]
async fn child_records_until_killed() {
    let Some(folder) = child_folder() else { return };
    let inbox = Inbox::sled(folder, None).unwrap();
    for id in 0..1_000_000 {
        if !is_handled(&inbox, &key(&id.to_string())).await {
            handle(&inbox, &key(&id.to_string())).await;
        }
        println!("recorded {id}");
    }
}

/// Files may not grow beyond a limit, as on a full disk; room comes by the parent's lifting the limit.
#[test]
fn a_full_disk_is_unavailable_with_the_remedy_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ran =
        child("child_fills_the_disk", folder.path(), "trap '' XFSZ; ulimit -S -f 2000;").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("free disk space"), "{said}");
    assert!(said.contains("works again"), "{said}");
}

#[tokio::test]
async fn child_fills_the_disk() {
    let Some(folder) = child_folder() else { return };
    let inbox = Inbox::sled(&folder, None).unwrap();
    let (recorded, error) = fill(&inbox).await;
    println!("{error}");
    assert_eq!(error.class, InboxErrorClass::Unavailable);
    // Opening writes too: until there is room, nothing is answered.
    let refused = inbox.begin(&key("other")).await.unwrap_err();
    assert!(refused.to_string().contains("free disk space"), "{refused}");
    lift_the_limit();
    testkit::wait_until("the inbox to work again", LIMIT, async || {
        let entry = match inbox.begin(&key("after")).await {
            Ok(ponos::inbox::Begun::Run(entry)) => entry,
            Ok(ponos::inbox::Begun::Handled) => return Some(()),
            Err(_) => return None,
        };
        entry.done(vec![]).await.ok().map(drop)
    })
    .await;
    for id in 0..recorded {
        assert!(is_handled(&inbox, &key(&padded(id))).await, "{id} of {recorded}");
    }
    println!("works again after {recorded}");
}

fn padded(id: u32) -> String {
    format!("{id:0>250}")
}

async fn fill(inbox: &Inbox) -> (u32, InboxError) {
    for id in 0..1_000_000 {
        if let Err(error) = run(inbox, &key(&padded(id))).await.done(vec![]).await {
            return (id, error);
        }
    }
    panic!("the disk never was full");
}

fn lift_the_limit() {
    let own = std::process::id().to_string();
    let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &own]).status().unwrap();
    assert!(lifted.success());
}

#[cfg(unix)]
mod others {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use testkit::assert_private;

    #[test]
    fn the_folder_is_for_its_user_alone_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        let ran = child("others::child_looks_while_it_is_open", &path, "umask 000;").output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        assert_private(&path);
    }

    #[tokio::test]
    async fn child_looks_while_it_is_open() {
        let Some(folder) = child_folder() else { return };
        let inbox = Inbox::sled(&folder, None).unwrap();
        handle(&inbox, &key("one")).await;
        assert_private(&folder);
    }

    #[test]
    fn a_folder_that_others_may_write_and_a_planted_link_are_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inbox");
        drop(Inbox::sled(&path, None).unwrap());
        let target = folder.path().join("target");
        fs::write(&target, "whole").unwrap();
        symlink(&target, path.join("snap.1")).unwrap();
        let refused = Inbox::sled(&path, None).unwrap_err().to_string();
        assert!(refused.contains("symbolic link") && refused.contains("remove it"), "{refused}");
        fs::remove_file(path.join("snap.1")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        let refused = Inbox::sled(&path, None).unwrap_err().to_string();
        assert!(
            refused.contains("may be written by other users") && refused.contains("chmod 700"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
    }
}

#[tokio::test]
async fn many_at_once_share_their_syncs() {
    let mut place = folder();
    let inbox = place.open().await;
    let keys: Vec<_> = (0..5000).map(|id| key(&id.to_string())).collect();
    let all = futures_util::future::join_all(keys.iter().map(|key| handle(&inbox, key)));
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("far less than a sync for each");
    assert!(is_handled(&inbox, &keys[4999]).await);
}
