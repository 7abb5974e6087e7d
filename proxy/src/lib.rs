//! The authenticating, streaming proxy in front of Ollama.
//!
//! A request goes through the modules in this order, which [`pipeline`] spells out: [`accept`] → [`identify`] →
//! [`authorize`] → [`limit`] → [`inspect`] → [`admit`] → [`forward`] → [`account`].

pub mod accept;
pub mod account;
pub mod address;
pub mod admin;
pub mod admit;
pub mod ask;
pub mod authorize;
pub mod body;
pub mod ceiling;
pub mod config;
pub mod cors;
pub mod credentials;
pub mod digest;
pub mod forward;
pub mod headers;
mod https;
pub mod identify;
pub mod in_force;
pub mod inspect;
pub mod jwt;
pub mod keep;
pub mod limit;
pub mod metrics;
pub mod models;
pub mod patience;
pub mod payload;
pub mod peer;
pub mod pipeline;
pub mod proxy;
pub mod readiness;
pub mod reject;
pub mod reload;
pub mod routes;
pub mod run;
pub mod shape;
pub mod status;
pub mod stream;
pub mod target;
pub mod tls;
pub mod trace;
pub mod upstream;
pub mod upstream_body;
pub mod usage;
