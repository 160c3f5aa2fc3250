//! Pauses and limits queues of running workers, by the control stream. What cancels messages is in `cancel`.

use super::{Client, ClientError};
use crate::{
    broker::{LinkError, LinkErrorClass},
    clock::millis,
    control::{Entry, Fold, Limit, Reader, Scope, Unread},
    declared::{is_service, random_id},
    event::{
        Event, Timestamp,
        control::{self, CONTROL, CONTROL_CANCELLED, CONTROL_CHANGED, Change, Key, Setting},
    },
    inbox::Held,
    text::shown,
    worker::FlushError,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long something said by hand holds at most: 30 days.
pub const LONGEST_CONTROL: Duration = Duration::from_secs(30 * 86_400);
/// How long it is known that something was taken back: longer than what it takes back would have held, for another writer may repeat
/// that meanwhile.
const TAKEN_BACK: Duration = Duration::from_secs(31 * 86_400);
/// After so many records the state is written anew.
const ANEW: u64 = 1_000;
/// The most characters of who says it, …
pub(super) const BY: usize = 100;
/// … and of why.
pub(super) const WHY: usize = 500;
/// How long reading what was said may take.
const READING: Duration = Duration::from_secs(10);
/// When it is asked again whether the stream is there, while its node can't be asked.
const AGAIN: Duration = Duration::from_millis(250);

/// Until when something holds, and why: at most [`LONGEST_CONTROL`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until {
    end: End,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    At(Timestamp),
    After(Duration),
}

impl Until {
    /// So long from now on.
    pub fn after(span: Duration) -> Self {
        Self { end: End::After(span), why: String::new() }
    }

    /// Until this instant.
    pub fn at(end: Timestamp) -> Self {
        Self { end: End::At(end), why: String::new() }
    }

    /// Why, for people: 500 characters at most. It stands in logs and in health checks.
    #[must_use]
    pub fn why(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    fn instant(&self, now: Timestamp) -> Result<Timestamp, ControlError> {
        let end = match self.end {
            End::At(end) => end,
            End::After(span) => now.plus(millis(span)),
        };
        if end <= now {
            return Err(ControlError::Invalid("it would be over already".into()));
        }
        if end.since(now) > millis(LONGEST_CONTROL) {
            return Err(ControlError::Invalid("it would hold for longer than 30 days, the longest".into()));
        }
        if self.why.chars().count() > WHY {
            return Err(ControlError::Invalid(format!("the reason has more than {WHY} characters")));
        }
        Ok(end)
    }
}

/// What somebody said of a queue, which holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controlled {
    /// The queue, by its full name.
    pub queue: String,
    /// The limit; `None`: it is paused.
    pub limit: Option<Limit>,
    /// Until when.
    pub until: Timestamp,
    /// Who said it.
    pub by: String,
    /// Why; may be empty.
    pub why: String,
    /// When it was said.
    pub since: Option<Timestamp>,
}

/// Why something could not be said. `Display` says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is not to be said so.
    #[error("{0}")]
    Invalid(String),
    /// There is no such queue.
    #[error(
        "there is no queue '{0}' on the broker; correct the name, which begins with that of its service (ponos topology)"
    )]
    NoQueue(String),
    /// The broker can't be asked, or refuses it.
    #[error("the control stream can't be used: {0}")]
    Broker(#[from] LinkError),
    /// What was said before could not be read in time.
    #[error("the control stream could not be read within {} s; check the broker, then try again", .0.as_secs())]
    Unread(Duration),
    /// There is no room for it.
    #[error(
        "as many messages are cancelled as can be (100,000, or 5 MiB of ids and reasons): some end within 8 days; pause their queue until then, or have the handler look whether there is still something to do"
    )]
    Full,
    /// It was not sent.
    #[error("{0}")]
    Client(#[from] ClientError),
}

/// Pauses and limits queues of running workers, and cancels messages: from [`Client::control`]. Each replica of a service obeys within milliseconds, and so does one
/// that is started later, until the end. It needs the right to write to the exchange `ponos.control`, and to read the stream of that name.
#[derive(Debug, Clone)]
pub struct ControlClient {
    pub(super) client: Client,
    pub(super) by: String,
}

impl Client {
    /// Pauses and limits queues of running workers, by the name of this service.
    pub fn control(&self) -> ControlClient {
        ControlClient { client: self.clone(), by: self.service().to_owned() }
    }

