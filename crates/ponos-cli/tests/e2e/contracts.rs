//! `docs/contracts.md`: its job of CI, in a repository of contracts, and its types, by the generator and a compiler.

use super::asyncapi::needs;
use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

const SHOP: &str = r#"service = "shop"

[contracts]
folder = "../schemas"

[[queues]]
on = ["order.item.placed"]

[publish]
events = ["order.label.printed"]
"#;

const PLACED: &str = r#"{"title": "ItemPlaced", "type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}, "at": {"type": "string"}}}"#;
const SHIPPED: &str = r#"{"title": "ParcelShipped", "type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}"#;

/// The block of the page that has these words.
fn block(words: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/contracts.md");
    let page = fs::read_to_string(page).unwrap();
    let mut blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains(words)).unwrap().to_owned()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).join("\n")
}

/// A folder in which commands are run, which find the program.
struct Repository(TempDir);

impl Repository {
    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn shell(&self, script: &str) -> Output {
        let programs = Path::new(env!("CARGO_BIN_EXE_ponos")).parent().unwrap().to_owned();
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [programs, needs().join("node_modules/.bin")];
        let path = env::join_paths(folders.into_iter().chain(env::split_paths(&path))).unwrap();
        Command::new("sh")
            .args(["-c", script])
            .current_dir(self.0.path())
            .env("PATH", path)
            .env("HOME", self.0.path())
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "ann")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ann@example.com")))
            .env_remove("PONOS_URL")
            .env_remove("PONOS_URL_FILE")
            .env_remove("PONOS_CONFIG")
            .output()
            .unwrap()
    }

    /// Runs what must end well.
    fn does(&self, script: &str) {
        let output = self.shell(script);
        assert!(output.status.success(), "{script}: {}", said(&output));
    }

    /// Runs the job, which must end with that code; what it says.
    fn checked(&self, code: i32) -> String {
        let output = self.shell("sh ./check-contracts main");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }
}

const AGAIN: &str = "mkdir -p asyncapi && ponos asyncapi --config services/shop.toml > asyncapi/shop.json";

#[test]
fn a_new_event_passes_the_job_and_what_breaks_a_reader_or_is_not_made_anew_does_not() {
    let repository = Repository(tempfile::tempdir().unwrap());
    repository.write("check-contracts", &block("check-contracts BASE"));
    repository.write("schemas/order.item.placed.json", PLACED);
    repository.write("schemas/order.label.printed.json", "{}");
    repository.write("services/shop.toml", SHOP);
    repository.does(&format!("{AGAIN} && git init -q -b main && git add . && git commit -q -m one"));
    repository.checked(0);

    repository.write("schemas/order.parcel.shipped.json", SHIPPED);
    let events = "\"order.label.printed\", \"order.parcel.shipped\"";
    repository.write("services/shop.toml", &SHOP.replace("\"order.label.printed\"", events));
    let stale = repository.checked(1);
    assert!(stale.contains("asyncapi/shop.json is not what services/shop.toml says"), "{stale}");
    repository.does(AGAIN);
    let fresh = repository.checked(0);
    assert!(fresh.contains("/channels/order.parcel.shipped: is new"), "{fresh}");

    repository.write("schemas/order.item.placed.json", &PLACED.replace("[\"order\"]", "[\"order\", \"at\"]"));
    repository.does(AGAIN);
    let broken = repository.checked(1);
    let place = "/channels/order.item.placed/messages/order.item.placed/payload/at";
    assert!(broken.contains(&format!("breaking  queued messages  {place}: ")), "{broken}");
    assert!(broken.contains("breaking  queued messages  order.item.placed /at: "), "{broken}");
    repository.does("git checkout -q schemas/order.item.placed.json");
    repository.write("services/shop.toml", &SHOP.replace("on =", "onn ="));
    let wrong = repository.checked(1);
    assert!(wrong.contains("did you mean 'on'?"), "{wrong}");
}

#[test]
fn types_for_typescript_are_made_of_the_schemas_and_a_misspelt_field_is_found() {
    let repository = Repository(tempfile::tempdir().unwrap());
    repository.write("schemas/order.parcel.shipped.json", SHIPPED);
    let clocks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/time-event.json");
    repository.write("schemas/time.one-day.passed.json", &fs::read_to_string(clocks).unwrap());
    repository.does(&block("json2ts"));
    let reader = r#"
        import type { ParcelShipped } from "./types/order.parcel.shipped.js";
        import type { TheDataOfATimeEvent } from "./types/time.one-day.passed.js";
        export const next = (parcel: ParcelShipped): number => parcel.order + 1;
        export const due = (day: TheDataOfATimeEvent): string => day.window?.to ?? day.due_at;
    "#;
    repository.write("reader.ts", reader);
    repository.does("tsc --noEmit --strict reader.ts");
    repository.write("wrong.ts", &reader.replace("parcel.order", "parcel.ordr"));
    let wrong = repository.shell("tsc --noEmit --strict wrong.ts");
    assert!(!wrong.status.success() && said(&wrong).contains("'ordr' does not exist"), "{}", said(&wrong));
}
