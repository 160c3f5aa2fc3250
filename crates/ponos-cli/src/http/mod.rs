//! What the HTTP servers of `serve`, `gateway` and `observe` share: connections and their bounds, bodies and theirs, problem documents,
//! traces; and the client of `run` and `source`.

mod bodies;
pub(crate) mod client;
mod connections;
mod local;
pub(crate) mod openapi;
mod percent;
pub(crate) mod problem;
mod trace;

pub(crate) use bodies::{Bodies, Room};
#[cfg(test)]
pub(crate) use connections::converse;
pub(crate) use connections::{Answers, ConnectionLimits, Listens, Stream, is_loopback, serve};
pub(crate) use local::{let_in, token};
pub(crate) use percent::percent_decoded;
pub(crate) use trace::RequestTrace;
