//! A local Kubernetes and a real Ollama from source, for `make run` and for tests.
//!
//! - [`cluster`]: three levels, from a bare API server to a full node in namespaces of its own.
//! - [`tools`]: the pinned programs that they need, built once and cached outside the repository.

pub mod cache;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod fault_proxy;
pub mod foreign;
pub mod forward;
pub mod http_client;
pub mod image;
pub mod images;
pub mod javascript;
pub mod lab;
pub mod model;
pub mod ollama;
pub mod pki;
pub mod planted;
pub mod port;
pub mod process;
pub mod progress;
pub mod python;
pub mod registry;
pub mod rotation;
pub mod tools;
mod workspace;
