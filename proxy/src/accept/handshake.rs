//! From an accepted connection to one that HTTP can be read from.

use std::io;

use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::close::linger;
use super::transport::Transport;

/// The first byte of every TLS connection: a record of type handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What came of a handshake.
pub(super) enum Opened {
    /// HTTP may begin.
    Transport(Transport),
    /// The client speaks HTTP without TLS.
    PlainHttp(TcpStream),
}

/// Waits for the client's part of the handshake; the caller limits the time.
pub(super) async fn open(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Opened> {
    let Some(tls) = tls else {
        return Ok(Opened::Transport(Transport::Plain(stream)));
    };
    let mut first = [0];
    stream.peek(&mut first).await?;
    // A method is a word in letters; anything else gets TLS' own answer.
    if first[0] != HANDSHAKE && first[0].is_ascii_alphabetic() {
        return Ok(Opened::PlainHttp(stream));
    }
    let stream = tls.accept(stream).await?;
    Ok(Opened::Transport(Transport::Tls(Box::new(stream))))
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
