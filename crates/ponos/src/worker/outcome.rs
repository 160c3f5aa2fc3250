//! How a handler ends: a value says what it decided; an error means failure only.

use std::{error::Error, fmt, time::Duration};

/// What a handler decided. Only the runtime settles the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the messages held are published, the inbox records the delivery, and it is acked.
    Done,
    /// Not now: try again later, as another attempt.
    Retry {
        /// How long to wait, at most 7 days; `None` uses the policy's backoff.
        after: Option<Duration>,
        /// Why, for people: shown in the log, in `retry-reason`, and in the dead letter after the last attempt.
        reason: Option<String>,
    },
    /// Later, through no fault of the message: make the same attempt again after this time (1 s to 7 days). Limited to
    /// [`Policy::max_wait`](super::Policy::max_wait) in all: the last snooze is cut to that, and the next one is a dead letter.
    Snooze {
        /// How long to wait.
        after: Duration,
        /// Why, for people.
        reason: Option<String>,
    },
    /// Not here: give the delivery back, so that any replica makes the same attempt again after a second (longer after many
    /// times). Limited as [`Outcome::Snooze`] is.
    Release,
    /// Never: send it to the dead letters.
    Dead {
        /// Why, for the people who read the dead letters.
        reason: String,
    },
    /// Nothing to do: the delivery is acked and recorded by the inbox; the messages held are dropped.
    Skip,
}

impl Outcome {
    /// [`Outcome::Retry`] after `delay`: another attempt.
    pub fn retry_after(delay: Duration) -> Self {
        Self::Retry { after: Some(delay), reason: None }
    }

    /// [`Outcome::Snooze`] for `delay`: the same attempt, none is spent.
    pub fn snooze(delay: Duration) -> Self {
        Self::Snooze { after: delay, reason: None }
    }

    /// Adds a reason to a retry, a snooze or a death. The other outcomes have none and stay unchanged.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        match &mut self {
            Self::Retry { reason, .. } | Self::Snooze { reason, .. } => *reason = Some(why.into()),
            Self::Dead { reason } => *reason = why.into(),
            Self::Done | Self::Release | Self::Skip => {}
        }
        self
    }

    /// [`Outcome::Dead`] with this reason.
    pub fn dead(reason: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into() }
    }
}

/// What a handler returns: `Ok(Done)`, another [`Outcome`], or an error, which means *retry by the policy*.
pub type HandlerResult = Result<Outcome, Failure>;

/// Why a handler failed. `?` converts any error into it, with the chain of its causes as text: every type that implements
/// `std::error::Error`, `anyhow::Error`, `Box<dyn Error + Send + Sync>`, and text. For a `Box<dyn Error>` that is not `Send`,
/// use [`Failure::boxed`]: `read().map_err(Failure::boxed)?`.
///
/// Like `anyhow::Error`, it does not implement `Error` itself: that is what makes the conversion possible for all of them.
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A failure with this text.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into().into())
    }

    /// A failure from an error that can't be sent between threads: keeps its text and that of its causes.
    ///
    /// (`?` can't convert it, because the standard library may add a conversion of its own.)
    #[allow(clippy::needless_pass_by_value)] // for `map_err`
    pub fn boxed(error: Box<dyn Error>) -> Self {
        Self::new(error_chain(error.as_ref()))
    }

    /// Something that the task needs is unavailable at present, such as a service that refuses connections. `name` is shown to
    /// people.
    ///
    /// No attempt is spent: the task is tried again after 1 s, 5 s, then every 30 s, until [`Policy::max_wait`](super::Policy::max_wait)
    /// or [`Policy::max_age`](super::Policy::max_age) has passed. Several in a row pause the queue
    /// ([`Breaker`](super::Breaker)): then one task is tried from time to time, until one ends in another way. Use it for what
    /// concerns all tasks of the queue; a plain error never pauses a queue.
    pub fn unavailable(name: impl Into<String>, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Box::new(Unavailable { name: name.into(), source: error.into() }))
    }

    /// The name given to [`Failure::unavailable`], if that made it.
    pub(crate) fn unavailable_name(&self) -> Option<&str> {
        self.0.downcast_ref::<Unavailable>().map(|unavailable| unavailable.name.as_str())
    }

    /// The error itself, without its causes.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.0.as_ref()
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// What [`Failure::unavailable`] holds.
#[derive(Debug, thiserror::Error)]
#[error("{name} is unavailable")]
struct Unavailable {
    name: String,
    source: Box<dyn Error + Send + Sync>,
}

/// The error and its causes, outermost first: `can't read the image list: connection refused`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_chain(self.0.as_ref()))
    }
}

/// With its causes, each once: many errors print their cause themselves.
fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut last = error.to_string();
    let mut all = last.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !last.contains(&text) {
            all = format!("{all}: {text}");
            last = text;
        }
        cause = error.source();
    }
    all
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't read the list")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_failure_names_its_causes_once() {
        let failure: Failure = Outer(std::io::Error::other("connection refused")).into();
        assert_eq!(failure.to_string(), "can't read the list: connection refused");
        assert_eq!(Failure::new("no").to_string(), "no");
    }

    #[test]
    fn whatever_says_why_becomes_a_failure_with_all_its_causes() {
        type Sendable = Box<dyn Error + Send + Sync>;
        fn outer() -> Outer {
            Outer(std::io::Error::other("connection refused"))
        }
        let each: [fn() -> HandlerResult; 6] = [
            || Err(outer())?,
            || Err(anyhow::Error::from(outer()))?,
            || Err(anyhow::anyhow!("connection refused").context("can't read the list"))?,
            || Err(Sendable::from(outer()))?,
            || Err("can't read the list: connection refused")?,
            || Err(Failure::boxed(outer().into())),
        ];
        for (number, one) in each.iter().enumerate() {
            let said = one().unwrap_err().to_string();
            assert_eq!(said, "can't read the list: connection refused", "number {number}");
        }
        let failure = Failure::from(anyhow::Error::from(outer()));
        assert_eq!(failure.error().to_string(), "can't read the list");
    }

    #[test]
    fn what_is_unavailable_has_a_name_and_a_cause() {
        let refused = std::io::Error::other("connection refused");
        let failure = Failure::unavailable("billing-api", refused);
        assert_eq!(failure.to_string(), "billing-api is unavailable: connection refused");
        assert_eq!(failure.unavailable_name(), Some("billing-api"));
        assert_eq!(Failure::new("billing-api is unavailable").unavailable_name(), None);
    }

    #[test]
    fn a_reason_goes_where_one_is_read() {
        let second = Duration::from_secs(1);
        let busy = || Some("busy".to_owned());
        let retry = Outcome::Retry { after: Some(second), reason: busy() };
        assert_eq!(Outcome::retry_after(second).because("busy"), retry);
        assert_eq!(
            Outcome::snooze(second).because("busy"),
            Outcome::Snooze { after: second, reason: busy() }
        );
        assert_eq!(Outcome::dead("no").because("busy"), Outcome::dead("busy"));
        assert_eq!(Outcome::Done.because("busy"), Outcome::Done);
    }
}
