//! Full disks: a failed write loses nothing that was saved, and with room again the clock goes on by itself.

use super::{
    fixture::{child, child_folder, commit, content, open, rows},
    kills::{check, told},
};
use crate::{
    config::MetricsConfig,
    store::{Page, SledOptions, Store, StoreError, StoreEvent, Tuning, open_sled},
    telemetry::Counts,
};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// Runs a test in a process of its own, behind a line of bash.
fn behind(line: &str, test: &str, folder: &std::path::Path) -> Output {
    let test = child(test, folder);
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", line, "bash"]);
    command.arg(test.get_program()).args(test.get_args()).env("KHRONOS_TEST_CHILD", folder);
    command.output().unwrap()
}

/// A file system of 8 MiB that only the child sees. Where that is not allowed, the limit on a file's size in the other
/// test has to do.
#[test]
fn a_clock_on_a_full_disk_says_so_once_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mount =
        "mount -t tmpfs -o size=8m none \"$KHRONOS_TEST_CHILD\" || { echo NO MOUNT; exit 0; }; exec \"$@\"";
    let ran = behind(mount, "store::sled::full_disk::child_fills_the_disk", folder.path());
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
    if errors.contains("unshare failed") || said.contains("NO MOUNT") {
        println!("no file system of its own here: {errors}");
        return;
    }
    assert!(ran.status.success() && said.contains("all there"), "{said}\n{errors}");
}

#[tokio::test]
async fn child_fills_the_disk() {
    let Some(folder) = child_folder() else { return };
    let ballast = folder.join("ballast");
    let store: PathBuf = folder.join("store");
    fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let millisecond = Duration::from_millis(1);
    let tuning = Tuning { pause: millisecond, longest_pause: millisecond, ..Tuning::default() };
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let opened = open_sled(store.clone(), "khronos".into(), SledOptions::default(), tuning, counts).await;
    let (handle, _, mut events) = opened.unwrap();
    let (mut tick, mut after, mut failures) = (0, 0, 0);
    let told = async |events: &mut tokio::sync::mpsc::UnboundedReceiver<StoreEvent>| {
        let told = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        told.expect("the store says something within a minute").unwrap()
    };
    // Filled three times: what fails (the log, the seal, a snapshot while opening) differs by how much fits.
    while failures < 3 {
        tick += 1;
        handle.save(tick, commit(tick as i64, rows(after, 100))).unwrap();
        match told(&mut events).await {
            StoreEvent::Saved { ticket, last_sequence } => {
                assert_eq!((ticket, last_sequence), (tick, after + 100));
            }
            StoreEvent::Failing { error } => {
                assert!(error.to_string().contains("make room"), "{error}");
                failures += 1;
                fs::File::options()
                    .write(true)
                    .open(&ballast)
                    .unwrap()
                    .set_len((3 - failures) << 20)
                    .unwrap();
                assert!(matches!(told(&mut events).await, StoreEvent::Reopened));
                let saved = told(&mut events).await;
                assert!(matches!(saved, StoreEvent::Saved { ticket, .. } if ticket == tick), "{saved:?}");
            }
            other => panic!("{other:?}"),
        }
        after += 100;
    }
    handle.close().await.unwrap();
    let Page { rows: found, first, last, .. } = content(&mut open(&store).unwrap()).unwrap().record;
    // The last row may be the mark that no rows of confirmed events were given.
    assert_eq!((first, last), (1, after + 1));
    assert!(found.into_iter().take(after as usize).map(|row| row.row).eq(rows(0, after)));
    println!("all there");
}

/// A disk that takes no more: files may not grow beyond a limit, in a process of its own. (As on a full disk the
/// write fails, with another number of the error.)
#[test]
fn a_disk_that_is_full_loses_nothing_and_works_again_with_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let test = child("store::sled::full_disk::child_writes_until_refused", &path);
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 3000; exec \"$@\"", "limited"]);
    limited.arg(test.get_program()).args(test.get_args()).env("KHRONOS_TEST_CHILD", &path);
    let ran = limited.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("make room"), "{said}");
    assert!(said.contains("refused again"), "{said}");
    let (mut settled, mut last) = (0, 0);
    for line in said.lines() {
        told(line, &mut settled, &mut last);
    }
    assert!(settled > 0);
    let (settled, last) = check(&path, settled, last, 0);
    let mut store = open(&path).unwrap();
    assert!(store.save(0, &commit(settled + 1, rows(last, 1000))).unwrap() >= 1000);
}

#[test]
fn child_writes_until_refused() {
    let Some(folder) = child_folder() else { return };
    let mut store = open(&folder).unwrap();
    for tick in 1..100_000 {
        let last = store.written().last_sequence;
        match store.save(0, &commit(tick, rows(last, 500))) {
            Ok(last) => println!("saved {tick} {last}"),
            Err(error @ StoreError::Io { .. }) => {
                println!("{error}");
                let again = store.save(0, &commit(tick, vec![]));
                assert!(matches!(again, Err(StoreError::Io { .. })), "{again:?}");
                println!("refused again");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the disk never was full");
}
