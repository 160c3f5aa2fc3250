//! Contracts: JSON Schemas for the data of events and tasks.
//!
//! A [`Contract`] is a schema compiled once, derived from a Rust type or parsed; a [`Mismatch`] lists what in a value does not
//! fit it, with JSON pointers. The [`Registry`] holds what a service publishes. [`compare`] finds what an edit of a schema
//! breaks, and for which side; [`check`] does so for whole documents, those of AsyncAPI too.
//!
//! Invariant: validating against a contract takes time that grows with the value alone: costly schemas are refused, and patterns
//! run on a linear-time engine (look-around and back-references are refused). Absent: files, networks, the clock. A schema
//! contains everything that it refers to; files are read by `ponos::schema_files`.

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
