//! Private servers are what they say.

mod cluster;
mod node;
mod postgres;
mod prometheus;
