//! Private servers are what they say.

mod node;
mod postgres;
mod prometheus;
