//! Which events a caller may change something about: those of some domains.

use ponos_event::topology::{InvalidPattern, check_event_pattern, topic_matches};
use std::{fmt, sync::Arc};

/// Patterns of one caller.
const PATTERNS: usize = 32;

/// Domains, as topic patterns: each covers the events whose names begin with words that it matches, so that `billing`,
/// `billing.*` and `billing.#` all cover `billing.invoice.due`, and `*.invoice` covers it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains(Arc<[String]>);

impl Domains {
    /// All events.
    pub fn everything() -> Self {
        Self(["#".to_owned()].into())
    }

    /// # Errors
    /// Why they are no domains: there is none, there are too many, or one can cover no event.
    pub fn new(patterns: Vec<String>) -> Result<Self, String> {
        if patterns.is_empty() {
            return Err("name at least one domain, as in billing.*; # is all of them".into());
        }
        if patterns.len() > PATTERNS {
            return Err(format!("at most {PATTERNS} domains are allowed"));
        }
        for pattern in &patterns {
            check_event_pattern(&widened(pattern))
                .map_err(|wrong| InvalidPattern { pattern: pattern.clone(), ..wrong }.to_string())?;
        }
        Ok(Self(patterns.into()))
    }

    /// Whether the event of this name is in one of them.
    pub fn cover(&self, event: &str) -> bool {
        self.0.iter().any(|pattern| topic_matches(&widened(pattern), event))
    }

    /// As they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether they are all events.
    pub fn are_everything(&self) -> bool {
        self.0.iter().any(|pattern| pattern == "#")
    }
}

/// The pattern with any further words behind it: what a domain covers.
pub fn widened(pattern: &str) -> String {
    if pattern == "#" || pattern.ends_with(".#") { pattern.to_owned() } else { format!("{pattern}.#") }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(patterns: &[&str]) -> Result<Domains, String> {
        Domains::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
    }

    #[test]
    fn a_domain_covers_the_events_that_begin_with_its_words() {
        for (patterns, event, covered) in [
            (&["billing"][..], "billing.invoice.due", true),
            (&["billing.*"], "billing.invoice.due", true),
            (&["billing.*"], "billing.invoice.reminder.due", true),
            (&["billing.#"], "billing.invoice.due", true),
            (&["billing.invoice"], "billing.invoice.due", true),
            (&["billing.invoice"], "billing.refund.due", false),
            (&["billing"], "billings.invoice.due", false),
            (&["billing"], "time.billing.passed", false),
            (&["*.invoice"], "billing.invoice.due", true),
            (&["#"], "time.one-day.passed", true),
            (&["#.due"], "billing.invoice.due", true),
            (&["#.due"], "billing.invoice.paid", false),
            (&["billing", "reports.*"], "reports.morning.requested", true),
            (&["billing.*.due"], "billing.invoice.due", true),
            (&["billing.*.due"], "billing.invoice.paid", false),
        ] {
            assert_eq!(domains(patterns).unwrap().cover(event), covered, "{patterns:?} {event}");
        }
    }

    #[test]
    fn what_covers_no_event_is_refused() {
        for (patterns, said) in [
            (&[][..], "at least one"),
            (&[""], "pattern"),
            (&["Billing"], "'B' is not allowed"),
            (&["billing."], "pattern"),
            (&["bill*"], "'bill*' is not a name or pattern"),
            (&["a"; 33], "at most 32"),
        ] {
            let refused = domains(patterns).unwrap_err();
            assert!(refused.contains(said), "{patterns:?}: {refused}");
        }
        assert!(Domains::everything().are_everything() && domains(&["a", "#"]).unwrap().are_everything());
        assert!(!domains(&["a.#"]).unwrap().are_everything());
    }
}
