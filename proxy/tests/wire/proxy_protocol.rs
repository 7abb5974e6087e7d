//! The PROXY protocol: whom it is taken from, and what it says.

use std::fs;
use std::io::{BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::backend::Backend;
use crate::client::{Client, stream_from};
use crate::proxy::{Proxy, SOON, get, within};
use crate::tls::{Pair, Secure, pair, status, trusting};

/// The address that is a proxy's here.
const BALANCER: &str = "127.0.0.2";
const CONFIG: &str = "network: {trustedProxies: [127.0.0.2/32, 198.51.100.0/24], proxyProtocol: true}\n";

fn connect(proxy: &Proxy, source: &str) -> Client {
    Client::connect_from(source.parse::<IpAddr>().unwrap(), proxy.address)
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, rest].concat()
}

fn v4(source: [u8; 4]) -> Vec<u8> {
    binary(
        0x21,
        0x11,
        &[&source[..], &[10, 0, 0, 1, 0x30, 0x39, 0x2b, 0x7e]].concat(),
    )
}

/// A request whose client claims another address.
fn claiming() -> String {
    get("/api/tags").replace(
        "Host:",
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nHost:",
    )
}

#[test]
fn the_client_is_whom_a_trusted_proxy_introduces() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, CONFIG);
    let v6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[7], &[0; 20]].concat();
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    // What the proxy says, and the address that Ollama is told; what the client itself claims counts only where the one
    // introduced is a proxy too.
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "1, IPv4",
            line("TCP4 192.0.2.7 10.0.0.1 12345 11434"),
            "192.0.2.7",
        ),
        ("1, IPv6", line("TCP6 2001:db8::7 ::1 12345 11434"), "2001:db8::7"),
        ("1, unknown", line("UNKNOWN"), BALANCER),
        ("2, IPv4", v4([192, 0, 2, 7]), "192.0.2.7"),
        ("2, IPv6", binary(0x21, 0x21, &v6), "2001:db8::7"),
        (
            "2, mapped IPv4",
            binary(
                0x21,
                0x21,
                &[&[0; 10][..], &[255, 255, 192, 0, 2, 7], &[0; 20]].concat(),
            ),
            "192.0.2.7",
        ),
        ("2, its own health check", binary(0x20, 0x00, &[]), BALANCER),
        ("2, unspecified", binary(0x21, 0x00, &[]), BALANCER),
        ("2, another trusted proxy", v4([198, 51, 100, 1]), "203.0.113.9"),
    ];
    for (name, header, address) in cases {
        let mut client = connect(&proxy, BALANCER);
        client.send([&header[..], claiming().as_bytes()].concat());
        assert_eq!(client.answer().unwrap().status, 200, "{name}");
        let head = backend.heads().pop().unwrap();
        let protocol = if address == "203.0.113.9" { "https" } else { "http" };
        for expected in [
            format!("x-forwarded-for: {address}"),
            format!("x-forwarded-proto: {protocol}"),
        ] {
            assert!(head.contains(&format!("\r\n{expected}\r\n")), "{name}: {head}");
        }
        assert_eq!(
            client.exchange(get("/api/tags")).status,
            200,
            "{name}: the connection goes on"
        );
    }
}

#[test]
fn a_trusted_proxy_that_introduces_nobody_is_not_served() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, CONFIG);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a request at once", get("/api/tags").into_bytes()),
        ("a line without an end", [&b"PROXY "[..], &[b'x'; 200]].concat()),
        ("no address", b"PROXY TCP4 here there 1 2\r\n".to_vec()),
        ("too many bytes", binary(0x21, 0x11, &[0; 4000])),
        ("another version", binary(0x31, 0x11, &[0; 12])),
    ];
    for (name, sent) in cases {
        let mut client = connect(&proxy, BALANCER);
        let _ = client.try_send(&[&sent[..], get("/api/tags").as_bytes()].concat());
        assert!(client.is_closed(), "{name}");
    }
    assert_eq!(backend.lines().len(), 0);
    within(SOON, "a line that says why", || {
        proxy.output().contains("PROXY protocol")
    });
}

