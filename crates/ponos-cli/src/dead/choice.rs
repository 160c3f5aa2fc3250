//! Selects dead letters: by queue, and by a filter.

use super::letter::Letter;
use crate::{output, span, trouble::Trouble};
use ponos::{
    event::Timestamp,
    topology::{
        check_event_pattern, topic_matches,
        worker::{PARKING, dead_letters},
    },
    worker::DeadKind,
};
use std::{collections::BTreeSet, time::Duration};

/// Kinds of letters that no worker wrote.
const OTHER_KINDS: [&str; 6] = ["expired", "rejected", "maxlen", "delivery-limit", "parked", "unknown"];
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
        let told = self.queues.iter().map(|queue| match queue.as_str() {
            whole if whole == PARKING || whole.ends_with(".dlq") => whole.to_owned(),
            work => dead_letters(work),
        });
        for name in told.chain(self.parking.then(|| PARKING.to_owned())) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// A filter for letters; all conditions given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Filter {
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
    DeadKind::ALL.map(DeadKind::as_str).into_iter().chain(OTHER_KINDS).collect::<Vec<_>>().into()
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
    filter: Filter,
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
    pub(super) fn filter(&self) -> Result<Filter, Trouble> {
        let mut filter = self.filter.clone();
        filter.ids.extend_from_slice(&self.arguments);
        filter.or_all(self.all).map(|()| filter)
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
    pub(super) fn note(&mut self, filter: &Filter, letter: &Letter) {
        if filter.ids.contains(&letter.id) {
            self.ids.insert(letter.id.clone());
        }
        if filter.name.is_some() && self.names.len() < NAMES {
            self.names.insert(letter.name.clone());
        }
        self.name_fits |= filter.fits_name(letter);
    }

    /// The same with what was seen in another queue.
    pub(super) fn join(&mut self, other: Self) {
        let Self { ids, names, name_fits } = other;
        self.ids.extend(ids);
        self.names.extend(names);
        self.name_fits |= name_fits;
    }

    /// Reports the ids and names of the filter that no letter had, though all were read; returns whether there are any.
    pub(super) fn complain(&self, filter: &Filter, queues: &[String], left: u64) -> bool {
        if left == 0 {
            return false;
        }
        let queues = queues.join(", ");
        let mut complained = false;
        let mut complain = |what: String| {
            output::fail(&format!("{what} in {queues}; see ponos dead list"));
            complained = true;
        };
        for id in filter.ids.iter().filter(|id| !self.ids.contains(*id)) {
            complain(format!("no dead letter with the id '{}'", output::shortened(id, 255)));
        }
        if let Some(name) = filter.name.as_ref().filter(|_| !self.name_fits) {
            let names = self.names.iter().filter(|name| !name.is_empty()).take(SAID);
            let names: Vec<String> = names.map(|name| output::shortened(name, 255)).collect();
            let there =
                if names.is_empty() { String::new() } else { format!(" (there are: {})", names.join(", ")) };
            complain(format!("no dead letter whose name matches '{name}'{there}"));
        }
        complained
    }
}

impl Filter {
    fn fits_name(&self, letter: &Letter) -> bool {
        self.name.as_ref().is_none_or(|pattern| topic_matches(pattern, &letter.name))
    }

    /// That id alone.
    pub(super) fn id(id: &str) -> Self {
        Self { ids: vec![id.to_owned()], ..Self::default() }
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

    /// The limit.
    pub(super) fn limit(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// How many letters to read while `left` are still wanted: all, unless every letter matches.
    pub(super) fn most(&self, left: u64) -> u64 {
        let others = Self { limit: None, ..self.clone() };
        if others.is_given() { u64::MAX } else { left }
    }

    /// Whether a letter matches, at `now`.
    pub(super) fn takes(&self, letter: &Letter, now: Timestamp) -> bool {
        let age = letter.at.map(|at| Duration::from_millis(u64::try_from(now.since(at)).unwrap_or(0)));
        (self.ids.is_empty() || self.ids.contains(&letter.id))
            && self.fits_name(letter)
            && self.kind.as_ref().is_none_or(|kind| *kind == letter.kind)
            && self
                .reason
                .as_ref()
                .is_none_or(|text| letter.reason.to_lowercase().contains(&text.to_lowercase()))
            && self.older.is_none_or(|than| age.is_some_and(|age| age > than))
            && self.newer.is_none_or(|than| age.is_some_and(|age| age <= than))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn all_that_is_given_must_hold() {
        let now = Timestamp::from_millis(3_600_000);
        let takes = |filter: Filter| filter.takes(&letter(), now);
        let text = |text: &str| Some(text.to_owned());
        assert!(takes(Filter::default()));
        assert!(takes(Filter { name: text("order.*.shipped"), reason: text("refused"), ..Filter::id("a") }));
        assert!(!takes(Filter { name: text("order.shipped"), ..Filter::id("a") }));
        assert!(!takes(Filter { kind: text("schema"), ..Filter::default() }));
        assert!(takes(Filter { older: Some(Duration::from_secs(3_599)), ..Filter::default() }));
        assert!(!takes(Filter { older: Some(Duration::from_secs(3_600)), ..Filter::default() }));
        assert!(takes(Filter { newer: Some(Duration::from_secs(3_600)), ..Filter::default() }));
        assert!(!takes(Filter { newer: Some(Duration::from_secs(3_599)), ..Filter::default() }));
    }

    #[test]
    fn what_nothing_had_is_unknown_and_what_other_filters_left_out_is_not() {
        let filter = Filter { name: Some("order.#".into()), kind: Some("schema".into()), ..Filter::id("a") };
        let mut seen = SeenLetters::default();
        seen.note(&filter, &letter());
        assert!(!filter.takes(&letter(), Timestamp::from_millis(0)));
        assert!(!seen.complain(&filter, &[], 1), "it is there, and of another kind");
        for unknown in [Filter::id("b"), Filter { name: Some("weather.#".into()), ..Filter::default() }] {
            let mut seen = SeenLetters::default();
            seen.note(&unknown, &letter());
            assert!(seen.complain(&unknown, &[], 1));
            assert!(!seen.complain(&unknown, &[], 0), "the limit was reached before all was looked at");
        }
    }

    #[test]
    fn an_unknown_age_is_neither_older_nor_newer() {
        let unknown = Letter { at: None, ..letter() };
        let now = Timestamp::from_millis(5);
        let within = Filter { newer: Some(Duration::from_secs(1)), ..Filter::default() };
        let before = Filter { older: Some(Duration::ZERO), ..Filter::default() };
        assert!(!within.takes(&unknown, now) && !before.takes(&unknown, now));
    }

    #[test]
    fn a_work_queue_stands_for_its_dead_letters() {
        let queues = Queues { queues: vec!["s.a".into(), "s.a.dlq".into(), "s.b".into()], parking: true };
        assert_eq!(queues.names(), ["s.a.dlq", "s.b.dlq", "parking"]);
    }
}
