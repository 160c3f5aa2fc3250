//! Calendars that are created, changed and deleted at run time: conditions, who may, and how the answers look.

use super::{schedules::sent, *};
use crate::{
    clock_loop::{CalendarStatus, NamedCalendars},
    engine::{CreatedCalendar, Users},
    schedule::{CalendarForm, CalendarText, Calendars, Created, DoorKind, ZoneData},
};
use serde_json::json;

const DAYS: &str = "dates = [\"2026-12-25\"]";
const TOML: &str = "Content-Type: application/toml\r\n";

/// `used` was created by `reports`, and three schedules use it.
fn used() -> CalendarStatus {
    let text = CalendarText { form: CalendarForm::Toml, text: DAYS.into() };
    let (calendar, _) = text.read("used", &ZoneData::bundled()).unwrap();
    let created = Created { number: 17, owner: "reports".into(), door: DoorKind::Message };
    let (name, since, calendar) = ("used".into(), at(9), Some(calendar));
    let calendar = CreatedCalendar { name, created, revision: 3, since, text, calendar };
    let users = Users { first: vec!["a".into(), "b".into()], count: 3 };
    CalendarStatus { calendar: calendar.into(), users }
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

/// The folder has `frozen` and `work`.
async fn clock() -> Clock {
    let mut clock = access::clock().await;
    let mut all = Calendars::default();
    ["frozen", "used", "work"].into_iter().for_each(|name| all.insert(name, None));
    let named = watch::channel(NamedCalendars { all: Some(all), created: vec![used().calendar] }).1;
    clock.state.clock = clock.state.clock.clone().naming(named);
    clock.serve_again().await;
    clock
}

#[tokio::test]
async fn a_calendar_is_put_on_conditions_and_its_revision_is_its_tag() {
    let clock = clock().await;
    let put = async |path: &str, head: &str, body: &str| sent(&clock, 4, "PUT", path, head, body).await;
    let (status, head, answer) = put("/v1/calendars/off", TOML, DAYS).await;
    assert_eq!((status, &answer["outcome"]), (201, &json!("created")), "{answer}");
    assert!(head.contains("\r\netag: \"3.1\""), "{head}");
    let ics = "Content-Type: text/calendar; charset=utf-8\r\n";
    let as_json = "Content-Type: application/json\r\n";
    let whole =
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    for (path, head, body, status, said) in [
        ("/v1/calendars/off", ics, whole, 201, "created"),
        ("/v1/calendars/off", "If-None-Match: *\r\n", DAYS, 201, "created"),
        ("/v1/calendars/taken", "If-None-Match: *\r\n", DAYS, 412, "it exists, as revision 2"),
        ("/v1/calendars/off", "If-Match: \"3.7\"\r\n", DAYS, 412, "does not exist"),
        ("/v1/calendars/off", "If-Match: *\r\n", DAYS, 412, "a revision of it was expected"),
        ("/v1/calendars/off", "If-Match: *\r\n", "weekday = []", 422, "unknown key"),
        ("/v1/calendars/one-minute", "If-Match: *\r\n", DAYS, 409, "lies in the folder of calendars"),
        ("/v1/calendars/one-minute", "", DAYS, 409, "lies in the folder of calendars"),
        ("/v1/calendars/taken", "", DAYS, 403, "belongs to 'reports'"),
        ("/v1/calendars/Off", "", DAYS, 400, "name"),
        ("/v1/calendars/53508b14-b68a-5c78-94e6-99de12b6a40d", "", DAYS, 400, "the form of the ids of days"),
        ("/v1/calendars/off", "", "weekday = []", 422, "line 1, column 1: unknown key 'weekday'"),
        ("/v1/calendars/off", "", "dates = [", 400, "line 1, column 10"),
        ("/v1/calendars/off", ics, "BEGIN:VEVENT\r\n", 422, "line 1"),
        ("/v1/calendars/off", as_json, r#"{"form":"toml","text":"yearly = [\"05-01\"]"}"#, 201, "created"),
        ("/v1/calendars/off", as_json, r#"{"form":"toml","text":"weekday = []"}"#, 422, "\"/text\""),
        ("/v1/calendars/off", as_json, r#"{"form":"xml","text":""}"#, 422, "\"/form\""),
        ("/v1/calendars/off", as_json, "{", 400, "JSON"),
        ("/v1/calendars/off", "Content-Type: text/plain\r\n", "{}", 415, "application/toml"),
    ] {
        let head = if head.contains("Content-Type") { head.to_owned() } else { format!("{TOML}{head}") };
        let (found, _, answer) = put(path, &head, body).await;
        assert!(found == status && answer.to_string().contains(said), "{path} {head}: {found} {answer}");
    }
    let large = format!("# {}", "x".repeat(CalendarText::LONGEST));
    assert_eq!(put("/v1/calendars/off", TOML, &large).await.0, 413);
    let (status, _, problem) = put("/v1/calendars/off", TOML, "dates = [\"x\"]\nyearly = [\"y\"]").await;
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!((status, errors.len(), &errors[1]["pointer"]), (422, 2, &json!("")), "{problem}");
    assert!(errors[1]["detail"].as_str().unwrap().starts_with("line 2, column 11: yearly:"), "{problem}");
}

/// So that what names them can be put again, behind them.
#[tokio::test]
async fn an_export_begins_with_the_calendars() {
    let clock = clock().await;
    let token = access::token(1);
    let get = async |path: &str| {
        let head =
            format!("Host: localhost\r\nConnection: close\r\nAuthorization: Bearer {}", token.reveal());
        whole(&clock, &format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n")).await
    };
    let text = get("/v1/export").await;
    let used = "# owner: \"reports\"\n[[calendar]]\nname = \"used\"\nform = \"toml\"\ntext = \"dates = [\\\"2026-12-25\\\"]\"\n";
    assert!(text.contains(used), "{text}");
    // In pieces, one behind the other.
    let text = get("/v1/export?format=json").await;
    let used = r#"{"calendars":[{"name":"used","form":"toml","text":"dates = [\"2026-12-25\"]"}],"#;
    let at = [used, r#""schedules":[]}"#].map(|piece| text.find(piece).expect("a piece"));
    assert!(at[0] < at[1], "{text}");
}

#[tokio::test]
async fn one_that_is_used_is_not_deleted_and_so_it_is_where_there_is_none() {
    let clock = clock().await;
    for (path, head, status, said) in [
        ("/v1/calendars/off", "", 204, ""),
        ("/v1/calendars/Off", "", 204, ""),
        ("/v1/calendars/off", "If-Match: \"3.7\"\r\n", 204, ""),
        ("/v1/calendars/off", "If-Match: *\r\n", 412, "a revision of it was expected"),
        ("/v1/calendars/off", "If-None-Match: *\r\n", 400, "leave it out"),
        ("/v1/calendars/one-minute", "", 409, "lies in the folder of calendars"),
        ("/v1/calendars/taken", "", 403, "belongs to 'reports'"),
        ("/v1/calendars/used", "", 409, "schedules use it: a, b and 1 more"),
        ("/v1/calendars/used", "", 409, "\"code\":\"in-use\""),
    ] {
        let (found, _, answer) = sent(&clock, 4, "DELETE", path, head, "").await;
        assert!(found == status && answer.to_string().contains(said), "{path} {head}: {found} {answer}");
    }
}

#[tokio::test]
async fn changing_calendars_takes_the_role_write_and_reading_them_does_not() {
    let clock = clock().await;
    for (method, body) in [("PUT", DAYS), ("DELETE", "")] {
        for (token, status, said) in
            [(1, 403, "has the role read"), (2, 403, "takes the role write"), (9, 401, "not known")]
        {
            let (found, _, answer) = sent(&clock, token, method, "/v1/calendars/off", TOML, body).await;
            assert!(found == status && answer.to_string().contains(said), "{method} {token}: {answer}");
        }
    }
    for path in ["/v1/calendars", "/v1/calendars/used", "/v1/calendars/work"] {
        assert_eq!(sent(&clock, 1, "GET", path, "", "").await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_calendar_is_shown_with_whose_it_is_its_text_and_who_uses_it() {
    let clock = clock().await;
    let get = async |path: &str| sent(&clock, 1, "GET", path, "", "").await;
    let (status, head, answer) = get("/v1/calendars/used").await;
    let expected = json!({
        "name": "used", "origin": "client", "owner": "reports", "door": "message", "creation": 17, "revision": 3,
        "since": "1970-01-01T00:09:00.000Z", "form": "toml", "bytes": DAYS.len(), "users": 3, "used_by": ["a", "b"],
        "text": DAYS,
    });
    assert_eq!((status, &answer), (200, &expected));
    assert!(head.contains("\r\netag: \"17.3\""), "{head}");
    let (status, head, answer) = get("/v1/calendars/work").await;
    assert_eq!((status, answer), (200, json!({ "name": "work", "origin": "file" })));
    assert!(!head.contains("etag"), "{head}");
    let (status, _, problem) = get("/v1/calendars/wrok").await;
    assert_eq!((status, &problem["missing"]["suggestion"]), (404, &json!("work")), "{problem}");
    let (status, _, problem) = get("/v1/calendars/53508b14-b68a-5c78-94e6-99de12b6a40d").await;
    assert_eq!((status, &problem["missing"]["kind"]), (404, &json!("calendar")), "{problem}");
}

#[tokio::test]
async fn calendars_are_listed_in_pages_and_of_two_of_one_name_the_one_that_counts() {
    let clock = clock().await;
    let (mut page, mut found) = (String::new(), Vec::new());
    for _ in 0..3 {
        let path = format!("/v1/calendars?limit=1{page}");
        let (status, _, answer) = sent(&clock, 1, "GET", &path, "", "").await;
        assert_eq!(status, 200, "{answer}");
        let list = answer["calendars"].as_array().unwrap();
        found
            .extend(list.iter().map(|one| (one["name"].clone(), one["origin"].clone(), one["text"].clone())));
        page = answer["next"].as_str().map_or(String::new(), |next| format!("&page={next}"));
    }
    let expected = [("frozen", "file"), ("used", "client"), ("work", "file")];
    assert_eq!(found, expected.map(|(name, origin)| (json!(name), json!(origin), Value::Null)));
    assert_eq!(page, "", "that was all");
    for wrong in ["limit=0", "limit=1001", "page=x", "prefix=a"] {
        let path = format!("/v1/calendars?{wrong}");
        assert_eq!(sent(&clock, 1, "GET", &path, "", "").await.0, 400, "{wrong}");
    }
}
