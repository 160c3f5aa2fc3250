//! Which broker, and the way to it.

use crate::{exit::Exit, trouble::Trouble};
use ponos::{
    broker::{Link, LinkError, Transport, amqp::AmqpConfig},
    topology::Topology,
};
use std::{path::PathBuf, time::Duration};
use tokio::sync::watch;

const LOCAL: &str = "amqp://localhost";
/// A file with a URL in it is no longer than this.
const URL_BYTES: u64 = 64 * 1024;
/// For a handle to be connected, once the broker was seen to answer.
const CONNECTING: Duration = Duration::from_secs(30);

/// What all verbs understand.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The broker: amqp://user:password@host:5672/vhost, or amqps://…; amqp://localhost if left out
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PONOS_URL",
        hide_env_values = true,
        help_heading = "Broker"
    )]
    url: Option<String>,
    /// A file that holds the URL, as secrets are mounted; the URL itself comes first
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
    /// How to reach the broker, under that name.
    pub(crate) fn config(&self, name: &str) -> Result<AmqpConfig, Trouble> {
        let url = match (&self.url, &self.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => LOCAL.to_owned(),
        };
        let mut config = AmqpConfig::parse(url.trim())?;
        config.connection_name = name.to_owned();
        Ok(config)
    }

    /// A broker that answers, and lets us in.
    pub(crate) async fn transport(&self, name: &str) -> Result<Transport, Trouble> {
        let transport = Transport::amqp(self.config(name)?);
        transport.check(&Topology::default()).await?;
        Ok(transport)
    }
}

fn read(file: &PathBuf) -> Result<String, Trouble> {
    use std::io::Read;
    let mut text = String::new();
    let opened = std::fs::File::open(file).and_then(|file| file.take(URL_BYTES).read_to_string(&mut text));
    match opened {
        Ok(_) if text.trim().is_empty() => Err(Trouble::Words(
            Exit::Configuration,
            format!("the file {} is empty; it is to hold the broker's URL (--url-file)", file.display()),
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(Trouble::Words(
            Exit::Configuration,
            format!("the file {} with the broker's URL can't be read (--url-file): {error}", file.display()),
        )),
    }
}

/// Waits until a handle is connected.
///
/// # Errors
/// What only a person can mend, that it took too long, or that the broker takes no publishing.
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
            "the broker accepts nothing at present ({reason}); free memory or disk space on it, then try again"
        ))),
        Link::Down { error: Some(error), .. } => Err(error.into()),
        Link::Down { error: None, .. } | Link::Closed => Err(gone()),
    }
}

/// The words for a handle that ended without being asked to.
pub(crate) fn gone() -> Trouble {
    Trouble::lost("the connection to the broker was lost; try again")
}

/// What a link that went down means for a verb that stays: an end if only a person can mend it.
pub(crate) fn fatal(link: &Link) -> Option<&LinkError> {
    match link {
        Link::Down { error: Some(error), .. } if error.class.needs_a_person() => Some(error),
        _ => None,
    }
}
