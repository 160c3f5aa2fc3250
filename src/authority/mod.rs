//! Authority: who asks a clock for something, and what he may do. Pure.
//!
//! Every operation that changes something takes a [`Caller`] and asks it first; the door by which a request comes makes
//! the caller (`http/access.rs`, `commands/users.rs`), and nothing else does. Absent: how a request shows who it comes from, but for the form
//! of a token (`ponos_http::token`).

mod caller;
mod denied;
mod door;
mod owners;
mod quota;

pub use caller::{Caller, OPEN, OPERATOR, READER, Role};
pub use denied::Denied;
pub use door::Door;
pub use owners::Owners;
pub(crate) use ponos_http::widened;
pub use ponos_http::{Domains, Rate, TooOften, token};
pub use quota::Quota;
