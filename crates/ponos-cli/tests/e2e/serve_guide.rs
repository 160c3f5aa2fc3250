//! `docs/python.md`: who comes new gets on by the page alone. Its commands are run as they stand there, in order, in one shell, and
//! what the page shows is shown.

use super::support::LIMIT;
use std::{
    fs::{self, File},
    io::{PipeWriter, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};
use testkit::{Node, Program, Sandbox, block_until};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A shell in a folder that has what the page needs of the repository, and the programs at hand.
struct Shell {
    program: Program,
    sandbox: Sandbox,
    input: PipeWriter,
    blocks: usize,
}

impl Shell {
    fn start() -> Self {
        let sandbox = Sandbox::new();
        symlink(root().join("clients"), sandbox.path("clients")).unwrap();
        let bin = sandbox.path("bin");
        fs::create_dir(&bin).unwrap();
        // other tests may serve at the usual port
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let python = std::env::var("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into());
        let ponos = env!("CARGO_BIN_EXE_ponos");
        for (name, script) in [
            ("python3", format!("exec {python} \"$@\"")),
            (
                "ponos",
                format!("[ \"$1\" != serve ] || set -- \"$@\" --listen {address}\nexec {ponos} \"$@\""),
            ),
        ] {
            fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let (reader, input) = std::io::pipe().unwrap();
        let said = File::create(sandbox.path("said")).unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .arg("-e")
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("PONOS_SERVE", format!("http://{address}"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(reader)
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        let program = sandbox.start(&mut command);
        Self { program, sandbox, input, blocks: 0 }
    }

    fn all_said(&self) -> String {
        let files = ["said", "labels/serve.log", "labels/errors.log"];
        files.map(|name| fs::read_to_string(self.sandbox.path(name)).unwrap_or_default()).join("\n")
    }

    /// Runs a block, each of whose commands does well; gives what it said.
    fn run(&mut self, block: &str) -> String {
        self.blocks += 1;
        let said = |shell: &Self| fs::read_to_string(shell.sandbox.path("said")).unwrap();
        let (before, end) = (said(self).len(), format!("-- the end of block {}\n", self.blocks));
        // the shell is gone: that is told below
        let _ = self.input.write_all(format!("{block}\necho '{}'\n", end.trim_end()).as_bytes());
        block_until(block, LIMIT, || {
            let runs = self.program.runs();
            let said = said(self).split_off(before);
            assert!(runs || said.ends_with(&end), "{block}\n{}", self.all_said());
            said.strip_suffix(&end).map(str::to_owned)
        })
    }

    /// Runs a block that only looks, until it shows all these lines.
    fn shows(&mut self, block: &str, lines: &str) {
        block_until(&format!("'{lines}' of '{block}'"), LIMIT, || {
            let said = self.run(block);
            lines.lines().all(|line| said.contains(line)).then_some(())
        });
    }
}

#[test]
fn who_comes_new_gets_from_nothing_to_a_handled_event_in_python_by_the_page_alone() {
    let page = fs::read_to_string(root().join("docs/python.md")).unwrap();
    let local = "amqp://guest:guest@localhost:5672";
    assert!(page.contains(local));
    let page = page.replace(local, &Node::shared().vhost("guide-python"));
    let blocks: Vec<(&str, &str)> =
        page.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect();
    let mut shell = Shell::start();
    let mut shown = 0;
    for (at, (kind, block)) in blocks.iter().enumerate() {
        match (*kind, blocks.get(at + 1)) {
            ("sh", Some(("text", lines))) => shell.shows(block, lines),
            ("sh", _) => drop(shell.run(block)),
            ("text", _) => shown += 1,
            (other, _) => panic!("a block of {other}"),
        }
    }
    assert!(shown > 2, "{shown}");
    let said = shell.all_said();
    assert!(!said.contains("may run for"), "who does as the page says is not warned:\n{said}");
    drop(shell.input);
    assert_eq!(shell.program.wait(LIMIT), Some(0));
}
