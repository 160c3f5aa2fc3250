//! `--metrics`: serves what a verb counts, for as long as the verb runs.

use crate::{exit::Exit, trouble::Trouble};
use ponos::{
    metrics::{Listener, Metrics},
    shutdown::{Trigger, shutdown},
};
use std::net::SocketAddr;
use tokio::task::JoinHandle;

/// A bound address, or none.
pub(crate) struct Scraped(Option<Listener>);

/// One that is served.
pub(crate) struct Scraping(Option<(Trigger, JoinHandle<()>)>);

impl Scraped {
    /// Binds the address, if one is given.
    ///
    /// # Errors
    /// It is not an address, or can't be listened at.
    pub(crate) fn bind(address: Option<&str>, metrics: Metrics) -> Result<Self, Trouble> {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return Ok(Self(None)) };
        let wrong =
            |_| Trouble::usage(format!("--metrics '{address}' is not an address and a port: 127.0.0.1:9464"));
        let bound = Listener::bind(address.parse::<SocketAddr>().map_err(wrong)?, metrics);
        bound
            .map(|listener| Self(Some(listener)))
            .map_err(|error| Trouble::Words(Exit::Configuration, error.to_string()))
    }

    /// Serves it.
    pub(crate) fn serve(self) -> Scraping {
        Scraping(self.0.map(|listener| {
            let (end, ending) = shutdown();
            (end, tokio::spawn(listener.serve(ending)))
        }))
    }
}

impl Scraping {
    /// Ends it once a scrape that was begun is answered.
    pub(crate) async fn end(self) {
        if let Some((end, scraping)) = self.0 {
            end.advance();
            // a panic was logged
            let _ = scraping.await;
        }
    }
}

/// What rules and dashboards look at.
#[cfg(test)]
pub(crate) mod deployed {
    use super::Metrics;
    use std::{collections::BTreeSet, fs, path::Path};

    /// What a file of the deployment names of those that begin so.
    fn named(file: &str, prefix: &str) -> BTreeSet<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
        let text = fs::read_to_string(path).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
    }

    /// A verb serves each metric that begins so and that they name.
    pub(crate) fn has_all(metrics: &Metrics, prefix: &str) {
        let scraped = metrics.expose(None).unwrap().text;
        for file in ["prometheus/ponos.rules.yml", "grafana/services.json"] {
            let named = named(file, prefix);
            assert!(named.len() > 1, "{file}: {named:?}");
            for name in named {
                let is_it = |line: &str| line.split(['{', ' ']).next() == Some(&*name);
                assert!(scraped.lines().any(is_it), "{file}: {name} is not in {scraped}");
            }
        }
    }
}
