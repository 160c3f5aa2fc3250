//! Whose messages are meant, and which of them.

use crate::{
    config::{self, Config},
    inbox::{self, InboxLocation},
    span,
    trouble::Trouble,
};
use ponos::{
    inbox::{
        Inbox,
        postgres::{Waiting, WaitingFilter, WaitingKind},
    },
    topology::check_event_pattern,
};
use std::{path::PathBuf, time::Duration};

/// Why nothing is known of what waits on the broker.
pub(super) const UNKNOWN: &str = "without an inbox on Postgres retries wait in queues of the broker, which all services of a virtual host share, and \
    where nobody can look without taking them; with one, name it: --inbox postgres://user:password@host/database, PONOS_INBOX, or inbox in ponos.toml";

/// The service, and where its messages wait.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The service whose messages wait; that of the file ponos.toml if left out
    #[arg(long, value_name = "SERVICE", conflicts_with = "config")]
    service: Option<String>,
    /// The file that names the service and its inbox; ponos.toml in this folder if left out, where --service is not given
    #[arg(long, value_name = "FILE", env = config::VARIABLE, hide_env_values = true)]
    config: Option<PathBuf>,
    /// The service's inbox: postgres://user:password@host/database
    #[arg(long, value_name = "INBOX", env = inbox::VARIABLE, hide_env_values = true)]
    inbox: Option<String>,
}

impl Place {
    /// Opens the inbox; `None` for a service without one on Postgres.
    pub(super) async fn open(&self) -> Result<Option<Inbox>, Trouble> {
        Ok(self.service_and_inbox(None).await?.1)
    }

    /// The service, by its name or else that one, and its inbox if that is on Postgres.
    pub(crate) async fn service_and_inbox(
        &self,
        otherwise: Option<&str>,
    ) -> Result<(String, Option<Inbox>), Trouble> {
        let told = self.inbox.as_deref().filter(|told| !told.is_empty());
        let told = told.map(InboxLocation::read).transpose()?;
        let otherwise = otherwise.filter(|_| self.config.is_none());
        let (service, inbox) = match self.service.as_deref().or(otherwise) {
            Some(service) => (service.to_owned(), told),
            None => {
                let config = Config::load(self.config.as_deref())?;
                (config.described.service, told.or(config.inbox))
            }
        };
        let inbox = match inbox.filter(InboxLocation::shows_what_waits) {
            Some(place) => Some(place.open(&service, 1, true).await?),
            None => None,
        };
        Ok((service, inbox))
    }

    /// What waits there and fits the filter.
    pub(super) async fn waiting(&self, filter: WaitingFilter) -> Result<Waiting, Trouble> {
        let inbox = self.open().await?.ok_or_else(|| Trouble::usage(UNKNOWN))?;
        waiting(&inbox, filter)
    }
}

/// What waits in this inbox and fits the filter.
pub(super) fn waiting(inbox: &Inbox, filter: WaitingFilter) -> Result<Waiting, Trouble> {
    inbox.waiting(filter).map_err(|error| Trouble::usage(error.to_string()))
}

/// Which of what waits; all conditions given must hold.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Filter {
    /// Only events or tasks whose name matches: * is one word, # any number
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    name: Option<String>,
    /// Only what goes to this queue, such as docker.time.one-day.passed: tasks and retries
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Only this kind: send (for the first time), retry (another attempt), timeout
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// Only what waits, or could not be sent, for a reason that contains this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only what is due within this time from now on, or already, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = span::duration)]
    due_before: Option<Duration>,
}

fn pattern(text: &str) -> Result<String, String> {
    check_event_pattern(text).map(|()| text.to_owned()).map_err(|wrong| wrong.to_string())
}

fn kinds() -> clap::builder::PossibleValuesParser {
    WaitingKind::ALL.map(WaitingKind::as_str).into()
}

impl Filter {
    /// With these ids; none for any.
    pub(super) fn with_ids(&self, ids: &[String]) -> WaitingFilter {
        let Self { name, queue, kind, reason, due_before } = self.clone();
        let kind = WaitingKind::ALL.into_iter().find(|one| kind.as_deref() == Some(one.as_str()));
        WaitingFilter { ids: ids.to_vec(), name, queue, kind, reason, due_within: due_before }
    }

    /// Whether any condition is given.
    pub(super) fn is_given(&self) -> bool {
        self.with_ids(&[]) != WaitingFilter::default()
    }
}

/// Which messages a verb works on that changes them, and how it reports that.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Only these ids
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    filter: Filter,
    /// All that waits of the service
    #[arg(long)]
    all: bool,
    /// Says how many are meant, and when the first and the last of them are due, and changes nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Prints one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl Selection {
    /// The filter for what is selected.
    ///
    /// # Errors
    /// Nothing is selected, or both everything and something.
    pub(super) fn filter(&self) -> Result<WaitingFilter, Trouble> {
        match (self.filter.is_given() || !self.ids.is_empty(), self.all) {
            (true, true) => {
                Err(Trouble::usage("--all selects all that waits; leave it out, or leave out the filters"))
            }
            (false, false) => Err(Trouble::usage(
                "this would select all that waits of the service: give --all, or say which (their ids, --name, --queue, --kind, --reason, --due-before)",
            )),
            _ => Ok(self.filter.with_ids(&self.ids)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_given_when_any_condition_is() {
        assert!(!Filter::default().is_given());
        let kind = Filter { kind: Some("retry".into()), ..Filter::default() };
        assert!(kind.is_given());
        assert_eq!(kind.with_ids(&[]).kind, Some(WaitingKind::Retry));
        assert!(Filter { due_before: Some(Duration::ZERO), ..Filter::default() }.is_given());
    }
}
