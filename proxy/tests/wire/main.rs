//! The real proxy, byte by byte: a raw client before it, and behind it a backend that records what arrives and answers
//! as a test tells it to.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails, in its helpers too"
)]

mod addresses;
mod admin;
#[path = "../support/announced.rs"]
mod announced;
mod attack;
mod backend;
mod basic;
mod ceilings;
mod cli;
mod client;
mod client_certificates;
mod cors;
mod drain;
mod headers;
mod heartbeat;
mod http2;
mod kubernetes;
mod leaks;
mod limits;
mod manage;
mod memory;
mod models;
mod patience;
mod policy;
#[path = "../support/process.rs"]
mod process;
mod proxy;
mod proxy_protocol;
mod recall;
mod reload;
mod responses;
mod signature;
mod stalled;
mod stream;
mod table;
mod tls;
mod tokens;
mod trace;
mod usage;
