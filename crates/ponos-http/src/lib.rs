//! What the HTTP servers of both programs share: the form of a token ([`token`]) and those that
//! are known ([`KnownTokens`]), the domains of events that its holder may
//! publish or change ([`Domains`]), how often ([`Rate`]), encryption by files that are followed ([`Tls`]), requests through a proxy ([`is_forwarded`]), and a limit for
//! peers that take nothing ([`WriteTimeout`]).
//!
//! Absent: routes, roles, and who is let in: each program decides that.

mod domains;
mod forwarded;
mod known;
mod rate;
mod tls;
pub mod token;
mod validity;
mod write_timeout;

pub use domains::{Domains, widened};
pub use forwarded::is_forwarded;
pub use known::{KnownTokens, bearer};
pub use rate::{Rate, TooOften};
pub use tls::{Tls, TlsError};
pub use write_timeout::WriteTimeout;
