//! Has the operations do what a command asks for.

use super::{
    answer::Answer,
    request::{Previewed, Request},
};
use crate::{
    authority::{Caller, Role},
    batch, clock,
    engine::Verdict,
    ops::{
        self, OpsError, OutcomeView, Pages, ParameterFault, PauseView, RunningClock,
        change_calendar::CalendarChange,
        next,
        schedules::{SchedulePage, ScheduleQuery},
    },
    problem::Problem,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Bytes of an answer at most, about: a page of large schedules has fewer of them.
const ANSWER: usize = 1 << 20;

/// Does it, and makes the answer.
pub(super) async fn run(clock: &RunningClock, caller: &Caller, request: Request) -> Result<Answer, Problem> {
    caller.may(Role::Read, "send commands").map_err(OpsError::from)?;
    match request {
        Request::Get(name) => {
            let view = ops::schedules::get(clock.clone(), &name).await.map_err(in_body)?;
            Ok(Answer::of(200, &view)?)
        }
        Request::List(query) => list(clock, query).await,
        Request::Preview(Previewed::Schedule(name), query) => {
            let preview = next::of_schedule(clock.clone(), &name, &query, clock::now()).await;
            Ok(Answer::of(200, &preview.map_err(in_body)?)?)
        }
        Request::Preview(Previewed::Definition(json), query) => {
            let preview = next::of_definition(clock.clone(), json, &query, clock::now()).await;
            Ok(Answer::of(200, &preview.map_err(in_definition)?)?)
        }
        Request::Put { definition, expect, id, .. } => {
            let put = ops::put::put(clock, caller, (None, definition), expect, id).await;
            let put = put.map_err(in_definition)?;
            let status = if matches!(put.verdict, Verdict::Created { .. }) { 201 } else { 200 };
            let view = ops::put_view(clock, put, clock::now()).await;
            Ok(Answer::of(status, &view)?)
        }
        Request::PutAll { asked, .. } => {
            let put = batch::put_all(clock, caller, asked).await.map_err(in_body)?;
            Ok(Answer::of(200, &put)?)
        }
        Request::Delete { name, expect, id } => {
            ops::delete::delete(clock, caller, &name, expect, id).await.map_err(in_body)?;
            Ok(Answer::of_nothing(204))
        }
        Request::Pause { name, asked, id } => {
            let paused = ops::pause::pause_one(clock, caller, &name, asked, id).await;
            Ok(Answer::of(200, &paused.map_err(in_body)?)?)
        }
        Request::Resume { name, asked, id } => {
            let resumed = ops::pause::resume_one(clock, caller, &name, asked, id).await;
            Ok(Answer::of(200, &resumed.map_err(in_body)?)?)
        }
        Request::Trigger { name, id } => {
            let triggered = ops::trigger::trigger(clock, caller, &name, &id, Some(id.clone())).await;
            Ok(Answer::of(202, &triggered.map_err(of_message)?)?)
        }
        Request::Calendar(name) => {
            let found = ops::calendars::find(clock.clone(), &name).await.map_err(in_body)?;
            Ok(Answer::of(200, &found)?)
        }
        Request::Calendars(query) => {
            let page = ops::calendars::page(clock, &query).await.map_err(in_body)?;
            Ok(Answer::of(200, &page)?)
        }
        Request::ChangeCalendar(asked) => change_calendar(clock, caller, asked).await,
        Request::Events(asked) => asked.run(clock, caller).await,
    }
}

async fn change_calendar(
    clock: &RunningClock,
    caller: &Caller,
    asked: CalendarChange,
) -> Result<Answer, Problem> {
    let name = asked.name.clone();
    let is_put = asked.wanted.is_some();
    let changed = ops::change_calendar::change(clock, caller, asked).await;
    let (verdict, remarks) = changed.map_err(|error| in_body(error.below("/text")))?;
    if !is_put {
        return Ok(Answer::of_nothing(204));
    }
    let status = if matches!(verdict, Verdict::Created { .. }) { 201 } else { 200 };
    Ok(Answer::of(status, &OutcomeView::new(&name, &verdict, remarks))?)
}

/// A page, as [`ScheduleList`](ops::ScheduleList) has it.
#[derive(Serialize)]
struct ListAnswer {
    clock: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseView>,
    schedules: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One page. What is too long for one message is read again with as many as there is room for.
async fn list(clock: &RunningClock, mut query: ScheduleQuery) -> Result<Answer, Problem> {
    loop {
        let page = ops::schedules::page(clock.clone(), &query).await.map_err(in_body)?;
        let (clock, paused) = (clock.name(), clock.status().paused);
        let made = ops::run_blocking(move || {
            let schedules = fitting(&page, ANSWER)?;
            if schedules.len() < page.list.len() {
                return Ok(Err(schedules.len()));
            }
            let paused = paused.as_ref().map(PauseView::from);
            Answer::of(200, &ListAnswer { clock, paused, schedules, next: page.next }).map(Ok)
        });
        match made.await?? {
            Ok(answer) => return Ok(answer),
            Err(fitting) => query.limit = Some(fitting),
        }
    }
}

/// The first of them, as they are shown: one at least, and as many as have so many bytes.
fn fitting(page: &SchedulePage, most: usize) -> Result<Vec<Box<RawValue>>, OpsError> {
    let (mut shown, mut bytes) = (Vec::with_capacity(page.list.len()), 0);
    for status in &page.list {
        let view = to_raw_value(&page.view(status)).map_err(|_| OpsError::Defect)?;
        bytes += view.get().len();
        if bytes > most && !shown.is_empty() {
            break;
        }
        shown.push(view);
    }
    Ok(shown)
}

/// A parameter of an operation is a key of the body.
pub(super) fn in_body(error: OpsError) -> Problem {
    Problem::from(error).in_body()
}

/// What HTTP has in a header is a property of the message.
fn of_message(error: OpsError) -> Problem {
    match error {
        OpsError::Parameter(fault) => {
            OpsError::Parameter(ParameterFault { name: "message_id", ..fault }).into()
        }
        other => in_body(other),
    }
}

/// So is what a definition is wrong in.
fn in_definition(error: OpsError) -> Problem {
    in_body(error.below("/definition"))
}
