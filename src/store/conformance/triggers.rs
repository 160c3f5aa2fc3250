//! What commands asked for: by schedule and command, and the entries until they are sent.

use super::{Disk, at, parked, t};
use crate::engine::{Coalesced, Commit, Operation, Parked, TriggerKey};
use ponos::event::{CommandId, EventKind};

pub(super) fn what_commands_triggered_is_kept_until_it_is_forgotten(disk: &impl Disk) {
    let key = |name: &str, id: &str, (creation, owner): (u64, &str)| TriggerKey {
        schedule: name.into(),
        command: id.parse().unwrap(),
        creation,
        owner: owner.into(),
    };
    let mut all = [
        (key("a", "1", (0, "ann")), t(3)),
        (key("a", "1", (0, "bob")), t(3)),
        (key("a", "1", (256, "")), t(4)),
        (key("a", "é 2", (u64::MAX, "é")), t(4)),
        (key("a.b", "1", (1, "ann")), t(5)),
    ];
    all.sort();
    let asked = Parked {
        singly: false,
        refused: 0,
        retry_at: None,
        kind: EventKind::Trigger("1".parse().unwrap()),
        ..parked("a")
    };
    let refused = Parked { refused: 3, retry_at: Some(t(9)), ..asked.clone() };
    for entry in [asked, refused] {
        let triggers = all.iter().map(|(key, due)| (key.clone(), Some(*due))).collect();
        let first = Commit { triggers, parked: vec![(9, Some(entry.clone()))], ..at(1) };
        disk.open().save(0, &first).unwrap();
        let mut snapshot = disk.open().load().unwrap();
        snapshot.triggers.sort();
        assert_eq!((snapshot.triggers, snapshot.parked), (all.to_vec(), vec![(9, entry)]));
    }
    let forgotten = vec![(all[0].0.clone(), None), (key("never", "was", (0, "")), None)];
    disk.open().save(0, &Commit { triggers: forgotten, parked: vec![(9, None)], ..at(2) }).unwrap();
    let mut snapshot = disk.open().load().unwrap();
    snapshot.triggers.sort();
    assert_eq!((snapshot.triggers, snapshot.parked), (all[1..].to_vec(), vec![]));
}

pub(super) fn operations_are_kept_until_they_are_forgotten(disk: &impl Disk) {
    let id = |id: &str| -> CommandId { id.parse().unwrap() };
    let run = |first, last| Coalesced { first: t(first), last: t(last), count: (last - first + 1) as u64 };
    let begun = Operation {
        schedule: "a".into(),
        revision: 2,
        creation: 7,
        by: "ann".into(),
        owner: "billing".into(),
        digest: [9; 32],
        at: t(9),
        rate: 10,
        queue: Some("one".into()),
        count: 5,
        first: t(1),
        last: t(6),
        left: vec![run(1, 3), run(5, 6)],
        sent: 0,
        ended: None,
    };
    let ended = Operation { left: vec![], sent: 4, ended: Some((t(12), true)), queue: None, ..begun.clone() };
    let said = [
        (
            vec![(id("x"), Some(begun.clone())), (id("y"), Some(ended.clone()))],
            vec![("x", &begun), ("y", &ended)],
        ),
        (vec![(id("x"), Some(ended.clone())), (id("y"), None)], vec![("x", &ended)]),
        (vec![(id("x"), None), (id("never"), None)], vec![]),
    ];
    for (operations, kept) in said {
        disk.open().save(0, &Commit { operations, ..at(1) }).unwrap();
        let kept: Vec<_> = kept.into_iter().map(|(name, operation)| (id(name), operation.clone())).collect();
        assert_eq!(disk.open().load().unwrap().operations, kept);
    }
}
