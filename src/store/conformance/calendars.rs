//! Calendars that were created at run time.

use super::{Arc, Created, Disk, DoorKind, at, t};
use crate::{
    engine::{Commit, CreatedCalendar},
    schedule::{CalendarForm, CalendarText, ZoneData},
};

/// One of this name, at this revision; its text has so many bytes at least.
pub(super) fn created_calendar(name: &str, revision: u32, bytes: usize) -> Arc<CreatedCalendar> {
    let text = format!("dates = [\"2026-12-{:02}\"] # {}", 1 + revision % 31, "é".repeat(bytes / 2));
    let text = CalendarText { form: CalendarForm::Toml, text: text.into() };
    let (calendar, _) = text.read(name, &ZoneData::bundled()).unwrap();
    let created = Created { number: 3, owner: "ann".into(), door: DoorKind::ControlSocket };
    let (name, since, calendar) = (name.into(), t(9), Some(calendar));
    Arc::new(CreatedCalendar { name, created, revision, since, text, calendar })
}

pub(super) fn calendars_are_kept_until_they_are_removed_however_long_they_are(disk: &impl Disk) {
    let one = |name: &str, revision, bytes| created_calendar(name, revision, bytes);
    // As long as one may be, and longer than a page of sled.
    let first = vec![one("a", 1, 0), one("a.b", 1, CalendarText::LONGEST - 64), one("b", 7, 200_000)];
    let put = |all: &[Arc<CreatedCalendar>]| {
        all.iter().map(|one| (one.name.clone(), Some(one.clone()))).collect::<Vec<_>>()
    };
    disk.open().save(0, &Commit { calendars: put(&first), ..at(1) }).unwrap();
    assert_eq!(disk.open().load().unwrap().calendars, first);
    let changed = vec![one("a", 2, 300_000), one("b", 8, 10)];
    let mut calendars = put(&changed);
    calendars.extend([("a.b".into(), None), ("never".into(), None)]);
    disk.open().save(0, &Commit { calendars, ..at(2) }).unwrap();
    assert_eq!(disk.open().load().unwrap().calendars, changed);
    disk.open().save(0, &at(3)).unwrap();
    assert_eq!(disk.open().load().unwrap().calendars, changed);
}
