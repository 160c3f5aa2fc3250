//! Workers on the twin, by theme.

mod back;
mod check;
mod handlers;
mod life;
mod publish;
mod put_off;
mod retry;
mod start;
mod stream;
mod topology;
mod unavailable;
