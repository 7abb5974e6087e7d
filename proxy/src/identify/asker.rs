//! Whose password it is that is to be checked, before anybody knows.

use std::net::{IpAddr, Ipv6Addr};

use crate::address::ClientAddress;

/// A name at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    /// The address, or the network that counts as one.
    pub(super) network: IpAddr,
    /// A keyed hash of the user's name.
    pub(super) name: u64,
}

impl Asker {
    /// Somebody at that address; `name` is a keyed hash of the user's name.
    pub(super) fn new(address: ClientAddress, name: u64) -> Self {
        Self {
            network: network_of(address.get()),
            name,
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network (RFC 4291, section 2.5.1).
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("::1", "::"),
        ];
        for (address, network) in cases {
            assert_eq!(
                network_of(address.parse().unwrap()).to_string(),
                network,
                "{address}"
            );
        }
    }
}
