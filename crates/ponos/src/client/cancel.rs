//! Cancels messages by their ids, by the control stream.

use super::{
    Client,
    control::{ControlClient, ControlError, WHY},
};
use crate::{
    control::{CancelledIds, IDS, Said, cancelled_until, id_weight},
    declared::is_service,
    event::{
        EventId, EventName, Timestamp,
        control::{CONTROL_CANCELLED, Cancellation},
    },
    text::shown,
};
use std::sync::Arc;

/// Which messages are meant, beside their ids, and why: for [`ControlClient::cancel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    service: String,
    queue: Option<String>,
    name: Option<String>,
    why: String,
}

impl Cancel {
    /// Those in all queues of a service: an event that came to several of them is cancelled in each.
    pub fn of(service: impl Into<String>) -> Self {
        Self { service: service.into(), queue: None, name: None, why: String::new() }
    }

    /// In this queue of the service alone, by its full name (`docker.images.cleanup`).
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        Self { queue: Some(queue.into()), ..self }
    }

    /// Those alone that have this name of an event or task, where others may have the same id.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Why, for people: 500 characters at most. It stands in logs and reports.
    #[must_use]
    pub fn why(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    fn checked(self) -> Result<Self, ControlError> {
        let refuse = |what: String| Err(ControlError::Invalid(what));
        if !is_service(&self.service) {
            return refuse(format!("'{}' is not the name of a service, as docker", shown(&self.service)));
        }
        if let Some(queue) = &self.queue
            && (queue.len() > 255 || queue.split_once('.').is_none_or(|(service, _)| service != self.service))
        {
            let (queue, service) = (shown(queue), &self.service);
            return refuse(format!(
                "'{queue}' is not the name of a queue of {service}, which begins with '{service}.'"
            ));
        }
        if let Some(Err(why)) = self.name.as_deref().map(str::parse::<EventName>) {
            return refuse(format!("the name does not fit: {why}"));
        }
        if self.why.chars().count() > WHY {
            return refuse(format!("the reason has more than {WHY} characters"));
        }
        Ok(self)
    }
}

impl Client {
    /// Cancels messages by their ids: see [`ControlClient::cancel`].
    ///
    /// # Errors
    /// As [`ControlClient::cancel`].
    pub async fn cancel(&self, ids: &[EventId], which: Cancel) -> Result<Timestamp, ControlError> {
        self.control().cancel(ids, which).await
    }
}

impl ControlClient {
    /// Cancels messages by their ids: each replica drops those that come to it, also at a later attempt, before their handler; they
    /// end as [`Ended::Cancelled`](crate::worker::Ended::Cancelled), with no dead letter. Those at work see it by
    /// [`Context::is_cancelled`](crate::worker::Context::is_cancelled), and are dropped after 5 s, unless their
    /// [policy](crate::worker::Policy::cancellable) forbids it. What is done stays done. It can't be taken back: to have one handled
    /// after all, send it under another id. Returns until when it holds, 8 days or up to an hour more.
    ///
    /// What waits in a service's database is dropped once it comes, or taken away there at once by
    /// `Waiting::cancel`. At most 10 KiB of ids at a time, and 100,000 in all.
    ///
    /// ```
    /// # use ponos::{Client, client::{Cancel, ControlError}, event::EventId};
    /// async fn sent_twice(client: &Client, id: EventId) -> Result<(), ControlError> {
    ///     client.cancel(&[id], Cancel::of("docker").why("sent twice")).await?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn cancel(&self, ids: &[EventId], which: Cancel) -> Result<Timestamp, ControlError> {
        let Cancel { service, queue, name, why } = which.checked()?;
        let by = self.checked_by()?;
        if ids.is_empty() || ids.iter().map(|id| id_weight(id.as_str())).sum::<usize>() > IDS {
            let what = format!(
                "{} ids are cancelled at a time: give at least one, and at most {IDS} bytes of them",
                ids.len()
            );
            return Err(ControlError::Invalid(what));
        }
        if let Some(queue) = &queue {
            self.expect_queue(queue).await?;
        }
        let before = self.before().await?;
        let (now, until) = (self.now(), cancelled_until(self.now()));
        let said = Said { until, service, queue, name, by, why };
        let cancelled = CancelledIds {
            ids: ids.iter().map(|id| Arc::from(id.as_str())).collect(),
            said: Arc::new(said.clone()),
        };
        if before.as_ref().is_some_and(|before| !before.has_room(&cancelled, now)) {
            return Err(ControlError::Full);
        }
        let Said { until, service, queue, name, by, why } = said;
        let ids = ids.iter().map(ToString::to_string).collect();
        let record = Cancellation { service, queue, name, ids, until, by, why, folded: false };
        self.write(CONTROL_CANCELLED, &record, before.as_ref()).await?;
        Ok(until)
    }
}
