//! How a handler ends. A value for what it decided; an error only for what failed.

use std::{error::Error, fmt, time::Duration};

/// What a handler decided. Only the runtime settles the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done: what was held is published, the inbox remembers it, the delivery is acked.
    Done,
    /// Not now: again later, as one more attempt.
    Retry {
        /// When; by the policy's backoff if left out. At most 7 days.
        after: Option<Duration>,
        /// Why, for people: it stands in the log, in `retry-reason`, and in the dead letter after the last attempt.
        reason: Option<String>,
    },
    /// Later, through no fault of the message: the same attempt again after this time (1 s to 7 days). For at most
    /// [`Policy::max_wait`](super::Policy::max_wait) in all: one that would last longer ends then, and the next one is dead.
    Snooze {
        /// When.
        after: Duration,
        /// Why, for people.
        reason: Option<String>,
    },
    /// Not here: the same attempt again after a second (longer after many times), at whoever is next. Bounded as
    /// [`Outcome::Snooze`] is.
    Release,
    /// Never: to the dead letters.
    Dead {
        /// For the people who look there.
        reason: String,
    },
    /// Nothing to do: acked, and the inbox remembers it; what was held is dropped.
    Skip,
}

impl Outcome {
    /// Again after `delay`, as one more attempt.
    pub fn retry_after(delay: Duration) -> Self {
        Self::Retry { after: Some(delay), reason: None }
    }

    /// Again after `delay`, without an attempt being spent.
    pub fn snooze(delay: Duration) -> Self {
        Self::Snooze { after: delay, reason: None }
    }

    /// The same for that reason: of a retry, a snooze or a death. The others have none, and stay what they are.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        match &mut self {
            Self::Retry { reason, .. } | Self::Snooze { reason, .. } => *reason = Some(why.into()),
            Self::Dead { reason } => *reason = why.into(),
            Self::Done | Self::Release | Self::Skip => {}
        }
        self
    }

    /// To the dead letters, because of `reason`.
    pub fn dead(reason: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into() }
    }
}

/// What a handler returns: `Ok(Done)`, another [`Outcome`], or an error, which means *again, by the policy*.
pub type HandlerResult = Result<Outcome, Failure>;

/// Why a handler failed. Any error becomes one by `?`, with the chain of its causes as text: whatever implements
/// `std::error::Error`, `anyhow::Error`, `Box<dyn Error + Send + Sync>`, and a text. A `Box<dyn Error>` that is not `Send`
/// does by [`Failure::boxed`]: `read().map_err(Failure::boxed)?`.
///
/// As `anyhow::Error` it is no `Error` itself, so that the conversion can be for all of them.
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A failure in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into().into())
    }

    /// Of an error that can't be sent between threads: its words, and those of its causes.
    ///
    /// (There can be no conversion by `?`: the standard library might give such a box one of its own.)
    #[allow(clippy::needless_pass_by_value)] // for `map_err`
    pub fn boxed(error: Box<dyn Error>) -> Self {
        Self::new(error_chain(error.as_ref()))
    }

    /// What the task needs is not there at present: a service that refuses connections, say. `name` is shown to people.
    ///
    /// It pauses the queue, and no attempt is spent: what is taken in goes back, and from time to time one task is tried,
    /// until one ends in another way. For what concerns all tasks of the queue alike; a plain error never pauses anything.
    pub fn unavailable(name: impl Into<String>, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Box::new(Unavailable { name: name.into(), source: error.into() }))
    }

    /// What is not there at present, if that is why.
    pub(crate) fn unavailable_name(&self) -> Option<&str> {
        self.0.downcast_ref::<Unavailable>().map(|unavailable| unavailable.name.as_str())
    }

    /// What failed first, without its causes.
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
