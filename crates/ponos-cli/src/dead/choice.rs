//! Selects dead letters: by queue, and by a filter.

use crate::{output, span, trouble::Trouble};
use ponos::{
    dead::{Letter, LetterFilter, LetterReader},
    topology::{check_event_pattern, worker::PARKING},
};
use std::{collections::BTreeSet, time::Duration};

/// The most names remembered for the hint which ones there are.
const NAMES: usize = 1_000;
/// How many of them are shown.
const SAID: usize = 5;

/// Where to look.
#[derive(Debug, clap::Args)]
pub(super) struct Queues {
    /// The dead letters of this work queue, such as docker.time.one-day.passed; may be repeated
    #[arg(long = "queue", value_name = "QUEUE", required_unless_present = "parking")]
    queues: Vec<String>,
    /// Parked messages: those whose queue no longer exists
    #[arg(long)]
    parking: bool,
}

impl Queues {
    /// The queues to read, each once.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let told = self.queues.iter().map(|queue| LetterReader::queue_of(queue));
        for name in told.chain(self.parking.then(|| PARKING.to_owned())) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// Which letters are meant; all conditions given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Conditions {
    /// Only this id; may be repeated
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Only events or tasks whose name matches: * is one word, # any number
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    name: Option<String>,
    /// Only dead letters of this kind
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// Only those whose reason contains this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only dead letters older than this, such as 2h
    #[arg(long, value_name = "DURATION", value_parser = span::duration)]
    older: Option<Duration>,
    /// Only dead letters younger than this, such as 30m
    #[arg(long, value_name = "DURATION", value_parser = span::duration)]
    newer: Option<Duration>,
    /// At most this many; without another filter, no more than these are read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

fn pattern(text: &str) -> Result<String, String> {
    check_event_pattern(text).map(|()| text.to_owned()).map_err(|wrong| wrong.to_string())
}

fn kinds() -> clap::builder::PossibleValuesParser {
    LetterFilter::kinds().collect::<Vec<_>>().into()
}

/// Which letters a verb works on that changes them, and how it reports that.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Only these ids
    #[arg(value_name = "ID")]
    arguments: Vec<String>,
    #[command(flatten)]
    pub(super) queues: Queues,
    #[command(flatten)]
    conditions: Conditions,
    /// All dead letters of the queues
    #[arg(long)]
    all: bool,
    /// Shows the letters selected, and changes nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Prints one JSON object per line
    #[arg(long)]
    pub(super) json: bool,
}

impl Selection {
    /// The filter for the letters selected, by `--id` and by arguments.
    ///
    /// # Errors
    /// Nothing is selected, or both everything and something.
    pub(super) fn filter(&self) -> Result<LetterFilter, Trouble> {
        let mut conditions = self.conditions.clone();
        conditions.ids.extend_from_slice(&self.arguments);
        conditions.or_all(self.all)?;
        conditions.filter()
    }
}

/// The ids and names among the letters read.
#[derive(Debug, Default)]
pub(super) struct SeenLetters {
    ids: BTreeSet<String>,
    names: BTreeSet<String>,
    name_fits: bool,
}

impl SeenLetters {
    /// Notes a letter, whether it is taken or not.
    pub(super) fn note(&mut self, filter: &LetterFilter, letter: &Letter) {
        if filter.ids().contains(&letter.id) {
            self.ids.insert(letter.id.clone());
        }
        if filter.pattern().is_some() && self.names.len() < NAMES {
            self.names.insert(letter.name.clone());
        }
        self.name_fits |= filter.fits_name(letter);
    }

    /// Reports the ids and names of the filter that no letter had, though all were read; returns whether there are any.
    pub(super) fn complain(&self, filter: &LetterFilter, queues: &[String], left: u64) -> bool {
        if left == 0 {
            return false;
        }
        let queues = queues.join(", ");
        let mut complained = false;
        let mut complain = |what: String| {
            output::fail(&format!("{what} in {queues}; see ponos dead list"));
            complained = true;
        };
        for id in filter.ids().iter().filter(|id| !self.ids.contains(*id)) {
            complain(format!("no dead letter with the id '{}'", output::shortened(id, 255)));
        }
        if let Some(name) = filter.pattern().filter(|_| !self.name_fits) {
            let names = self.names.iter().filter(|name| !name.is_empty()).take(SAID);
            let names: Vec<String> = names.map(|name| output::shortened(name, 255)).collect();
            let there =
                if names.is_empty() { String::new() } else { format!(" (there are: {})", names.join(", ")) };
            complain(format!("no dead letter whose name matches '{name}'{there}"));
        }
        complained
    }
}