    /// Pauses a queue, by its full name: see [`ControlClient::pause`].
    ///
    /// # Errors
    /// As [`ControlClient::pause`].
    pub async fn pause(&self, queue: &str, until: Until) -> Result<Timestamp, ControlError> {
        self.control().pause(queue, until).await
    }

    /// Ends a pause: see [`ControlClient::resume`].
    ///
    /// # Errors
    /// As [`ControlClient::resume`].
    pub async fn resume(&self, queue: &str) -> Result<bool, ControlError> {
        self.control().resume(queue).await
    }
}

impl ControlClient {
    /// The same, by somebody: 100 characters at most.
    #[must_use]
    pub fn by(self, who: impl Into<String>) -> Self {
        Self { by: who.into(), ..self }
    }

    /// Pauses a queue, by its full name (`docker.images.cleanup`): in each replica what is begun ends, what is in hand and not begun goes
    /// back, and nothing more is begun. Messages go on arriving in the queue. Said again, it holds until the new end. Returns when
    /// it ends by itself.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn pause(&self, queue: &str, until: Until) -> Result<Timestamp, ControlError> {
        let end = until.instant(self.now())?;
        let key = Key::Pause { queue: queue.to_owned() };
        self.say(key, Some(Setting::default()), end, until.why).await?;
        Ok(end)
    }

    /// Ends a pause. Whether there was one.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn resume(&self, queue: &str) -> Result<bool, ControlError> {
        self.take_back(Key::Pause { queue: queue.to_owned() }).await
    }

    /// Limits a queue, by its full name, in each replica: at most what its policy has. Said again, the new limit counts alone. Returns
    /// when it ends by itself.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn limit(&self, queue: &str, limit: Limit, until: Until) -> Result<Timestamp, ControlError> {
        let end = until.instant(self.now())?;
        if let Some(fault) = limit.fault() {
            return Err(ControlError::Invalid(fault));
        }
        let key = Key::Limit { queue: queue.to_owned() };
        self.say(key, Some(limit.setting()), end, until.why).await?;
        Ok(end)
    }

    /// Takes a limit back. Whether there was one.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn unlimit(&self, queue: &str) -> Result<bool, ControlError> {
        self.take_back(Key::Limit { queue: queue.to_owned() }).await
    }

    /// All that holds now, of all services of the vhost, by queue.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn list(&self) -> Result<Vec<Controlled>, ControlError> {
        let fold = match self.read().await {
            // nobody ever said anything
            Err(ControlError::Broker(error)) if error.class == LinkErrorClass::Missing => {
                return Ok(Vec::new());
            }
            read => read?,
        };
        let mut all: Vec<Controlled> = fold.holding(self.now()).filter_map(controlled).collect();
        all.sort_by(|one, other| one.queue.cmp(&other.queue));
        Ok(all)
    }

    async fn take_back(&self, key: Key) -> Result<bool, ControlError> {
        let now = self.now();
        let fold = self.say(key.clone(), None, now.plus(millis(TAKEN_BACK)), String::new()).await?;
        Ok(fold.is_none_or(|before| before.is_held(&key, now)))
    }

    /// Writes a record, and the state anew if that is due. Returns what was said before, where that may be read.
    async fn say(
        &self,
        key: Key,
        value: Option<Setting>,
        until: Timestamp,
        why: String,
    ) -> Result<Option<Fold>, ControlError> {
        let by = self.checked_by()?;
        let queue = key.queue().to_owned();
        let Some((service, _)) =
            queue.split_once('.').filter(|(service, _)| is_service(service) && queue.len() <= 255)
        else {
            return Err(ControlError::Invalid(format!(
                "'{}' is not the name of a queue of a service, as docker.images.cleanup",
                shown(&queue)
            )));
        };
        self.expect_queue(&queue).await?;
        let before = self.before().await?;
        let service = service.to_owned();
        let change = Change { service, key, value, until, by, why, folded_from: None };
        self.write(CONTROL_CHANGED, &change, before.as_ref()).await?;
        Ok(before)
    }

    pub(super) fn checked_by(&self) -> Result<String, ControlError> {
        if self.by.chars().count() > BY {
            return Err(ControlError::Invalid(format!("who says it has more than {BY} characters")));
        }
        Ok(self.by.clone())
    }

    pub(super) async fn expect_queue(&self, queue: &str) -> Result<(), ControlError> {
        let found = self.client.0.transport.inspect(queue).await?;
        found.map(drop).ok_or_else(|| ControlError::NoQueue(queue.to_owned()))
    }

    /// What was said before, where that may be read, of a stream that is there now.
    pub(super) async fn before(&self) -> Result<Option<Fold>, ControlError> {
        self.declare().await?;
        match self.read().await {
            Ok(fold) => Ok(Some(fold)),
            // who may only write does that
            Err(ControlError::Broker(error)) if error.class == LinkErrorClass::Forbidden => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a record, and the state as it was before anew if that is due.
    pub(super) async fn write(
        &self,
        name: &str,
        data: &impl Serialize,
        before: Option<&Fold>,
    ) -> Result<(), ControlError> {
        let event = self.event(name, data)?;
        self.client.send(name, held(event), self.client.0.limits.timeout).await?;
        if let Some(before) = before.filter(|before| before.since_written() >= ANEW) {
            self.write_anew(before).await;
        }
        Ok(())
    }

    /// Declares the stream where it is missing. One that is there is not touched: the user may have no right to. One whose node is
    /// starting is waited for.
    async fn declare(&self) -> Result<(), ControlError> {
        let transport = &self.client.0.transport;
        let end = Instant::now() + READING;
        loop {
            let checked = match transport.check(&control::topology().passive()).await {
                Err(error) if error.class == LinkErrorClass::Missing => {
                    transport.check(&control::topology()).await
                }
                checked => checked,
            };
            match checked {
                Err(error) if error.class == LinkErrorClass::Unreachable && Instant::now() < end => {
                    sleep(AGAIN).await
                }
                checked => return Ok(checked?),
            }
        }
    }

    /// What was said so far.
    async fn read(&self) -> Result<Fold, ControlError> {
        let shared = &self.client.0;
        let mut topology = control::topology().passive();
        topology.exchanges.clear();
        let mut fold = Fold::new(Scope::All);
        let mut reader = Reader::open(&shared.transport, topology);
        match timeout(READING, reader.catch_up(&mut fold, shared.clock, None)).await {
            Ok(Ok(())) => Ok(fold),
            Ok(Err(Unread::Refused(error))) => Err(error.into()),
            Ok(Err(Unread::Ended)) | Err(_) => Err(ControlError::Unread(READING)),
        }
    }

    /// Writes the state anew, so that nothing is lost with the oldest records. If none of it is written, whoever writes next does it; if a
    /// part is, whoever does after as many records again, which the stream has room for several times.
    async fn write_anew(&self, fold: &Fold) {
        let mut all = Vec::new();
        for Entry { id, time, change, .. } in fold.to_write(self.now()) {
            if let Ok(mut event) = self.event(CONTROL_CHANGED, &change) {
                (event.id, event.time) = (id, time);
                all.push(held(event));
            }
        }
        let cancelled = fold.cancelled().to_write(self.now());
        all.extend(cancelled.iter().filter_map(|one| self.event(CONTROL_CANCELLED, one).ok()).map(held));
        let publisher = self.client.open().as_ref().map(|open| open.publisher.clone());
        let written = match publisher {
            Some(publisher) => publisher.publish(all, self.client.0.limits.timeout).await,
            None => Err(FlushError::Closed),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the state of the control stream could not be written anew");
        }
    }

    fn event(&self, name: &str, data: &impl Serialize) -> Result<Event, ControlError> {
        let unfit = |why: String| ControlError::Invalid(why);
        let name = name.parse().map_err(|why| unfit(format!("{name}: {why}")))?;
        let data = serde_json::to_vec(data).map_err(|why| unfit(why.to_string()))?;
        let mut event = Event::new(random_id(), self.client.0.declared.source.clone(), name, data);
        event.time = Some(self.now());
        Ok(event)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.client.0.clock.now()
    }
}

fn held(event: Event) -> Held {
    Held { id: event.id.clone(), exchange: Arc::from(CONTROL), message: event.into_message(), due: None }
}

fn controlled(entry: &Entry) -> Option<Controlled> {
    let Change { key, value, until, by, why, .. } = &entry.change;
    let limit = match key {
        Key::Pause { .. } => None,
        Key::Limit { .. } => Some(Limit::of(value.as_ref()?)?),
    };
    Some(Controlled {
        queue: key.queue().to_owned(),
        limit,
        until: *until,
        by: by.clone(),
        why: why.clone(),
        since: entry.time,
    })
}
