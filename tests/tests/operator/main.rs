//! The operator as a process, against a real API server.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod children;
mod columns;
mod compared;
mod conditions;
mod crowd;
mod definition;
mod election;
mod exposure;
mod lab;
mod limits;
mod models;
mod mounted;
mod namespace;
mod pods;
mod refused;
mod replica;
mod rotation;
mod scale;
mod storage;
mod token_reviews;
mod upgrade;
