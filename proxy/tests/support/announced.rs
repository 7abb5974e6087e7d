//! Where the proxy says that it listens.

use std::io::{self, BufRead};
use std::net::SocketAddr;

/// What it says until it listens, and the addresses in that: `… listens on http[s]://A and guards …, admin on http://B`.
pub(crate) fn announced(errors: &mut impl BufRead) -> io::Result<(String, SocketAddr, SocketAddr)> {
    let mut said = String::new();
    while !said.contains("listens on") {
        if errors.read_line(&mut said)? == 0 {
            return Err(io::Error::other(format!("the proxy ended: {said}")));
        }
    }
    let after = |words: &str| -> Option<SocketAddr> {
        let (_, rest) = said.split_once(words)?;
        rest.split_whitespace().next()?.parse().ok()
    };
    let listens = after("listens on http://").or_else(|| after("listens on https://"));
    let (Some(address), Some(admin)) = (listens, after("admin on http://")) else {
        return Err(io::Error::other(format!("the proxy says: {said}")));
    };
    Ok((said, address, admin))
}
