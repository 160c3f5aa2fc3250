//! `khronos store`: what is refused, and with which exit code. Copies themselves are tested where the stores are, and with a clock
//! that goes on.

use std::{
    fs,
    process::{Command, Output},
};
use testkit::Sandbox;

fn khronos(sandbox: &Sandbox, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    command.args(arguments).current_dir(sandbox.path("")).env_clear();
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (status.code(), said)
}

#[test]
fn what_can_not_be_copied_is_refused_with_what_to_do_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let (code, said) = khronos(&sandbox, &["store", "copy", "here", "there"]);
    assert!(code == Some(74) && said.contains("there is no store at here"), "{code:?}: {said}");
    fs::create_dir(sandbox.path("full")).unwrap();
    fs::write(sandbox.path("full/letter"), "").unwrap();
    let (code, said) = khronos(&sandbox, &["store", "copy", "here", "full"]);
    assert!(code == Some(2) && said.contains("something is at full already"), "{code:?}: {said}");
    for url in ["postgres://ann:sesame@db.example/clock", "amqp://ann:sesame@db.example"] {
        let (code, said) = khronos(&sandbox, &["store", "copy", "here", url]);
        assert!(code == Some(2) && said.contains("@FILE") && !said.contains("sesame"), "{code:?}: {said}");
    }
    assert!(!sandbox.path("here").exists() && !sandbox.path("there").exists());
}

#[test]
fn its_help_says_what_from_and_to_may_be() {
    let (code, said) = khronos(&Sandbox::new(), &["store", "copy", "--help"]);
    assert_eq!(code, Some(0), "{said}");
    for word in ["<FROM>", "<TO>", "@FILE", "--to-schema", "no clock runs"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn what_is_not_held_is_not_accepted_and_who_accepts_says_how() {
    let sandbox = Sandbox::new();
    let (code, said) = khronos(&sandbox, &["store", "accept", "--skip", "--store", "here"]);
    assert!(code == Some(2) && said.contains("here is not held"), "{code:?}: {said}");
    for arguments in [&["store", "accept"][..], &["store", "accept", "--skip", "--send-again"]] {
        let (code, said) = khronos(&sandbox, arguments);
        assert!(code == Some(2) && said.contains("--send-again"), "{code:?}: {said}");
    }
    let (code, said) = khronos(&sandbox, &["store", "backup", "there", "--store", "here"]);
    assert!(code == Some(2) && said.contains("no clock runs"), "{code:?}: {said}");
    assert!(!sandbox.path("here").exists() && !sandbox.path("there").exists());
}
