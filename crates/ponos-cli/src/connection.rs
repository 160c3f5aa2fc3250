//! The options that name the broker, and connecting to it.

use crate::{config::Config, output, trouble::Trouble};
use ponos::{
    broker::{
        Link, LinkError, Transport,
        amqp::{AmqpConfig, BrokerUrl},
    },
    topology::Topology,
};
use std::{path::PathBuf, time::Duration};
use tokio::sync::watch;

const LOCAL: &str = "amqp://localhost";
/// The time limit for a handle to connect, once the broker has answered.
const CONNECTING: Duration = Duration::from_secs(30);

/// The options of all verbs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The broker: amqp://user:password@host:5672/vhost, or amqps://…; amqp://localhost if left out; hosts of a cluster: h1,h2:5673
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PONOS_URL",
        hide_env_values = true,
        help_heading = "Broker"
    )]
    url: Option<String>,
    /// A file that holds the URL, such as a mounted secret, read again for each connection; --url takes precedence
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PONOS_URL_FILE",
        hide_env_values = true,
        help_heading = "Broker"
    )]
    url_file: Option<PathBuf>,
}

impl Options {
    /// These, or else what the file says.
    pub(crate) fn or(&self, config: &Config) -> Self {
        if self.url.is_some() || self.url_file.is_some() {
            return self.clone();
        }
        Self { url: config.url.clone(), url_file: config.url_file.clone() }
    }

    /// The broker's URL, where one is named. A file that can't be read is complained of only: the secret need not be everywhere.
    pub(crate) fn named_url(&self) -> Result<Option<BrokerUrl>, Trouble> {
        let complain = |error: &LinkError| output::complain(&format!("note: no broker is named: {error}"));
        match (&self.url, &self.url_file) {
            (Some(url), _) => Ok(Some(url.parse()?)),
            (None, Some(file)) => Ok(BrokerUrl::read(file).inspect_err(complain).ok()),
            (None, None) => Ok(None),
        }
    }

    /// The configuration of connections, under this name.
    pub(crate) fn config(&self, name: &str) -> Result<AmqpConfig, Trouble> {
        let mut config = match (&self.url, &self.url_file) {
            (Some(url), _) => AmqpConfig::parse(url)?,
            (None, Some(file)) => AmqpConfig::from_file(file)?,
            (None, None) => AmqpConfig::parse(LOCAL)?,
        };
        config.connection_name = name.to_owned();
        Ok(config)
    }

    /// A broker that answers and accepts our login.
    pub(crate) async fn transport(&self, name: &str) -> Result<Transport, Trouble> {
        let transport = Transport::amqp(self.config(name)?);
        transport.check(&Topology::default()).await?;
        Ok(transport)
    }
}

/// Waits until a handle is connected.
///
/// # Errors
/// An error that only a person can fix, a timeout, or a broker that accepts no messages.
pub(crate) async fn connected(mut link: watch::Receiver<Link>) -> Result<(), Trouble> {
    let settled = link.wait_for(|link| match link {
        Link::Up { .. } | Link::Blocked { .. } | Link::Closed => true,
        Link::Down { error, .. } => error.as_ref().is_some_and(|error| error.class.needs_a_person()),
    });
    let told = match tokio::time::timeout(CONNECTING, settled).await {
        Ok(Ok(link)) => link.clone(),
        Ok(Err(_)) => Link::Closed,
        Err(_) => return Err(Trouble::lost("the broker did not answer in time; try again")),
    };
    match told {
        Link::Up { .. } => Ok(()),
        Link::Blocked { reason } => Err(Trouble::lost(format!(
            "the broker accepts no messages at present ({reason}); free memory or disk space on it, then try again"
        ))),
        Link::Down { error: Some(error), .. } => Err(error.into()),
        Link::Down { error: None, .. } | Link::Closed => Err(gone()),
    }
}

/// Connects once, for a verb that waits for a broker that is away, and says what becomes of events `meanwhile`.
///
/// # Errors
/// What only a person can mend.
pub(crate) async fn reach(
    transport: &Transport,
    topology: &Topology,
    meanwhile: &str,
) -> Result<(), Trouble> {
    match transport.check(topology).await {
        Err(error) if error.class.needs_a_person() => Err(error.into()),
        Err(error) => {
            tracing::warn!("{}; {meanwhile} until it can be reached", error.what);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The error of a handle that ended by itself.
pub(crate) fn gone() -> Trouble {
    Trouble::lost("the connection to the broker was lost; try again")
}

/// The error that ends a verb that stays connected: one that only a person can fix.
pub(crate) fn fatal(link: &Link) -> Option<&LinkError> {
    match link {
        Link::Down { error: Some(error), .. } if error.class.needs_a_person() => Some(error),
        _ => None,
    }
}
