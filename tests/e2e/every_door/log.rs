//! The log of changes, read while the clock lives and dies, against what was asked and answered: each answered change stands in it
//! once, and nothing else does.

use super::{
    ask::{Put, number_of},
    doors::{Answer, Http, Who},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What became of a command, as far as its client knows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fate {
    /// It was answered so.
    Done { outcome: String, creation: u64, revision: u64 },
    /// It is gone; which version it was is not always known.
    Gone(Option<(u64, u64)>),
    /// Nothing changed.
    Refused,
    /// It may be done; those of one number all are, or none.
    Unknown(Option<u64>),
}

impl Fate {
    pub(super) fn of_put(answer: Option<&Answer>) -> Self {
        let Some(answer) = answer else { return Self::Unknown(None) };
        if answer.is_refusal() {
            return Self::Refused;
        }
        let number = |key: &str| answer.body[key].as_u64().unwrap_or_else(|| panic!("{answer:?}"));
        let outcome = answer.body["outcome"].as_str().unwrap().to_owned();
        Self::Done { outcome, creation: number("creation"), revision: number("revision") }
    }

    pub(super) fn of_delete(answer: Option<&Answer>, known: Option<(u64, u64)>) -> Self {
        match answer {
            None => Self::Unknown(None),
            Some(answer) if answer.is_refusal() => Self::Refused,
            Some(_) => Self::Gone(known),
        }
    }
}

/// A change that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    name: String,
    /// Of a put: what stands in its definition.
    number: Option<u64>,
    who: Who,
    fate: Fate,
}

impl Asked {
    pub(super) fn put(put: &Put, who: &Who, fate: Fate) -> Self {
        Self { name: put.name.clone(), number: Some(put.number), who: who.clone(), fate }
    }

    pub(super) fn delete(name: &str, who: &Who, fate: Fate) -> Self {
        Self { name: name.to_owned(), number: None, who: who.clone(), fate }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.fate, Fate::Unknown(_))
    }
}

/// A schedule as the log has it last: creation, revision, number.
pub(super) type Present = (u64, u64, u64);

/// The log as it was read so far.
#[derive(Default)]
pub(super) struct Log {
    entries: Vec<Value>,
}

impl Log {
    /// Reads what came since.
    pub(super) async fn read(&mut self, clock: &Http) {
        loop {
            let last = self.entries.last().map_or(0, |entry| entry["sequence"].as_u64().unwrap());
            let page = clock.get(&format!("/v1/changes?after={last}&limit=1000")).await;
            let changes = page["changes"].as_array().unwrap();
            if changes.is_empty() {
                return;
            }
            self.entries.extend(changes.iter().cloned());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Follows each name from its first entry to its last: what is there then.
    pub(super) fn replayed(&self) -> BTreeMap<String, Present> {
        let mut there = BTreeMap::<String, Present>::new();
        let mut newest = 0;
        for (place, entry) in self.entries.iter().enumerate() {
            assert_eq!(entry["sequence"], place as u64 + 1, "none is missing, and none is twice");
            let Some(what) = changing(entry) else { continue };
            let name = entry["schedule"].as_str().unwrap();
            let (before, after) = (version(entry, "before"), version(entry, "after"));
            assert_eq!(before, there.get(name).copied(), "{entry} follows what was there");
            match (what, before, after) {
                ("created", None, Some(after)) => {
                    assert!(after.0 > newest, "{entry}: the number of a creation never comes again");
                    newest = after.0;
                }
                ("changed", Some(before), Some(after)) => {
                    assert!(before.0 == after.0 && before.1 < after.1, "{entry}");
                }
                ("deleted", Some(_), None) => {}
                _ => panic!("{entry}"),
            }
            match after {
                Some(after) => there.insert(name.to_owned(), after),
                None => there.remove(name),
            };
        }
        there
    }

    /// Each answered change stands in it once, and what was refused does not.
    pub(super) fn compare(&self, asked: &[Asked]) {
        let entries = || self.entries.iter().filter(|entry| changing(entry).is_some());
        let mut puts = HashMap::<u64, &Value>::new();
        let mut commands = HashSet::new();
        for entry in entries() {
            if let Some((_, _, number)) = version(entry, "after") {
                let other = puts.insert(number, entry);
                assert!(other.is_none(), "one command, two changes: {other:?} and {entry}");
            }
            let command = &entry["command"];
            assert!(
                command.is_null() || commands.insert(command.clone()),
                "one message, two changes: {entry}"
            );
        }
        let mut deleted: BTreeMap<&str, BTreeSet<(u64, u64)>> = BTreeMap::new();
        for entry in entries().filter(|entry| entry["what"] == "deleted") {
            let (creation, revision, _) = version(entry, "before").unwrap();
            deleted.entry(entry["schedule"].as_str().unwrap()).or_default().insert((creation, revision));
        }
        let mut together: HashMap<u64, BTreeSet<bool>> = HashMap::new();
        let mut deletes: BTreeMap<&str, usize> = BTreeMap::new();
        for one in asked {
            let entry = one.number.and_then(|number| puts.remove(&number));
            if let Some(entry) = entry {
                let by = (entry["schedule"].as_str().unwrap(), entry["by"].as_str().unwrap());
                assert_eq!(by, (&*one.name, one.who.owner), "{one:?}: {entry}");
                assert!(entry["door"].as_str().unwrap().starts_with(one.who.door), "{one:?}: {entry}");
            }
            match (&one.fate, one.number) {
                (Fate::Done { outcome, creation, revision }, Some(_)) => {
                    let entry = entry.unwrap_or_else(|| panic!("it was answered, and is not there: {one:?}"));
                    let (found, found_revision, _) = version(entry, "after").unwrap();
                    assert_eq!(
                        (entry["what"].as_str().unwrap(), found, found_revision),
                        (&**outcome, *creation, *revision),
                        "{one:?}: {entry}"
                    );
                }
                (Fate::Gone(Some(version)), None) => {
                    let there = deleted.get(&*one.name).is_some_and(|all| all.contains(version));
                    assert!(there, "it was answered, and is not there: {one:?}");
                    *deletes.entry(&one.name).or_default() += 1;
                }
                (Fate::Gone(None) | Fate::Unknown(None), None) => *deletes.entry(&one.name).or_default() += 1,
                (Fate::Refused, _) => {
                    assert!(entry.is_none(), "it was refused, and changed something: {one:?}: {entry:?}")
                }
                (Fate::Unknown(Some(number)), Some(_)) => {
                    together.entry(*number).or_default().insert(entry.is_some());
                }
                (Fate::Unknown(None), Some(_)) => {}
                (fate, _) => panic!("{fate:?} of {one:?}"),
            }
        }
        assert!(puts.is_empty(), "nobody asked for it: {puts:?}");
        for (name, all) in deleted {
            let asked = deletes.get(name).copied().unwrap_or_default();
            assert!(all.len() <= asked, "{name}: {} deletions, of which {asked} were asked for", all.len());
        }
        assert!(together.values().all(|halves| halves.len() == 1), "half of one request: {together:?}");
    }
}

/// Which change of a definition it is.
fn changing(entry: &Value) -> Option<&str> {
    entry["what"].as_str().filter(|what| matches!(*what, "created" | "changed" | "deleted"))
}

fn version(entry: &Value, side: &str) -> Option<Present> {
    let side = entry.get(side).filter(|side| !side.is_null())?;
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{entry}"));
    Some((number(&entry["creation"]), number(&side["revision"]), number_of(&side["definition"])))
}
