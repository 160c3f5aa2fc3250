//! `GET /v1/caller`: who asks, and what he may change. A page shows by it what its reader may do.

#![allow(unused_qualifications, reason = "the macros that describe routes write paths in full")]

use crate::{authority::Caller, ops::CallerView};
use axum::{Extension, Json};

/// Who asks
///
/// And what he may change, by his token, or by where he asks from.
#[utoipa::path(
    get, path = "/caller", tag = "clock",
    responses((status = 200, description = "Who asks, and what he may do", body = CallerView))
)]
pub(super) async fn caller(Extension(caller): Extension<Caller>) -> Json<CallerView> {
    Json(CallerView::from(&caller))
}
