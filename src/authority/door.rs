//! The doors by which callers come.

use super::token::TokenId;
use crate::schedule::DoorKind;
use std::{fmt, sync::Arc};

/// By which way a caller came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// The control socket: the clock's own user, or root.
    ControlSocket,
    /// HTTP, with this token.
    Token(TokenId),
    /// HTTP on loopback, of a clock that is open to its machine.
    Open,
    /// HTTP without a token, of a clock that has none.
    Unnamed,
    /// A message that this user of the broker published.
    Broker(Arc<str>),
}

impl Door {
    /// Of which kind it is.
    pub(super) fn kind(&self) -> DoorKind {
        match self {
            Self::ControlSocket => DoorKind::ControlSocket,
            Self::Token(_) | Self::Open | Self::Unnamed => DoorKind::Http,
            Self::Broker(_) => DoorKind::Message,
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(id) => write!(f, "HTTP, token {id}"),
            Self::ControlSocket => f.write_str("control socket"),
            Self::Open | Self::Unnamed => f.write_str("HTTP"),
            Self::Broker(user) => write!(f, "AMQP, user {user}"),
        }
    }
}
