//! Why a connection was closed during the handshake, asked on a connection of its own. lapin may see no more than the end
//! where TLS is the reason: the alert that says so is lost when we had written something that the other side never read.

use super::{
    super::LinkError,
    attempt::{Attempt, within},
    errors::{tls, tls_port},
};
use futures_util::io::AsyncReadExt as _;
use lapin::{AsyncTcpStream, tcp::RustlsConnector};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

/// An alert comes at once, or not at all.
const LIMIT: Duration = Duration::from_secs(3);

/// The type of a TLS record that is an alert.
const ALERT: u8 = 21;

/// The error of TLS, if that is the reason; it is asked for until then at the latest.
pub(super) async fn tls_trouble(attempt: &Attempt<'_>, until: Instant) -> Option<LinkError> {
    let config = attempt.config;
    let limit = LIMIT.min(until.saturating_duration_since(Instant::now()));
    let Some(connector) = attempt.connector else {
        let first = within(limit, first_byte_of_the_answer(attempt.address)).await;
        return first.is_ok_and(|first| first == ALERT).then(|| tls_port(&config.url));
    };
    // Nothing is written, so nothing gets into the alert's way; without one this ends at the limit.
    match within(limit, listen(attempt, connector)).await {
        Err(error) if error.to_string().contains("fatal alert") => Some(tls(&config.url, &error.to_string())),
        _ => None,
    }
}

async fn first_byte_of_the_answer(address: SocketAddr) -> io::Result<u8> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"AMQP\0\0\x09\x01").await?;
    stream.read_u8().await
}

async fn listen(attempt: &Attempt<'_>, connector: &RustlsConnector) -> io::Result<usize> {
    let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
    let plain = AsyncTcpStream::connect(&runtime, attempt.address).await?;
    let mut stream = plain.into_rustls(connector, &attempt.config.uri().authority.host).await?;
    stream.read(&mut [0]).await
}
