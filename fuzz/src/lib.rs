//! What the targets assert of accepted values beyond "does not panic". Each file of `targets/` is one parser that meets
//! input from outside.

pub mod diagnostics;
pub mod messages;
pub mod pieces;
pub mod schedules;
pub mod timings;
