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
        Self::new(words(error.as_ref()))
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

/// The error and its causes, outermost first: `can't read the image list: connection refused`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words(self.0.as_ref()))
    }
}

/// With its causes, each once: many errors print their cause themselves.
fn words(error: &(dyn Error + 'static)) -> String {
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
            || Err(Box::<dyn Error>::from(outer())).map_err(Failure::boxed)?,
        ];
        for (number, one) in each.iter().enumerate() {
            let said = one().unwrap_err().to_string();
            assert_eq!(said, "can't read the list: connection refused", "number {number}");
        }
        let failure = Failure::from(anyhow::Error::from(outer()));
        assert_eq!(failure.error().to_string(), "can't read the list");
    }
}
