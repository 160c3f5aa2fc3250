//! Changes that can be asked for again: under a key, on a condition, or because they leave nothing to be done twice.

use super::{Client, ClientError};
use crate::ops::Tag;
use axum::http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// What has to be there for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// This revision.
    Revision(Tag),
    /// None of this name.
    Absent,
}

impl Client {
    /// The answer to `PUT path` with a JSON body, on this condition.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        condition: Option<Condition>,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error.to_string()))?;
        self.answered(self.conditional(Method::PUT, path, body.into(), condition)?).await
    }

    /// The same with a body of another type than JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_text<T: DeserializeOwned>(
        &self,
        path: &str,
        (kind, body): (&'static str, Vec<u8>),
        condition: Option<Condition>,
    ) -> Result<T, ClientError> {
        let mut request = self.conditional(Method::PUT, path, body.into(), condition)?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        self.answered(request).await
    }

    /// Asks `DELETE path`, on this condition.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&self, path: &str, condition: Option<Condition>) -> Result<(), ClientError> {
        self.asked(self.conditional(Method::DELETE, path, Bytes::new(), condition)?).await.map(drop)
    }

    /// The answer to `DELETE path`: what it was about, as it ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.whole(Method::DELETE, path, Bytes::new()).await
    }

    fn conditional(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        condition: Option<Condition>,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = self.request(method, path, body)?;
        if let Some(condition) = condition {
            let (name, value) = match condition {
                Condition::Revision(tag) => (header::IF_MATCH, format!("\"{tag}\"")),
                Condition::Absent => (header::IF_NONE_MATCH, "*".to_owned()),
            };
            let value = HeaderValue::try_from(value).map_err(|error| self.broken(error.to_string()))?;
            request.headers_mut().insert(name, value);
        }
        Ok(request)
    }

    /// Asks for a change under a key: asked for again, it is made once.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_once<T: DeserializeOwned>(&self, path: &str, key: &str) -> Result<T, ClientError> {
        self.post_as(path, key, &()).await
    }

    /// The same, with a JSON body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_as<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error.to_string()))?;
        let mut request = self.request(Method::POST, path, body.into())?;
        let key = HeaderValue::try_from(key).map_err(|error| self.broken(error.to_string()))?;
        request.headers_mut().insert("idempotency-key", key);
        self.answered(request).await
    }
}
