//! Lists in pages, and work that takes a while.

use super::OpsError;
use serde::Serialize;
use std::future::Future;

/// A list that is read in pages. What is read stays as the clock holds it; the view of each item, which may be much
/// larger, is made when it is wanted.
pub trait Pages: Send + 'static {
    /// An item of the list.
    type Item: Send;
    /// How it is shown.
    type View<'a>: Serialize;

    /// The next page; empty at the end.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Self::Item>, OpsError>> + Send;

    /// The view of an item.
    fn view<'a>(&self, item: &'a Self::Item) -> Self::View<'a>;
}

/// All items of a list, each as `make` has it.
///
/// # Errors
/// [`OpsError`] of the first page that can't be read.
pub async fn collect<P: Pages, T>(mut pages: P, make: impl Fn(&P, P::Item) -> T) -> Result<Vec<T>, OpsError> {
    let mut all = Vec::new();
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page.into_iter().map(|item| make(&pages, item)));
    }
}

/// Does work that takes a while on a thread where it holds up no other answer.
///
/// # Errors
/// [`OpsError::Defect`]: it panicked.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OpsError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| OpsError::Defect)
}
