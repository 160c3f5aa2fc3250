//! Warnings: what can be read and can run, and was seldom meant.

pub(super) mod advice;
mod cron_remarks;
pub mod near_miss;
