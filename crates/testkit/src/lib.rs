//! Private RabbitMQ nodes and clusters, Postgres and Prometheus servers, a collector of traces, programs under test, self-made certificates and conditions
//! with deadlines, for the tests of this workspace.
//!
//! A [`Node`] is a RabbitMQ of its own: own name, own ports on 127.0.0.1, own epmd, own home and cookie, own folders. It
//! is ready within seconds, can be killed and restarted, and leaves nothing behind, however the test ends. One node per
//! test binary and a vhost per test is the habit:
//!
//! ```no_run
//! let node = testkit::Node::shared();
//! let url = node.vhost("returns-are-reported");
//! ```
//!
//! A [`Cluster`] is three of them that have joined.
//!
//! A [`Postgres`] is the same for Postgres: one server per test binary and a database per test; a [`PgBouncer`] stands
//! before one. A [`Prometheus`] is one per test, with the configuration that it gives; so is a [`Rotel`], which collects traces.
//!
//! It panics where a test should fail: a missing server is a failure with a remedy, never a skipped test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // it serves tests alone: a panic is its error

mod admin;
mod certificates;
mod cluster;
mod condition;
mod control;
mod deaf;
mod epmd;
mod growth;
mod held;
mod help;
mod hostile;
mod nested;
mod node;
mod pgbouncer;
mod place;
mod postgres;
mod processes;
mod program;
mod prometheus;
mod rotel;

pub use certificates::{Certificates, Identity};
pub use cluster::Cluster;
pub use condition::{block_until, block_until_or_tell, wait_until};
pub use deaf::DeafPort;
pub use growth::assert_in_proportion;
pub use held::HeldChannels;
pub use help::{help_flags, help_words};
pub use hostile::{HOSTILE, assert_harmless};
pub use nested::{nested_lists, nested_tables, publish_nested};
pub use node::{Node, NodeBuilder};
pub use pgbouncer::PgBouncer;
pub use place::free_port;
pub use postgres::Postgres;
pub use program::{Program, Sandbox, assert_private};
pub use prometheus::{Prometheus, promtool};
pub use rotel::{ReceivedSpan, Rotel};
pub use rustix::process::Signal;
