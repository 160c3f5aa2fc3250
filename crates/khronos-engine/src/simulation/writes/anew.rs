//! What was created at run time, when zone data and calendars change.

use super::{
    super::zones::data,
    commands::{ask, once},
    *,
};
use crate::{Author, ChangeKind, Expect, ReadCalendars, ScheduleChange, THE_CLOCK, Verdict};
use khronos_schedule::{
    CalendarStore, Calendars, calendar,
    diagnostic::Text,
    file::{JsonEntry, from_json},
};

/// What the files were read with last.
struct Files(Calendars);

impl Files {
    fn of_release(release: usize) -> Self {
        let calendars = Calendars::new(CalendarStore::default());
        calendars.store().zones().use_data(data(release));
        Self(calendars)
    }

    fn read(&self, seen: &mut Seen) {
        seen.step(Input::Calendars(ReadCalendars { files: self.0.clone(), anew: Vec::new() }));
        seen.step(Input::Load(Vec::new()));
    }

    fn days(&mut self, text: &str) {
        let (calendar, _) = calendar::parse(&Text::new("off.toml", text), false).unwrap();
        self.0.insert("off", Some(calendar));
    }

    fn put(&self, json: &str) -> ScheduleChange {
        let now = Timestamp::from_millis(START);
        let JsonEntry { definition, schedule, .. } = from_json(json.as_bytes(), &self.0, now).unwrap();
        ScheduleChange::Put { definition: Packed::new(&definition, &schedule), expect: Expect::Any }
    }
}

const CRON: &str = r#"{"name":"a","event":"a.b.c","cron":"0 9 * * *","time_zone":"Test/Zone"}"#;
const DAILY: &str = r#"{"name":"b","event":"a.b.c","every":"1 day","exclude":["off"]}"#;

fn next(seen: &Seen, name: &str) -> (u32, String) {
    let running = seen.engine.running(name).unwrap();
    (running.revision.number, running.next.unwrap().to_string())
}

fn ann() -> Author {
    Author::owner("ann", "a test")
}

#[test]
fn newer_zone_data_reaches_what_was_created_and_the_log_says_so() {
    let mut seen = Seen::of(1);
    let files = Files::of_release(0);
    files.read(&mut seen);
    let at = r#"{"name":"c","event":"a.b.c","at":"2026-03-01T01:00:01","time_zone":"Test/Zone"}"#;
    ask(
        &mut seen,
        ann(),
        vec![
            files.put(CRON),
            files.put(at),
            ScheduleChange::Put {
                definition: Packed::build(&once("d", START + MINUTE)).unwrap(),
                expect: Expect::Any,
            },
        ],
    );
    assert_eq!(next(&seen, "a"), (1, "2026-03-01T08:00:00.000Z".into()));
    // The only event of one may be on its way: the broker is away.
    seen.pass(2 * MINUTE, MINUTE);
    let before = seen.engine.running("c").unwrap().revision;
    seen.changes.clear();
    // The same rules in other bytes, and then other rules.
    for (release, expected) in [(2, 0), (1, 1), (1, 1)] {
        files.0.store().zones().use_data(data(release));
        files.read(&mut seen);
        assert_eq!(seen.changes.len(), expected, "{:?}", seen.changes);
    }
    assert_eq!(next(&seen, "a"), (2, "2026-03-01T06:58:59.000Z".into()));
    assert_eq!(seen.engine.running("c").unwrap().revision, before);
    assert_eq!(seen.engine.running("d").unwrap().revision.number, 1);
    let change = seen.changes.pop().unwrap();
    assert_eq!((change.what, &*change.name, &*change.by), (ChangeKind::ReadAnew, "a", THE_CLOCK));
    let versions = [change.before, change.after].map(|version| version.unwrap().revision);
    assert_eq!((change.creation, versions), (1, [1, 2]));
    let revision = seen.engine.running("a").unwrap().revision;
    assert_eq!(revision.definition.created().unwrap().owner, "ann");
}

#[test]
fn an_edited_calendar_reaches_what_was_created() {
    let mut seen = Seen::of(100);
    let mut files = Files::of_release(0);
    files.days("dates = [\"2026-04-01\"]");
    files.read(&mut seen);
    let put = files.put(DAILY);
    ask(&mut seen, ann(), vec![files.put(DAILY)]);
    assert_eq!(next(&seen, "b"), (1, "2026-03-02T00:00:00.000Z".into()));
    files.days("dates = [\"2026-03-02\", \"2026-03-03\"]");
    files.read(&mut seen);
    assert_eq!(next(&seen, "b"), (2, "2026-03-04T00:00:00.000Z".into()));
    // What was read before that and is decided after it is what it is now.
    let verdicts = ask(&mut seen, ann(), vec![put]);
    assert_eq!(verdicts, [Verdict::Unchanged { creation: 1, revision: 2 }]);
    // A calendar that is gone changes nothing.
    files.0 = Files::of_release(0).0;
    files.read(&mut seen);
    assert_eq!(next(&seen, "b"), (2, "2026-03-04T00:00:00.000Z".into()));
}
