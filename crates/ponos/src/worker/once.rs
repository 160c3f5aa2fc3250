//! Publishing once in a period, once until it is done, or once it has been quiet.

use super::{Context, PublishError, held::PublishKey};
use crate::{
    declared::{Checked, MessageKind, Priority},
    event::EventName,
    inbox::{Due, Held},
    names::{NamesEvent, NamesTask},
    once::{Claim, Once, Resolved, Sent, needs_outbox},
};
use futures_util::future::BoxFuture;
use serde::Serialize;

/// What a handler publishes [`Once`]: see [`Context::once`].
#[derive(Debug, Clone)]
#[must_use = "it publishes nothing by itself"]
pub struct Unique<'a> {
    context: &'a Context,
    once: Once,
}

impl Context {
    /// Publishes once in a period ([`Once::per`]), not again until it is done ([`Once::until_done`]), or once it has been quiet
    /// ([`Once::debounce`]): checked now, sent when the handler is done. All handlers and clients of the service share keys, by the
    /// name of what they send.
    pub fn once(&self, once: Once) -> Unique<'_> {
        Unique { context: self, once }
    }
}

impl<'a> Unique<'a> {
    /// As [`Context::task`]; answers whether it is sent. Of [`Once::until_done`] it waits for others that send the same key now.
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn task<T: Serialize>(
        self,
        name: impl NamesTask<T>,
        payload: &T,
    ) -> BoxFuture<'a, Result<Sent, PublishError>> {
        self.sent((MessageKind::Task, name.text()), payload)
    }

    /// As [`Context::publish`], of [`Once::per`] and [`Once::debounce`].
    ///
    /// # Errors
    /// [`PublishError`]; then nothing is held of it.
    pub fn publish<T: Serialize>(
        self,
        name: impl NamesEvent<T>,
        payload: &T,
    ) -> BoxFuture<'a, Result<Sent, PublishError>> {
        self.sent((MessageKind::Event, name.text()), payload)
    }

    fn sent(
        self,
        (kind, name): (MessageKind, &str),
        payload: &impl Serialize,
    ) -> BoxFuture<'a, Result<Sent, PublishError>> {
        let made = self.made(kind, name, payload);
        let context = self.context;
        Box::pin(async move {
            let (name, held, claim) = made?;
            let Some(claim) = claim else { return held_of(context, held) };
            claimed(context, &name, claim, held).await
        })
    }

    /// The message, and what is to be claimed before it is held.
    fn made(
        &self,
        kind: MessageKind,
        name: &str,
        payload: &impl Serialize,
    ) -> Result<(EventName, Held, Option<Claim>), PublishError> {
        let inner = self.context.inner();
        let service = &*inner.service;
        let checked: Checked = service.declared.check(kind, name, payload)?;
        let (name, times) = (checked.name.clone(), (service.clock.now(), service.inbox.retention));
        let origin = self.context.origin();
        Ok(match self.once.resolve(&service.declared.service, &checked, times)? {
            Resolved::Per(id) => {
                let held = origin.message_of(
                    self.context,
                    checked,
                    (PublishKey::Id(id), None, Priority::default()),
                )?;
                (name, held, None)
            }
            Resolved::Debounce(_) if !service.inbox.takes_publishes() => {
                return Err(needs_outbox(&name, "give one to the worker"));
            }
            Resolved::Debounce(quiet) => {
                let number = self.context.buffer().number();
                let wanted = (PublishKey::Number(number), Some(Due::Quiet(quiet)), Priority::default());
                (name, origin.message_of(self.context, checked, wanted)?, None)
            }
            Resolved::UntilDone(claim) => {
                let key = PublishKey::Given(&claim.key);
                let held = origin.message_of(self.context, checked, (key, None, Priority::default()))?;
                #[cfg(feature = "postgres")]
                let held = held.claiming(&claim);
                (name, held, Some(claim))
            }
        })
    }
}

fn held_of(context: &Context, held: Held) -> Result<Sent, PublishError> {
    let id = held.id.clone();
    context.buffer().hold(held, &context.inner().service.limits)?;
    Ok(Sent::New(id))
}

#[cfg(not(feature = "postgres"))]
async fn claimed(_: &Context, name: &EventName, _: Claim, _: Held) -> Result<Sent, PublishError> {
    Err(crate::once::needs_postgres(name, "give one to the worker"))
}

#[cfg(feature = "postgres")]
async fn claimed(
    context: &Context,
    name: &EventName,
    claim: Claim,
    held: Held,
) -> Result<Sent, PublishError> {
    let inner = context.inner();
    let Some(transaction) = inner.transaction.as_ref() else {
        return Err(crate::once::needs_postgres(name, "give one to the worker"));
    };
    if inner.batch.is_none() && context.buffer().is_of_several() {
        let what = "of one item of a batch it can't be until_done, for if the item fails, the key waits for what is not sent: send it by the context of the batch, or per a period";
        return Err(PublishError::Once { name: name.to_string(), what: what.into() });
    }
    let (inbox, id) = (&inner.service.inbox, held.id.clone());
    let mut connection = transaction.lock().await?;
    if let Some(existing) = inbox.claim(&mut connection, name, &claim, &id).await? {
        return Ok(Sent::Existing(existing));
    }
    let sent = held_of(context, held);
    if sent.is_err() {
        // else the key would wait for what is never sent
        inbox.unclaim(&mut connection, name, &claim, &id).await?;
    }
    sent
}
