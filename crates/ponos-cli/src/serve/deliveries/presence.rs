//! Whether programs are there: when one last asked for deliveries, or settled one.

use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// By what programs ask for: one queue, or any. As many entries as there are queues, and one.
#[derive(Debug, Default)]
pub(super) struct Presence(HashMap<Option<Arc<str>>, Instant>);

impl Presence {
    /// A program that asks for this queue, or for any, is there.
    pub(super) fn note(&mut self, wanted: Option<&str>) {
        self.0.insert(wanted.map(Arc::from), Instant::now());
    }

    /// When a program was last there that takes deliveries of this queue.
    pub(super) fn seen(&self, queue: &str) -> Option<Instant> {
        let covering = self.0.iter().filter(|(wanted, _)| covers(wanted.as_deref(), queue));
        covering.map(|(_, seen)| *seen).max()
    }
}

/// Whether who asks for that gets deliveries of this queue.
pub(super) fn covers(wanted: Option<&str>, queue: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == queue)
}
