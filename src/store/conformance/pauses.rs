//! Pauses: the last word about them is kept.

use super::{Disk, at, t};
use crate::engine::{Commit, OnResume, Pause, PauseEnd, Pauses, Reached, SkippedPause};

pub(super) fn what_is_kept_of_pauses_stays_until_it_is_said_otherwise(disk: &impl Disk) {
    let reached = Reached { lately: t(3), ever: t(4), set_backs: 1 };
    let paused = |until| Pause { since: t(2), by: "ann".into(), note: "new disks".into(), until, reached };
    let end = PauseEnd { at: t(9), on_resume: OnResume::Skip };
    let skipped = vec![SkippedPause { reached, through: t(8) }];
    let said = [
        Pauses { paused: Some(paused(None)), seen: Some(t(2)), ..Pauses::default() },
        Pauses { paused: Some(paused(Some(end))), skipped: skipped.clone(), seen: Some(t(9)) },
        Pauses { skipped, ..Pauses::default() },
        Pauses::default(),
    ];
    for pauses in said {
        disk.open().save(0, &Commit { pauses: Some(pauses.clone()), ..at(1) }).unwrap();
        disk.open().save(0, &at(2)).unwrap();
        assert_eq!(disk.open().load().unwrap().pauses, pauses);
    }
}
