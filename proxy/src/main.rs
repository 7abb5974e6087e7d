//! Entry point of `corral-proxy`.
fn main() {}
