//! Inboxes that outlive their process.

#[macro_use]
#[path = "../../inbox_conformance/mod.rs"]
mod inbox_conformance;
mod groups;
mod later;
mod postgres;
mod relay;
mod replies;
mod reset;
mod sled;
mod unique;
mod waiting;
