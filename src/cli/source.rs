//! Where a verb's answers come from, and the operations that it may ask for: of a running clock over HTTP, of a stopped
//! one on its store.

use super::error::CliError;
use crate::{
    clock,
    engine::audit::Report,
    http::client::{Client, ClientError, encode},
    ops::{
        self, CalendarView, DelayedChangeList, DelayedHistory, History, Pages, ParkedList, ScheduleList,
        ScheduleView, StoppedClock, ZoneView,
        audit::Window,
        changes::{ChangeList, ChangesQuery},
        delayed::{DelayedChangesQuery, DelayedHistoryQuery, MOST_NUMBERED},
        history::{HistoryQuery, MOST},
        schedules::{MOST_OF_A_PAGE, ScheduleQuery},
    },
    schedule::{CalendarId, CalendarStore, ZoneId},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Where the answers come from.
pub(super) enum ClockSource {
    /// A running clock.
    Running(Client),
    /// The store of a clock that does not run.
    Stopped(StoppedClock),
}

impl ClockSource {
    pub(super) async fn schedules(&self) -> Result<ScheduleList, CliError> {
        self.schedules_of(ScheduleQuery::default()).await
    }

    /// All that are wanted, page by page.
    pub(super) async fn schedules_of(&self, wanted: ScheduleQuery) -> Result<ScheduleList, CliError> {
        let mut wanted = ScheduleQuery { limit: Some(MOST_OF_A_PAGE), ..wanted };
        let mut schedules = Vec::new();
        loop {
            let page = match self {
                Self::Running(client) => {
                    client.get_patiently::<ScheduleList>(&schedules_path(&wanted)).await?
                }
                Self::Stopped(clock) => {
                    let page = ops::schedules::page(clock.clone(), &wanted).await?;
                    let schedules = page.list.iter().map(|status| page.view(status)).collect();
                    ScheduleList {
                        clock: clock.name().to_owned(),
                        paused: clock.paused(),
                        schedules,
                        next: page.next,
                    }
                }
            };
            schedules.extend(page.schedules);
            wanted.page = page.next;
            if wanted.page.is_none() {
                return Ok(ScheduleList { clock: page.clock, paused: page.paused, schedules, next: None });
            }
        }
    }

    pub(super) async fn schedule(&self, name: &str) -> Result<ScheduleView, CliError> {
        Ok(match self {
            Self::Running(client) => client.get(&format!("/v1/schedules/{}", encode(name))).await?,
            Self::Stopped(clock) => ops::schedules::get(clock.clone(), name).await?,
        })
    }

    /// Refuses the name of no schedule. One that was removed is known as long as a row of it, or a definition, is kept.
    /// `none_recorded`: no row of that name is.
    pub(super) async fn check_known(&self, name: &str, none_recorded: bool) -> Result<(), CliError> {
        let Err(unknown) = self.schedule(name).await else { return Ok(()) };
        if unknown.is_of_former_schedule() {
            return Ok(());
        }
        if none_recorded {
            return Err(unknown);
        }
        let mut any =
            HistoryQuery { schedule: Some(name.to_owned()), limit: Some(1), ..HistoryQuery::default() };
        loop {
            let page = self.history(&any).await?;
            match page.next {
                _ if !page.rows.is_empty() => return Ok(()),
                Some(next) => any.before = Some(next),
                None => return Err(unknown),
            }
        }
    }

    /// The days of the calendars and the rules of the zones that these schedules name by id.
    pub(super) async fn calendars(&self, schedules: &[ScheduleView]) -> Result<CalendarStore, CliError> {
        let client = match self {
            Self::Running(client) => client,
            Self::Stopped(clock) => return Ok(clock.calendars().clone()),
        };
        let named = schedules.iter().filter_map(|view| view.definition.calendars.as_ref());
        let ids: BTreeSet<CalendarId> = named.flat_map(|ids| ids.values().copied()).collect();
        let calendars = CalendarStore::default();
        for id in &ids {
            let found: CalendarView = client.get(&format!("/v1/calendars/{id}")).await?;
            let Some(days) = found.days().filter(|_| found.id == *id) else {
                let what = format!("its answer for the calendar {id} has the days of another calendar");
                return Err(ClientError::Broken { target: client.target().clone(), what }.into());
            };
            calendars.insert(days);
        }
        let zones = schedules.iter().filter_map(|view| view.definition.zones.as_ref());
        let zones: BTreeSet<(&String, ZoneId)> = zones.flatten().map(|(name, id)| (name, *id)).collect();
        for (name, id) in zones {
            // Mostly those of the bundled data.
            if calendars.zones().knows(name, id) {
                continue;
            }
            let found: ZoneView = client.get(&format!("/v1/zones/{id}")).await?;
            let rules = found.tzif().and_then(|tzif| calendars.zones().insert(tzif).ok());
            if rules.is_none_or(|rules| rules.id() != id) {
                let what = format!("its answer for the rules {id} of the zone {name} has other rules");
                return Err(ClientError::Broken { target: client.target().clone(), what }.into());
            }
        }
        Ok(calendars)
    }

    pub(super) async fn parked(&self) -> Result<ParkedList, CliError> {
        Ok(match self {
            Self::Running(client) => client.get("/v1/parked").await?,
            Self::Stopped(clock) => {
                let all = ops::parked::all(clock.clone());
                let parked = ops::collect(all, |all, one| all.view(&one)).await?;
                ParkedList { clock: clock.name().to_owned(), next: None, parked }
            }
        })
    }

    pub(super) async fn history(&self, wanted: &HistoryQuery) -> Result<History, CliError> {
        Ok(match self {
            Self::Running(client) => client.get(&history_path(wanted)).await?,
            Self::Stopped(clock) => ops::history::read(clock.clone(), wanted).await?,
        })
    }

    pub(super) async fn changes(&self, wanted: &ChangesQuery) -> Result<ChangeList, CliError> {
        Ok(match self {
            Self::Running(client) => client.get(&changes_path(wanted)).await?,
            Self::Stopped(clock) => ops::changes::read(clock.clone(), wanted).await?,
        })
    }

    pub(super) async fn delayed_history(
        &self,
        wanted: &DelayedHistoryQuery,
    ) -> Result<DelayedHistory, CliError> {
        Ok(match self {
            Self::Running(client) => client.get(&delayed_history_path(wanted)).await?,
            Self::Stopped(clock) => ops::delayed::history(clock.clone(), wanted.clone()).await?,
        })
    }

    pub(super) async fn delayed_changes(
        &self,
        wanted: &DelayedChangesQuery,
    ) -> Result<DelayedChangeList, CliError> {
        Ok(match self {
            Self::Running(client) => client.get(&delayed_changes_path(wanted)).await?,
            Self::Stopped(clock) => ops::delayed::changes(clock.clone(), wanted.clone()).await?,
        })
    }

    pub(super) async fn audit(&self, window: Window, only: Option<&str>) -> Result<Report, CliError> {
        Ok(match self {
            Self::Running(client) => {
                let bounds = window.bounds().map(|(key, at)| format!("{key}={at}"));
                let name = only.map(|name| format!("schedule={}", encode(name)));
                let wanted: Vec<String> = bounds.chain(name).collect();
                client.get(&format!("/v1/audit?{}", wanted.join("&"))).await?
            }
            Self::Stopped(clock) => {
                let (report, schedules) = ops::audit::audit(clock.clone(), window, only).await?;
                Report { schedules: ops::collect(schedules, |_, schedule| schedule).await?, ..report }
            }
        })
    }

    /// Why an event was sent, or was not, and what came of it.
    pub(super) async fn why(&self, id: &str) -> Result<Value, CliError> {
        match self {
            Self::Running(client) => Ok(client.get(&format!("/v1/why/{}", encode(id))).await?),
            Self::Stopped(clock) => {
                let why = ops::why::why(clock.clone(), id, clock::now()).await?;
                serde_json::to_value(why).map_err(|_| ops::OpsError::Defect.into())
            }
        }
    }

    /// Closes the store, if it is one, so that the next one who opens it finds it in order.
    pub(super) async fn close(self) -> Result<(), CliError> {
        match self {
            Self::Running(_) => Ok(()),
            Self::Stopped(clock) => Ok(clock.close().await?),
        }
    }
}

fn schedules_path(wanted: &ScheduleQuery) -> String {
    let path = format!("/v1/schedules?limit={}", wanted.limit.unwrap_or(MOST_OF_A_PAGE));
    let words = [
        ("prefix", &wanted.prefix),
        ("domain", &wanted.domain),
        ("state", &wanted.state),
        ("owner", &wanted.owner),
        ("origin", &wanted.origin),
        ("label", &wanted.label),
        ("page", &wanted.page),
    ];
    with(path, words)
}

fn changes_path(wanted: &ChangesQuery) -> String {
    let path = format!("/v1/changes?limit={}", wanted.limit.unwrap_or(MOST));
    let words = [("schedule", &wanted.schedule), ("calendar", &wanted.calendar), ("by", &wanted.by)];
    with(with(path, words), [("after", &wanted.after), ("before", &wanted.before)])
}

fn history_path(wanted: &HistoryQuery) -> String {
    let path = format!("/v1/history?limit={}", wanted.limit.unwrap_or(MOST));
    let words = [
        ("schedule", &wanted.schedule),
        ("kind", &wanted.kind),
        ("outcome", &wanted.outcome),
        ("late", &wanted.late),
    ];
    let path = with(with(path, words), [("from", &wanted.from), ("to", &wanted.to)]);
    with(path, [("after", &wanted.after), ("before", &wanted.before)])
}

fn delayed_changes_path(wanted: &DelayedChangesQuery) -> String {
    let path = format!("/v1/events:changes?limit={}", wanted.limit.unwrap_or(MOST_NUMBERED));
    let path = with(path, [("name", &wanted.name), ("by", &wanted.by)]);
    with(path, [("after", &wanted.after), ("before", &wanted.before)])
}

fn delayed_history_path(wanted: &DelayedHistoryQuery) -> String {
    let path = format!("/v1/events:history?limit={}", wanted.limit.unwrap_or(MOST_NUMBERED));
    let words = [
        ("name", &wanted.name),
        ("domain", &wanted.domain),
        ("owner", &wanted.owner),
        ("outcome", &wanted.outcome),
        ("late", &wanted.late),
    ];
    let path = with(with(path, words), [("from", &wanted.from), ("to", &wanted.to)]);
    with(path, [("after", &wanted.after), ("before", &wanted.before)])
}

/// The path with those of these that are given.
fn with<const N: usize>(mut path: String, given: [(&str, &Option<impl ToString>); N]) -> String {
    for (key, value) in given {
        path.extend(value.iter().map(|value| format!("&{key}={}", encode(&value.to_string()))));
    }
    path
}
