//! Answers that are long, or dear to make: a few at a time ([`Places`]), handed to the connection in pieces, and a long
//! list written piece by piece as it is asked for. So what answers take of the memory is bounded by how many there may be.

use super::{problem::Problem, shares::Whose, state::HttpState};
use crate::ops::{OpsError, Pages, run_blocking};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// About how many bytes are written, or handed to the connection, at once.
pub(super) const PIECE: usize = 32 * 1024;

/// Lets a few requests in and refuses the others with "try again later". An answer keeps its place until the connection has taken
/// all of it.
pub(super) async fn limit_answers(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let place = match state.large.take(&Whose::of(request.extensions())) {
        Ok(place) => place,
        Err(why) => return Problem::no_share(why, "long answers").into_response(),
    };
    let response = next.run(request).await;
    response.map(|body| Body::new(state.large.hold(body, place)))
}

/// Does the work on a task of its own, which keeps the place also when nobody waits for it any more: arithmetic under way can't be
/// cut off, and would pile up.
///
/// # Errors
/// [`OpsError::Defect`].
pub(super) async fn keeping<P: Send + 'static, T: Send + 'static>(
    place: P,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<(T, P), OpsError> {
    tokio::spawn(async move { (work.await, place) }).await.map_err(|_| OpsError::Defect)
}

/// An object with a list of this name added to it, written as it is read. An error in between cuts the answer off; one
/// at the start is answered as a problem.
pub(super) async fn list<P: Pages>(
    head: Map<String, Value>,
    key: &str,
    mut pages: P,
) -> Result<Response, Problem> {
    let page: VecDeque<_> = pages.next().await?.into();
    let mut written = Value::Object(head).to_string().into_bytes();
    written.pop();
    if written.len() > 1 {
        written.push(b',');
    }
    written.extend_from_slice(opening(key).as_bytes());
    let list = List { pages, page, written, first: true, end: b"]}" };
    Ok(json(Body::from_stream(list.pieces())))
}

/// An object with two lists, the second behind the first.
pub(super) async fn lists<A: Pages, B: Pages>(
    (first_key, mut first): (&str, A),
    (second_key, mut second): (&str, B),
) -> Result<Response, Problem> {
    let page: VecDeque<_> = first.next().await?.into();
    let written = format!("{{{}", opening(first_key)).into();
    let first = List { pages: first, page, written, first: true, end: b"]," };
    let page: VecDeque<_> = second.next().await?.into();
    let second = List { pages: second, page, written: opening(second_key).into(), first: true, end: b"]}" };
    Ok(json(Body::from_stream(futures_util::StreamExt::chain(first.pieces(), second.pieces()))))
}

/// How a list of this name begins.
fn opening(key: &str) -> String {
    format!("{}:[", Value::from(key))
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Items of two kinds as texts one behind the other, below a head, written as they are read. An error in between cuts the answer
/// off.
pub(super) async fn text<A: Pages<Item: Sync>, B: Pages<Item: Sync>>(
    kind: &'static str,
    head: String,
    (mut first, write_first): (A, fn(&A::Item) -> String),
    (mut second, write_second): (B, fn(&B::Item) -> String),
) -> Result<Response, Problem> {
    let page: VecDeque<_> = first.next().await?.into();
    let first = texts(first, page, write_first);
    let page: VecDeque<_> = second.next().await?.into();
    let second = texts(second, page, write_second);
    let head = futures_util::stream::once(async { Ok(Bytes::from(head)) });
    let all = futures_util::StreamExt::chain(futures_util::StreamExt::chain(head, first), second);
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], Body::from_stream(all)).into_response())
}

fn texts<P: Pages<Item: Sync>>(
    pages: P,
    page: VecDeque<P::Item>,
    write: fn(&P::Item) -> String,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    futures_util::stream::try_unfold((pages, page), move |(mut pages, mut page)| async move {
        if page.is_empty() {
            page = pages.next().await.map_err(axum::Error::new)?.into();
        }
        let write_some = move || {
            let mut piece = String::new();
            while piece.len() < PIECE
                && let Some(item) = page.pop_front()
            {
                piece.push_str(&write(&item));
            }
            (piece, page)
        };
        let (piece, page) = run_blocking(write_some).await.map_err(axum::Error::new)?;
        Ok::<_, axum::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), (pages, page))))
    })
}

struct List<P: Pages> {
    pages: P,
    /// Not written yet; empty at the end.
    page: VecDeque<P::Item>,
    written: Vec<u8>,
    first: bool,
    /// What stands behind the last one.
    end: &'static [u8],
}

impl<P: Pages> List<P> {
    fn pieces(self) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
        futures_util::stream::try_unfold(Some(self), |state| async move {
            let Some(list) = state else { return Ok::<_, axum::Error>(None) };
            let (piece, list) = list.piece().await.map_err(axum::Error::new)?;
            Ok(Some((piece, list)))
        })
    }

    /// The next piece, and what remains.
    async fn piece(mut self) -> Result<(Bytes, Option<Self>), OpsError> {
        while self.written.len() < PIECE {
            if self.page.is_empty() {
                self.page = self.pages.next().await?.into();
            }
            if self.page.is_empty() {
                self.written.extend_from_slice(self.end);
                return Ok((self.written.into(), None));
            }
            self = run_blocking(move || self.write()).await??;
        }
        let piece = std::mem::take(&mut self.written).into();
        Ok((piece, Some(self)))
    }

    /// Writes what is at hand, as far as a piece goes.
    fn write(mut self) -> Result<Self, OpsError> {
        while self.written.len() < PIECE
            && let Some(item) = self.page.pop_front()
        {
            if !std::mem::take(&mut self.first) {
                self.written.push(b',');
            }
            let view = self.pages.view(&item);
            serde_json::to_writer(&mut self.written, &view).map_err(|_| OpsError::Defect)?;
        }
        Ok(self)
    }
}