#[test]
fn nobody_else_may_introduce_anybody() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, CONFIG);
    for header in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        v4([192, 0, 2, 7]),
    ] {
        let mut client = connect(&proxy, "127.0.0.3");
        let _ = client.try_send(&[&header[..], get("/api/tags").as_bytes()].concat());
        assert_eq!(client.answer().map(|answer| answer.status), Some(400));
        assert!(client.is_closed());
    }
    assert_eq!(backend.lines().len(), 0);
    assert_eq!(
        connect(&proxy, "127.0.0.3").exchange(get("/api/tags")).status,
        200
    );
    let off = Proxy::configured(&backend, "network: {trustedProxies: [127.0.0.2/32]}\n");
    let mut client = connect(&off, BALANCER);
    client.send([&v4([192, 0, 2, 7])[..], get("/api/tags").as_bytes()].concat());
    assert_eq!(
        client.answer().map(|answer| answer.status),
        Some(400),
        "it is off"
    );
}

#[test]
fn address_rules_are_about_the_client_that_is_introduced() {
    let config =
        "network: {allowedCIDRs: [192.0.2.0/24], trustedProxies: [127.0.0.2/32], proxyProtocol: true}\n";
    let proxy = Proxy::configured(&Backend::start(), config);
    for (source, status) in [([192, 0, 2, 7], 200), ([203, 0, 113, 9], 403)] {
        let mut client = connect(&proxy, BALANCER);
        client.send([&v4(source)[..], get("/api/tags").as_bytes()].concat());
        assert_eq!(client.answer().unwrap().status, status, "{source:?}");
    }
}

/// A handshake with this before it, in one piece or in two.
fn secure(proxy: &Proxy, own: &Pair, before: &[u8], in_one: bool) -> Secure {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(trusting(&[own]), name).unwrap();
    let mut stream = stream_from(BALANCER.parse().unwrap(), proxy.address);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut first = before.to_vec();
    if in_one {
        connection.write_tls(&mut first).unwrap();
    }
    stream.write_all(&first).unwrap();
    BufReader::new(StreamOwned::new(connection, stream))
}

#[test]
fn the_introduction_stands_before_the_handshake() {
    let (own, files) = (pair(), tempfile::tempdir().unwrap());
    let path = |name: &str| files.path().join(name).display().to_string();
    fs::write(path("crt"), &own.certificate).unwrap();
    fs::write(path("key"), &own.key).unwrap();
    let tls = format!("tls: {{certFile: {}, keyFile: {}}}\n", path("crt"), path("key"));
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, &format!("{CONFIG}{tls}"));
    let line = "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n";
    for (name, header) in [("1", line.into()), ("2", v4([192, 0, 2, 7]))] {
        for in_one in [true, false] {
            let mut client = secure(&proxy, &own, &header, in_one);
            assert_eq!(status(&mut client, &claiming()).unwrap(), 200, "{name} {in_one}");
            let head = backend.heads().pop().unwrap();
            for expected in ["x-forwarded-for: 192.0.2.7", "x-forwarded-proto: https"] {
                assert!(head.contains(&format!("\r\n{expected}\r\n")), "{name}: {head}");
            }
            let late = status(&mut client, &format!("{line}{}", claiming())).ok();
            assert!(
                late.is_none_or(|status| status == 400),
                "{name}: within TLS it is no introduction"
            );
        }
    }
    let arrived = backend.lines().len();
    assert!(
        status(&mut secure(&proxy, &own, b"", true), &claiming()).is_err(),
        "nobody is introduced"
    );
    assert_eq!(backend.lines().len(), arrived);
}

/// Ended when dropped.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// HAProxy before the proxy, which it calls from [`BALANCER`]'s address with this option; where it listens.
fn haproxy(folder: &Path, proxy: &Proxy, option: &str) -> (Haproxy, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
         frontend in\n  bind {free}\n  default_backend out\n\
         backend out\n  source {BALANCER}\n  server proxy {} {option}\n",
        proxy.address
    );
    let path = folder.join("haproxy.cfg");
    fs::write(&path, config).unwrap();
    let mut command = Command::new("haproxy");
    command
        .args(["-db", "-f"])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let haproxy = Haproxy(command.spawn().unwrap());
    within(SOON, "HAProxy listens", || {
        std::net::TcpStream::connect(free).is_ok()
    });
    (haproxy, free)
}

#[test]
fn haproxy_is_understood() {
    if Command::new("haproxy").arg("-v").output().is_err() {
        println!("left out: there is no haproxy on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, CONFIG);
    for option in [
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    ] {
        let (_haproxy, address) = haproxy(folder.path(), &proxy, option);
        let mut client = Client::connect(address);
        assert_eq!(client.exchange(claiming()).status, 200, "{option}");
        let head = backend.heads().pop().unwrap();
        assert!(
            head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
            "{option}: {head}"
        );
    }
}
