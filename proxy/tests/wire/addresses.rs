//! Which addresses may call (scenario S6).

use crate::backend::Backend;
use crate::client::Client;
use crate::proxy::{Proxy, USER};

fn get(key: &str, headers: &str) -> String {
    format!("GET /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\n{headers}\r\n")
}

#[test]
fn s6_only_allowed_addresses_may_call() {
    let allowed = "network: {allowedCIDRs: [127.0.0.2/32, \"::1/128\"]}\n";
    let proxied = "network: {allowedCIDRs: [192.0.2.0/24], trustedProxies: [127.0.0.2/32]}\n";
    let wrong = "wrong-key-0123456789";
    let forwarded = "X-Forwarded-For: 192.0.2.7\r\n";
    let spoofed = "X-Forwarded-For: 192.0.2.7, 203.0.113.9\r\n";
    let mapped = "X-Forwarded-For: ::ffff:192.0.2.7\r\n";
    let garbled = "X-Forwarded-For: somewhere\r\n";
    // configuration, listener, source, key, headers, status, and the address that Ollama is told.
    let cases = [
        (
            "allowed",
            allowed,
            "127.0.0.1",
            "127.0.0.2",
            USER,
            "",
            200,
            "127.0.0.2",
        ),
        (
            "allowed, without a credential",
            allowed,
            "127.0.0.1",
            "127.0.0.2",
            wrong,
            "",
            401,
            "",
        ),
        (
            "another address",
            allowed,
            "127.0.0.1",
            "127.0.0.3",
            USER,
            "",
            403,
            "",
        ),
        (
            "another address without a credential",
            allowed,
            "127.0.0.1",
            "127.0.0.3",
            wrong,
            "",
            403,
            "",
        ),
        (
            "a header of an untrusted peer",
            allowed,
            "127.0.0.1",
            "127.0.0.3",
            USER,
            "X-Forwarded-For: 127.0.0.2\r\n",
            403,
            "",
        ),
        ("IPv6", allowed, "[::]", "::1", USER, "", 200, "::1"),
        (
            "IPv4 mapped into IPv6",
            allowed,
            "[::]",
            "127.0.0.2",
            USER,
            "",
            200,
            "127.0.0.2",
        ),
        (
            "another one mapped",
            allowed,
            "[::]",
            "127.0.0.3",
            USER,
            "",
            403,
            "",
        ),
        (
            "through a trusted proxy",
            proxied,
            "127.0.0.1",
            "127.0.0.2",
            USER,
            forwarded,
            200,
            "192.0.2.7",
        ),
        (
            "mapped, through a trusted proxy",
            proxied,
            "127.0.0.1",
            "127.0.0.2",
            USER,
            mapped,
            200,
            "192.0.2.7",
        ),
        (
            "spoofed through a trusted proxy",
            proxied,
            "127.0.0.1",
            "127.0.0.2",
            USER,
            spoofed,
            403,
            "",
        ),
        (
            "through an untrusted proxy",
            proxied,
            "127.0.0.1",
            "127.0.0.3",
            USER,
            forwarded,
            403,
            "",
        ),
        (
            "garbled by a trusted proxy",
            proxied,
            "127.0.0.1",
            "127.0.0.2",
            USER,
            garbled,
            403,
            "",
        ),
    ];
    for (name, config, listen, source, key, headers, status, told) in cases {
        let backend = Backend::start();
        let proxy = Proxy::listening(&backend, &format!("{listen}:0"), config);
        let source: std::net::IpAddr = source.parse().unwrap();
        let target = if source.is_ipv4() { "127.0.0.1" } else { "::1" };
        let address = std::net::SocketAddr::new(target.parse().unwrap(), proxy.address.port());
        let answer = Client::connect_from(source, address).exchange(get(key, headers));
        assert_eq!(answer.status, status, "{name}");
        let heads = backend.heads();
        assert_eq!(heads.len(), usize::from(status == 200), "{name}");
        for head in heads {
            assert!(
                head.contains(&format!("\r\nx-real-ip: {told}\r\n")),
                "{name}: {head}"
            );
            assert!(
                head.contains(&format!("\r\nx-forwarded-for: {told}\r\n")),
                "{name}: {head}"
            );
        }
    }
}

#[test]
fn s6_https_before_a_trusted_proxy_is_told_on() {
    let config = "network: {trustedProxies: [127.0.0.2/32]}\n";
    let cases = [("127.0.0.2", "https"), ("127.0.0.3", "http")];
    for (source, protocol) in cases {
        let backend = Backend::start();
        let proxy = Proxy::configured(&backend, config);
        let mut client = Client::connect_from(source.parse().unwrap(), proxy.address);
        assert_eq!(
            client.exchange(get(USER, "X-Forwarded-Proto: https\r\n")).status,
            200
        );
        assert!(
            backend.heads()[0].contains(&format!("\r\nx-forwarded-proto: {protocol}\r\n")),
            "{source}"
        );
    }
}
