//! A request on its way out (RFC 9112, sections 3 to 7): its head, and its body as it comes.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};
use http_body::Body;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::ExchangeError;

/// Bytes of most heads.
const MOST_HEADS: usize = 512;
/// What follows a chunk's data.
const CHUNK_END: &[u8] = b"\r\n";
/// What follows the data of all chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// What follows a chunk's data after which there is no other.
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";

/// What ends an upload early.
pub type UploadError = Box<dyn Error + Send + Sync>;
/// Any body of a request.
pub(super) type AnyBody = dyn Body<Data = Bytes, Error = UploadError> + Send + Unpin;

/// A request, and how much of it is written.
pub struct Upload<B: ?Sized = AnyBody> {
    method: Method,
    /// The head, and what frames the body's pieces.
    text: Vec<u8>,
    /// How much of the text is written.
    written: usize,
    /// What of the body comes after the text.
    piece: Bytes,
    /// What comes after the piece.
    tail: &'static [u8],
    framing: Framing,
    has_begun: bool,
    has_waited: bool,
    may_repeat: bool,
    /// Whether nothing more comes of the body.
    is_read: bool,
    body: B,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

/// Without what is sent.
impl<B: ?Sized> fmt::Debug for Upload<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upload")
            .field("method", &self.method)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

impl<B: Body> Upload<B> {
    /// A request of HTTP/1.1, boxed, since it goes from hand to hand. The fields say nothing of how its body is framed: that
    /// follows from the body.
    pub fn new<'fields>(
        method: &Method,
        target: &PathAndQuery,
        fields: impl IntoIterator<Item = (&'fields HeaderName, &'fields HeaderValue)>,
        body: B,
    ) -> Box<Self> {
        let framing = body.size_hint().exact().map_or(Framing::Chunked, Framing::Length);
        let is_read = matches!(framing, Framing::Length(0));
        let mut text = Vec::with_capacity(MOST_HEADS);
        for part in [method.as_str(), " ", target.as_str(), " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        for (name, value) in fields {
            add_field(&mut text, name, value.as_bytes());
        }
        match framing {
            Framing::Length(0) if method.is_safe() => {}
            Framing::Length(length) => add_field(&mut text, &CONTENT_LENGTH, length.to_string().as_bytes()),
            Framing::Chunked => add_field(&mut text, &TRANSFER_ENCODING, b"chunked"),
        }
        text.extend_from_slice(b"\r\n");
        Box::new(Self {
            text,
            written: 0,
            piece: Bytes::new(),
            tail: &[],
            may_repeat: is_read && method.is_safe(),
            framing,
            has_begun: false,
            has_waited: false,
            method: method.clone(),
            is_read,
            body,
        })
    }
}

impl Upload {
    /// What is asked for decides whether the response has a body.
    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    /// The same once more, on another connection. None where the upstream may have begun to do what it says (RFC 9110,
    /// section 9.2.2).
    pub(super) fn again(mut self: Box<Self>) -> Option<Box<Self>> {
        if self.has_begun && !self.may_repeat {
            return None;
        }
        self.has_begun = false;
        self.written = 0;
        Some(self)
    }

    /// Whether all of it is written.
    pub(super) fn is_complete(&self) -> bool {
        self.is_read && !self.has_more_to_write()
    }

    const fn has_more_to_write(&self) -> bool {
        self.written < self.text.len() || !self.piece.is_empty() || !self.tail.is_empty()
    }

    /// Writes what there is. The head waits for the first piece of a body that is already there, so that both go out in
    /// one packet.
    ///
    /// # Errors
    /// The body breaks, or the connection does.
    pub(super) fn poll(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ExchangeError>> {
        loop {
            let waits = self.piece.is_empty() && self.poll_piece(context)?.is_pending();
            if waits && !self.has_waited {
                self.has_waited = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            while self.has_more_to_write() {
                ready!(self.poll_write(stream, context)).map_err(ExchangeError::Io)?;
            }
            if self.is_read {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// Makes the next piece of the body the one to write.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        while !self.is_read {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let is_last = self.body.is_end_stream();
            let Some(frame) = frame.transpose().map_err(ExchangeError::Upload)? else {
                self.end()?;
                break;
            };
            // Trailers end here, as in all bodies that come from clients.
            let piece = frame.into_data().unwrap_or_default();
            if !piece.is_empty() {
                self.begin_piece(piece, is_last)?;
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn begin_piece(&mut self, piece: Bytes, is_last: bool) -> Result<(), ExchangeError> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left
                    .checked_sub(piece.len() as u64)
                    .ok_or(ExchangeError::UploadLength)?;
                if *left == 0 {
                    self.is_read = true;
                }
            }
            Framing::Chunked => {
                self.forget_what_is_written();
                write!(self.text, "{:x}\r\n", piece.len()).map_err(ExchangeError::Io)?;
                self.tail = if is_last { LAST_CHUNK_END } else { CHUNK_END };
                if is_last {
                    self.is_read = true;
                }
            }
        }
        self.piece = piece;
        Ok(())
    }

    fn end(&mut self) -> Result<(), ExchangeError> {
        self.is_read = true;
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => return Err(ExchangeError::UploadLength),
            Framing::Chunked => self.tail = LAST_CHUNK,
        }
        Ok(())
    }

    fn forget_what_is_written(&mut self) {
        if self.written == self.text.len() {
            self.text.clear();
            self.written = 0;
        }
    }

    fn poll_write(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let text = &self.text[self.written..];
        let stream = Pin::new(stream);
        let length = if self.piece.is_empty() && self.tail.is_empty() {
            // Costs the system less.
            ready!(stream.poll_write(context, text))?
        } else {
            let parts = [text, &self.piece, self.tail].map(IoSlice::new);
            ready!(stream.poll_write_vectored(context, &parts))?
        };
        if length == 0 {
            return Poll::Ready(Err(ErrorKind::WriteZero.into()));
        }
        let of_text = length.min(text.len());
        let of_piece = (length - of_text).min(self.piece.len());
        self.has_begun = true;
        self.written += of_text;
        self.piece.advance(of_piece);
        self.tail = &self.tail[length - of_text - of_piece..];
        Poll::Ready(Ok(()))
    }
}

fn add_field(text: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        text.extend_from_slice(part);
    }
}
