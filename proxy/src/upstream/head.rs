//! The head of a response (RFC 9112, sections 4 to 6): what it says, and how its body is framed.

use std::mem::{self, MaybeUninit};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use thiserror::Error;

use super::ExchangeError;
use super::chunked::{ChunkError, Chunked};

/// The most bytes of a head.
const LONGEST_HEAD: usize = 64 << 10;
/// The most fields of a head.
const MOST_FIELDS: usize = 100;

/// A head.
#[derive(Debug)]
pub struct Head {
    /// Status and fields.
    pub response: Response<()>,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether another request may follow on the connection.
    pub keeps_alive: bool,
}

/// Where a body ends (RFC 9112, section 6.3).
#[derive(Debug)]
pub enum Framing {
    /// After so many bytes more.
    Length(u64),
    /// Where its chunks say.
    Chunked(Chunked),
    /// Where the connection does.
    UntilClose,
}

impl Framing {
    /// Takes the next piece of the body out of what was read; none where more has to be read first, and at the end.
    ///
    /// # Errors
    /// Its chunks can't be told apart.
    pub fn next(&mut self, read: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        Ok(match self {
            Self::Chunked(chunked) => chunked.next(read)?,
            _ if read.is_empty() || self.is_ended() => None,
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
                *left -= length as u64;
                Some(read.split_to(length))
            }
            Self::UntilClose => Some(mem::take(read)),
        })
    }

    /// Whether the body has come to its end.
    pub fn is_ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_ended(),
            Self::UntilClose => false,
        }
    }

    /// The connection ends here, and with it the body.
    ///
    /// # Errors
    /// There should have been more of it.
    pub fn close(&mut self) -> Result<(), ExchangeError> {
        match self {
            Self::UntilClose => *self = Self::Length(0),
            Self::Length(_) | Self::Chunked(_) => return Err(ExchangeError::Closed),
        }
        Ok(())
    }

    /// How many bytes are still to come, where that is known.
    pub const fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}

/// What isn't the head of a response.
#[derive(Debug, Error)]
pub enum HeadError {
    /// Not HTTP/1.
    #[error("{0}")]
    Syntax(#[from] httparse::Error),
    /// More than 64 KiB.
    #[error("a head of more than 64 KiB")]
    TooLong,
    /// What RFC 9110 doesn't allow as a status, or in a field.
    #[error("{0}")]
    Field(#[from] http::Error),
    /// Lengths that differ, that are no numbers, or that stand beside a transfer coding.
    #[error("a Content-Length that can't be relied on")]
    Length,
    /// Another coding than chunked, more than one, or one in HTTP/1.0, which has none.
    #[error("a Transfer-Encoding other than chunked")]
    Coding,
    /// Nobody asked for another protocol.
    #[error("another protocol, which wasn't asked for")]
    Switching,
}

/// The next head in what was read, and its length in bytes; none while it isn't all there.
///
/// # Errors
/// It is no head, or it doesn't say for certain where its body ends.
pub fn parse(read: &Bytes, method: &Method) -> Result<Option<(Head, usize)>, HeadError> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, read, &mut fields)?;
    let Status::Complete(length) = status else {
        return if read.len() > LONGEST_HEAD {
            Err(HeadError::TooLong)
        } else {
            Ok(None)
        };
    };
    let version = match parsed.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let mut response = Response::new(());
    *response.version_mut() = version;
    *response.status_mut() =
        StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(http::Error::from)?;
    let headers = response.headers_mut();
    headers.reserve(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(http::Error::from)?;
        // A part of what was read, not a copy.
        let value = HeaderValue::from_maybe_shared(read.slice_ref(field.value)).map_err(http::Error::from)?;
        headers.append(name, value);
    }
    let framing = framing(&response, method)?;
    let keeps_alive = version == Version::HTTP_11
        && !matches!(framing, Framing::UntilClose)
        && !says_close(response.headers());
    let head = Head {
        response,
        framing,
        keeps_alive,
    };
    Ok(Some((head, length)))
}

fn framing(response: &Response<()>, method: &Method) -> Result<Framing, HeadError> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(HeadError::Switching);
    }
    let headers = response.headers();
    let length = content_length(headers)?;
    let is_chunked = is_chunked(headers)?;
    if is_chunked && length.is_some() {
        return Err(HeadError::Length);
    }
    if is_chunked && response.version() == Version::HTTP_10 {
        return Err(HeadError::Coding);
    }
    let has_no_body = *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    Ok(match length {
        _ if has_no_body => Framing::Length(0),
        _ if is_chunked => Framing::Chunked(Chunked::default()),
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    })
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let value = decimal(value.as_bytes()).ok_or(HeadError::Length)?;
        if *length.get_or_insert(value) != value {
            return Err(HeadError::Length);
        }
    }
    Ok(length)
}

