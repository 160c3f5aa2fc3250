//! The place of a connection: whose it is, and whether it is kept for more requests. It is its address's until a token is shown on
//! it, and the owner's then. One that came beyond all places, or beyond its address's share, is asked for health alone,
//! unless it shows a token whose owner may have a place.

use super::shares::{NoShare, Share, Shares, Whose};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The place of a connection.
#[derive(Debug)]
pub(super) struct Seat {
    of: Shares,
    /// Or why there is none yet.
    share: Mutex<Result<Share, NoShare>>,
    /// Whether the connection stands when a request is answered.
    is_kept: AtomicBool,
    has_asked: AtomicBool,
}

impl Seat {
    /// `is_kept`: whether who shows no token may ask again on the same connection.
    pub(super) fn new(of: Shares, share: Result<Share, NoShare>, is_kept: bool) -> Self {
        Self { of, share: Mutex::new(share), is_kept: is_kept.into(), has_asked: AtomicBool::default() }
    }

    /// A token of this owner was shown: the place is his, as far as he may have one.
    pub(super) fn show(&self, owner: &Arc<str>) -> Result<(), NoShare> {
        let whose = Whose::Owner(owner.clone());
        let mut share = self.share();
        let shown = match &*share {
            Ok(share) => share.give(whose),
            Err(_) => self.of.take(whose).map(|taken| *share = Ok(taken)),
        };
        self.is_kept.store(shown.is_ok(), Ordering::Relaxed);
        shown
    }

    /// Why it is asked for health alone, if it is.
    pub(super) fn refusal(&self) -> Option<NoShare> {
        self.share().as_ref().err().copied()
    }

    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    pub(super) fn note_asked(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    fn share(&self) -> MutexGuard<'_, Result<Share, NoShare>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
