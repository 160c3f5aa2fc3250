//! The HTTP interface: what the clock does, to be read; and, on a Unix socket for the machine's own operator, what
//! changes something.
//!
//! `site.rs` holds what handlers may ask; `routes.rs` lists what there is; one file per resource. `server.rs` accepts
//! connections and bounds them, on a thread of its own (`apart.rs`); `guard.rs` keeps foreign web pages out. What is long
//! is given to a few at a time, piece by piece (`large.rs`). Every answer that is no success is a problem
//! document (RFC 9457). Absent: any write on TCP, and any login: what is served is what loopback may see.

mod apart;
pub mod audit;
pub mod calendars;
pub mod client;
mod control;
mod events;
mod feed;
mod guard;
mod health;
pub mod history;
mod large;
mod limits;
mod listener;
mod patience;
mod places;
mod problem;
mod record;
mod reserve;
mod routes;
mod schedules;
mod server;
mod site;
mod sse;
#[cfg(test)]
mod tests;

pub use apart::{Serving, start};
pub(crate) use events::structured;
pub use limits::Limits;
pub use listener::{ControlSocket, HttpError, bind, bind_control, control_path};
pub use record::Record;
pub(crate) use schedules::LISTED;
pub use server::{serve, serve_control};
pub use site::Site;
pub use sse::Message;
