//! Requests with definitions that are worked on at a time. Who comes when all places are taken waits for one, for a while; but
//! of one owner no more than his share. Their bodies are there by then: who sends slowly has no place.

use super::{
    problem::Problem,
    shares::{Shares, Whose},
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// A few places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    free: Arc<Semaphore>,
    shares: Shares,
    /// How long a request waits for its place.
    patience: Duration,
}

impl Gate {
    /// So many places, of which each has, or waits for, his share at most.
    pub(super) fn new(count: usize, patience: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), shares: Shares::with_queue(count), patience }
    }
}

/// Lets a request through once there is a place. What gets none in time was not begun, and that is said.
pub(super) async fn through(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let whose = request.extensions().get().unwrap_or(&Whose::Everybody);
    let _share = match gate.shares.take(whose.clone()) {
        Ok(share) => share,
        Err(why) => return Problem::no_share(why, "requests").into_response(),
    };
    match timeout(gate.patience, gate.free.acquire()).await {
        Ok(Ok(_place)) => next.run(request).await,
        Err(_) => {
            let what = format!(
                "nothing changed: others are worked on, and there was no place within {} s",
                gate.patience.as_secs_f32()
            );
            Problem::unavailable(what).into_response()
        }
        // Nobody closes it.
        Ok(Err(_)) => Problem::unavailable("the clock is stopping").into_response(),
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
        let (gate, at_once, most) = (
            Gate::new(4, Duration::from_secs(60)),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicUsize::new(0)),
        );
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

    #[tokio::test(start_paused = true)]
    async fn what_gets_no_place_in_time_is_said_to_have_changed_nothing() {
        let gate = Gate::new(1, Duration::from_secs(5));
        let _place = gate.free.clone().acquire_owned().await.unwrap();
        let router = Router::new()
            .route("/", post(async || "done"))
            .layer(middleware::from_fn_with_state(gate.clone(), through));
        let request = Request::post("/").body(Body::empty()).unwrap();
        let answer = TowerToHyperService::new(router).call(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        let said = String::from_utf8_lossy(&body);
        assert!(said.contains("\"unavailable\"") && said.contains("nothing changed"), "{said}");
    }
}
