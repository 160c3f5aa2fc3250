//! The program `ponos` as people and scripts use it, on a real RabbitMQ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asyncapi;
#[cfg(unix)]
mod aws;
mod begin;
mod cancel;
mod config;
mod contracts;
mod control;
mod dead;
mod dead_inbox;
#[cfg(unix)]
mod gateway;
#[cfg(unix)]
mod gateway_faults;
#[cfg(unix)]
mod gateway_openapi;
#[cfg(unix)]
mod gateway_webhooks;
mod hostile;
mod nested;
#[cfg(unix)]
mod observe;
mod publish;
mod run;
mod run_as_told;
mod run_compressed;
mod run_http;
mod run_large;
mod run_log;
mod schema;
mod secrets;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod serve_access;
#[cfg(unix)]
mod serve_clients;
#[cfg(unix)]
mod serve_faults;
#[cfg(unix)]
mod serve_guide;
#[cfg(unix)]
mod serve_openapi;
#[cfg(unix)]
mod services;
#[cfg(unix)]
mod sqs;
mod support;
mod tail;
mod tenants;
mod topology;
#[cfg(unix)]
mod traces;
mod waiting;
