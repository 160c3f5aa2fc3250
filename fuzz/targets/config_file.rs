//! The configuration: a file, a cut, and lines `NAME=value` of the environment.
#![no_main]

use fuzz::{diagnostics, pieces};
use khronos::config::{Config, Request};
use std::{ffi::OsString, path::PathBuf, sync::LazyLock};

/// Nothing else looks like it.
const PASSWORD: &str = "hunter2-hunter2";

/// Configurations are read from files only; this one lies in memory where there is such a file system.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let shared = PathBuf::from("/dev/shm");
    let folder = if shared.is_dir() { shared } else { std::env::temp_dir() };
    folder.join(format!("khronos-fuzz-{}.toml", std::process::id()))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(text) = pieces::text(bytes) else { return };
    // No other file is read: one of a name that is made up may be a pipe.
    if text.contains("url_file") || text.contains("URL_FILE") {
        return;
    }
    let [file, variables] = pieces::cut(text);
    std::fs::write(&*FILE, file).expect("the file can be written");
    let variable =
        |line: &str| line.split_once('=').map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let request = Request {
        file: Some(FILE.clone()),
        environment: variables.lines().filter_map(variable).collect(),
        flags: Vec::new(),
    };
    let (_, found) = Config::read(&request);
    // A mark of the order of bytes is no part of the text.
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let of_file = |one: &&khronos::diagnostic::Diagnostic| one.line.is_some();
    let mut placed = khronos::diagnostic::Diagnostics::default();
    found.list().iter().filter(of_file).for_each(|one| placed.push(one.clone()));
    diagnostics::placed(file, &placed);
    assert_eq!(Config::load(&request).is_ok(), found.errors() == 0);
    hidden(request, file, variables);
});

/// A password in the broker's URL is not shown, neither by what was read nor by what is said of it: in a variable and in a
/// file. What follows the `@` is made up.
fn hidden(request: Request, file: &str, variables: &str) {
    if file.contains(PASSWORD) || variables.contains(PASSWORD) {
        return;
    }
    let rest = variables.lines().last().unwrap_or_default();
    let url = format!("amqp://somebody:{PASSWORD}@{rest}");
    let mut environment = request.environment;
    environment.retain(|(name, _)| name != "KHRONOS_BROKER_URL");
    environment.push(("KHRONOS_BROKER_URL".into(), url.clone().into()));
    shows_no_password(&Request { environment, file: request.file, flags: Vec::new() });
    // Between such quotes everything else stands for itself.
    if !rest.contains(|character: char| character == '\'' || character.is_control()) {
        std::fs::write(&*FILE, format!("[broker]\nurl = '{url}'\n")).expect("the file can be written");
        shows_no_password(&Request { file: Some(FILE.clone()), environment: Vec::new(), flags: Vec::new() });
    }
}

fn shows_no_password(request: &Request) {
    let (config, found) = Config::read(request);
    let shown = format!("{config:?}\n{found}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}
