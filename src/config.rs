//! The configuration: raw → `Config`, parsed once, valid from then on.
