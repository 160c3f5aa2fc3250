//! TOML that a person wrote: read by a table of keys, with the place of each value; and what is wrong with it, all at once.
//! Pure: text in, values and diagnostics out. The files of the clock and of workers are read by it, each by its own table of
//! keys. Absent: what a value means, and reading files.

mod code;
pub mod diagnostic;
#[cfg(feature = "draw")]
mod draw;
pub mod toml_tree;

pub use code::FaultCode;
#[cfg(feature = "draw")]
pub use draw::draw;
