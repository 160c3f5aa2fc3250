//! Calendars by message.

use super::*;
use crate::{
    clock_loop::{CalendarStatus, Command},
    engine::{CreatedCalendar, Expect, Refusal, ScheduleChange, Users, Verdict},
    schedule::{CalendarForm, CalendarText, Created, DoorKind, ZoneData},
};

const DAYS: &str = "dates = [\"2026-12-25\"]";

/// `used` is one that schedules use.
fn used() -> CalendarStatus {
    let text = CalendarText { form: CalendarForm::Toml, text: DAYS.into() };
    let (calendar, _) = text.read("used", &ZoneData::bundled()).unwrap();
    let created = Created { number: 17, owner: "billing".into(), door: DoorKind::Message };
    let (name, since, calendar) = ("used".into(), at(9), Some(calendar));
    let calendar = CreatedCalendar { name, created, revision: 3, since, text, calendar };
    CalendarStatus { calendar: calendar.into(), users: Users { first: vec!["a".into()], count: 1 } }
}

/// Answers what is asked about calendars; the rest is given back.
pub(super) fn looked_at(command: Command) -> Option<Command> {
    match command {
        Command::Calendar(name, reply) => {
            drop(reply.send(Some(used()).filter(|used| *used.calendar.name == *name)))
        }
        Command::Calendars(from, reply) => {
            let page = Some(used()).filter(|used| *used.calendar.name >= *from);
            drop(reply.send(page.into_iter().collect()));
        }
        other => return Some(other),
    }
    None
}

/// What becomes of a change of a calendar.
pub(super) fn decided(change: &ScheduleChange) -> Verdict {
    let ScheduleChange::Calendar { name, wanted, expect } = change else { panic!("{change:?}") };
    match (&**name, wanted, expect) {
        ("used", None, _) => Verdict::Refused(Refusal::InUse { first: vec!["a".into()], count: 1 }),
        (_, None, _) => Verdict::GoneAlready,
        (_, Some(_), Expect::Revision { creation: 17, number: 3 }) => {
            Verdict::Changed { creation: 17, revision: 4, since: at(10) }
        }
        (_, Some(_), _) => Verdict::Created { creation: 7, revision: 1, since: at(10) },
    }
}

#[tokio::test(start_paused = true)]
async fn calendars_are_put_shown_listed_and_deleted_as_over_http() {
    let mut open = Open::start().await;
    let put = |name: &str, text: &str| json!({ "name": name, "form": "toml", "text": text });
    let (status, view) = open.ask("calendar.put", put("off", DAYS)).await;
    assert_eq!((status, &view["outcome"], &view["creation"]), (201, &json!("created"), &json!(7)), "{view}");
    let mut conditional = put("used", DAYS);
    conditional["if_revision"] = json!("17.3");
    let (status, view) = open.ask("calendar.put", conditional).await;
    assert_eq!((status, &view["revision"]), (200, &json!(4)), "{view}");
    let (status, view) = open.ask("calendar.get", json!({ "name": "used" })).await;
    assert_eq!((status, &view["text"], &view["door"]), (200, &json!(DAYS), &json!("message")), "{view}");
    let (status, list) = open.ask("calendar.list", json!({})).await;
    assert_eq!((status, &list["calendars"][0]["name"], &list["next"]), (200, &json!("used"), &Value::Null));
    assert_eq!(open.ask("calendar.delete", json!({ "name": "off" })).await, (204, Value::Null));
    let (status, problem) = open.ask("calendar.delete", json!({ "name": "used" })).await;
    assert_eq!((status, &problem["code"]), (409, &json!("in-use")), "{problem}");
    let (status, problem) = open.ask("calendar.put", put("off", "weekday = []")).await;
    let error = &problem["errors"][0];
    assert_eq!((status, &error["pointer"]), (422, &json!("/text")), "{problem}");
    assert!(error["detail"].as_str().unwrap().starts_with("line 1, column 1: unknown key"), "{problem}");
    let (status, problem) = open.ask("calendar.put", put("Off", DAYS)).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/name")), "{problem}");
    let mut reader = command("calendar.delete", json!({ "name": "off" }));
    reader.properties.user_id = Some("reports-service".into());
    open.send(reader).await;
    assert_eq!(read(&open.answer().await).0, 403);
}
