//! The end of a connection.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::transport::Transport;
use crate::peer::Peer;

/// How long a closed connection is still read, so that what the client is just sending doesn't make its system throw
/// the answer away (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// Closes at once, unless the client may still be sending: then its system would throw an answer away that it hasn't
/// read yet.
pub(super) async fn close(transport: Transport, served: hyper::Result<()>, peer: &Peer) {
    let mut is_sending = peer.was_refused_while_sending();
    if let Err(error) = served {
        tracing::debug!(%error, peer = %peer.address, "a connection ended early");
        if peer.reads_to_close() && transport.tcp().set_zero_linger().is_ok() {
            return;
        }
        is_sending = true;
    }
    if is_sending || transport.tcp().try_read(&mut [0]).is_ok_and(|read| read > 0) {
        linger(transport).await;
    } else if transport.is_secure() {
        let mut transport = transport;
        let _ = tokio::time::timeout(LINGER, transport.shutdown()).await;
    }
}

/// Closes the one direction and reads on in the other for a while.
pub(super) async fn linger(mut transport: Transport) {
    let ending = async {
        transport.shutdown().await?;
        discard(transport.tcp()).await
    };
    let _ = tokio::time::timeout(LINGER, ending).await;
}

async fn discard(stream: &TcpStream) -> io::Result<()> {
    // Not within the future, which every connection has room for from its begin.
    let mut discarded = vec![0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut discarded) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
