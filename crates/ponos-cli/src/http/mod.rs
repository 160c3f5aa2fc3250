//! What the HTTP servers of `serve`, `gateway` and `observe` share: connections and their bounds, bodies and theirs, problem documents.

mod bodies;
mod connections;
mod local;
pub(crate) mod openapi;
mod percent;
pub(crate) mod problem;

pub(crate) use bodies::{Bodies, Room};
#[cfg(test)]
pub(crate) use connections::converse;
pub(crate) use connections::{Answers, ConnectionLimits, Listens, Stream, is_loopback, serve};
pub(crate) use local::{let_in, token};
pub(crate) use percent::percent_decoded;
