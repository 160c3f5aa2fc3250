//! The HTTP interface: what the clock does, to be read; and what changes something, for callers who may: the machine's
//! own operator on a Unix socket, holders of tokens on TCP.
//!
//! `routes.rs` lists the routes; their handlers parse a request and call `ops`, which does the work. `server.rs` accepts
//! connections and bounds them, on a thread of its own (`apart.rs`); `guard.rs` keeps foreign web pages out, and `access.rs`
//! tells who asks. What is long is given to a few at a time, piece by piece (`large.rs`). All of it lies under `/v1`, but
//! for health and metrics; what was there without it is there for one release more (`aliases.rs`). `openapi.rs` describes
//! it. Every answer that is no success is a problem document (RFC 9457). Absent: what a caller may do; that is
//! `authority/`, and `ops` asks it.

mod access;
mod aliases;
mod apart;
mod audits;
mod backups;
mod body;
mod calendars;
mod caller;
mod changes;
pub mod client;
mod cluster;
mod conditions;
mod connection;
mod control;
mod event_batch;
mod event_logs;
mod events;
mod feed;
mod follower;
mod gate;
mod guard;
mod health;
mod held;
mod index;
mod large;
mod limits;
mod listener;
mod metrics;
mod openapi;
mod operations;
mod page;
mod parked_events;
mod pauses;
mod places;
mod preview;
mod problem_response;
mod query;
mod reads;
mod refusals;
mod reserve;
mod routes;
mod schedules;
mod seat;
mod server;
mod shares;
mod sse;
mod state;
mod telling;
#[cfg(test)]
mod tests;
mod timeline;
mod triggers;
mod why;

use crate::problem;

pub use access::{Access, AccessRules};
pub(crate) use apart::start_held;
pub use apart::{Serving, start, start_front};
pub(crate) use follower::following;
pub use follower::{Serves, serves};
pub(crate) use held::HeldStore;
pub use limits::Limits;
pub use listener::{ControlSocket, HttpError, bind, bind_control, control_path};
pub use ponos_http::Tls;
pub use server::{serve, serve_control};
pub use state::HttpState;
pub(crate) use telling::Telling;
