//! Who calls, by address, and whether that address may.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use thiserror::Error;

use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses that may call, and the proxies that may speak for others.
#[derive(Clone, Debug)]
pub struct AddressRules {
    allowed: Vec<IpNet>,
    trusted_proxies: Vec<IpNet>,
    proxy_protocol: bool,
}

/// The address of a client that may call. Only [`AddressRules::client`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// The address, in its one form.
    pub const fn get(self) -> IpAddr {
        self.0
    }
}

#[cfg(test)]
impl ClientAddress {
    /// An address for tests of what comes after the address rules.
    pub(crate) fn of_test(address: &str) -> Self {
        Self(normalise(address.parse().unwrap()))
    }
}

/// This address may not call.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressRefused {
    /// It is in none of the allowed networks.
    #[error("this address may not call")]
    NotAllowed,
    /// A trusted proxy said who calls in words that can't be read.
    #[error("X-Forwarded-For has an entry that is no address")]
    Unreadable,
}

impl AddressRules {
    /// The rules of the configuration.
    pub fn new(network: &Network) -> Self {
        let Network {
            allowed_cidrs,
            trusted_proxies,
            proxy_protocol,
            cors: _,
        } = network;
        Self {
            allowed: allowed_cidrs.clone(),
            trusted_proxies: trusted_proxies.clone(),
            proxy_protocol: *proxy_protocol,
        }
    }

    /// Whether a connection from there begins with whom it is passed on for (`network.proxyProtocol`).
    pub fn introduces(&self, peer: IpAddr) -> bool {
        self.proxy_protocol && self.trusts(normalise(peer))
    }

    /// The client's address: the peer's, or what the last trusted proxy saw.
    ///
    /// # Errors
    /// The address can't be told, or may not call.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<ClientAddress, AddressRefused> {
        let client = if self.trusts(peer) {
            self.forwarded_client(peer, headers)?
        } else {
            peer
        };
        self.direct(client)
    }

    /// The address of a client that speaks for itself.
    ///
    /// # Errors
    /// It may not call.
    pub fn direct(&self, client: IpAddr) -> Result<ClientAddress, AddressRefused> {
        if self.allows(client) {
            Ok(ClientAddress(client))
        } else {
            Err(AddressRefused::NotAllowed)
        }
    }

    /// Whether a client at this address may call.
    pub fn allows(&self, client: IpAddr) -> bool {
        self.allowed.is_empty() || contains(&self.allowed, client)
    }

    /// Whether the peer is a proxy that may speak for others.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        contains(&self.trusted_proxies, peer)
    }

    /// Each proxy appends the address that it saw: from the right, the first that is not a trusted proxy is the
    /// client. Whatever stands left of it anybody may have written.
    fn forwarded_client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, AddressRefused> {
        let mut client = peer;
        for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            let list = value.to_str().map_err(|_| AddressRefused::Unreadable)?;
            for entry in list.rsplit(',') {
                client = parse_entry(entry).ok_or(AddressRefused::Unreadable)?;
                if !self.trusts(client) {
                    return Ok(client);
                }
            }
        }
        Ok(client)
    }
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// An address as proxies write it: bare, in brackets, with or without a port.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    if let Some(bracketed) = entry.strip_prefix('[') {
        return bracketed.split_once(']')?.0.parse().ok().map(normalise);
    }
    let bare = entry.parse().ok();
    let with_port = || {
        entry
            .parse::<std::net::SocketAddrV4>()
            .ok()
            .map(|address| IpAddr::V4(*address.ip()))
    };
    bare.or_else(with_port).map(normalise)
}

/// `::ffff:192.0.2.1` is 192.0.2.1, so that one address has one form.
pub fn normalise(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Vec<IpNet> {
        text.split_whitespace()
            .map(|network| network.parse().unwrap())
            .collect()
    }

    /// allowed networks, trusted proxies, peer, X-Forwarded-For lines, and the client or a refusal.
    type Case<'a> = (
        &'a str,
        &'a str,
        &'a str,
        &'a str,
        &'a [&'a str],
        Result<&'a str, AddressRefused>,
    );

    #[test]
    fn the_client_is_the_last_untrusted_address() {
        use AddressRefused::{NotAllowed, Unreadable};
        let cases: &[Case<'_>] = &[
            ("no rules", "", "", "192.0.2.1", &[], Ok("192.0.2.1")),
            (
                "in the network",
                "192.0.2.0/24",
                "",
                "192.0.2.1",
                &[],
                Ok("192.0.2.1"),
            ),
            (
                "outside",
                "192.0.2.0/24",
                "",
                "198.51.100.1",
                &[],
                Err(NotAllowed),
            ),
            (
                "an IPv6 network",
                "2001:db8::/32",
                "",
                "2001:db8::1",
                &[],
                Ok("2001:db8::1"),
            ),
            (
                "outside IPv6",
                "2001:db8::/32",
                "",
                "2001:db9::1",
                &[],
                Err(NotAllowed),
            ),
            (
                "a mapped peer",
                "192.0.2.0/24",
                "",
                "::ffff:192.0.2.1",
                &[],
                Ok("192.0.2.1"),
            ),
            (
                "a header of an untrusted peer",
                "192.0.2.0/24",
                "",
                "198.51.100.1",
                &["192.0.2.1"],
                Err(NotAllowed),
            ),
            (
                "a trusted proxy",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1"],
                Ok("192.0.2.1"),
            ),
            (
                "spoofed on the left",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1, 198.51.100.1"],
                Err(NotAllowed),
            ),
            (
                "two proxies",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1, 10.0.0.2"],
                Ok("192.0.2.1"),
            ),
            (
                "two lines",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1", "198.51.100.1"],
                Err(NotAllowed),
            ),
            (
                "a mapped entry",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "10.0.0.1",
                &["::ffff:192.0.2.1"],
                Ok("192.0.2.1"),
            ),
            (
                "a port",
                "192.0.2.0/24",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1:80"],
                Ok("192.0.2.1"),
            ),
            (
                "brackets and port",
                "",
                "10.0.0.0/8",
                "10.0.0.1",
                &["[2001:db8::1]:80"],
                Ok("2001:db8::1"),
            ),
            (
                "garbage on the left is not read",
                "",
                "10.0.0.0/8",
                "10.0.0.1",
                &["x, 192.0.2.1"],
                Ok("192.0.2.1"),
            ),
            (
                "garbage from the proxy",
                "",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1, x"],
                Err(Unreadable),
            ),
            (
                "an empty entry",
                "",
                "10.0.0.0/8",
                "10.0.0.1",
                &["192.0.2.1,"],
                Err(Unreadable),
            ),
            (
                "no header from the proxy",
                "",
                "10.0.0.0/8",
                "10.0.0.1",
                &[],
                Ok("10.0.0.1"),
            ),
            (
                "only proxies",
                "",
                "10.0.0.0/8",
                "10.0.0.1",
                &["10.0.0.9, 10.0.0.2"],
                Ok("10.0.0.9"),
            ),
        ];
        for (name, allowed, trusted, peer, lines, expected) in cases {
            let network = Network {
                allowed_cidrs: networks(allowed),
                trusted_proxies: networks(trusted),
                ..Network::default()
            };
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(X_FORWARDED_FOR, line.parse().unwrap());
            }
            let peer = normalise(peer.parse().unwrap());
            let client = AddressRules::new(&network)
                .client(peer, &headers)
                .map(ClientAddress::get);
            assert_eq!(client, expected.map(|address| address.parse().unwrap()), "{name}");
        }
    }
}
