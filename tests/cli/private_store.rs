//! The folder of a running clock, and other users of the machine.
#![cfg(unix)]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    process::Command,
    time::Duration,
};
use testkit::{Program, Sandbox, Signal, assert_private};

const LIMIT: Duration = Duration::from_secs(60);
/// Nobody.
const OTHER: u32 = 65_534;

/// A clock with everything allowed by the umask, as soon as its control socket is there.
fn started(sandbox: &Sandbox) -> Program {
    let clock = "umask 000; exec \"$0\" run --store store --broker memory: --listen 127.0.0.1:0 2> err";
    let mut command = Command::new("sh");
    command.args(["-c", clock, env!("CARGO_BIN_EXE_khronos")]).env_clear();
    let program = sandbox.start(&mut command);
    let socket = sandbox.path("store/control.sock");
    testkit::block_until_or_tell(
        "the control socket",
        LIMIT,
        || fs::symlink_metadata(&socket).is_ok().then_some(()),
        || fs::read_to_string(sandbox.path("err")).unwrap_or_default(),
    );
    program
}

#[test]
fn all_that_a_clock_writes_is_for_its_user_alone_whatever_the_umask() {
    let sandbox = Sandbox::new();
    let mut clock = started(&sandbox);
    assert_private(&sandbox.path("store"));
    clock.signal(Signal::TERM);
    assert_eq!(clock.wait(LIMIT), Some(0));
    assert_private(&sandbox.path("store"));
}

/// As root alone somebody else can be played.
#[test]
fn another_user_can_not_hold_a_lock_that_keeps_the_clock_from_starting() {
    let sandbox = Sandbox::new();
    let mut clock = started(&sandbox);
    clock.signal(Signal::TERM);
    clock.wait(LIMIT);
    if fs::metadata(sandbox.path("store")).unwrap().uid() != 0 {
        return;
    }
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["db", "lock", "seal"] {
        let file = sandbox.path("store").join(name);
        let held = Command::new("flock").arg(&file).arg("true").uid(OTHER).gid(OTHER).output().unwrap();
        assert!(!held.status.success(), "{name} was locked");
    }
    drop(started(&sandbox));
}
