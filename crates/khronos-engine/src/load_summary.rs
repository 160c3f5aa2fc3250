//! What a load of schedules has changed, as it is said to people.

use std::{fmt, sync::Arc};

/// Names that are shown of each kind.
const SHOWN: usize = 5;

/// What a load has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadSummary {
    /// How many schedules run now.
    pub schedules: usize,
    pub(super) added: Named,
    pub(super) changed: Named,
    pub(super) removed: Named,
}

/// How many, and the names of the first ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Named {
    count: usize,
    first: Vec<Arc<str>>,
}

impl Named {
    pub(super) fn note(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < SHOWN {
            self.first.push(name.into());
        }
    }
}

impl LoadSummary {
    /// Whether a schedule is another one than before.
    pub(super) fn is_change(&self) -> bool {
        [&self.added, &self.changed, &self.removed].into_iter().any(|named| named.count > 0)
    }
}

impl fmt::Display for LoadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schedules {
            1 => write!(f, "1 schedule is loaded")?,
            count => write!(f, "{count} schedules are loaded")?,
        }
        let all = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let mut some = all.into_iter().filter(|(_, named)| named.count > 0).peekable();
        if some.peek().is_none() {
            return write!(f, ": nothing changed");
        }
        for (at, (what, Named { count, first })) in some.enumerate() {
            write!(f, "{} {count} {what} ({}", if at == 0 { ":" } else { "," }, first.join(", "))?;
            match count - first.len() {
                0 => write!(f, ")")?,
                more => write!(f, " and {more} more)")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_changed() {
        let mut summary = LoadSummary { schedules: 1, ..LoadSummary::default() };
        assert_eq!(summary.to_string(), "1 schedule is loaded: nothing changed");
        summary.schedules = 9;
        (0..7).for_each(|number| summary.added.note(&format!("a{number}")));
        summary.removed.note("old");
        assert_eq!(
            summary.to_string(),
            "9 schedules are loaded: 7 added (a0, a1, a2, a3, a4 and 2 more), 1 removed (old)"
        );
    }
}
