//! Pauses: the last word about them is kept.

use super::{Disk, at, t};
use crate::engine::{Commit, OnResume, Pause, PauseEnd, Pauses, Reached, SkippedPause};

pub(super) fn what_is_kept_of_pauses_stays_until_it_is_said_otherwise(disk: &impl Disk) {
    let reached = Reached { lately: t(3), ever: t(4), set_backs: 1 };
    let paused = |until| Pause { since: t(2), by: "ann".into(), note: "new disks".into(), until, reached };
    let end = PauseEnd { at: t(9), on_resume: OnResume::Skip };
    let skipped = vec![SkippedPause { reached, through: t(8), set_backs: 2 }];
    let said = [
        Pauses { paused: Some(paused(None)), seen: Some(t(2)), ..Pauses::default() },
        Pauses {
            paused: Some(paused(Some(end))),
            skipped: skipped.clone(),
            seen: Some(t(9)),
            set_backs: vec![(3, t(7))],
        },
        Pauses { skipped, ..Pauses::default() },
        Pauses::default(),
    ];
    for pauses in said {
        disk.open().save(0, &Commit { pauses: Some(pauses.clone()), ..at(1) }).unwrap();
        disk.open().save(0, &at(2)).unwrap();
        assert_eq!(disk.open().load().unwrap().pauses, pauses);
    }
}

pub(super) fn what_is_kept_of_pauses_by_name_stays_by_name(disk: &impl Disk) {
    let reached = Reached { lately: t(3), ever: t(4), set_backs: 1 };
    let paused = Pause { since: t(2), by: "ann".into(), note: "its disks".into(), until: None, reached };
    let of_one = Pauses { paused: Some(paused), ..Pauses::default() };
    let skipped =
        Pauses { skipped: vec![SkippedPause { reached, through: t(8), set_backs: 2 }], ..Pauses::default() };
    let said = [
        (vec![("b", Some(&of_one)), ("a.b", Some(&skipped))], vec![("a.b", &skipped), ("b", &of_one)]),
        (vec![("b", Some(&skipped)), ("a.b", None)], vec![("b", &skipped)]),
        (vec![("b", None), ("never-was", None)], vec![]),
    ];
    for (changed, kept) in said {
        let named_pauses = changed.into_iter().map(|(name, pauses)| (name.into(), pauses.cloned())).collect();
        disk.open().save(0, &Commit { named_pauses, ..at(1) }).unwrap();
        disk.open().save(0, &at(2)).unwrap();
        let snapshot = disk.open().load().unwrap();
        let kept: Vec<_> = kept.into_iter().map(|(name, pauses)| (name.into(), pauses.clone())).collect();
        assert_eq!((snapshot.named_pauses, snapshot.pauses), (kept, Pauses::default()));
    }
}
