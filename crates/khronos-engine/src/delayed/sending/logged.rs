//! What the log says of a request: one entry for all that were created, one for all that were changed, one for all that were deleted.
//! Of many it has the first names and how many there are, so that an entry has a bound however much is asked for at once.

use super::{decide::Decided, io::DelayedRequest};
use crate::{ChangeEntry, ChangeKind, Verdict, VersionEntry, delayed::DelayedHead};
use ponos_event::Timestamp;

/// Names in an entry at most, beside its first.
pub(super) const NAMED: usize = 20;

/// Of how many events an entry of the log is, of which it names the first ones alone.
pub fn logged_events(entry: &ChangeEntry) -> u64 {
    // Where there are more than names, the note is their number.
    entry.note.parse().unwrap_or(1 + entry.others.len() as u64)
}

pub(super) fn logged(now: Timestamp, request: &DelayedRequest, decided: &[Decided]) -> Vec<ChangeEntry> {
    let kind = |verdict: &Verdict| match verdict {
        Verdict::Created { creation, .. } => Some((ChangeKind::Created, *creation)),
        Verdict::Changed { creation, .. } => Some((ChangeKind::Changed, *creation)),
        Verdict::Deleted { creation, .. } => Some((ChangeKind::Deleted, *creation)),
        _ => None,
    };
    let mut entries: Vec<(ChangeEntry, usize)> = Vec::new();
    for (change, one) in request.changes.iter().zip(decided) {
        let Some((what, creation)) = kind(&one.verdict) else { continue };
        if let Some((entry, count)) = entries.iter_mut().find(|(entry, _)| entry.what == what) {
            *count += 1;
            entry.after = None;
            if entry.others.len() < NAMED {
                entry.others.push(change.name().clone());
            }
            continue;
        }
        let entry = ChangeEntry {
            at: now,
            by: request.by.owner.clone(),
            door: request.by.door.clone(),
            what,
            name: change.name().clone(),
            others: Vec::new(),
            creation,
            before: None,
            after: one.head.as_ref().map(version),
            command: request.message.as_ref().map(|message| message.id.clone()),
            note: "".into(),
        };
        entries.push((entry, 1));
    }
    entries.into_iter().map(|(entry, count)| counted(entry, count)).collect()
}

/// An entry of so many events, of which it may name the first ones alone.
pub(super) fn counted(entry: ChangeEntry, count: usize) -> ChangeEntry {
    let note = if count > 1 + entry.others.len() { count.to_string().into() } else { "".into() };
    ChangeEntry { note, ..entry }
}

/// An event as it is since: what is known without its content, and that as a digest.
fn version(head: &DelayedHead) -> VersionEntry {
    let mut said = serde_json::json!({ "event": &*head.event, "due_at": head.due.to_string() });
    if let Some(queue) = &head.queue {
        said["task"] = (&**queue).into();
    }
    let digest = head.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    VersionEntry { revision: head.revision, definition: said.to_string(), payload: Some(digest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Author, Expect,
        delayed::{DelayedChange, DelayedKey},
    };

    fn deleted(count: u64) -> Vec<ChangeEntry> {
        let delete = |number| DelayedChange::Delete { name: name(number).into(), expect: Expect::Any };
        let decided = |number| {
            let through = Timestamp::EPOCH;
            Decided::from(Verdict::Deleted { creation: number, revision: 1, through })
        };
        let request = DelayedRequest {
            command: 1,
            by: Author::admin("billing", "a test"),
            message: None,
            atomic: false,
            changes: (1..=count).map(delete).collect(),
        };
        logged(Timestamp::EPOCH, &request, &(1..=count).map(decided).collect::<Vec<_>>())
    }

    fn name(number: u64) -> String {
        format!("n{number:0>127}")
    }

    #[test]
    fn of_many_an_entry_has_the_first_names_and_their_number() {
        for (count, named) in [(1, 1), (21, 21), (22, 21), (10_000, 21)] {
            let entries = deleted(count);
            assert_eq!(entries.len(), 1);
            let entry = &entries[0];
            assert_eq!((logged_events(entry), 1 + entry.others.len()), (count, named));
            assert_eq!((&*entry.name, entry.creation), (&*name(1), 1));
            assert!(entry.others.last().is_none_or(|last| **last == name(named as u64)));
            assert!(entry.bytes() < 4_096, "{}", entry.bytes());
        }
    }

    #[test]
    fn what_one_event_is_since_is_said_with_the_digest_of_what_was_asked_for() {
        let head = DelayedHead {
            key: DelayedKey { send: Timestamp::EPOCH, name: "a".into() },
            due: Timestamp::EPOCH,
            creation: 7,
            revision: 2,
            owner: "billing".into(),
            event: "docker.clean".into(),
            queue: Some("docker.images".into()),
            is_named: true,
            refused: 0,
            at: Timestamp::EPOCH,
            digest: [0xab; 16],
        };
        let VersionEntry { revision, definition, payload } = version(&head);
        assert_eq!((revision, payload), (2, Some("ab".repeat(16))));
        let said: serde_json::Value = serde_json::from_str(&definition).unwrap();
        let expected = serde_json::json!({
            "event": "docker.clean", "due_at": "1970-01-01T00:00:00.000Z", "task": "docker.images"
        });
        assert_eq!(said, expected);
    }
}
