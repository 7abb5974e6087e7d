//! The authenticating, streaming proxy in front of Ollama.

pub mod config;
pub mod digest;
pub mod status;
