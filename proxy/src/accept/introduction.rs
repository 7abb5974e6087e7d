//! The PROXY protocol (HAProxy, doc/proxy-protocol.txt, versions 1 and 2): before anything else, TLS too, a proxy says
//! whose connection it passes on.

use std::io;
use std::net::IpAddr;

use ppp::HeaderResult;
use ppp::v2::PROTOCOL_PREFIX;
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";
/// Most bytes of version 1, whose end is a line's (section 2.1).
const MOST_LINE: usize = 107;
/// Bytes of version 2 before its addresses (section 2.2).
const HEAD: usize = 16;
/// Most bytes of version 2 behind that: addresses, and what proxies add to them.
const MOST_REST: usize = 2048;

/// Reads what a proxy says, and not a byte more. None where it speaks for itself, or knows no address.
///
/// # Errors
/// The connection breaks, or what comes isn't the PROXY protocol.
pub(super) async fn introduced(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let header = read(stream).await?;
    client(&header).ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

/// Both versions are longer than what tells them apart.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; PROTOCOL_PREFIX.len()];
    stream.read_exact(&mut header).await?;
    if header == PROTOCOL_PREFIX {
        read_rest(stream, &mut header).await?;
    } else if header.starts_with(WORD) {
        read_line(stream, &mut header).await?;
    } else {
        return Err(malformed());
    }
    Ok(header)
}

async fn read_rest(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> io::Result<()> {
    let prefix = header.len();
    header.resize(HEAD, 0);
    stream.read_exact(&mut header[prefix..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[HEAD - 2], header[HEAD - 1]]));
    if rest > MOST_REST {
        return Err(malformed());
    }
    header.resize(HEAD + rest, 0);
    stream.read_exact(&mut header[HEAD..]).await?;
    Ok(())
}

/// Byte by byte: what stands behind the line is the client's.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> io::Result<()> {
    while !header.ends_with(b"\n") {
        if header.len() == MOST_LINE {
            return Err(malformed());
        }
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

/// None where the header is malformed.
fn client(header: &[u8]) -> Option<Option<IpAddr>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(line) => Some(match line.ok()?.addresses {
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(header) => {
            let v2::Header {
                command, addresses, ..
            } = header.ok()?;
            Some(match (command, addresses) {
                (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
                (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
                (v2::Command::Local, _) | (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    /// What a header says; "nobody" and "malformed" beside addresses.
    #[tokio::test]
    async fn a_header_says_who_calls_and_ends_where_the_client_begins() {
        const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x2b, 0x7e];
        let v6: Vec<u8> = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[7], &[0; 20]].concat();
        let added = [&V4[..], &[0x04, 0, 100], &[0; 100]].concat();
        let long = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16)).into_bytes();
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            (
                "1, IPv4",
                b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 11434\r\n".into(),
                "192.0.2.7",
            ),
            (
                "1, IPv6",
                b"PROXY TCP6 2001:db8::7 ::1 12345 11434\r\n".into(),
                "2001:db8::7",
            ),
            ("1, unknown", b"PROXY UNKNOWN\r\n".into(), "nobody"),
            ("1, unknown with more", long(MOST_LINE), "nobody"),
            ("1, too long", long(MOST_LINE + 1), "malformed"),
            ("1, without an end", vec![b'P'; 4000], "malformed"),
            (
                "1, a bare line feed",
                b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n".into(),
                "malformed",
            ),
            (
                "1, no address",
                b"PROXY TCP4 192.0.2.999 10.0.0.1 1 2\r\n".into(),
                "malformed",
            ),
            (
                "1, the other family",
                b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n".into(),
                "malformed",
            ),
            (
                "1, no port",
                b"PROXY TCP4 192.0.2.7 10.0.0.1\r\n".into(),
                "malformed",
            ),
            (
                "1, in small letters",
                b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n".into(),
                "malformed",
            ),
            ("2, IPv4", binary(0x21, 0x11, &V4), "192.0.2.7"),
            ("2, IPv6", binary(0x21, 0x21, &v6), "2001:db8::7"),
            ("2, with more", binary(0x21, 0x11, &added), "192.0.2.7"),
            ("2, local", binary(0x20, 0x00, &[]), "nobody"),
            ("2, local with addresses", binary(0x20, 0x11, &V4), "nobody"),
            ("2, unspecified", binary(0x21, 0x00, &[]), "nobody"),
            ("2, a Unix socket", binary(0x21, 0x31, &[0; 216]), "nobody"),
            ("2, another version", binary(0x11, 0x11, &V4), "malformed"),
            ("2, another command", binary(0x22, 0x11, &V4), "malformed"),
            ("2, another family", binary(0x21, 0x41, &V4), "malformed"),
            (
                "2, too few bytes for addresses",
                binary(0x21, 0x11, &V4[..8]),
                "malformed",
            ),
            (
                "2, too much",
                binary(0x21, 0x11, &[0; MOST_REST + 1]),
                "malformed",
            ),
            ("2, cut off", binary(0x21, 0x11, &V4)[..20].into(), "malformed"),
            ("HTTP", b"GET /api/tags HTTP/1.1\r\n\r\n".into(), "malformed"),
            ("nothing", Vec::new(), "malformed"),
        ];
        for (name, header, expected) in cases {
            let rest = if expected == "malformed" { "" } else { "GET" };
            let sent = [&header[..], rest.as_bytes()].concat();
            let mut stream = &sent[..];
            let said = match introduced(&mut stream).await {
                Ok(Some(address)) => address.to_string(),
                Ok(None) => "nobody".to_owned(),
                Err(_) => "malformed".to_owned(),
            };
            assert_eq!(said, expected, "{name}");
            assert!(said == "malformed" || stream == b"GET", "{name}: {stream:?}");
        }
    }
}
