//! By its type to its handler.

use crate::{
    event::Event,
    worker::{
        ended::{DeadKind, Death},
        plan::{QueuePlan, Route},
    },
};
use std::sync::Arc;

/// Who handles it.
pub(super) fn of<'a>(plan: &'a QueuePlan, event: &Event) -> Result<&'a Arc<Route>, Death> {
    plan.route(event.name.as_str()).ok_or_else(|| {
        let handled: Vec<&str> = plan.routes.iter().map(|route| &*route.pattern).collect();
        let reason = format!(
            "nobody handles '{}' here; the queue '{}' has handlers for {}",
            event.name,
            plan.name,
            handled.join(", ")
        );
        Death::new(DeadKind::Unhandled, reason)
    })
}