impl Conditions {
    /// As a filter.
    pub(super) fn filter(&self) -> Result<LetterFilter, Trouble> {
        let Self { ids, name, kind, reason, older, newer, limit } = self.clone();
        let mut filter = ids.into_iter().fold(LetterFilter::all(), LetterFilter::id);
        if let Some(name) = name {
            filter = filter.name(&name)?;
        }
        if let Some(kind) = kind {
            filter = filter.kind(&kind)?;
        }
        if let Some(reason) = reason {
            filter = filter.reason(reason);
        }
        if let Some(older) = older {
            filter = filter.older(older);
        }
        if let Some(newer) = newer {
            filter = filter.newer(newer);
        }
        Ok(if let Some(limit) = limit { filter.limit(limit) } else { filter })
    }

    /// Whether any condition is given.
    fn is_given(&self) -> bool {
        let Self { ids, name, kind, reason, older, newer, limit } = self;
        !ids.is_empty()
            || name.is_some()
            || kind.is_some()
            || reason.is_some()
            || older.is_some()
            || newer.is_some()
            || limit.is_some()
    }

    /// Refuses to choose everything without `--all`.
    fn or_all(&self, all: bool) -> Result<(), Trouble> {
        match (self.is_given(), all) {
            (true, true) => {
                Err(Trouble::usage("--all selects every dead letter; leave it out, or leave out the filters"))
            }
            (false, false) => Err(Trouble::usage(
                "this would select all dead letters of the queue: give --all, or say which ones (their ids, --name, --kind, --reason, --older, --newer, --limit)",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ponos::event::Timestamp;

    fn letter() -> Letter {
        Letter {
            id: "a".into(),
            name: "order.eu.shipped".into(),
            kind: "attempts".into(),
            reason: "Connection refused".into(),
            at: Some(Timestamp::from_millis(0)),
            ..Letter::default()
        }
    }

    #[test]
    fn each_condition_is_one_of_the_filter() {
        let takes = |conditions: Conditions| {
            conditions.filter().unwrap().takes(&letter(), Timestamp::from_millis(3_600_000))
        };
        let text = |text: &str| Some(text.to_owned());
        let all = Conditions::default;
        let (long, short) = (Some(Duration::from_secs(3_600)), Some(Duration::from_secs(3_599)));
        assert!(takes(all()));
        for (fits, does_not) in [
            (Conditions { ids: vec!["a".into()], ..all() }, Conditions { ids: vec!["b".into()], ..all() }),
            (Conditions { name: text("order.#"), ..all() }, Conditions { name: text("weather.#"), ..all() }),
            (Conditions { kind: text("attempts"), ..all() }, Conditions { kind: text("schema"), ..all() }),
            (Conditions { reason: text("REFUSED"), ..all() }, Conditions { reason: text("gone"), ..all() }),
            (Conditions { older: short, ..all() }, Conditions { older: long, ..all() }),
            (Conditions { newer: long, ..all() }, Conditions { newer: short, ..all() }),
        ] {
            assert!(takes(fits.clone()), "{fits:?}");
            assert!(!takes(does_not.clone()), "{does_not:?}");
        }
        let limited = Conditions { limit: Some(3), ..all() }.filter().unwrap();
        assert_eq!(limited.wanted(), 3);
    }

    #[test]
    fn what_nothing_had_is_unknown_and_what_other_filters_left_out_is_not() {
        let filter = LetterFilter::all().id("a").name("order.#").unwrap().kind("schema").unwrap();
        let mut seen = SeenLetters::default();
        seen.note(&filter, &letter());
        assert!(!filter.takes(&letter(), Timestamp::from_millis(0)));
        assert!(!seen.complain(&filter, &[], 1), "it is there, and of another kind");
        for unknown in [LetterFilter::all().id("b"), LetterFilter::all().name("weather.#").unwrap()] {
            let mut seen = SeenLetters::default();
            seen.note(&unknown, &letter());
            assert!(seen.complain(&unknown, &[], 1));
            assert!(!seen.complain(&unknown, &[], 0), "the limit was reached before all was looked at");
        }
    }

    #[test]
    fn a_work_queue_stands_for_its_dead_letters() {
        let queues = Queues { queues: vec!["s.a".into(), "s.a.dlq".into(), "s.b".into()], parking: true };
        assert_eq!(queues.names(), ["s.a.dlq", "s.b.dlq", "parking"]);
    }
}
