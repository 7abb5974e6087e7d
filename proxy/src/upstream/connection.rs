//! A connection to an Ollama, driven by whoever waits for the answer: no task, channel or buffer of its own.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::Method;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use super::ExchangeError;
use super::head::{Framing, Head, parse};
use super::upload::Upload;

/// The most bytes that are read at once. They lie on the stack, and what has come of them moves on: a stream that waits
/// holds no buffer.
const MOST_READ: usize = 16 << 10;

/// A connection. Dropping it closes it, whatever is under way on it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// What was read and nobody has taken yet.
    read: Bytes,
    /// The request that is on its way out.
    upload: Option<Box<Upload>>,
}

impl Connection {
    /// Over what is connected.
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            read: Bytes::new(),
            upload: None,
        }
    }

    /// Whether the upstream has left it open and silent. Asks the runtime, not the system.
    pub(super) fn is_open(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.stream.poll_read_ready(&mut context).is_pending()
    }

    /// Whether all of the request is written, and nothing was read beyond the response.
    pub(super) const fn is_through(&self) -> bool {
        self.upload.is_none() && self.read.is_empty()
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// The exchange broke; with the request, where that may be sent again on another connection.
    pub(super) async fn exchange(
        &mut self,
        request: Box<Upload>,
    ) -> Result<Head, (ExchangeError, Option<Box<Upload>>)> {
        let method = request.method().clone();
        self.upload = Some(request);
        let head = poll_fn(|context| {
            self.poll_upload(context)?;
            self.poll_head(&method, context)
        })
        .await;
        match head {
            Ok(head) => {
                self.forget_upload_when_complete();
                Ok(head)
            }
            Err(error) => {
                let unanswered = error.is_of_connection() && self.read.is_empty();
                let again = self.upload.take().filter(|_| unanswered).and_then(Upload::again);
                Err((error, again))
            }
        }
    }

    /// The next piece of the response's body; none at its end.
    ///
    /// # Errors
    /// The exchange broke.
    pub(super) fn poll_content(
        &mut self,
        framing: &mut Framing,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, ExchangeError>> {
        self.poll_upload(context)?;
        self.forget_upload_when_complete();
        loop {
            if let Some(piece) = framing.next(&mut self.read)? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if framing.is_ended() {
                return Poll::Ready(Ok(None));
            }
            if ready!(self.poll_read(context))? == 0 {
                return Poll::Ready(framing.close().map(|()| None));
            }
        }
    }

    /// Goes on with the request, as far as that goes. An upstream that takes no more of it may still answer.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), ExchangeError> {
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        match upload.poll(&mut self.stream, context) {
            Poll::Ready(Err(error)) if !error.is_of_connection() => Err(error),
            _ => Ok(()),
        }
    }

    fn forget_upload_when_complete(&mut self) {
        if self.upload.as_ref().is_some_and(|upload| upload.is_complete()) {
            self.upload = None;
        }
    }

    fn poll_head(&mut self, method: &Method, context: &mut Context<'_>) -> Poll<Result<Head, ExchangeError>> {
        loop {
            if !self.read.is_empty()
                && let Some((head, length)) = parse(&self.read, method)?
            {
                self.read.advance(length);
                if !head.response.status().is_informational() {
                    return Poll::Ready(Ok(head));
                }
            } else if ready!(self.poll_read(context))? == 0 {
                return Poll::Ready(Err(ExchangeError::Closed));
            }
        }
    }

    /// Reads what is there; nothing at the connection's end.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, ExchangeError>> {
        let mut space = [const { MaybeUninit::uninit() }; MOST_READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)).map_err(ExchangeError::Io)?;
        let found = buffer.filled();
        self.read = if self.read.is_empty() {
            Bytes::copy_from_slice(found)
        } else {
            [&self.read, found].concat().into()
        };
        Poll::Ready(Ok(found.len()))
    }
}
