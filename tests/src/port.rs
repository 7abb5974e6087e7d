//! Free ports on the loopback address.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use crate::cache;

/// Below the range from which Linux takes the ports of outgoing connections, so that none of those gets in between.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that no other run of the harness takes while this is alive, and that nobody listened on when it was made.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Finds and reserves a port.
    ///
    /// # Errors
    /// When none is free.
    pub fn reserve() -> Result<Self> {
        let locks = cache::folder("ports")?;
        let start = u16::try_from(std::process::id() % u32::from(RANGE.end - RANGE.start))? + RANGE.start;
        for number in (start..RANGE.end).chain(RANGE.start..start) {
            let Some(lock) = cache::try_lock(&locks.join(number.to_string()))? else {
                continue;
            };
            if TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!(
            "no port from {} to {} is free on 127.0.0.1",
            RANGE.start,
            RANGE.end
        )
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<Port> = (0..20).map(|_| Port::reserve().unwrap()).collect();
        let numbers: std::collections::BTreeSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
    }
}
