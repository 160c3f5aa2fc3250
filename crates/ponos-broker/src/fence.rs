//! Who may publish only for a time asks again at the last moment.

use super::Publishing;
use std::{fmt, sync::Arc};

/// Asked right before each publishing is given to the connection: what may not go any more is settled as
/// [`Lost`](super::PublishOutcome::Lost), and nothing of it is sent; so is all
/// that waits behind it, so that nothing passes it when it is submitted again. Time passes between what a caller decides and what its
/// adapter does: its process may have stood still. The default lets everything pass.
#[derive(Clone, Default)]
pub struct Fence(Option<Asked>);

type Asked = Arc<dyn Fn(&Publishing) -> bool + Send + Sync>;

impl Fence {
    /// Lets pass what this says may go. It is asked for each publishing: it must be quick.
    pub fn new(lets_pass: impl Fn(&Publishing) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(lets_pass)))
    }

    /// Whether it may go now.
    pub fn lets_pass(&self, publishing: &Publishing) -> bool {
        self.0.as_ref().is_none_or(|lets_pass| lets_pass(publishing))
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fence = if self.0.is_some() { "Fence(asked)" } else { "Fence(open)" };
        f.write_str(fence)
    }
}
