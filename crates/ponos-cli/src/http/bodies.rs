//! Reads bodies. Bounds: the bytes of each, those of all bodies together, and the time that each takes.

use super::problem::Problem;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    StatusCode,
    body::{Body, Bytes, Incoming},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The bytes of all bodies together, in units of a KiB.
const ALL: usize = 64 << 10;
/// How long a client may take for a body, and wait for room for it.
const READING: Duration = Duration::from_secs(30);

/// A body's part of the room for all, for as long as it is held.
pub(crate) type Room = OwnedSemaphorePermit;

/// The room for bodies.
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    /// All of it, in KiB.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests ask how much is held"))]
    all: usize,
    /// The most bytes of one.
    most: usize,
}

impl Bodies {
    /// Of so many bytes each at most.
    pub(crate) fn new(most: usize) -> Self {
        Self::within(most, ALL)
    }

    /// Of so many bytes each at most, and so many KiB together, which are no fewer.
    pub(crate) fn within(most: usize, all: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(all)), all, most }
    }

    /// Reads one.
    ///
    /// # Errors
    /// 413, 503 without room for it, 400 where it breaks off, 408.
    pub(crate) async fn read(&self, body: Incoming) -> Result<(Bytes, Room), Problem> {
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > self.most as u64) {
            return Err(self.too_large());
        }
        // of a length that is not said, room for the largest
        let units = length.unwrap_or(self.most as u64).div_ceil(1024);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units);
        let busy =
            || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many large bodies at a time");
        let Ok(Ok(mut room)) = timeout(READING, room).await else { return Err(busy().again_in(1)) };
        let body = match timeout(READING, Limited::new(body, self.most).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(self.too_large()),
            Ok(Err(error)) => {
                return Err(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "broken-off",
                    format!("the body broke off: {error}"),
                ));
            }
            Err(_) => {
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "slow",
                    "the body did not come within 30 s",
                ));
            }
        };
        // whoever did not say how long it is had room for the largest
        drop(room.split(room.num_permits().saturating_sub(body.len().div_ceil(1024))));
        Ok((body, room))
    }

    fn too_large(&self) -> Problem {
        let most = match self.most {
            most if most.is_multiple_of(1 << 20) => format!("{} MiB", most >> 20),
            most => format!("{most} bytes"),
        };
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("the body has more than {most}"))
    }

    /// How many KiB of bodies are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.all - self.room.available_permits()
    }
}
