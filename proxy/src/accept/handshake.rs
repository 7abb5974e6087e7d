//! From an accepted connection to one that HTTP can be read from.

use std::io;

use http::StatusCode;
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::close::linger;
use super::transport::Transport;
use crate::tls;

/// The first byte of every TLS connection: a record of type handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What every client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What came of a handshake.
pub(super) enum Opened {
    /// HTTP may begin.
    Transport(Transport, Protocol),
    /// The client speaks HTTP without TLS.
    PlainHttp(TcpStream),
}

/// Waits for the client's part of the handshake, or without TLS for its first bytes; the caller limits the time.
pub(super) async fn open(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Opened> {
    let Some(tls) = tls else {
        let protocol = spoken(&stream).await?;
        return Ok(Opened::Transport(Transport::Plain(stream), protocol));
    };
    let mut first = [0];
    stream.peek(&mut first).await?;
    // A method is a word in letters; anything else gets TLS' own answer.
    if first[0] != HANDSHAKE && first[0].is_ascii_alphabetic() {
        return Ok(Opened::PlainHttp(stream));
    }
    let stream = tls.accept(stream).await?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(tls::HTTP2) => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok(Opened::Transport(Transport::Tls(Box::new(stream)), protocol))
}

/// Tells by the first bytes, which stay unread, what a client speaks without having said so before ("prior knowledge",
/// RFC 9113, section 3.3).
async fn spoken(stream: &TcpStream) -> io::Result<Protocol> {
    let mut first = [0; PREFACE.len()];
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        let looked = stream.try_io(Interest::READABLE, || {
            let (_, come) = recv(stream, &mut first, RecvFlags::PEEK)?;
            // What is too little to tell must come again as news: it stays unread.
            protocol_of(&first[..come]).ok_or(io::ErrorKind::WouldBlock.into())
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if ready.is_read_closed() {
                    return Ok(Protocol::Http1);
                }
            }
            told => return told,
        }
    }
}

/// None while it could become either.
fn protocol_of(first: &[u8]) -> Option<Protocol> {
    if first == PREFACE {
        Some(Protocol::Http2)
    } else if PREFACE.starts_with(first) && !first.is_empty() {
        None
    } else {
        Some(Protocol::Http1)
    }
}

/// Says what is wrong, in the one language that such a client understands. Says which status that was.
pub(super) async fn refuse_plain_http(mut stream: TcpStream) -> StatusCode {
    const BODY: &str = "{\"error\":\"this port speaks HTTPS: call it as https://\"}\n";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        linger(Transport::Plain(stream)).await;
    }
    StatusCode::BAD_REQUEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        let cases: &[(&[u8], Option<Protocol>)] = &[
            (b"", Some(Protocol::Http1)),
            (b"G", Some(Protocol::Http1)),
            (b"P", None),
            (b"POST", Some(Protocol::Http1)),
            (b"PRI", None),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (PREFACE, Some(Protocol::Http2)),
            (b"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", Some(Protocol::Http1)),
        ];
        for (first, protocol) in cases {
            assert_eq!(protocol_of(first), *protocol, "{first:?}");
        }
    }
}
