//! A clock that is played by a task.

use super::{at, calendars};
use crate::{
    clock_loop::{Command, Handle, KEPT, NotDecided, PAGE, Status},
    config::MetricsConfig,
    engine::{KeptPage, Refusal, Revision, ScheduleChange, ScheduleStatus, Verdict},
    ops::{
        RecordReader, RunningClock,
        delayed::tests::{Machine, status},
    },
    schedule::CalendarStore,
    store::Page,
    telemetry::Counts,
};
use ponos::broker::Link;
use tokio::sync::{mpsc, watch};

/// Answers what is asked of a clock with these schedules, by name.
///
/// What has `held` in its name is put once somebody has looked at `release`, what has `full` not at present, and what has `no-calendar` or
/// `never-due` is refused; the clock ends when somebody looks at `the-end`.
async fn play(mut asked: mpsc::Receiver<Command>, schedules: Vec<ScheduleStatus>, delayed: Option<Machine>) {
    let revisions: Vec<Revision> = schedules.iter().map(|status| status.revision.clone()).collect();
    let (mut held, mut is_released): (Vec<Box<dyn FnOnce() + Send>>, bool) = (Vec::new(), false);
    while let Some(command) = asked.recv().await {
        let Some(command) = calendars::looked_at(command) else { continue };
        // Who asked may be gone.
        match command {
            Command::Schedule(name, _) if *name == *"the-end" => return,
            Command::Schedule(name, reply) if *name == *"release" => {
                is_released = true;
                held.drain(..).for_each(|release| release());
                let _ = reply.send(None);
            }
            Command::Schedules(after, reply) => {
                let is_after = |known: &&ScheduleStatus| {
                    after.as_deref().is_none_or(|after| known.revision.name() > after)
                };
                let _ = reply.send(schedules.iter().filter(is_after).take(PAGE).cloned().collect());
            }
            Command::Schedule(name, reply) => {
                let _ = reply.send(schedules.iter().find(|known| *known.revision.name() == *name).cloned());
            }
            Command::Neighbours(_, reply) => {
                let _ = reply.send(revisions.iter().map(|known| known.definition.clone()).collect());
            }
            Command::Kept(after, reply) => {
                let after = after.as_ref().map(|(name, number)| (&**name, *number));
                let rest = revisions.iter().filter(|kept| after < Some((kept.name(), kept.number)));
                let revisions = rest.take(KEPT).cloned().collect();
                let _ = reply.send(KeptPage { revisions, ..KeptPage::default() });
            }
            Command::Change(asked, reply) => {
                assert_eq!((&*asked.by.owner, &*asked.by.door), ("billing", "AMQP, user billing-service"));
                assert!(asked.message.is_some(), "what changes something has an id");
                let puts = |part: &str| {
                    let is_put = |change: &ScheduleChange| match change {
                        ScheduleChange::Put { definition, .. } => definition.name().contains(part),
                        _ => false,
                    };
                    asked.changes.iter().any(is_put)
                };
                let answer = match puts("full") {
                    true => Err(NotDecided::Unavailable("nothing changed: there is no room".to_owned())),
                    false => Ok(asked.changes.iter().map(verdict).collect()),
                };
                let answer = move || drop(reply.send(answer));
                match puts("held") && !is_released {
                    true => held.push(Box::new(answer)),
                    false => answer(),
                }
            }
            Command::Answered(_, _, _, reply) => drop(reply.send(Ok(None))),
            Command::ChangeDelayed(asked, reply) => {
                assert_eq!((&*asked.by.owner, &*asked.by.door), ("billing", "AMQP, user billing-service"));
                let delayed = delayed.as_ref().expect("a clock with delayed events");
                drop(reply.send(Ok(delayed.decide(asked))));
            }
            other => panic!("nobody asks for {other:?}"),
        }
    }
}

fn verdict(change: &ScheduleChange) -> Verdict {
    match change {
        ScheduleChange::Put { definition, .. } if definition.name() == "one-minute" => {
            Verdict::Refused(Refusal::FileOwned)
        }
        ScheduleChange::Put { definition, .. } if definition.name().contains("no-calendar") => {
            Verdict::Refused(Refusal::NoSuchCalendar { name: "holidays".into() })
        }
        ScheduleChange::Put { definition, .. } if definition.name().contains("never-due") => {
            Verdict::Refused(Refusal::NeverDue)
        }
        ScheduleChange::Put { .. } => Verdict::Created { creation: 7, revision: 1, since: at(10) },
        ScheduleChange::Delete { .. } => Verdict::GoneAlready,
        ScheduleChange::Calendar { .. } => calendars::decided(change),
        ScheduleChange::Invalid { faults, .. } => {
            Verdict::Refused(Refusal::Invalid { faults: faults.clone() })
        }
    }
}

pub(super) fn running(schedules: Vec<ScheduleStatus>) -> RunningClock {
    let link = Link::Down { attempts: 0, error: None };
    running_as(Status::starting("khronos".into(), at(10), link, at(10)), schedules, None)
}

/// A clock of no schedules, with delayed events.
pub(super) async fn running_delayed(delayed: Machine) -> RunningClock {
    let store = delayed.handle().await;
    running_as(status(), Vec::new(), Some(delayed)).with_delayed(store)
}

fn running_as(status: Status, schedules: Vec<ScheduleStatus>, delayed: Option<Machine>) -> RunningClock {
    let (commands, asked) = mpsc::channel(64);
    tokio::spawn(play(asked, schedules, delayed));
    let (_, status) = watch::channel(status);
    let (_, recorded) = watch::channel(0);
    let record = RecordReader::new(|_, _| async { Ok(Page { rows: vec![], first: 1, last: 0, record: 1 }) });
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let handle = Handle { commands, status, recorded };
    RunningClock::new(handle, record, CalendarStore::default(), counts, super::LIMIT)
}
