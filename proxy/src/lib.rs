//! The authenticating, streaming proxy in front of Ollama.

pub mod config;
pub mod credentials;
pub mod digest;
pub mod identify;
pub mod status;
