//! The hook for what goes out: it adds extensions and headers to what a service publishes, or refuses it.
//!
//! Invariant: a hook sees a message after its name and data were checked, and changes neither these nor its id; it runs where
//! the message is made, so that what is held, sent at once or written to an outbox has passed it. Absent: waiting.

use crate::{
    declared::MessageKind,
    event::{Event, EventId, EventName, HeaderValue, is_attribute},
    redact::redact,
    text::shown,
    worker::{Context, Failure, PublishError, is_own_header},
};
use std::{cell::Cell, fmt, sync::Arc};

/// Headers beginning so are the broker's.
const BROKERS: &str = "x-";
/// Headers with a meaning of their own: of traces, and those by which the broker sends copies to other queues.
const TAKEN: [&str; 4] = ["traceparent", "tracestate", "CC", "BCC"];
/// The prefix of attributes, extensions among them.
const ATTRIBUTE: &str = "cloudEvents_";
/// The longest name of an extension, as CloudEvents advises.
const EXTENSION: usize = 20;
/// The longest name of a header, in bytes.
const HEADER: usize = 255;

/// What a hook sees of an event or task that goes out, and what it may set of it
/// ([`Worker::outgoing`](crate::worker::Worker::outgoing), [`Connect::outgoing`](crate::client::Connect::outgoing)):
///
/// ```
/// use ponos::{OutgoingHead, prelude::*};
///
/// struct Tenant(String);
///
/// fn tenant(head: &mut OutgoingHead<'_>, context: Option<&Context>) -> Result<(), Failure> {
///     if let Some(tenant) = context.and_then(|context| context.get::<Tenant>()) {
///         head.set_extension("tenant", tenant.0.as_str())?;
///     }
///     Ok(())
/// }
///
/// let worker = Worker::new("shop")
///     .task("shop.bill.send", async |_: serde_json::Value, _: Context| Ok(Done))
///     .outgoing(tenant);
/// worker.ready().unwrap();
/// ```
pub struct OutgoingHead<'a> {
    kind: MessageKind,
    event: &'a mut Event,
}

/// A hook named an extension or a header that it may not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HeadError(String);

