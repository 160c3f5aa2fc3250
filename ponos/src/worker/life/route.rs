//! By its type to its handler.

use crate::{
    event::Event,
    worker::{
        ended::{DeadKind, Death},
        plan::{Route, Stream},
    },
};
use std::sync::Arc;

/// Who handles it.
pub(super) fn of<'a>(stream: &'a Stream, event: &Event) -> Result<&'a Arc<Route>, Death> {
    stream.route(event.name.as_str()).ok_or_else(|| {
        let handled: Vec<&str> = stream.routes.iter().map(|route| &*route.pattern).collect();
        let reason = format!(
            "nobody handles '{}' here; the queue '{}' has handlers for {}",
            event.name,
            stream.queue,
            handled.join(", ")
        );
        Death::new(DeadKind::Unhandled, reason)
    })
}
