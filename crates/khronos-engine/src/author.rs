//! Who asks for something at run time, and the message that it came as.

use super::THE_CLOCK;
use khronos_schedule::DoorKind;
use std::{fmt, sync::Arc};

/// Who asks for a change.
#[derive(Clone)]
pub struct Author {
    /// Whose what he creates is.
    pub owner: Arc<str>,
    /// By which door he came.
    pub door: Arc<str>,
    /// Of which kind that is: what he creates says so.
    pub door_kind: DoorKind,
    /// Whether what others created is his to change, too.
    pub is_admin: bool,
    /// Whether nothing is outside of what is his to change.
    pub is_of_everything: bool,
    /// So many schedules may be his; without, any number.
    pub most: Option<usize>,
    /// Whether something of the event of this name is his to change.
    pub covers: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Whether what goes to this queue of tasks is his to change.
    pub reaches: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Author {
    /// Whoever may change everything.
    pub fn admin(owner: &str, door: &str) -> Self {
        Self {
            owner: owner.into(),
            door: door.into(),
            door_kind: DoorKind::ControlSocket,
            is_admin: true,
            is_of_everything: true,
            most: None,
            covers: Arc::new(|_| true),
            reaches: Arc::new(|_| true),
        }
    }

    /// The clock itself.
    pub fn the_clock() -> Self {
        Self::admin(THE_CLOCK, THE_CLOCK)
    }

    /// Who created a schedule, and only changes what he created.
    pub fn owner(owner: &str, door: &str) -> Self {
        Self { is_admin: false, ..Self::admin(owner, door) }
    }
}

impl fmt::Debug for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, door, is_admin, .. } = self;
        f.debug_struct("Author")
            .field("owner", owner)
            .field("door", door)
            .field("is_admin", is_admin)
            .finish_non_exhaustive()
    }
}

/// The message that a request came as: of an owner's messages each has another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: Arc<str>,
    /// Of all that it asks for: another request under the same id is refused.
    pub digest: Digest,
}

/// Who asks for something else than a change of schedules.
#[derive(Debug, Clone)]
pub struct Asker {
    /// He.
    pub by: Author,
    /// Where it came as a message: the same one may come again.
    pub message: Option<Message>,
    /// Nothing is done unless it can be done to all that are named.
    pub whole: bool,
}

impl Asker {
    /// Somebody who asks by himself, for as much as can be done.
    pub fn new(by: Author) -> Self {
        Self { by, message: None, whole: false }
    }
}

/// A digest of what somebody asks for.
pub type Digest = [u8; 32];
