//! Authority: who asks a clock for something, and what he may do. Pure.
//!
//! Every operation that changes something takes a [`Caller`] and asks it first; the door by which a request comes makes
//! the caller (`http/access.rs`, `commands/users.rs`), and nothing else does. Absent: how a request shows who it comes from, but for the form
//! of a token (`token.rs`).

mod caller;
mod denied;
mod domains;
mod door;
mod owners;
mod quota;
mod rate;
pub mod token;

pub use caller::{Caller, OPEN, OPERATOR, READER, Role};
pub use denied::Denied;
pub use domains::Domains;
pub(crate) use domains::widened;
pub use door::Door;
pub use owners::Owners;
pub use quota::Quota;
pub use rate::{Rate, TooOften};
