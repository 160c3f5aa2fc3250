//! Why a connection was closed during the handshake, asked on a connection of its own. lapin may see no more than the end
//! where TLS is the reason: the alert that says so is lost when we had written something that the other side never read.

use super::{
    super::LinkError,
    config::AmqpConfig,
    connection::within,
    errors::{tls, tls_port},
};
use futures_util::io::AsyncReadExt as _;
use lapin::AsyncTcpStream;
use std::{io, time::Duration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An alert comes at once, or not at all.
const LIMIT: Duration = Duration::from_secs(3);

/// The type of a TLS record that is an alert.
const ALERT: u8 = 21;

/// The error of TLS, if that is the reason.
pub(super) async fn tls_trouble(config: &AmqpConfig) -> Option<LinkError> {
    let limit = LIMIT.min(config.connect_timeout);
    if !config.url.is_tls() {
        let first = within(limit, first_byte_of_the_answer(config)).await;
        return first.is_ok_and(|first| first == ALERT).then(|| tls_port(&config.url));
    }
    // Nothing is written, so nothing gets into the alert's way; without one this ends at the limit.
    match within(limit, listen(config)).await {
        Err(error) if error.to_string().contains("fatal alert") => Some(tls(&config.url, &error.to_string())),
        _ => None,
    }
}

async fn first_byte_of_the_answer(config: &AmqpConfig) -> io::Result<u8> {
    let mut stream = tokio::net::TcpStream::connect((config.url.host(), config.url.port())).await?;
    stream.write_all(b"AMQP\0\0\x09\x01").await?;
    stream.read_u8().await
}

async fn listen(config: &AmqpConfig) -> io::Result<usize> {
    let connector = config.tls.connector().await.map_err(io::Error::other)?;
    let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
    let address = runtime.to_socket_addrs((config.url.host().to_owned(), config.url.port()));
    let plain = AsyncTcpStream::connect(&runtime, address).await?;
    let mut stream = plain.into_rustls(&connector, config.url.host()).await?;
    stream.read(&mut [0]).await
}
