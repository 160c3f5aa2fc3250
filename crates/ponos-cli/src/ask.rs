//! Asks an observer (`ponos observe`) over HTTP.

use crate::{exit::Exit, http, trouble::Trouble};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, HOST},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// The most bytes of an answer.
const MOST: usize = 64 << 20;

/// Which observer is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Asked {
    /// The observer: http://host:port
    #[arg(
        long,
        value_name = "URL",
        env = "PONOS_OBSERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7315"
    )]
    observer: String,
    /// A file with the token that the observer wants to be shown
    #[arg(long, value_name = "FILE", env = "PONOS_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
}

/// What an observer says where it has no answer.
#[derive(Deserialize)]
struct Refused {
    detail: String,
}

impl Asked {
    /// The answer, as text of JSON; `Err` of the first kind says why there is none: nothing is known of what was asked for.
    pub(crate) async fn get(&self, path: &str) -> Result<Result<Bytes, String>, Trouble> {
        let token = self.token_file.as_deref().map(http::token).transpose()?;
        let (authority, address) = self.place()?;
        let lost = |what: String| {
            Trouble::lost(format!(
                "no answer from the observer at {authority}: {what}; start one with ponos observe, or name it with --observer"
            ))
        };
        let mut request = Request::get(path).header(HOST, &authority);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| lost(error.to_string()))?;
        let answered = timeout(ANSWER, exchange(&address, request)).await;
        let (status, body) = answered.map_err(|_| lost("it took longer than 30 s".into()))?.map_err(lost)?;
        if status.is_success() {
            return Ok(Ok(body));
        }
        let said = serde_json::from_slice::<Refused>(&body).map(|refused| refused.detail);
        let said = said.unwrap_or_else(|_| format!("it answered {status}"));
        match status {
            StatusCode::NOT_FOUND => Ok(Err(said)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Trouble::Words(Exit::AccessRefused, said))
            }
            _ => Err(lost(said)),
        }
    }

    /// The host as it is said, and as it is connected to.
    fn place(&self) -> Result<(String, String), Trouble> {
        let unusable = || Trouble::usage("--observer can't be used; write it as http://127.0.0.1:7315");
        let uri: Uri = self.observer.parse().map_err(|_| unusable())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.filter(|_| uri.scheme_str() == Some("http")).ok_or_else(unusable)?;
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        Ok((authority.to_string(), address))
    }
}

/// One request on a connection of its own; the error says what happened.
async fn exchange(address: &str, request: Request<Empty<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| error.to_string())?;
    // it ends with the answer
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| error.to_string())?;
    driving.abort();
    Ok((status, body.to_bytes()))
}

/// What an observer answered, read.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Trouble> {
    serde_json::from_slice(body).map_err(|error| {
        Trouble::lost(format!("the answer of the observer can't be read ({error}); is it of this version?"))
    })
}
