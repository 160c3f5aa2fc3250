//! Contracts: what the data of an event or task must look like, as JSON Schema.
//!
//! A [`Contract`] is a schema compiled once, derived from a Rust type or parsed; a [`Mismatch`] says what in a value does not fit
//! it, with JSON pointers. The [`Registry`] holds what a service publishes. [`compare`] tells what an edit of a schema breaks, and
//! for whom; [`check`] does so for whole documents, for people and for programs.
//!
//! Invariant: a contract that exists can be checked against, in time that grows with the value and not with the wit of its author:
//! patterns run on a linear-time engine (look-around and back-references are refused). Absent: files, networks, the clock. What a
//! schema refers to stands in the schema itself; files are read by `ponos::schema_files`.

#[cfg(feature = "compare")]
pub mod check;
#[cfg(feature = "compare")]
mod compare;
mod contract;
mod cost;
mod mismatch;
mod registry;
mod text;

#[cfg(feature = "compare")]
pub use compare::{Change, Side, compare};
pub use contract::{Contract, SchemaError};
pub use mismatch::{Mismatch, Violation};
pub use registry::{PublishRefused, Registry, RegistryError};

#[cfg(test)]
mod tests;
