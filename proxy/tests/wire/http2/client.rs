//! A client of HTTP/2 that keeps the rules.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::client::MOMENT;
use crate::proxy::{SOON, USER};

/// A connection.
pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A request that has been sent, up to its body.
pub(crate) struct Stream {
    response: h2::client::ResponseFuture,
    pub(crate) upload: SendStream<Bytes>,
}

/// The head of an answer, and its body to come.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: RecvStream,
}

/// A request of a client of [`crate::proxy`] for a path.
pub(crate) fn request(method: &str, path: &str, key: &str) -> Request<()> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://ollama{path}"));
    request.header("x-api-key", key).body(()).unwrap()
}

/// A request of [`USER`] without a body.
pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path, USER)
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        Self {
            sender,
            connection: tokio::spawn(connection),
        }
    }

    /// Sends a request whose body is still to come.
    pub(crate) async fn begin(&mut self, request: Request<()>) -> Stream {
        self.send(request, false).await.expect("a stream")
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&mut self, request: Request<()>) -> Stream {
        self.send(request, true).await.expect("a stream")
    }

    async fn send(&mut self, request: Request<()>, is_all: bool) -> Result<Stream, h2::Error> {
        futures::future::poll_fn(|context| self.sender.poll_ready(context)).await?;
        let (response, upload) = self.sender.send_request(request, is_all)?;
        Ok(Stream { response, upload })
    }

    /// Sends a request with this body and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: Request<()>, body: &'static str) -> (u16, String) {
        let stream = if body.is_empty() {
            self.ask(request).await
        } else {
            let mut stream = self.begin(request).await;
            stream
                .upload
                .send_data(Bytes::from_static(body.as_bytes()), true)
                .unwrap();
            stream
        };
        let mut answer = stream.answer().await;
        let body = answer.rest().await.expect("a whole body");
        (answer.status, body)
    }

    /// Waits for the end of the connection, which is a good one.
    pub(crate) async fn ended(self) {
        let Self { sender, connection } = self;
        let ended = tokio::time::timeout(SOON, connection).await;
        ended
            .expect("the connection ends")
            .unwrap()
            .expect("it ends well");
        drop(sender);
    }
}

impl Stream {
    /// The head of the answer.
    pub(crate) async fn answer(self) -> Answer {
        let response = tokio::time::timeout(SOON, self.response)
            .await
            .expect("an answer");
        let (head, body) = response.unwrap().into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }
}

impl Answer {
    /// The next piece of the body; none at its end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<String, Option<Reason>>> {
        let next = tokio::time::timeout(SOON, self.body.data())
            .await
            .expect("a chunk");
        Some(match next? {
            Ok(data) => {
                self.body.flow_control().release_capacity(data.len()).unwrap();
                Ok(String::from_utf8(data.to_vec()).unwrap())
            }
            Err(error) => Err(error.reason()),
        })
    }

    /// The body up to its end; why it was broken off, else.
    pub(crate) async fn rest(&mut self) -> Result<String, Option<Reason>> {
        let mut all = String::new();
        while let Some(chunk) = self.chunk().await {
            all.push_str(&chunk?);
        }
        Ok(all)
    }

    /// Whether nothing comes for a moment.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(MOMENT, self.body.data()).await.is_err()
    }
}