impl OutgoingHead<'_> {
    /// Its name.
    pub fn name(&self) -> &EventName {
        &self.event.name
    }

    /// Its id.
    pub fn id(&self) -> &EventId {
        &self.event.id
    }

    /// Whether it is a task of this service, and not an event for everybody.
    pub fn is_task(&self) -> bool {
        self.kind == MessageKind::Task
    }

    /// What it is about, if that is said.
    pub fn subject(&self) -> Option<&str> {
        self.event.subject.as_deref()
    }

    /// What it shares with all that follows from one cause.
    pub fn correlation_id(&self) -> Option<&str> {
        self.event.correlation_id.as_deref()
    }

    /// The extension of that name, if there is one.
    pub fn extension(&self, name: &str) -> Option<&HeaderValue> {
        self.event.extensions.get(&format!("{ATTRIBUTE}{name}"))
    }

    /// The header of that name, if there is one.
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.event.extensions.get(name).filter(|_| header_fault(name).is_none())
    }

    /// Sets an extension attribute, which belongs to the event and stays with it through gateways and in other formats.
    ///
    /// # Errors
    /// The name is not 1 to 20 of `a-z` and `0-9`, or it is that of an attribute that CloudEvents or this framework has.
    pub fn set_extension(&mut self, name: &str, value: impl Into<HeaderValue>) -> Result<(), HeadError> {
        let of = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || name.len() > EXTENSION || !name.bytes().all(of) || is_attribute(name) {
            let name = shown(name);
            return Err(HeadError(format!(
                "'{name}' can't be an extension: take 1 to {EXTENSION} of a-z and 0-9, and not the name of another attribute"
            )));
        }
        self.event.extensions.set(format!("{ATTRIBUTE}{name}"), value);
        Ok(())
    }

    /// Sets a header of the message.
    ///
    /// # Errors
    /// The name is empty or has more than 255 bytes, or it is reserved: those of attributes, traces, the broker and retries are.
    pub fn set_header(&mut self, name: &str, value: impl Into<HeaderValue>) -> Result<(), HeadError> {
        match header_fault(name) {
            Some(fault) => Err(HeadError(fault)),
            None => {
                self.event.extensions.set(name.to_owned(), value);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for OutgoingHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { id, name, .. } = &*self.event;
        f.debug_struct("OutgoingHead").field("id", id).field("name", name).finish_non_exhaustive()
    }
}

/// Why that can't be a header of an author's own.
pub(crate) fn header_fault(name: &str) -> Option<String> {
    let reserved = is_own_header(name) || name.starts_with(BROKERS) || TAKEN.contains(&name);
    let fault = name.is_empty() || name.len() > HEADER || reserved;
    fault.then(|| format!("'{}' can't be a header of its own; take another name", shown(name)))
}

type Hook = dyn Fn(&mut OutgoingHead<'_>, Option<&Context>) -> Result<(), Failure> + Send + Sync;

/// The hooks of a worker or a client, in the order added.
#[derive(Clone, Default)]
pub(crate) struct OutgoingHooks(Vec<Arc<Hook>>);

impl OutgoingHooks {
    /// One more, after the others.
    pub(crate) fn add(
        &mut self,
        hook: impl Fn(&mut OutgoingHead<'_>, Option<&Context>) -> Result<(), Failure> + Send + Sync + 'static,
    ) {
        self.0.push(Arc::new(hook));
    }

    /// Runs all, up to the first that refuses.
    pub(crate) fn run(
        &self,
        kind: MessageKind,
        event: &mut Event,
        context: Option<&Context>,
    ) -> Result<(), PublishError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let withheld =
            |name: &EventName, why: &str| PublishError::Withheld(name.to_string(), redact(why).into_owned());
        let Some(_running) = Running::begin() else {
            return Err(withheld(
                &event.name,
                "a hook publishes nothing itself: it would meet all hooks again",
            ));
        };
        for hook in &self.0 {
            let seen = hook(&mut OutgoingHead { kind, event: &mut *event }, context);
            seen.map_err(|why| withheld(&event.name, &why.to_string()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for OutgoingHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingHooks({})", self.0.len())
    }
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// While hooks run on this thread; they wait for nothing, so nothing else runs on it meanwhile.
struct Running;

impl Running {
    /// `None`: they run already.
    fn begin() -> Option<Self> {
        (!RUNNING.replace(true)).then_some(Self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::new("1".parse().unwrap(), "/shop", "order.item.shipped".parse().unwrap(), b"{}".to_vec())
    }

    #[test]
    fn a_head_takes_extensions_and_headers_of_its_own_and_no_others() {
        let mut event = event();
        let before = event.clone();
        let mut head = OutgoingHead { kind: MessageKind::Event, event: &mut event };
        for name in [
            "",
            "Tenant",
            "ten-ant",
            "a23456789012345678901",
            "id",
            "type",
            "subject",
            "data",
            "datacontenttype",
        ] {
            assert!(head.set_extension(name, "north").is_err(), "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "",
            "cloudEvents_id",
            "ce-id",
            "x-death",
            "retry-attempt",
            "dead-kind",
            "traceparent",
            "CC",
            "BCC",
            &long,
        ] {
            assert!(head.set_header(name, "north").is_err(), "{name}");
        }
        assert_eq!(*head.event, before);
        head.set_extension("tenant", "north").unwrap();
        head.set_header("locale", "de").unwrap();
        assert_eq!(head.extension("tenant"), Some(&HeaderValue::Text("north".into())));
        assert_eq!(head.header("locale"), Some(&HeaderValue::Text("de".into())));
        let message = event.into_message();
        assert_eq!(message.headers.text("cloudEvents_tenant"), Some("north"));
        assert_eq!(message.headers.text("locale"), Some("de"));
    }

    #[test]
    fn hooks_run_in_the_order_added_up_to_the_first_that_refuses() {
        let mut hooks = OutgoingHooks::default();
        hooks.add(|head, _| Ok(head.set_header("first", "1")?));
        hooks.add(|head, _| {
            assert!(head.header("first").is_some());
            Err("no tenant, and amqp://user:hunter2@host")?
        });
        hooks.add(|_, _| panic!("it is refused already"));
        for _ in 0..2 {
            let refused = hooks.run(MessageKind::Event, &mut event(), None).unwrap_err().to_string();
            assert!(refused.contains("order.item.shipped") && refused.contains("no tenant"), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }
}