/// Digits only: `parse` would take a sign too.
fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, HeadError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(HeadError::Coding),
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a head frames its body, and whether the connection lives on; or what is wrong with it.
    fn judge(head: &str, method: &Method) -> String {
        let read = Bytes::copy_from_slice(head.as_bytes());
        match parse(&read, method) {
            Ok(None) => "more".to_owned(),
            Ok(Some((head, length))) => {
                assert_eq!(length, read.len());
                let framing = match head.framing {
                    Framing::Length(length) => length.to_string(),
                    Framing::Chunked(_) => "chunked".to_owned(),
                    Framing::UntilClose => "until close".to_owned(),
                };
                format!("{framing}{}", if head.keeps_alive { ", kept" } else { "" })
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_body_ends_in_one_place() {
        let cases: &[(&str, &str)] = &[
            ("200 OK\r\nContent-Length: 5", "5, kept"),
            ("200 OK\r\nContent-Length: 5\r\nContent-Length: 5", "5, kept"),
            (
                "200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
                "a Content-Length that can't be relied on",
            ),
            (
                "200 OK\r\nContent-Length: 5, 5",
                "a Content-Length that can't be relied on",
            ),
            (
                "200 OK\r\nContent-Length: +5",
                "a Content-Length that can't be relied on",
            ),
            (
                "200 OK\r\nContent-Length:",
                "a Content-Length that can't be relied on",
            ),
            (
                "200 OK\r\nContent-Length: 18446744073709551616",
                "a Content-Length that can't be relied on",
            ),
            ("200 OK\r\nTransfer-Encoding: chunked", "chunked, kept"),
            (
                "200 OK\r\nTransfer-Encoding: Chunked\r\nConnection: keep-alive",
                "chunked, kept",
            ),
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x, Close",
                "chunked",
            ),
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
                "a Content-Length that can't be relied on",
            ),
            (
                "200 OK\r\nTransfer-Encoding: gzip, chunked",
                "a Transfer-Encoding other than chunked",
            ),
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "a Transfer-Encoding other than chunked",
            ),
            ("200 OK\r\nX: y", "until close"),
            ("204 No Content\r\nX: y", "0, kept"),
            ("304 Not Modified\r\nContent-Length: 5", "0, kept"),
            ("100 Continue\r\nX: y", "0, kept"),
            (
                "101 Switching Protocols\r\nUpgrade: x",
                "another protocol, which wasn't asked for",
            ),
            ("099 Below\r\nX: y", "invalid status code"),
            ("200 OK\r\nX : y", "invalid header name"),
            ("200 OK\r\nX: a\r\n b", "invalid header name"),
            ("200 OK\r\nX: a\0b", "invalid header value"),
        ];
        for (head, expected) in cases {
            let head = format!("HTTP/1.1 {head}\r\n\r\n");
            assert_eq!(judge(&head, &Method::POST), *expected, "{head}");
        }
    }

    #[test]
    fn other_beginnings() {
        let fields = "X: y\r\n".repeat(MOST_FIELDS + 1);
        let cases = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                Method::HEAD,
                "0, kept",
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Method::GET, "5"),
            (
                "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
                Method::GET,
                "0, kept",
            ),
            ("HTTP/2 200 OK\r\n\r\n", Method::GET, "invalid HTTP version"),
            ("SSH-2.0-x\r\n", Method::GET, "invalid HTTP version"),
            ("", Method::GET, "more"),
            ("HTTP/1.1 200 OK\r\nContent-Le", Method::GET, "more"),
            (
                &format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(LONGEST_HEAD)),
                Method::GET,
                "a head of more than 64 KiB",
            ),
            (
                &format!("HTTP/1.1 200 OK\r\n{fields}\r\n"),
                Method::GET,
                "too many headers",
            ),
        ];
        for (head, method, expected) in cases {
            assert_eq!(judge(head, &method), expected, "{method} {head:.40}");
        }
    }

    #[test]
    fn fields_are_read_as_they_are() {
        let read = Bytes::from_static(
            b"HTTP/1.1 404 Not Found\r\nX-A: one\r\nx-a:two \r\nB:\r\nContent-Length: 1\r\n\r\nx",
        );
        let (head, length) = parse(&read, &Method::GET).unwrap().unwrap();
        assert_eq!(
            (head.response.status(), length),
            (StatusCode::NOT_FOUND, read.len() - 1)
        );
        let fields: Vec<_> = head
            .response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            fields,
            [("x-a", "one"), ("x-a", "two"), ("b", ""), ("content-length", "1")]
        );
    }
}
