//! The response of an upstream: the same however its bytes are cut, and never read otherwise than hyper's client reads it.

use bytes::Bytes;
use corral_proxy::upstream::head::{Framing, Head, parse};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const METHODS: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];
const MOST_IN_FLIGHT: usize = 1 << 20;

/// Status, fields, body, and whether that is the whole of it.
type Read = (u16, Vec<(String, Vec<u8>)>, Vec<u8>, bool);

/// The method, and what comes on the connection until that ends.
pub(crate) fn check(data: &[u8]) {
    let (number, response) = super::variant(data);
    let method = &METHODS[number % METHODS.len()];
    let whole = read(method, [response]);
    assert_eq!(read(method, response.chunks(1)), whole, "byte by byte");
    assert_eq!(read(method, response.chunks(7)), whole, "seven bytes at a time");
    let Some(whole) = whole else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(mut theirs) = runtime.block_on(read_by_hyper(method, response)) {
        if has_trailers(method, response) {
            theirs.3 = whole.3;
        }
        assert_eq!(whole, theirs, "as hyper reads it");
    }
}

/// Whether trailers follow the last chunk: hyper reads them and may find a fault there; here nobody does.
fn has_trailers(method: &Method, response: &[u8]) -> bool {
    let mut body = Bytes::copy_from_slice(response);
    let Some(Some(Head {
        framing: Framing::Chunked(_),
        ..
    })) = final_head(&mut body, method)
    else {
        return false;
    };
    let mut rest = &body[..];
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = str::from_utf8(&rest[..digits]).map(|digits| usize::from_str_radix(digits, 16));
        let after = &rest[end + 2..];
        rest = match size {
            Ok(Ok(0)) => return !after.starts_with(b"\r\n"),
            Ok(Ok(size)) => size
                .checked_add(2)
                .and_then(|whole| after.get(whole..))
                .unwrap_or_default(),
            _ => return false,
        };
    }
    false
}

fn read<'pieces>(method: &Method, pieces: impl IntoIterator<Item = &'pieces [u8]>) -> Option<Read> {
    let mut read = Bytes::new();
    let mut response = None;
    let mut body = Vec::new();
    for piece in pieces {
        read = [&read, piece].concat().into();
        if response.is_none() {
            response = final_head(&mut read, method)?;
        }
        let Some(Head { framing, .. }) = &mut response else {
            continue;
        };
        loop {
            match framing.next(&mut read) {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(_) => return Some(seen(&response?.response, body, false)),
            }
        }
    }
    let Head {
        response,
        mut framing,
        ..
    } = response?;
    let is_whole = framing.is_ended() || framing.close().is_ok();
    assert!(!is_whole || matches!(framing.left(), Some(0) | None));
    Some(seen(&response, body, is_whole))
}

/// The head after the interim ones; nothing at all if it is none.
#[expect(clippy::option_option, reason = "no head, or not yet")]
fn final_head(read: &mut Bytes, method: &Method) -> Option<Option<Head>> {
    while let Some((head, length)) = parse(read, method).ok()? {
        let _ = read.split_to(length);
        if !head.response.status().is_informational() {
            return Some(Some(head));
        }
        assert!(
            matches!(head.framing, Framing::Length(0)),
            "an interim response has no body"
        );
    }
    Some(None)
}

fn seen<B>(response: &Response<B>, body: Vec<u8>, is_whole: bool) -> Read {
    (
        response.status().as_u16(),
        fields(response.headers()),
        body,
        is_whole,
    )
}

fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect()
}

async fn read_by_hyper(method: &Method, response: &[u8]) -> Option<Read> {
    let (near, far) = duplex(MOST_IN_FLIGHT);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near))
        .await
        .ok()?;
    let request = Request::builder().method(method).uri("/").header("host", "a");
    let request = request.body(Empty::<Bytes>::new()).ok()?;
    let exchange = async {
        let (head, mut incoming) = sender.send_request(request).await.ok()?.into_parts();
        let mut body = Vec::new();
        let mut is_whole = true;
        while let Some(frame) = incoming.frame().await {
            match frame.map(|frame| frame.into_data().unwrap_or_default()) {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(_) => {
                    is_whole = false;
                    break;
                }
            }
        }
        Some(seen(&Response::from_parts(head, ()), body, is_whole))
    };
    let (read, _, ()) = tokio::join!(exchange, connection, answer(far, response));
    read
}

/// Once the question is there, the response and the connection's end.
async fn answer(mut far: DuplexStream, response: &[u8]) {
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        if far.read_buf(&mut question).await.is_ok_and(|length| length == 0) {
            return;
        }
    }
    let _ = far.write_all(response).await;
    let _ = far.shutdown().await;
}
