//! Where requests come in: a TCP address, encrypted where that is configured.

use super::settings::Settings;
use crate::{
    exit::Exit,
    http::{Listens, Stream},
    trouble::Trouble,
};
use ponos_http::{Tls, WriteTimeout};
use std::{io, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long a client may take to begin TLS.
const BEGINNING: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
const STALL: Duration = Duration::from_secs(30);

/// A bound address.
pub(super) struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// Binds it.
    ///
    /// # Errors
    /// It can't be listened at, or the files of the certificate can't be used.
    pub(super) async fn bind(settings: &Settings) -> Result<Self, Trouble> {
        let unusable = |what: String| Trouble::Words(Exit::Configuration, what);
        let files = settings.tls.as_ref();
        let tls =
            files.map(|files| Tls::read("[gateway.tls]", &files.cert_file, &files.key_file)).transpose();
        let tls =
            tls.map_err(|what| unusable(format!("HTTPS can't be served with [gateway.tls]: {what}")))?;
        let tcp = TcpListener::bind(settings.listen).await.map_err(|error| {
            unusable(format!("{} can't be listened at: {error}; see gateway.listen", settings.listen))
        })?;
        Ok(Self { tcp, tls })
    }

    /// The certificate, which is followed.
    pub(super) fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.tcp.local_addr().map_or_else(|_| "its address".to_owned(), |at| format!("{scheme}://{at}"))
    }
}

impl Listens for Listener {
    type Accepted = (TcpStream, Option<Tls>);

    async fn accept(&self) -> io::Result<Self::Accepted> {
        let (stream, _) = self.tcp.accept().await?;
        // answers are small, and waited for
        stream.set_nodelay(true)?;
        Ok((stream, self.tls.clone()))
    }

    async fn begin((stream, tls): Self::Accepted) -> Option<Box<dyn Stream>> {
        let Some(tls) = tls else { return Some(Box::new(WriteTimeout::new(stream, STALL))) };
        match timeout(BEGINNING, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => Some(Box::new(WriteTimeout::new(stream, STALL))),
            // a peer that goes away or dawdles is its own affair, and so is one that believes other authorities
            Ok(Err(error)) => {
                tracing::debug!(%error, "an HTTPS connection was not begun");
                None
            }
            Err(_) => None,
        }
    }
}
