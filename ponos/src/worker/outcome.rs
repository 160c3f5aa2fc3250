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
    },
    /// Not here: back to the queue at once, for whoever is next. Costs no attempt; the broker counts it.
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
        Self::Retry { after: Some(delay) }
    }

    /// To the dead letters, because of `reason`.
    pub fn dead(reason: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into() }
    }
}

/// What a handler returns: `Ok(Done)`, another [`Outcome`], or an error, which means *again, by the policy*.
pub type HandlerResult = Result<Outcome, Failure>;

/// Why a handler failed. Any error becomes one by `?`, with the chain of its causes as text.
///
/// As `anyhow::Error` it is no `Error` itself, so that the conversion can be for all of them.
pub struct Failure(Box<dyn Error + Send + Sync>);

impl Failure {
    /// A failure in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into().into())
    }

    /// What failed first, without its causes.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.0.as_ref()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// The error and its causes, outermost first: `can't read the image list: connection refused`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut said = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // many errors print their cause themselves
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
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
}
