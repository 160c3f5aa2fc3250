//! The guides for who comes new: each command of `docs/for-operators.md`, `docs/for-services.md` and `docs/publish-later.md` is run as it stands there, in order,
//! and what the page shows of the answer is in it.

use crate::harness::{Clock, scratch};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use testkit::Node;

/// A page's blocks, by the word behind their fence.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let block = |part: &str| {
        let (kind, block) = part.split_once('\n').unwrap();
        (kind.to_owned(), block.to_owned())
    };
    text.split("```").skip(1).step_by(2).map(block).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A shell as the pages suppose one: in the clock's folder, with the programs and the examples at hand.
struct Shell<'a> {
    clock: &'a Clock,
    folder: PathBuf,
    exports: String,
}

impl<'a> Shell<'a> {
    fn new(clock: &'a Clock) -> Self {
        let folder = clock.sandbox.path("");
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let python = std::env::var("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into());
        for (name, program) in [("khronos", env!("CARGO_BIN_EXE_khronos")), ("python3", &python)] {
            let file = bin.join(name);
            fs::write(&file, format!("#!/bin/sh\nexec {program} \"$@\"\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // It may be there of an earlier shell.
        let _ = symlink(root().join("examples"), folder.join("examples"));
        Self { clock, folder, exports: String::new() }
    }

    /// What a block prints; each of its commands does well. What it exports is there in the next ones.
    fn run(&mut self, block: &str) -> String {
        let block = block.replace("127.0.0.1:7650", &format!("127.0.0.1:{}", self.clock.port));
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-ec", &format!("{}\n{block}", self.exports)]).current_dir(&self.folder).env_clear();
        command.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        command.env("NODE_PATH", scratch().join("node/node_modules")).env("USER", "ann");
        command
            .env("KHRONOS_CONFIG", "config.toml")
            .env("KHRONOS_HTTP_LISTEN", format!("127.0.0.1:{}", self.clock.port));
        command.env("KHRONOS_STORE_PATH", self.clock.store());
        command.env("KHRONOS_SCHEDULES_FOLDER", self.folder.join("schedules"));
        let output = command.output().unwrap();
        let said = crate::harness::text(&output);
        assert!(output.status.success(), "{block}\n{said}\n{}", self.clock.log());
        let exports = block.lines().filter(|line| line.starts_with("export "));
        self.exports.extend(exports.map(|line| format!("{line}\n")));
        said
    }
}

/// What is shown is in what was said, in order; `…` and several spaces stand for anything.
fn assert_shown(shown: &str, said: &str) {
    let mut rest = said;
    for part in shown.lines().flat_map(|line| line.split('…')).flat_map(|part| part.split("  ")) {
        let found = rest.split_once(part.trim());
        (_, rest) = found.unwrap_or_else(|| panic!("'{part}' is not shown in:\n{said}"));
    }
}

const OFTEN: &str = "
[[schedule]]
name = \"hourly\"
event = \"office.hour.passed\"
every = \"1 hour\"
";

#[test]
fn an_operator_gets_on_by_the_page_alone() {
    let url = Node::shared().vhost("guide-operator");
    let clock = Clock::new(&url, OFTEN);
    let config = clock.sandbox.path("config.toml");
    fs::write(&config, format!("[broker]\nurl = \"{url}\"\n")).unwrap();
    let mut clock = clock.with("KHRONOS_CONFIG", config.display());
    let mut said = String::new();
    for (kind, block) in blocks("for-operators.md") {
        match &*kind {
            "toml" => {
                let text = fs::read_to_string(&config).unwrap();
                fs::write(&config, format!("{text}\n{block}")).unwrap();
            }
            "sh" if block.contains("khronos run\n") => {
                let block = block.replace("khronos run\n", "");
                said = Shell::new(&clock).run(&block);
                clock.start();
                clock.until_ready();
            }
            "sh" => said = Shell::new(&clock).run(&block),
            "text" => assert_shown(&block, &said),
            other => panic!("a block of {other}"),
        }
    }
    clock.stop();
}

#[test]
fn a_services_author_gets_on_by_the_page_alone() {
    follow_for_services("guide-service", "for-services.md");
}

#[test]
fn who_publishes_later_gets_on_by_the_page_alone() {
    follow_for_services("guide-later", "publish-later.md");
}

/// Runs what stands on a page for the authors of services.
fn follow_for_services(vhost: &str, page: &str) {
    let url = Node::shared().vhost(vhost);
    let clock = Clock::new(&url, OFTEN);
    let config = clock.sandbox.path("config.toml");
    let printed =
        clock.done(&["token", "new", "--owner", "billing", "--role", "write", "--domains", "billing.*"]);
    let (token, lines) = printed.split_once('\n').unwrap();
    let user = "[[commands.users]]\nuser = \"guest\"\nowner = \"billing\"\nrole = \"write\"\ndomains = [\"billing.*\"]";
    fs::write(&config, format!("[http]\nopen_reads = true\n[commands]\nenabled = true\n{user}\n{lines}"))
        .unwrap();
    fs::write(clock.sandbox.path("billing.token"), token).unwrap();
    fs::write(clock.sandbox.path("billing.amqp"), &url).unwrap();
    let mut clock = clock.with("KHRONOS_CONFIG", config.display()).started();
    clock.until("commands to be taken", |_, body| !body["warnings"].to_string().contains("commands:"));
    let (mut shell, mut said) = (Shell::new(&clock), String::new());
    for (kind, block) in blocks(page) {
        match &*kind {
            "sh" => said = shell.run(&block),
            "text" => assert_shown(&block, &said),
            "json" => drop(serde_json::from_str::<serde_json::Value>(&block).unwrap()),
            other => panic!("a block of {other}"),
        }
    }
    clock.stop();
}
