//! Asking again, when the clock says.

use super::{Client, ClientError};
use axum::http::{Response, header};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::sleep;

/// How often an answer is asked for again, and how long is waited before at most.
const AGAIN: usize = 15;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a change waits in all until it is taken.
const LONGEST_IN_ALL: Duration = Duration::from_secs(600);

impl Client {
    /// The answer to `GET path`, asked for again a few times where the clock says when: too much is being answered. For
    /// one of many answers that are of use together only.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_patiently<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        for _ in 0..AGAIN {
            match self.get(path).await {
                Err(ClientError::Refused { retry_after: Some(wait), .. }) => {
                    sleep(wait.min(LONGEST_WAIT)).await
                }
                answer => return answer,
            }
        }
        self.get(path).await
    }

    /// The answer to `POST path` with a JSON body, asked for again a few times where the clock refuses it for now, and says
    /// until when. For one of many changes that belong together.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        patiently(async || self.post(path, body).await).await
    }

    /// The same of a `PUT` with a body of another type.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_text_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        (kind, body): (&'static str, &str),
    ) -> Result<T, ClientError> {
        patiently(async || self.put_text(path, (kind, body.into()), None).await).await
    }
}

async fn patiently<T>(ask: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let mut waited = Duration::ZERO;
    loop {
        match ask().await {
            // Of whatever else is refused, something may have been done.
            Err(ClientError::Refused { status: 429, retry_after: Some(wait), .. })
                if waited + wait <= LONGEST_IN_ALL =>
            {
                sleep(wait).await;
                waited += wait.max(Duration::from_secs(1));
            }
            answer => return answer,
        }
    }
}

/// When to ask again, where the answer says so.
pub(super) fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
