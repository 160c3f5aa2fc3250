//! Bodies of requests that are read at a time: what they take of the memory is bounded by how many there may be. Who comes
//! when all places are taken waits for one, his body unread; but of one owner no more than his share.

use super::{
    problem::Problem,
    shares::{Shares, Whose},
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A few places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    shares: Shares,
}

impl Gate {
    /// So many places, of which each has, or waits for, his share at most.
    pub(super) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), shares: Shares::with_queue(count) }
    }
}

/// Lets a request through once there is a place; how long it waits is bounded by a layer outside of this one.
pub(super) async fn through(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let whose = request.extensions().get().unwrap_or(&Whose::Everybody);
    let _share = match gate.shares.take(whose.clone()) {
        Ok(share) => share,
        Err(why) => return Problem::no_share(why, "requests").into_response(),
    };
    match gate.free.acquire().await {
        Ok(_place) => next.run(request).await,
        // Nobody closes it.
        Err(_) => Problem::unavailable("the clock is stopping").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, http::Request, middleware, routing::post};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn so_many_are_read_at_a_time_and_of_one_owner_his_share() {
        let (gate, at_once, most) =
            (Gate::new(4), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, highest) = (at_once.clone(), most.clone());
        let work = async move || {
            highest.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            count.fetch_sub(1, Ordering::SeqCst);
        };
        let router =
            Router::new().route("/", post(work)).layer(middleware::from_fn_with_state(gate, through));
        let service = TowerToHyperService::new(router);
        let mut asked = JoinSet::new();
        for owner in ["billing", "invoices", "reports"] {
            for _ in 0..8 {
                let request =
                    Request::post("/").extension(Whose::Owner(owner.into())).body(Body::empty()).unwrap();
                asked.spawn(service.call(request));
            }
        }
        let statuses: Vec<u16> =
            asked.join_all().await.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
        let of = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!((of(200), of(429)), (6, 18), "{statuses:?}");
        assert_eq!(most.load(Ordering::SeqCst), 4);
    }
}
